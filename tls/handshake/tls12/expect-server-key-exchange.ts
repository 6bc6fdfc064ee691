import { concatBytes } from '@noble/hashes/utils.js';
import { TlsError } from '../../errors.ts';
import { agreeInGroup } from '../../keys/finite-field.ts';
import { generateKeyShare, groupName, isTls12Group } from '../../keys/groups.ts';
import { impliedScheme, signatureSchemeName, verifyKeyExchangeSignature } from '../../keys/signatures.ts';
import { MIN_DH_BITS, MIN_DH_BITS_FALLBACK } from '../../limits.ts';
import { HandshakeType } from '../../wire/codes.ts';
import {
  type HandshakeMessage,
  readServerDhExchange,
  readServerKeyExchange,
  type ServerDhExchange,
  type ServerKeyExchange,
} from '../../wire/messages.ts';
import { acceptChain } from '../accept-chain.ts';
import { expectType, type Handshake, type HandshakeState } from '../state.ts';
import { ExpectServerHelloDoneOrRequest } from './expect-server-hello-done.ts';
import type { Agreed12 } from './server-hello.ts';

/** The server's half of the key exchange, and its signature. */
export class ExpectServerKeyExchange implements HandshakeState {
  readonly agreed: Agreed12;
  /** DER, leaf first, never empty. */
  readonly chain: readonly Uint8Array[];

  constructor(agreed: Agreed12, chain: readonly Uint8Array[]) {
    this.agreed = agreed;
    this.chain = chain;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    expectType(message, HandshakeType.ServerKeyExchange);
    const { suite, version, transcript } = this.agreed;
    const hasScheme = version >= 'TLSv1.2';
    const [publicKey, premaster] =
      suite.keyExchange === 'dhe'
        ? this.#agreeInGroup(readServerDhExchange(message, hasScheme), handshake)
        : this.#agreeOnCurve(readServerKeyExchange(message, hasScheme), handshake);
    transcript.add(message.raw);
    handshake.wipes.push(() => premaster.fill(0));
    return new ExpectServerHelloDoneOrRequest(this.agreed, publicKey, premaster);
  }

  /** @returns our public key and the premaster secret */
  #agreeOnCurve(exchange: ServerKeyExchange, handshake: Handshake): [Uint8Array, Uint8Array] {
    // RFC 8422 §5.4: a curve that was offered, otherwise illegal_parameter
    const { offer } = this.agreed;
    const group = offer.groups.find((each) => each === exchange.group && isTls12Group(each));
    if (group === undefined) {
      throw new TlsError('UnofferedGroup', `group ${exchange.group} in server_key_exchange`);
    }
    this.#authenticate(exchange, handshake);
    const share = generateKeyShare(group, handshake.random);
    const premaster = share.agree(exchange.publicKey);
    handshake.info.group = groupName(group);
    return [share.publicKey, premaster];
  }

  #agreeInGroup(exchange: ServerDhExchange, handshake: Handshake): [Uint8Array, Uint8Array] {
    this.#authenticate(exchange, handshake);
    const minBits = this.agreed.offer.fallback ? MIN_DH_BITS_FALLBACK : MIN_DH_BITS;
    const result = agreeInGroup(exchange, minBits, handshake.random);
    handshake.info.group = `DH of ${result.bits} bits`;
    return [result.publicValue, result.sharedSecret];
  }

  #authenticate(exchange: ServerKeyExchange | ServerDhExchange, handshake: Handshake): void {
    const { offer, suite, serverRandom } = this.agreed;
    // 1. the chain
    acceptChain(this.chain, handshake);
    // 2. the signature, also when the verifier accepts every chain
    const scheme = exchange.scheme ?? impliedScheme(suite.authentication);
    verifyKeyExchangeSignature(
      this.chain[0]!,
      suite.authentication,
      exchange.scheme === null ? null : offer.signatureSchemes,
      scheme,
      exchange.signature,
      concatBytes(offer.random, serverRandom, exchange.params),
    );
    handshake.info.signatureScheme = signatureSchemeName(scheme);
  }
}
