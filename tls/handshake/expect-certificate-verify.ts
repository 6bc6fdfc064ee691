import { signatureSchemeName, verifyServerSignature } from '../keys/signatures.ts';
import { HandshakeType } from '../wire/codes.ts';
import { type CertificateRequest, type HandshakeMessage, readCertificateVerify } from '../wire/messages.ts';
import { acceptChain } from './accept-chain.ts';
import type { Agreed, RecordLimits } from './expect-encrypted-extensions.ts';
import { ExpectFinished } from './expect-finished.ts';
import { expectType, type Handshake, type HandshakeState } from './state.ts';

/** The signature of the server over the handshake. */
export class ExpectCertificateVerify implements HandshakeState {
  readonly agreed: Agreed;
  readonly limits: RecordLimits;
  /** What the server asks of us, or null. */
  readonly request: CertificateRequest | null;
  /** DER, leaf first, never empty. */
  readonly chain: readonly Uint8Array[];

  constructor(
    agreed: Agreed,
    limits: RecordLimits,
    request: CertificateRequest | null,
    chain: readonly Uint8Array[],
  ) {
    this.agreed = agreed;
    this.limits = limits;
    this.request = request;
    this.chain = chain;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    expectType(message, HandshakeType.CertificateVerify);
    const { offer, transcript } = this.agreed;
    const { scheme, signature } = readCertificateVerify(message);
    // 1. the chain
    acceptChain(this.chain, handshake);
    // 2. the signature, also when the verifier accepts every chain
    verifyServerSignature(this.chain[0]!, offer.signatureSchemes, scheme, signature, transcript.hash());
    handshake.info.signatureScheme = signatureSchemeName(scheme);
    transcript.add(message.raw);
    return new ExpectFinished(this.agreed, this.limits, this.request);
  }
}
