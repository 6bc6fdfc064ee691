import type { RandomSource } from '../../stack/random.ts';
import { TlsError } from '../errors.ts';
import { type KeyLogLabel, keyLogLine } from '../key-log.ts';
import type { HandshakeRecords } from '../record/handshake-records.ts';
import type { TlsSession } from '../session.ts';
import { handshakeTypeName, type TlsVersion } from '../wire/codes.ts';
import type { HandshakeMessage } from '../wire/messages.ts';
import type { CertificateVerdict, CertificateVerifier } from '../x509/verdict.ts';
import type { ClientIdentities } from './client-credentials.ts';
import type { ClientHelloEdit } from './client-hello.ts';
import type { EarlyData, EarlyDataStatus } from './early-data.ts';

/** What became of Encrypted ClientHello; `grease` only looked like it. */
export type EchStatus = 'none' | 'grease' | 'offered' | 'accepted' | 'rejected';

/** What was negotiated; a part that is not known yet is empty or null. */
export interface TlsInfo {
  /** 'TLSv1' … 'TLSv1.3'. */
  readonly version: TlsVersion | '';
  /** RFC 7627; TLS 1.3 has its property always: true. */
  readonly extendedMasterSecret: boolean;
  /** Whether a session was resumed: the server proved to be the one of that session. */
  readonly isResumed: boolean;
  /** The IANA name of the cipher suite. */
  readonly cipherSuite: string;
  /** The key strength of the cipher suite. */
  readonly cipherBits: number;
  /** Whether the MAC of CBC is outside of the encryption (RFC 7366). */
  readonly encryptThenMac: boolean;
  /**
   * The group of the key exchange: 'X25519MLKEM768', 'X25519', 'P-256', …, 'DH of 2048 bits'; empty for a resumed session
   * before TLS 1.3 and for RSA.
   */
  readonly group: string;
  /** How the server signed the handshake, as RFC 8446 §4.2.3 names it; empty when a session was resumed, and for RSA. */
  readonly signatureScheme: string;
  /** Whether the server asked for a certificate of ours, and got one. */
  readonly clientCertificate: 'not requested' | 'requested' | 'sent';
  /** Which of our credentials was sent, from 0; -1: none. */
  readonly credentialsIndex: number;
  /** The application protocol that the server selected, or null. */
  readonly alpn: string | null;
  /** Whether data was sent before the server's answer, and what became of it. */
  readonly earlyData: EarlyDataStatus;
  /** Whether the server asked for another ClientHello (RFC 8446 §4.1.4). */
  readonly helloRetryRequest: boolean;
  /** RFC 5746: whether the server knows renegotiation_info; TLS 1.3 has no renegotiation: true. */
  readonly secureRenegotiation: boolean;
  /** RFC 9849: whether the ClientHello was encrypted, and the server could read it. */
  readonly ech: EchStatus;
  /** RFC 9849 §6.1.6: the ECHConfigList of a server that could not, for another connection; or null. */
  readonly echRetryConfigs: Uint8Array | null;
  /** The stapled answer of OCSP in DER, or null. */
  readonly ocspResponse: Uint8Array | null;
  /** RFC 6962 §3.3: the list as the server sent it, or null. */
  readonly signedCertificateTimestamps: Uint8Array | null;
  /** DER, as the server sent them, its own certificate first. */
  readonly peerCertificates: readonly Uint8Array[];
  /** What the verifier said of them, also when it refused. */
  readonly certificate: CertificateVerdict | null;
  /** The name or address that was asked for. */
  readonly serverName: string;
}

/** The facts that states add to {@link TlsInfo} as they learn them. */
export type TlsInfoInProgress = { -readonly [Key in keyof TlsInfo]: TlsInfo[Key] };

/** Nothing is known yet. */
export function newInfo(serverName: string): TlsInfoInProgress {
  return {
    version: '',
    extendedMasterSecret: false,
    isResumed: false,
    clientCertificate: 'not requested',
    credentialsIndex: -1,
    cipherSuite: '',
    cipherBits: 0,
    encryptThenMac: false,
    group: '',
    signatureScheme: '',
    alpn: null,
    earlyData: 'none',
    helloRetryRequest: false,
    secureRenegotiation: false,
    ech: 'none',
    echRetryConfigs: null,
    ocspResponse: null,
    signedCertificateTimestamps: null,
    peerCertificates: [],
    certificate: null,
    serverName,
  };
}

/** What a handshake works with; the same for all its states. */
export interface Handshake {
  readonly serverName: string;
  /** RFC 9849 §6.1.6: who a server that rejected Encrypted ClientHello has to be; empty when it was not offered. */
  readonly echPublicName: string;
  readonly unixTimeMs: number;
  readonly random: RandomSource;
  readonly verifier: CertificateVerifier;
  /** Whether a stapled answer is asked for. */
  readonly isStatusAsked: boolean;
  readonly keyLog: ((line: string) => void) | null;
  /** What we can prove ourselves with. */
  readonly identities: ClientIdentities;
  /** Takes sessions for later connections. */
  readonly keepSession: ((session: TlsSession) => void) | null;
  readonly records: HandshakeRecords;
  readonly earlyData: EarlyData;
  /** What a tester wants to be different in a ClientHello, or null. */
  readonly editHello: ClientHelloEdit | null;
  readonly info: TlsInfoInProgress;
  /** Before TLS 1.3: verify_data of both Finished messages, for a renegotiation. Empty: not sent yet. */
  readonly finished: { client: Uint8Array; server: Uint8Array };
  /** Each overwrites secrets; called when the handshake fails. What it has used by then is overwritten already. */
  readonly wipes: (() => void)[];
}

/** One state of the handshake: it owns what is known and legal at that moment. */
export interface HandshakeState {
  /**
   * Takes one message.
   *
   * @returns the state after it
   * @throws TlsError
   */
  handle(message: HandshakeMessage, handshake: Handshake): HandshakeState;

  /**
   * Before TLS 1.3: takes a change_cipher_spec; a state without this method has no place for one.
   *
   * @throws TlsError
   */
  changeCipherSpec?(handshake: Handshake): HandshakeState;
}

/** Throws unless the message is of the one type that may come now. */
export function expectType(message: HandshakeMessage, type: number): void {
  if (message.type !== type) throw unexpectedMessage(message, handshakeTypeName(type));
}

/** RFC 8446 §4: a message in the wrong order → unexpected_message. */
export function unexpectedMessage(message: HandshakeMessage, expected: string): TlsError {
  return new TlsError('UnexpectedMessage', `expected ${expected}, got ${handshakeTypeName(message.type)}`);
}

/** Gives a secret to the key log, when there is one. */
export function logSecret(
  handshake: Handshake,
  label: KeyLogLabel,
  clientRandom: Uint8Array,
  secret: Uint8Array,
): void {
  if (handshake.keyLog !== null) handshake.keyLog(keyLogLine(label, clientRandom, secret));
}
