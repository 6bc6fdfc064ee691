/**
 * What SocketWrench's INET_SECURITY_INFO reports about the peer's certificate. The order says how much is wrong with the
 * chain only by convention; the reason of a {@link CertificateVerdict} is what a person should read.
 */
export const CertificateStatus = {
  /** The peer sent no certificate. */
  None: 0,
  Valid: 1,
  /** Trusted and current, but issued for another name. */
  NoMatch: 2,
  /** A certificate of the only usable path is past its end or not valid yet. */
  Expired: 3,
  Revoked: 4,
  /** No path to a trust anchor. */
  Untrusted: 5,
  /** Malformed, wrongly signed, too weak, not for TLS servers, or against a constraint of one of its issuers. */
  Invalid: 6,
} as const;
export type CertificateStatus = (typeof CertificateStatus)[keyof typeof CertificateStatus];

/** The alerts with which a client may answer a Certificate message. RFC 8446 §6.2 */
export const CertificateAlert = {
  None: 0,
  BadCertificate: 42,
  UnsupportedCertificate: 43,
  CertificateRevoked: 44,
  CertificateExpired: 45,
  CertificateUnknown: 46,
  UnknownCa: 48,
  /** RFC 8446 §4.4.2.4: an empty Certificate message of a server. */
  DecodeError: 50,
  /** RFC 6066 §8: a stapled answer of OCSP that is not satisfactory. */
  BadCertificateStatusResponse: 113,
} as const;
export type CertificateAlert = (typeof CertificateAlert)[keyof typeof CertificateAlert];

/** What is known of a revocation. */
export const RevocationStatus = {
  /** Nobody who would know was asked, or gave an answer. */
  Unknown: 0,
  /** The stapled answer of OCSP, or lists of every issuer of the path, say that it was not revoked. */
  Good: 1,
  Revoked: 2,
} as const;
export type RevocationStatus = (typeof RevocationStatus)[keyof typeof RevocationStatus];

/** What OpenSSL, and so Node, calls a failure of a path where its status says less. */
export type OpensslCode =
  | 'CERT_NOT_YET_VALID'
  | 'CERT_SIGNATURE_FAILURE'
  | 'DEPTH_ZERO_SELF_SIGNED_CERT'
  | 'INVALID_PURPOSE'
  | 'PATH_LENGTH_EXCEEDED'
  | 'SELF_SIGNED_CERT_IN_CHAIN'
  | 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY';

/** The answer of a {@link CertificateVerifier}. */
export interface CertificateVerdict {
  /** Whether the handshake may go on. */
  readonly accepted: boolean;
  /** What the chain is worth, whether or not the handshake goes on. */
  readonly status: CertificateStatus;
  /** One sentence for people; for a valid chain, the path that was found. */
  readonly reason: string;
  /** The alert to send when not accepted (RFC 8446 §6.2), else 0. */
  readonly alert: number;
  /** Default Unknown. */
  readonly revocation?: RevocationStatus;
  /** Default: there is none that says more than the status. */
  readonly opensslCode?: OpensslCode | null;
}

/** What a server sends about its certificate beside the chain. */
export interface PeerEvidence {
  /** The stapled answer of OCSP (RFC 6066 §8), DER, as it came; null: none. */
  readonly ocspResponse: Uint8Array | null;
  /** false: the client did not ask for it, so that the server breaks no promise of the certificate (RFC 7633 §4.2). Default true. */
  readonly isStatusAsked?: boolean;
  /** The SignedCertificateTimestampList (RFC 6962 §3.3) of the handshake, as it came; null: none. */
  readonly signedCertificateTimestamps: Uint8Array | null;
}

/** Decides about the certificates of a TLS server. Never throws, whatever the bytes are. */
export interface CertificateVerifier {
  /**
   * @param chain DER certificates as the peer sent them, its own first, the others in any order
   * @param serverName the name or IP address literal that the caller asked for
   * @param unixTimeMs milliseconds since 1970-01-01T00:00Z
   * @param evidence what came with the chain
   */
  verify(
    chain: readonly Uint8Array[],
    serverName: string,
    unixTimeMs: number,
    evidence?: PeerEvidence,
  ): CertificateVerdict;
}
