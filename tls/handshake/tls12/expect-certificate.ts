import { encryptPremaster } from '../../keys/rsa-exchange.ts';
import { encryptionKeyOf } from '../../keys/signatures.ts';
import { HandshakeType } from '../../wire/codes.ts';
import { type HandshakeMessage, readCertificate12 } from '../../wire/messages.ts';
import { legacyVersionOf } from '../client-hello.ts';
import { checkLeafMayDecrypt, checkLeafMaySign } from '../leaf.ts';
import { expectType, type Handshake, type HandshakeState } from '../state.ts';
import { acceptChain } from './accept-chain.ts';
import { ExpectServerHelloDoneOrRequest } from './expect-server-hello-done.ts';
import { ExpectServerKeyExchange } from './expect-server-key-exchange.ts';
import type { Agreed12 } from './server-hello.ts';

/** The certificate chain of the server; all suites have one. */
export class ExpectCertificate12 implements HandshakeState {
  readonly agreed: Agreed12;

  constructor(agreed: Agreed12) {
    this.agreed = agreed;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    expectType(message, HandshakeType.Certificate);
    const chain = readCertificate12(message);
    handshake.info.peerCertificates = chain;
    if (this.agreed.suite.keyExchange === 'rsa') return this.#encrypt(message, chain, handshake);
    checkLeafMaySign(chain[0]!);
    this.agreed.transcript.add(message.raw);
    return new ExpectServerKeyExchange(this.agreed, chain);
  }

  /** RFC 5246 §7.4.3: with RSA key exchange no ServerKeyExchange may follow (its keys would be those of export suites). */
  #encrypt(message: HandshakeMessage, chain: readonly Uint8Array[], handshake: Handshake): HandshakeState {
    const { offer, transcript } = this.agreed;
    checkLeafMayDecrypt(chain[0]!);
    acceptChain(chain, handshake);
    const key = encryptionKeyOf(chain[0]!);
    const { premaster, encrypted } = encryptPremaster(key, legacyVersionOf(offer), handshake.random);
    transcript.add(message.raw);
    return new ExpectServerHelloDoneOrRequest(this.agreed, encrypted, premaster);
  }
}
