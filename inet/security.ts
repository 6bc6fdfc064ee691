import { createHash } from 'node:crypto';
import { loadRevocationLists, loadRoots, loadSystemRoots } from '../drivers/system-roots.ts';
import type { SharedSocket } from '../engine/shared-socket.ts';
import { SocketWord } from '../engine/socket-block.ts';
import { TLS_REGION_BYTES, TlsRegion } from '../engine/tls-region.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { Slab } from '../stack/wire/slab.ts';
import type { TlsInfo } from '../tls/client.ts';
import {
  CIPHER_SUITES,
  type CipherSuite,
  cipherSuiteOf,
  type KeyExchange,
  type RecordCipher,
} from '../tls/keys/suites.ts';
import type { TlsVersion } from '../tls/wire/codes.ts';
import { Certificate } from '../tls/x509/certificate.ts';
import {
  embeddedTimestamps,
  readTimestampList,
  type TimestampRules,
  timestampRules,
} from '../tls/x509/certificate-transparency.ts';
import { TrustedSiteVerifier } from '../tls/x509/chain-verifier.ts';
import { DerError } from '../tls/x509/der.ts';
import type { RevocationLists } from '../tls/x509/revocation-lists.ts';
import { sharedVerifier } from '../tls/x509/shared-verifiers.ts';
import type { TrustStore } from '../tls/x509/trust-store.ts';
import type { CertificateVerifier } from '../tls/x509/verdict.ts';
import {
  INET_OPTION_SECURE_FALLBACK,
  INET_OPTION_TRUSTEDSITE,
  SECURITY_CERTIFICATE_NONE,
  SECURITY_CIPHER_AES,
  SECURITY_CIPHER_CHACHA20,
  SECURITY_CIPHER_DES3,
  SECURITY_CIPHER_NONE,
  SECURITY_CIPHER_RC4,
  SECURITY_HASH_MD5,
  SECURITY_HASH_NONE,
  SECURITY_HASH_SHA1,
  SECURITY_HASH_SHA256,
  SECURITY_HASH_SHA384,
  SECURITY_KEYEX_DH,
  SECURITY_KEYEX_ECDHE,
  SECURITY_KEYEX_NONE,
  SECURITY_KEYEX_RSA,
  SECURITY_PROTOCOL_DEFAULT,
  SECURITY_PROTOCOL_NONE,
  SECURITY_PROTOCOL_TLS10,
  SECURITY_PROTOCOL_TLS11,
  SECURITY_PROTOCOL_TLS12,
  SECURITY_PROTOCOL_TLS13,
  SECURITY_RESUMPTION_EARLY_DATA,
  SECURITY_RESUMPTION_NONE,
  SECURITY_RESUMPTION_SESSION,
  SECURITY_REVOCATION_UNKNOWN,
} from './constants.ts';
import type { SECURITYCREDENTIALS } from './credentials.ts';
import { failed } from './error-codes.ts';
import { openHandle } from './handles.ts';
import { currentSession, hasSession } from './session.ts';

/** The newest first. */
const PROTOCOLS: readonly (readonly [number, TlsVersion])[] = [
  [SECURITY_PROTOCOL_TLS13, 'TLSv1.3'],
  [SECURITY_PROTOCOL_TLS12, 'TLSv1.2'],
  [SECURITY_PROTOCOL_TLS11, 'TLSv1.1'],
  [SECURITY_PROTOCOL_TLS10, 'TLSv1'],
];
const MODERN_PROTOCOLS: number = SECURITY_PROTOCOL_TLS12 | SECURITY_PROTOCOL_TLS13;
const ALL_PROTOCOLS: number = MODERN_PROTOCOLS | SECURITY_PROTOCOL_TLS11 | SECURITY_PROTOCOL_TLS10;

/** What `dwSize` of a SECURITYINFO must be. Own: the number of its fields' bytes in C on a 32-bit system. */
export const SECURITYINFO_SIZE = 88;

/** What is known of a connection's security; filled by {@link InetGetSecurityInformation}. */
export class SECURITYINFO {
  /** Must be SECURITYINFO_SIZE, which it is from the start. */
  dwSize: number = SECURITYINFO_SIZE;
  /** One of SECURITY_PROTOCOL_*; NONE without TLS, and everything below is 0, null or '' then. */
  dwProtocol: number = SECURITY_PROTOCOL_NONE;
  /** One of SECURITY_CIPHER_*. */
  dwCipher: number = SECURITY_CIPHER_NONE;
  /** Bits of the cipher's key. */
  dwCipherStrength = 0;
  /** One of SECURITY_HASH_*. */
  dwHash: number = SECURITY_HASH_NONE;
  /** Bits of the hash. */
  dwHashStrength = 0;
  /** One of SECURITY_KEYEX_*. */
  dwKeyExchange: number = SECURITY_KEYEX_NONE;
  /** One of SECURITY_CERTIFICATE_*. */
  dwCertStatus: number = SECURITY_CERTIFICATE_NONE;
  /** From when on the server's certificate is valid. */
  stCertIssued: Date | null = null;
  /** Until when it is valid. */
  stCertExpires: Date | null = null;
  lpszCertIssuer = '';
  lpszCertSubject = '';
  /** SHA-256 of the certificate, in hexadecimal digits. */
  lpszFingerprint = '';
  /**
   * Own, not SocketWrench's: SECURITY_REVOCATION_GOOD when the stapled answer of OCSP or the revocation lists say that the certificate was
   * not revoked, SECURITY_REVOCATION_REVOKED, or SECURITY_REVOCATION_UNKNOWN.
   */
  dwRevocation: number = SECURITY_REVOCATION_UNKNOWN;
  /** Own: promises of certificate logs (RFC 6962) that came with the certificate or inside of it; nobody has verified them. */
  dwTimestamps = 0;
  /** Own: one of SECURITY_RESUMPTION_*. */
  dwResumption: number = SECURITY_RESUMPTION_NONE;
  /** Own: the application protocol that the server selected of those that were offered (ALPN); empty: none. */
  lpszProtocol = '';
  /** Own: the server's certificates as they came, DER, its own first; those that fit into 16 KB. */
  certificates: readonly Uint8Array[] = [];
}

/**
 * Tells how a connection is secured, and what its server's certificate is worth.
 * @param handle of a connection, secure or not
 * @param info is filled; its dwSize must be SECURITYINFO_SIZE
 * @returns false on failure: ARGUMENT_INVALID (0x80042726) for a wrong dwSize, HANDLE_INVALID (0x80042736), WRONG_THREAD,
 * NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketTools SECURITYINFO. Its signature is not published.
 *
 * @example
 * const info = new SECURITYINFO();
 * if (InetGetSecurityInformation(socket, info) && info.dwCertStatus !== SECURITY_CERTIFICATE_VALID) InetAbort(socket);
 */
export function InetGetSecurityInformation(handle: number, info: SECURITYINFO): boolean {
  try {
    const { socket } = openHandle(handle);
    if (info.dwSize !== SECURITYINFO_SIZE) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `dwSize must be SECURITYINFO_SIZE (${SECURITYINFO_SIZE}), got ${info.dwSize}`,
      });
    }
    Object.assign(info, new SECURITYINFO());
    readSecurity(socket, info);
    return true;
  } catch (error) {
    return failed(error, false);
  }
}

/**
 * Who decides about a server's certificate.
 * @param caFile trusted certificates; null: the system's
 * @param options of InetConnect: TRUSTEDSITE, SECURE_FALLBACK
 * @param credentials their logs of certificates count
 * @throws NetError ARGUMENT_INVALID when the file or the logs cannot be used
 */
export function verifierFor(
  caFile: string | null,
  options: number,
  credentials: SECURITYCREDENTIALS | null,
): CertificateVerifier {
  const crlFile = hasSession() ? currentSession().settings.crlFile : null;
  const legacy = (options & INET_OPTION_SECURE_FALLBACK) !== 0;
  const lists = crlFile === null ? null : readLists(crlFile);
  const chain = sharedVerifier(roots(caFile), lists, {
    legacy,
    requireRevocationLists: false,
    ...timestampsFor(credentials),
  });
  return (options & INET_OPTION_TRUSTEDSITE) === 0 ? chain : new TrustedSiteVerifier(chain);
}

/** The range of TLS versions that credentials allow. */
export interface VersionRange {
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
}

/**
 * Gaps between the versions named are filled: a ClientHello of TLS 1.2 cannot leave one out.
 * @param fallback INET_OPTION_SECURE_FALLBACK
 * @throws NetError OPTION_INVALID for what is not there yet
 */
export function versionsFor(credentials: SECURITYCREDENTIALS | null, fallback: boolean): VersionRange {
  const wanted = credentials?.dwProtocol ?? SECURITY_PROTOCOL_DEFAULT;
  const allowed = fallback ? ALL_PROTOCOLS : MODERN_PROTOCOLS;
  const protocols = wanted === SECURITY_PROTOCOL_DEFAULT ? allowed : wanted & allowed;
  const versions = PROTOCOLS.filter(([bit]) => (protocols & bit) !== 0).map(([, version]) => version);
  const [newest] = versions;
  const oldest = versions.at(-1);
  if (newest === undefined || oldest === undefined) {
    const names = fallback
      ? 'SECURITY_PROTOCOL_TLS10 … TLS13'
      : 'SECURITY_PROTOCOL_TLS12 and TLS13; TLS10 and TLS11 take INET_OPTION_SECURE_FALLBACK';
    throw new NetError('OPTION_INVALID', {
      phase: Phase.Argument,
      detail: `dwProtocol 0x${wanted.toString(16)} has none of ${names}`,
    });
  }
  return { minVersion: oldest, maxVersion: newest };
}

/** Keeps what a handshake has found out with the socket, for all threads. */
export function keepSecurity(socket: SharedSocket, info: TlsInfo): void {
  const { block } = socket;
  const suite = CIPHER_SUITES.find((known) => known.name === info.cipherSuite);
  const protocol = PROTOCOLS.find(([, version]) => version === info.version)?.[0] ?? SECURITY_PROTOCOL_NONE;
  const status = info.certificate?.status ?? SECURITY_CERTIFICATE_NONE;
  block.set(SocketWord.TlsFlags, ((suite?.id ?? 0) << 16) | (protocol << 8) | status);
  const { slab } = block.arena;
  const region = block.get(SocketWord.TlsOffset);
  slab.view.setInt32(
    region + TlsRegion.Revocation,
    info.certificate?.revocation ?? SECURITY_REVOCATION_UNKNOWN,
  );
  slab.view.setInt32(region + TlsRegion.KeyExchange, keyExchangeOf(info, suite));
  slab.view.setInt32(region + TlsRegion.Timestamps, countTimestamps(info));
  slab.view.setInt32(region + TlsRegion.Resumption, resumptionOf(info));
  const length = writeParts([Buffer.from(info.alpn ?? ''), ...info.peerCertificates], slab, region);
  slab.view.setInt32(region + TlsRegion.CertificatesLen, length);
}

function keyExchangeOf({ group }: TlsInfo, suite: CipherSuite | undefined): number {
  if (suite === undefined) return SECURITY_KEYEX_NONE;
  if (suite.keyExchange !== 'any') return KEY_EXCHANGES[suite.keyExchange];
  // RFC 8446 §4.2.7: in TLS 1.3 it is the group that says it; the hybrid ones have a curve in them
  return group.startsWith('ffdhe') ? SECURITY_KEYEX_DH : SECURITY_KEYEX_ECDHE;
}

function resumptionOf({ isResumed, earlyData }: TlsInfo): number {
  if (earlyData === 'accepted') return SECURITY_RESUMPTION_EARLY_DATA;
  return isResumed ? SECURITY_RESUMPTION_SESSION : SECURITY_RESUMPTION_NONE;
}

/** What goes beyond the region is not kept: its status is. */
function writeParts(parts: readonly Uint8Array[], { view, bytes }: Slab, region: number): number {
  let at = region + TlsRegion.Certificates;
  for (const part of parts) {
    if (at + 4 + part.length > region + TLS_REGION_BYTES) break;
    view.setInt32(at, part.length);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return at - region - TlsRegion.Certificates;
}

function readParts({ view, bytes }: Slab, region: number): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  const end = region + TlsRegion.Certificates + view.getInt32(region + TlsRegion.CertificatesLen);
  for (let at = region + TlsRegion.Certificates; at < end; ) {
    const from = at + 4;
    at = from + view.getInt32(at);
    parts.push(bytes.slice(from, at));
  }
  return parts;
}

const KEY_EXCHANGES: Readonly<Record<Exclude<KeyExchange, 'any'>, number>> = {
  ecdhe: SECURITY_KEYEX_ECDHE,
  dhe: SECURITY_KEYEX_DH,
  rsa: SECURITY_KEYEX_RSA,
};

const CIPHERS: Readonly<Record<RecordCipher['name'], number>> = {
  'aes-128-gcm': SECURITY_CIPHER_AES,
  'aes-256-gcm': SECURITY_CIPHER_AES,
  'aes-128-ccm': SECURITY_CIPHER_AES,
  'aes-256-ccm': SECURITY_CIPHER_AES,
  'aes-128-cbc': SECURITY_CIPHER_AES,
  'aes-256-cbc': SECURITY_CIPHER_AES,
  'chacha20-poly1305': SECURITY_CIPHER_CHACHA20,
  'des-ede3-cbc': SECURITY_CIPHER_DES3,
  rc4: SECURITY_CIPHER_RC4,
};

/** By their bytes. */
const HASHES: Readonly<Record<number, number>> = {
  16: SECURITY_HASH_MD5,
  20: SECURITY_HASH_SHA1,
  32: SECURITY_HASH_SHA256,
  48: SECURITY_HASH_SHA384,
};

function readSecurity(socket: SharedSocket, info: SECURITYINFO): void {
  const { block } = socket;
  const flags = block.get(SocketWord.TlsFlags);
  if (flags === 0) return;
  info.dwProtocol = (flags >>> 8) & 0xff;
  info.dwCertStatus = flags & 0xff;
  const suite = cipherSuiteOf(flags >>> 16);
  if (suite !== undefined) {
    info.dwCipher = CIPHERS[suite.cipher.name];
    info.dwCipherStrength = suite.bits;
    // with an AEAD, which needs none for its records, the one of the handshake
    const hashBytes = suite.cipher.kind === 'aead' ? suite.hashBytes : suite.cipher.macBytes;
    info.dwHash = HASHES[hashBytes] ?? SECURITY_HASH_NONE;
    info.dwHashStrength = hashBytes * 8;
  }
  const region = block.get(SocketWord.TlsOffset);
  const { slab } = block.arena;
  info.dwKeyExchange = slab.view.getInt32(region + TlsRegion.KeyExchange);
  info.dwRevocation = slab.view.getInt32(region + TlsRegion.Revocation);
  info.dwTimestamps = slab.view.getInt32(region + TlsRegion.Timestamps);
  info.dwResumption = slab.view.getInt32(region + TlsRegion.Resumption);
  const [protocol, ...certificates] = readParts(slab, region);
  info.lpszProtocol = Buffer.from(protocol ?? []).toString();
  info.certificates = certificates;
  const [leaf] = certificates;
  if (leaf !== undefined) describeCertificate(leaf, info);
}

function describeCertificate(der: Uint8Array, info: SECURITYINFO): void {
  info.lpszFingerprint = createHash('sha256').update(der).digest('hex');
  const certificate = parseCertificate(der);
  if (certificate === null) return;
  info.stCertIssued = new Date(certificate.notBefore);
  info.stCertExpires = new Date(certificate.notAfter);
  info.lpszCertIssuer = String(certificate.issuer);
  info.lpszCertSubject = String(certificate.subject);
}

function countTimestamps({ signedCertificateTimestamps: list, peerCertificates }: TlsInfo): number {
  const leaf = peerCertificates[0] === undefined ? null : parseCertificate(peerCertificates[0]);
  try {
    const inside = leaf === null ? 0 : embeddedTimestamps(leaf).length;
    return inside + (list === null ? 0 : readTimestampList(list).length);
  } catch (error) {
    if (error instanceof DerError) return 0;
    throw error;
  }
}

/** @returns null for what only TRUSTEDSITE lets through */
function parseCertificate(der: Uint8Array): Certificate | null {
  try {
    return new Certificate(der);
  } catch {
    return null;
  }
}

function timestampsFor(credentials: SECURITYCREDENTIALS | null): TimestampRules {
  try {
    return timestampRules(credentials?.timestampLogs ?? [], credentials?.minTimestamps ?? undefined);
  } catch (error) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `timestampLogs, minTimestamps: ${error instanceof Error ? error.message : String(error)}`,
      cause: error,
    });
  }
}

function readLists(crlFile: string): RevocationLists {
  try {
    return loadRevocationLists(crlFile);
  } catch (error) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `the revocation lists in ${crlFile}: ${error instanceof Error ? error.message : String(error)}`,
      cause: error,
    });
  }
}

function roots(caFile: string | null): TrustStore {
  try {
    return caFile === null ? loadSystemRoots() : loadRoots(caFile);
  } catch (error) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
}
