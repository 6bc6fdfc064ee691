import { type ErrorCode, NetError, Phase } from '../stack/errors.ts';
import type { TlsError } from '../tls/errors.ts';
import { CertificateStatus, type CertificateVerdict } from '../tls/x509/verdict.ts';

/**
 * What users see of a TLS failure. @param verdict what the verifier said, when it came that far
 * @param handshaking false once application data may flow
 */
export function tlsNetError(
  error: TlsError,
  verdict: CertificateVerdict | null,
  handshaking: boolean,
): NetError {
  const phase = handshaking ? Phase.Handshake : Phase.Transfer;
  switch (error.family) {
    case 'CertificateRejected':
      return certificateNetError(verdict, phase, error.message, error);
    case 'AlertReceived':
      return new NetError('TLS_ALERT', { phase, detail: error.message, cause: error });
    case 'PeerIncompatible':
      return new NetError('TLS_HANDSHAKE', { phase, detail: error.message, cause: error });
    default:
      return new NetError('TLS_PROTOCOL', { phase, detail: error.message, cause: error });
  }
}

/** What is wrong with a certificate. @param otherwise the detail when nobody has looked at one */
export function certificateNetError(
  verdict: CertificateVerdict | null,
  phase: Phase,
  otherwise: string,
  cause?: unknown,
): NetError {
  const code = verdict?.opensslCode ?? null;
  return new NetError(certificateCode(verdict), {
    phase,
    detail: verdict?.reason ?? otherwise,
    cause,
    ...(code === null ? {} : { code }),
  });
}

function certificateCode(verdict: CertificateVerdict | null): ErrorCode {
  switch (verdict?.status) {
    case CertificateStatus.NoMatch:
      return 'CERT_NAME_MISMATCH';
    case CertificateStatus.Expired:
      return 'CERT_EXPIRED';
    case CertificateStatus.Revoked:
      return 'CERT_REVOKED';
    case CertificateStatus.Untrusted:
      return 'CERT_UNTRUSTED';
    default:
      return 'CERT_INVALID';
  }
}
