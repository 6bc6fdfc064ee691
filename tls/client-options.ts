import type { RandomSource } from '../stack/random.ts';
import type { ClientCredentials } from './handshake/client-credentials.ts';
import type { ClientHelloEdit } from './handshake/client-hello.ts';
import {
  CERTIFICATE_DECOMPRESSORS,
  type CertificateDecompressor,
} from './handshake/compressed-certificate.ts';
import { type EchConfig, readEchConfigList } from './handshake/ech/config.ts';
import type { Wish } from './handshake/offer.ts';
import type { FormerHandshake } from './handshake/renegotiation.ts';
import { GROUPS, isTls12Group, type NamedGroup } from './keys/groups.ts';
import { FALLBACK_SIGNATURE_SCHEMES, SIGNATURE_SCHEMES, signatureSchemeNumber } from './keys/signatures.ts';
import { CIPHER_SUITES, type CipherSuite } from './keys/suites.ts';
import { MAX_PLAINTEXT_BYTES } from './limits.ts';
import type { SessionUse } from './session.ts';
import type { TracedMessage } from './trace.ts';
import type { TlsVersion } from './wire/codes.ts';
import type { CertificateVerifier } from './x509/verdict.ts';

/** What a TLS client needs from outside. */
export interface TlsClientOptions {
  /** A DNS name in A-label form, or an IP address literal. */
  readonly serverName: string;
  /** All randomness, private keys too: the same seed gives the same ClientHello and the same keys. */
  readonly random: RandomSource;
  /** Time of day in milliseconds since 1970, for the validity of certificates. */
  readonly unixTimeMs: number;
  readonly verifier: CertificateVerifier;
  /** Default 'TLSv1.2', with `fallback` 'TLSv1'. */
  readonly minVersion?: TlsVersion;
  /** Default 'TLSv1.3'. */
  readonly maxVersion?: TlsVersion;
  /**
   * INET_OPTION_SECURE_FALLBACK, for devices that nobody can update: offers and accepts TLS 1.0 and 1.1, RSA key exchange,
   * DHE with groups from 1024 bits, CBC with any order of MAC and encryption, 3DES, RC4, signatures with SHA-1 and MD5, and
   * servers without renegotiation_info (RFC 5746). Default false.
   */
  readonly fallback?: boolean;
  /**
   * Cipher suites in order of preference, by their IANA names. Default: those with forward secrecy, an AEAD and a named
   * group; with `fallback` all. Those with finite-field groups, CBC or CCM are offered when they are named here.
   */
  readonly cipherSuites?: readonly string[];
  /**
   * Groups for the key exchange in order of preference, numbers of {@link NamedGroup}. Default: X25519MLKEM768, X25519,
   * P-256, P-384, P-521; with `fallback` without the first, whose share makes a ClientHello larger than old devices take.
   */
  readonly groups?: readonly NamedGroup[];
  /**
   * Those of `groups` whose shares go into the first ClientHello; empty: none, so that the server chooses one by a
   * HelloRetryRequest. Default: the first group, and X25519 beside X25519MLKEM768.
   */
  readonly keyShares?: readonly NamedGroup[];
  /**
   * Signature schemes in order of preference, as RFC 8446 §4.2.3 names them. Default: all that are not weak; with `fallback`
   * those too.
   */
  readonly signatureSchemes?: readonly string[];
  /** Application protocols in order of preference, each 1 … 255 bytes. */
  readonly alpn?: readonly string[];
  /** Takes lines of the key log format (RFC 9850). Whoever has them can read the connection. */
  readonly keyLog?: ((line: string) => void) | null;
  /** What the client proves itself with when a server asks: the first that the server would take. */
  readonly credentials?: ClientCredentials | readonly ClientCredentials[] | null;
  /**
   * Fails when a server asks for a certificate and would take none of `credentials`. Default false: then it is told that there is
   * none (RFC 8446 §4.4.2), and decides.
   */
  readonly mustAuthenticate?: boolean;
  /**
   * The server has to select one of `alpn`, else the handshake ends with no_application_protocol (as RFC 9001 §8.1 has it for QUIC).
   * RFC 7301 leaves the choice to the server; default false: what it selected is told.
   */
  readonly mustSelectProtocol?: boolean;
  /** Resumes sessions, and keeps those of this connection. Default: none. */
  readonly sessions?: SessionUse | null;
  /** RFC 5077: asks for tickets before TLS 1.3; without them a session is known by its id. Default: with `sessions`. */
  readonly tickets?: boolean;
  /**
   * RFC 7507: says that this is another try with an older `maxVersion`; a server that knows a newer one refuses it with
   * inappropriate_fallback. Default false.
   */
  readonly fallbackScsv?: boolean;
  /**
   * RFC 8449: how long the records of the server may be, 64 … 16385 bytes of content (in TLS 1.3 with its type and padding), and lets
   * the server limit ours. true: as long as TLS allows. Default false: no limits are told.
   */
  readonly recordSizeLimit?: boolean | number;
  /** RFC 8446 §5.4: records of TLS 1.3 with data are padded to a multiple of so many bytes, 1 … 16384. Default: not at all. */
  readonly recordPaddingBytes?: number;
  /**
   * RFC 8446 §4.6.2: lets the server ask for a certificate after the handshake, too; it is answered with `credentials` that fit, or with
   * none. Default false: then it may not ask, and the connection ends if it does.
   */
  readonly postHandshakeAuth?: boolean;
  /**
   * RFC 8446 §2.3: when a session allows it, data may be sent with `TlsClient.sendEarlyData` before the server has answered.
   * Such data can be replayed by whoever is between: only what may be done twice should be sent. Default false.
   */
  readonly earlyData?: boolean;
  /** RFC 6066 §8: asks for a stapled OCSP response; the verifier gets it. Default true. */
  readonly certificateStatus?: boolean;
  /** RFC 6962 §3.3.1: asks for signed certificate timestamps; the verifier gets them. Default false. */
  readonly signedCertificateTimestamps?: boolean;
  /** RFC 8879: how the server may compress its certificates, in order of preference. Default: not at all. */
  readonly certificateCompression?: readonly (CertificateCompression | CertificateDecompressor)[];
  /**
   * RFC 8701: offers values that no server knows, so that servers stay tolerant. Default false: old devices are what a
   * test bench has, and hellos of one seed stay the same.
   */
  readonly grease?: boolean;
  /**
   * RFC 9849: encrypts the ClientHello, so that nobody on the way sees the name of the server. An ECHConfigList, as DNS has it in
   * HTTPS records; `'grease'`: only looks so. A server that cannot read it fails the handshake with EchRejected, and may say in
   * `TlsInfo.echRetryConfigs` how to encrypt for it. Default: neither.
   */
  readonly ech?: Uint8Array | 'grease' | null;
  /** What to do when no configuration of `ech` can be used. Default 'fail': the constructor throws. */
  readonly echUnusable?: 'fail' | 'grease' | 'ignore';
  /** Sends the extensions of the ClientHello in an order made by chance. Default false. */
  readonly permuteExtensions?: boolean;
  /** What a tester wants to be different. */
  readonly testing?: TlsTesting;
}

/** The three ways to compress certificates that RFC 8879 §3 names. */
export type CertificateCompression = 'zlib' | 'brotli' | 'zstd';

/** For testers: what the client does otherwise than it would. The server's answers are still judged by the usual offer. */
export interface TlsTesting {
  /**
   * Makes another ClientHello of the one that would be sent: other values, another order, additional or broken extensions. It
   * is called again after a HelloRetryRequest. Binders are computed over the result.
   */
  readonly clientHello?: ClientHelloEdit;
  /** Most content bytes of a handshake record that is sent. Default 16384. */
  readonly fragmentBytes?: number;
  /** How what the client sends during the handshake is cut for the transport, whatever its records are. Default: not at all. */
  readonly pieces?: TlsPieces;
  /** Sees each handshake message that is sent or received until the handshake ends. */
  readonly trace?: (message: TracedMessage) => void;
}

/** Pieces that are sent one after the other. With a pause between them each goes out in segments of its own. */
export interface TlsPieces {
  /** At least 1. */
  readonly sizeBytes: number;
  /** Between two pieces. */
  readonly delayMs: number;
}

/** What few connections need to be different; see {@link TlsClientOptions} for each. */
export type TlsTuning = Pick<
  TlsClientOptions,
  | 'certificateCompression'
  | 'certificateStatus'
  | 'ech'
  | 'echUnusable'
  | 'grease'
  | 'groups'
  | 'keyShares'
  | 'mustAuthenticate'
  | 'mustSelectProtocol'
  | 'permuteExtensions'
  | 'postHandshakeAuth'
  | 'recordPaddingBytes'
  | 'recordSizeLimit'
  | 'signatureSchemes'
  | 'signedCertificateTimestamps'
  | 'testing'
>;

/** What is offered by these options. @param former see {@link Wish.former} @throws RangeError for the name of a suite or signature scheme that nobody knows */
export function wishOf(options: TlsClientOptions, former: FormerHandshake | null): Wish {
  const fallback = options.fallback ?? false;
  return {
    serverName: options.serverName,
    minVersion: options.minVersion ?? (fallback ? 'TLSv1' : 'TLSv1.2'),
    maxVersion: options.maxVersion ?? 'TLSv1.3',
    cipherSuites: suitesWished(options.cipherSuites, fallback),
    fallback,
    groups: options.groups ?? (fallback ? GROUPS.filter(isTls12Group) : GROUPS),
    keyShares: options.keyShares ?? null,
    signatureSchemes: schemesWished(options.signatureSchemes, fallback),
    alpn: options.alpn ?? [],
    mustSelectProtocol: options.mustSelectProtocol ?? false,
    recordSizeLimit: recordSizeLimitOf(options.recordSizeLimit ?? false),
    wantsTicket: (options.tickets ?? true) && (options.sessions ?? null) !== null,
    fallbackScsv: options.fallbackScsv ?? false,
    earlyData: options.earlyData ?? false,
    certificateStatus: options.certificateStatus ?? true,
    signedCertificateTimestamps: options.signedCertificateTimestamps ?? false,
    certificateCompression: (options.certificateCompression ?? []).map(decompressorOf),
    postHandshakeAuth: options.postHandshakeAuth ?? false,
    grease: options.grease ?? false,
    permuteExtensions: options.permuteExtensions ?? false,
    former,
  };
}

const MIN_RECORD_SIZE_LIMIT = 64;

/** @throws RangeError */
function recordSizeLimitOf(wished: boolean | number): number {
  if (typeof wished === 'boolean') return wished ? MAX_PLAINTEXT_BYTES + 1 : 0;
  // RFC 8449 §4
  if (wished >= MIN_RECORD_SIZE_LIMIT && wished <= MAX_PLAINTEXT_BYTES + 1) return wished;
  throw new RangeError(
    `recordSizeLimit is ${MIN_RECORD_SIZE_LIMIT} … ${MAX_PLAINTEXT_BYTES + 1}, got ${wished}`,
  );
}

/** @throws RangeError */
export function checkPadding(bytes: number): number {
  if (bytes >= 0 && bytes <= MAX_PLAINTEXT_BYTES) return bytes;
  throw new RangeError(`recordPaddingBytes is 0 … ${MAX_PLAINTEXT_BYTES}, got ${bytes}`);
}

function suitesWished(names: readonly string[] | undefined, fallback: boolean): readonly CipherSuite[] {
  if (names === undefined) return CIPHER_SUITES.filter(({ offered }) => fallback || offered === 'default');
  return names.map((name) => {
    const suite = CIPHER_SUITES.find((each) => each.name === name);
    if (suite === undefined) throw new RangeError(`no cipher suite ${name}`);
    return suite;
  });
}

/** @throws RangeError when configurations are none, or none can be used and that is a failure */
export function echOf(options: TlsClientOptions): { config: EchConfig | null; looksEncrypted: boolean } {
  const { ech = null, echUnusable = 'fail', maxVersion = 'TLSv1.3' } = options;
  if (ech === null || ech === 'grease') return { config: null, looksEncrypted: ech === 'grease' };
  let config: EchConfig | null;
  try {
    config = readEchConfigList(ech);
  } catch (cause) {
    throw new RangeError('ech is no ECHConfigList', { cause });
  }
  // RFC 9849 §6.1: the inner hello is for TLS 1.3 or later
  if (maxVersion !== 'TLSv1.3') config = null;
  if (config === null && echUnusable === 'fail') throw new RangeError('no configuration of ech can be used');
  return { config, looksEncrypted: config === null && echUnusable === 'grease' };
}

export function listOf(
  credentials: ClientCredentials | readonly ClientCredentials[],
): readonly ClientCredentials[] {
  return 'chain' in credentials ? [credentials] : credentials;
}

const COMPRESSION_IDS: Readonly<Record<CertificateCompression, number>> = { zlib: 1, brotli: 2, zstd: 3 };

function decompressorOf(wished: CertificateCompression | CertificateDecompressor): CertificateDecompressor {
  if (typeof wished !== 'string') return wished;
  const decompressor = CERTIFICATE_DECOMPRESSORS.find(({ id }) => id === COMPRESSION_IDS[wished]);
  if (decompressor === undefined) throw new RangeError(`no certificate compression ${wished}`);
  return decompressor;
}

function schemesWished(names: readonly string[] | undefined, fallback: boolean): readonly number[] {
  if (names === undefined) return fallback ? FALLBACK_SIGNATURE_SCHEMES : SIGNATURE_SCHEMES;
  return names.map((name) => {
    const scheme = signatureSchemeNumber(name);
    if (scheme === undefined) throw new RangeError(`no signature scheme ${name}`);
    return scheme;
  });
}
