import { concatBytes } from '@noble/hashes/utils.js';
import { TlsError } from '../../errors.ts';
import { generateKeyShare, groupName, isTls12Group } from '../../keys/groups.ts';
import { signatureSchemeName, verifyKeyExchangeSignature } from '../../keys/signatures.ts';
import { HandshakeType } from '../../wire/codes.ts';
import { type HandshakeMessage, readServerKeyExchange } from '../../wire/messages.ts';
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
    const { offer, suite, serverRandom, transcript } = this.agreed;
    const exchange = readServerKeyExchange(message);
    // RFC 8422 §5.4: a curve that was offered, otherwise illegal_parameter
    const group = offer.groups.find((each) => each === exchange.group && isTls12Group(each));
    if (group === undefined) {
      throw new TlsError('UnofferedGroup', `group ${exchange.group} in server_key_exchange`);
    }
    // 1. the chain
    const verdict = handshake.verifier.verify(this.chain, handshake.serverName, handshake.unixTimeMs);
    handshake.info.certificate = verdict;
    if (!verdict.accepted) throw new TlsError('Rejected', verdict.reason, verdict.alert);
    // 2. the signature, also when the verifier accepts every chain
    verifyKeyExchangeSignature(
      this.chain[0]!,
      suite.authentication,
      offer.signatureSchemes,
      exchange.scheme,
      exchange.signature,
      concatBytes(offer.random, serverRandom, exchange.params),
    );
    const share = generateKeyShare(group, handshake.random);
    const premaster = share.agree(exchange.publicKey);
    handshake.info.group = groupName(group);
    handshake.info.signatureScheme = signatureSchemeName(exchange.scheme);
    transcript.add(message.raw);
    return new ExpectServerHelloDoneOrRequest(this.agreed, share.publicKey, premaster);
  }
}
