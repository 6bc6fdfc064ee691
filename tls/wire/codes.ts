/** RFC 8446 §5.1 */
export const ContentType = { ChangeCipherSpec: 20, Alert: 21, Handshake: 22, ApplicationData: 23 } as const;
export type ContentType = (typeof ContentType)[keyof typeof ContentType];

/** RFC 8446 §4, and §4.4.1 for the synthetic message_hash. */
export const HandshakeType = {
  HelloRequest: 0,
  ClientHello: 1,
  ServerHello: 2,
  NewSessionTicket: 4,
  EndOfEarlyData: 5,
  EncryptedExtensions: 8,
  Certificate: 11,
  ServerKeyExchange: 12,
  CertificateRequest: 13,
  ServerHelloDone: 14,
  CertificateVerify: 15,
  ClientKeyExchange: 16,
  Finished: 20,
  CertificateStatus: 22,
  KeyUpdate: 24,
  CompressedCertificate: 25,
  MessageHash: 254,
} as const;
export type HandshakeType = (typeof HandshakeType)[keyof typeof HandshakeType];

/** RFC 8446 §4.2 and the IANA registry. */
export const ExtensionType = {
  ServerName: 0,
  StatusRequest: 5,
  SupportedGroups: 10,
  EcPointFormats: 11,
  SignatureAlgorithms: 13,
  ApplicationLayerProtocolNegotiation: 16,
  SignedCertificateTimestamp: 18,
  Padding: 21,
  EncryptThenMac: 22,
  ExtendedMasterSecret: 23,
  CompressCertificate: 27,
  RecordSizeLimit: 28,
  SessionTicket: 35,
  PreSharedKey: 41,
  EarlyData: 42,
  SupportedVersions: 43,
  Cookie: 44,
  PskKeyExchangeModes: 45,
  CertificateAuthorities: 47,
  PostHandshakeAuth: 49,
  KeyShare: 51,
  EchOuterExtensions: 0xfd00,
  EncryptedClientHello: 0xfe0d,
  RenegotiationInfo: 0xff01,
} as const;
export type ExtensionType = (typeof ExtensionType)[keyof typeof ExtensionType];

/** Versions as they stand in records and hellos. */
export const ProtocolVersion = { Tls10: 0x0301, Tls11: 0x0302, Tls12: 0x0303, Tls13: 0x0304 } as const;

/** Versions as users name them, and Node; in alphabetical order the newest is last. */
export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

/** All versions, the newest first. */
export const TLS_VERSIONS: readonly TlsVersion[] = ['TLSv1.3', 'TLSv1.2', 'TLSv1.1', 'TLSv1'];

/** A version as it stands in hellos: 0x0301 … 0x0304. */
export function versionNumber(version: TlsVersion): number {
  return ProtocolVersion.Tls13 - TLS_VERSIONS.indexOf(version);
}

/** The version with a number, or undefined. */
export function versionOf(number: number): TlsVersion | undefined {
  return TLS_VERSIONS.find((version) => versionNumber(version) === number);
}

/** RFC 8446 §5.1: content type, legacy version, length. */
export const RECORD_HEADER_BYTES = 5;
/** RFC 8446 §4: type and 24-bit length. */
export const HANDSHAKE_HEADER_BYTES = 4;

/** The name of a handshake type as RFC 8446 writes it, for messages. */
export function handshakeTypeName(type: number): string {
  for (const [name, number] of Object.entries(HandshakeType)) {
    if (number === type) return name.replace(/(?<!^)[A-Z]/g, '_$&').toLowerCase();
  }
  return `handshake type ${type}`;
}
