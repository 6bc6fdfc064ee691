/** RFC 8446 §6: the level of an alert. TLS 1.3 gives it no meaning: the description decides. */
export const AlertLevel = { Warning: 1, Fatal: 2 } as const;
export type AlertLevel = (typeof AlertLevel)[keyof typeof AlertLevel];

/** RFC 8446 §6: what an alert says, and the descriptions of older versions that a peer may still send. */
export const AlertDescription = {
  CloseNotify: 0,
  UnexpectedMessage: 10,
  BadRecordMac: 20,
  DecryptionFailed: 21,
  RecordOverflow: 22,
  DecompressionFailure: 30,
  HandshakeFailure: 40,
  NoCertificate: 41,
  BadCertificate: 42,
  UnsupportedCertificate: 43,
  CertificateRevoked: 44,
  CertificateExpired: 45,
  CertificateUnknown: 46,
  IllegalParameter: 47,
  UnknownCa: 48,
  AccessDenied: 49,
  DecodeError: 50,
  DecryptError: 51,
  ExportRestriction: 60,
  ProtocolVersion: 70,
  InsufficientSecurity: 71,
  InternalError: 80,
  InappropriateFallback: 86,
  UserCanceled: 90,
  NoRenegotiation: 100,
  MissingExtension: 109,
  UnsupportedExtension: 110,
  CertificateUnobtainable: 111,
  UnrecognizedName: 112,
  BadCertificateStatusResponse: 113,
  BadCertificateHashValue: 114,
  UnknownPskIdentity: 115,
  CertificateRequired: 116,
  /** RFC 9846 §6 */
  GeneralError: 117,
  NoApplicationProtocol: 120,
  EchRequired: 121,
} as const;
export type AlertDescription = (typeof AlertDescription)[keyof typeof AlertDescription];

/** The name of an alert as RFC 8446 writes it (`bad_record_mac`), or `alert 200` for an unknown number. */
export function alertName(description: number): string {
  for (const [name, number] of Object.entries(AlertDescription)) {
    if (number === description) return name.replace(/(?<!^)[A-Z]/g, '_$&').toLowerCase();
  }
  return `alert ${description}`;
}
