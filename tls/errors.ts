import { AlertDescription, alertName } from './alerts.ts';

/**
 * Whose fault a failure is: bytes that are no TLS (InvalidMessage), well-formed bytes against the protocol
 * (PeerMisbehaved), an honest mismatch of abilities (PeerIncompatible), the peer's own alert (AlertReceived), or a
 * certificate that the verifier refused (CertificateRejected).
 */
export type TlsErrorFamily =
  | 'InvalidMessage'
  | 'PeerMisbehaved'
  | 'PeerIncompatible'
  | 'AlertReceived'
  | 'CertificateRejected';

/** {@link TlsError.alert} when nothing is to be sent. */
export const NO_ALERT = -1;

/** The closed set of failures; the one place that says which alert answers which of them (RFC 8446 §6.2). */
export const TLS_ERRORS = {
  // records
  InvalidContentType: ['InvalidMessage', 'UnexpectedMessage', 'not a TLS record'],
  RecordOverflow: ['InvalidMessage', 'RecordOverflow', 'a record is longer than TLS allows'],
  EmptyHandshakeRecord: [
    'InvalidMessage',
    'UnexpectedMessage',
    'a handshake or alert record without content',
  ],
  NoContentType: ['InvalidMessage', 'UnexpectedMessage', 'a protected record of nothing but padding'],
  BadRecordMac: ['InvalidMessage', 'BadRecordMac', 'a record did not decrypt'],
  WrongRecordVersion: ['PeerMisbehaved', 'ProtocolVersion', 'a record of another version than was agreed on'],
  UnprotectedRecord: [
    'PeerMisbehaved',
    'UnexpectedMessage',
    'a record without protection after keys were agreed',
  ],
  UnexpectedApplicationData: [
    'PeerMisbehaved',
    'UnexpectedMessage',
    'application data before the handshake ended',
  ],
  UnexpectedChangeCipherSpec: [
    'PeerMisbehaved',
    'UnexpectedMessage',
    'a change_cipher_spec where none may come',
  ],
  InterleavedRecord: ['PeerMisbehaved', 'UnexpectedMessage', 'another record inside a handshake message'],
  DataAcrossKeyChange: ['PeerMisbehaved', 'UnexpectedMessage', 'handshake bytes across a change of keys'],
  TooManyEmptyRecords: ['PeerMisbehaved', 'UnexpectedMessage', 'too many empty records in a row'],
  TooManyChangeCipherSpecs: ['PeerMisbehaved', 'UnexpectedMessage', 'too many change_cipher_spec records'],
  TooManyWarnings: ['PeerMisbehaved', 'UnexpectedMessage', 'too many warning alerts in a row'],
  InvalidChangeCipherSpec: [
    'InvalidMessage',
    'IllegalParameter',
    'a change_cipher_spec with other content than it has',
  ],
  SequenceExhausted: ['PeerMisbehaved', 'InternalError', 'the records of a key are used up'],
  TooManyHelloRequests: [
    'PeerMisbehaved',
    'UnexpectedMessage',
    'too many wishes for a renegotiation in a row',
  ],
  TooManyKeyUpdates: ['PeerMisbehaved', 'UnexpectedMessage', 'too many key updates in a row'],
  TooManyCertificateRequests: [
    'PeerMisbehaved',
    'UnexpectedMessage',
    'too many requests for a certificate in a row',
  ],
  TooManyTickets: ['PeerMisbehaved', 'UnexpectedMessage', 'too many session tickets in a row'],
  MalformedAlert: ['InvalidMessage', 'DecodeError', 'an alert record is not one whole alert'],
  UnknownAlertLevel: ['InvalidMessage', 'IllegalParameter', 'an alert is neither warning nor fatal'],
  ReadAfterFailure: ['PeerMisbehaved', 'None', 'the receiving side has failed before'],
  // encoding of handshake messages
  MessageTooShort: ['InvalidMessage', 'DecodeError', 'a message ends early'],
  TrailingData: ['InvalidMessage', 'DecodeError', 'a message is longer than its content'],
  MessageTooLong: ['InvalidMessage', 'IllegalParameter', 'a handshake message is longer than accepted'],
  InvalidVector: ['InvalidMessage', 'DecodeError', 'a list has a forbidden length'],
  InvalidKeyUpdate: ['InvalidMessage', 'IllegalParameter', 'a key update asks for something undefined'],
  // order
  UnexpectedMessage: ['PeerMisbehaved', 'UnexpectedMessage', 'a handshake message in the wrong place'],
  SecondHelloRetryRequest: ['PeerMisbehaved', 'UnexpectedMessage', 'a second hello_retry_request'],
  PostHandshakeAuthentication: [
    'PeerMisbehaved',
    'UnexpectedMessage',
    'a certificate request after the handshake that was not offered',
  ],
  // negotiation
  DuplicateExtension: ['PeerMisbehaved', 'IllegalParameter', 'an extension came twice'],
  UnsolicitedExtension: [
    'PeerMisbehaved',
    'UnsupportedExtension',
    'an extension that was not offered for this message',
  ],
  MissingExtension: ['PeerMisbehaved', 'MissingExtension', 'a required extension is missing'],
  DowngradeDetected: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the server says that the version was forced down',
  ],
  UnofferedVersion: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the server selected a version that was not offered',
  ],
  WrongLegacyVersion: ['PeerMisbehaved', 'IllegalParameter', 'legacy_version is not 0x0303'],
  UnofferedCipherSuite: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the server selected a cipher suite that was not offered',
  ],
  EarlyDataWithOldVersion: [
    'PeerMisbehaved',
    'ProtocolVersion',
    'the server chose a version without early data after some was sent',
  ],
  UnofferedEarlyData: ['PeerMisbehaved', 'IllegalParameter', 'the server accepts early data that it may not'],
  CipherSuiteChanged: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the cipher suite differs from the hello_retry_request',
  ],
  UnofferedCompression: ['PeerMisbehaved', 'IllegalParameter', 'the server selected compression'],
  SessionIdMismatch: ['PeerMisbehaved', 'IllegalParameter', 'the server did not echo the session id'],
  UnofferedGroup: ['PeerMisbehaved', 'IllegalParameter', 'the server selected a group that was not offered'],
  RetryWithoutChange: ['PeerMisbehaved', 'IllegalParameter', 'a hello_retry_request that changes nothing'],
  RetryGroupAlreadyShared: [
    'PeerMisbehaved',
    'IllegalParameter',
    'a hello_retry_request for a group whose key share was sent',
  ],
  InvalidKeyShare: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the key share of the server is no valid public key',
  ],
  UnofferedApplicationProtocol: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the server selected an application protocol that was not offered',
  ],
  NoApplicationProtocol: [
    'PeerIncompatible',
    'NoApplicationProtocol',
    'the server selected none of the application protocols',
  ],
  InvalidRecordSizeLimit: ['PeerMisbehaved', 'IllegalParameter', 'the record size limit is below 64'],
  InvalidRenegotiationInfo: [
    'PeerMisbehaved',
    'HandshakeFailure',
    'a renegotiation_info that does not belong to this handshake',
  ],
  ServerCertificateChanged: [
    'PeerMisbehaved',
    'IllegalParameter',
    'another certificate in a renegotiation than before',
  ],
  MasterSecretChanged: [
    'PeerMisbehaved',
    'HandshakeFailure',
    'extended master secret is not in a renegotiation as it was before',
  ],
  RenegotiationInfoMissing: [
    'PeerIncompatible',
    'HandshakeFailure',
    'the server does not know renegotiation_info (RFC 5746)',
  ],
  EncryptThenMacMissing: [
    'PeerIncompatible',
    'InsufficientSecurity',
    'the server wants CBC without encrypt_then_mac (RFC 7366)',
  ],
  GroupTooWeak: [
    'PeerIncompatible',
    'InsufficientSecurity',
    'the Diffie-Hellman group of the server is too small',
  ],
  InvalidGroup: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the Diffie-Hellman group of the server cannot be used',
  ],
  KeyTooWeak: ['PeerIncompatible', 'InsufficientSecurity', 'the RSA key of the server is too small'],
  MissingPointFormat: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the server does not know the uncompressed point format',
  ],
  UnofferedResumption: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the server resumes a session that was not offered',
  ],
  MasterSecretNotExtended: [
    'PeerMisbehaved',
    'HandshakeFailure',
    'a session with extended master secret was resumed without it',
  ],
  EchRejected: ['PeerIncompatible', 'EchRequired', 'the server could not read the encrypted ClientHello'],
  EchInconsistent: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the server confirmed the encrypted ClientHello once and not again',
  ],
  CertificateTypeMismatch: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the key of the certificate does not fit the cipher suite',
  ],
  VersionNotSupported: [
    'PeerIncompatible',
    'ProtocolVersion',
    'the server speaks no version that was offered',
  ],
  // authentication
  UnsolicitedCertificateContext: [
    'PeerMisbehaved',
    'DecodeError',
    'a certificate message with a context that belongs to no request',
  ],
  NoCertificate: ['PeerMisbehaved', 'DecodeError', 'the server sent no certificate'],
  ChainTooLong: ['PeerMisbehaved', 'IllegalParameter', 'the server sent too many certificates'],
  UnofferedCertificateCompression: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the certificate is compressed in a way that was not offered',
  ],
  CertificateDecompressionFailed: [
    'InvalidMessage',
    'BadCertificate',
    'the compressed certificate cannot be read',
  ],
  CertificateUnreadable: [
    'InvalidMessage',
    'DecodeError',
    'the public key of the certificate cannot be read',
  ],
  KeyUsageMismatch: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the certificate of the server is not for this use by its keyUsage',
  ],
  UnofferedSignatureScheme: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the server signed with a scheme that was not offered for handshakes',
  ],
  SignatureSchemeMismatch: [
    'PeerMisbehaved',
    'IllegalParameter',
    'the signature scheme does not fit the key',
  ],
  BadSignature: ['PeerMisbehaved', 'DecryptError', 'the signature of the handshake is wrong'],
  BadFinished: ['PeerMisbehaved', 'DecryptError', 'the finished message is wrong'],
  NoFittingCredentials: [
    'PeerIncompatible',
    'HandshakeFailure',
    'the server asks for a certificate and would take none of ours',
  ],
  SigningFailed: ['PeerIncompatible', 'InternalError', 'our own signature could not be made'],
  Rejected: ['CertificateRejected', 'None', 'the certificate was refused'],
  Received: ['AlertReceived', 'None', 'the peer ended the connection with an alert'],
  ClosedEarly: ['AlertReceived', 'None', 'the peer closed the connection before the handshake ended'],
} as const;

/** The stable name of a failure. */
export type TlsErrorMember = keyof typeof TLS_ERRORS;

/** Family, alert to send, one sentence. */
type MemberRow = readonly [TlsErrorFamily, keyof typeof AlertDescription | 'None', string];
const ROWS: Readonly<Record<TlsErrorMember, MemberRow>> = TLS_ERRORS;

/** A failure of a TLS connection that the peer's bytes caused. */
export class TlsError extends Error {
  override readonly name = 'TlsError';
  readonly family: TlsErrorFamily;
  readonly member: TlsErrorMember;
  /** The alert to send, 0 … 255, or `NO_ALERT`. */
  readonly alert: number;
  /** The alert that the peer sent (family AlertReceived), else `NO_ALERT`. */
  readonly alertReceived: number;

  /**
   * @param member which failure
   * @param detail what was expected and what came
   * @param alert in place of that of the table: for `Rejected`, the one that the verifier chose
   * @param alertReceived only for the AlertReceived family
   */
  constructor(
    member: TlsErrorMember,
    detail = '',
    alert: number = NO_ALERT,
    alertReceived: number = NO_ALERT,
  ) {
    const [family, ownAlert, text] = ROWS[member];
    super(detail === '' ? text : `${text}: ${detail}`);
    this.member = member;
    this.family = family;
    this.alert = alert !== NO_ALERT || ownAlert === 'None' ? alert : AlertDescription[ownAlert];
    this.alertReceived = alertReceived;
  }
}

/** The error for an alert of the peer that ends the connection. */
export function alertReceived(description: number): TlsError {
  return new TlsError('Received', alertName(description), NO_ALERT, description);
}
