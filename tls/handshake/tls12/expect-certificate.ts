import { encryptPremaster } from '../../keys/rsa-exchange.ts';
import { encryptionKeyOf } from '../../keys/signatures.ts';
import { HandshakeType } from '../../wire/codes.ts';
import {
  bodyOf,
  type HandshakeMessage,
  readCertificate12,
  readCertificateStatus,
} from '../../wire/messages.ts';
import { acceptChain } from '../accept-chain.ts';
import { checkLeafMayDecrypt, checkLeafMaySign } from '../leaf.ts';
import { legacyVersionOf } from '../offer.ts';
import { checkSameServer } from '../renegotiation.ts';
import { expectType, type Handshake, type HandshakeState } from '../state.ts';
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
    checkSameServer(chain[0]!, this.agreed.offer.former);
    handshake.info.peerCertificates = chain;
    if (this.agreed.suite.keyExchange === 'rsa') checkLeafMayDecrypt(chain[0]!);
    else checkLeafMaySign(chain[0]!);
    this.agreed.transcript.add(message.raw);
    return this.agreed.isStatusPromised
      ? new ExpectCertificateStatus12(this.agreed, chain)
      : afterCertificate(this.agreed, chain, handshake);
  }
}

/** RFC 6066 §8: a server that promised the status of its certificate may still leave it out. */
export class ExpectCertificateStatus12 implements HandshakeState {
  readonly agreed: Agreed12;
  readonly chain: readonly Uint8Array[];

  constructor(agreed: Agreed12, chain: readonly Uint8Array[]) {
    this.agreed = agreed;
    this.chain = chain;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    if (message.type !== HandshakeType.CertificateStatus) {
      return afterCertificate(this.agreed, this.chain, handshake).handle(message, handshake);
    }
    handshake.info.ocspResponse = readCertificateStatus(bodyOf(message, 'certificate_status'));
    this.agreed.transcript.add(message.raw);
    return afterCertificate(this.agreed, this.chain, handshake);
  }
}

/** RFC 5246 §7.4.3: with RSA key exchange no ServerKeyExchange may follow (its keys would be those of export suites). */
function afterCertificate(
  agreed: Agreed12,
  chain: readonly Uint8Array[],
  handshake: Handshake,
): HandshakeState {
  if (agreed.suite.keyExchange !== 'rsa') return new ExpectServerKeyExchange(agreed, chain);
  acceptChain(chain, handshake);
  const key = encryptionKeyOf(chain[0]!);
  const { premaster, encrypted } = encryptPremaster(key, legacyVersionOf(agreed.offer), handshake.random);
  handshake.wipes.push(() => premaster.fill(0));
  return new ExpectServerHelloDoneOrRequest(agreed, encrypted, premaster);
}
