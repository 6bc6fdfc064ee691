import { HandshakeType } from '../wire/codes.ts';
import {
  type CertificateRequest,
  type HandshakeMessage,
  readCertificate,
  readCertificateRequest,
} from '../wire/messages.ts';
import { answersInCertificate } from './answers.ts';
import { decompressCertificate } from './compressed-certificate.ts';
import { ExpectCertificateVerify } from './expect-certificate-verify.ts';
import type { Agreed, RecordLimits } from './expect-encrypted-extensions.ts';
import { checkLeafMaySign } from './leaf.ts';
import { type Handshake, type HandshakeState, unexpectedMessage } from './state.ts';

/** After EncryptedExtensions: the server may ask for a certificate before it sends its own. */
export class ExpectCertificateOrRequest implements HandshakeState {
  readonly agreed: Agreed;
  readonly limits: RecordLimits;

  constructor(agreed: Agreed, limits: RecordLimits) {
    this.agreed = agreed;
    this.limits = limits;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    if (message.type === HandshakeType.CertificateRequest) {
      const request = readCertificateRequest(message);
      handshake.info.clientCertificate = 'requested';
      this.agreed.transcript.add(message.raw);
      return new ExpectCertificate(this.agreed, this.limits, request);
    }
    return new ExpectCertificate(this.agreed, this.limits, null).handle(message, handshake);
  }
}

/** The certificate chain of the server. */
export class ExpectCertificate implements HandshakeState {
  readonly agreed: Agreed;
  readonly limits: RecordLimits;
  /** What the server asks of us, or null. */
  readonly request: CertificateRequest | null;

  constructor(agreed: Agreed, limits: RecordLimits, request: CertificateRequest | null) {
    this.agreed = agreed;
    this.limits = limits;
    this.request = request;
  }

  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState {
    const { offer, transcript } = this.agreed;
    let certificate = message;
    if (message.type === HandshakeType.CompressedCertificate && offer.certificateCompression.length > 0) {
      certificate = decompressCertificate(message, offer.certificateCompression);
    } else if (message.type !== HandshakeType.Certificate) {
      const expected = this.request !== null ? 'certificate' : 'certificate or certificate_request';
      throw unexpectedMessage(message, expected);
    }
    const { chain, ...evidence } = readCertificate(certificate, answersInCertificate(offer));
    handshake.info.peerCertificates = chain;
    Object.assign(handshake.info, evidence);
    checkLeafMaySign(chain[0]!);
    // RFC 8879 §4: the transcript has the message as it came
    transcript.add(message.raw);
    return new ExpectCertificateVerify(this.agreed, this.limits, this.request, chain);
  }
}
