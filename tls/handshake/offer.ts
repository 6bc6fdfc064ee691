import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../stack/random.ts';
import { drawGrease, type GreaseValues } from '../keys/grease.ts';
import { isTls12Group, type KeyShare, type NamedGroup, sharedGroups } from '../keys/groups.ts';
import { keySharesFor } from '../keys/spare-key-shares.ts';
import { type CipherSuite, cipherSuiteOf, isSuiteOf } from '../keys/suites.ts';
import { isFresh, type TlsSession } from '../session.ts';
import { ProtocolVersion, TLS_VERSIONS, type TlsVersion, versionNumber } from '../wire/codes.ts';
import type { CertificateDecompressor } from './compressed-certificate.ts';
import type { FormerHandshake } from './renegotiation.ts';

/** What a caller wants to be offered. */
export interface Wish {
  readonly serverName: string;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** In order of preference; those that no version has are left out. */
  readonly cipherSuites: readonly CipherSuite[];
  /** INET_OPTION_SECURE_FALLBACK: old versions, suites, signatures. */
  readonly fallback: boolean;
  /** In order of preference. */
  readonly groups: readonly NamedGroup[];
  /** Whose shares go into the first ClientHello; null: as {@link sharedGroups} says. */
  readonly keyShares: readonly NamedGroup[] | null;
  /** In order of preference. */
  readonly signatureSchemes: readonly number[];
  readonly alpn: readonly string[];
  /** A server that selects none of `alpn` is refused. */
  readonly mustSelectProtocol: boolean;
  /** RFC 8449: in TLS 1.3 with the content type; 0: none is sent. */
  readonly recordSizeLimit: number;
  readonly wantsTicket: boolean;
  readonly earlyData: boolean;
  readonly certificateStatus: boolean;
  readonly signedCertificateTimestamps: boolean;
  readonly certificateCompression: readonly CertificateDecompressor[];
  readonly postHandshakeAuth: boolean;
  /** RFC 7507 */
  readonly fallbackScsv: boolean;
  readonly grease: boolean;
  readonly permuteExtensions: boolean;
  /** The handshake that this one follows on the same connection; null: none. */
  readonly former: FormerHandshake | null;
}

/** What a ClientHello offers: the measure of everything that the server answers. */
export interface Offer
  extends Pick<
    Wish,
    | 'fallback'
    | 'groups'
    | 'signatureSchemes'
    | 'alpn'
    | 'mustSelectProtocol'
    | 'recordSizeLimit'
    | 'certificateStatus'
    | 'signedCertificateTimestamps'
    | 'certificateCompression'
    | 'postHandshakeAuth'
    | 'fallbackScsv'
    | 'former'
  > {
  /** The newest first. */
  readonly versions: readonly TlsVersion[];
  /** 32 bytes. */
  readonly random: Uint8Array;
  /** 32 bytes in middlebox compatibility mode (RFC 8446 §D.4), which TLS 1.3 has. */
  readonly sessionId: Uint8Array;
  readonly cipherSuites: readonly number[];
  readonly keyShares: readonly KeyShare[];
  /** The name for server_name, or null for none. */
  readonly hostName: string | null;
  /** The session that is offered for resumption. */
  readonly session: OfferedSession | null;
  /** RFC 8446 §4.2.10: whether data may come before the server's answer. */
  readonly earlyData: boolean;
  /** RFC 5077: whether tickets of TLS 1.2 and before are wanted. */
  readonly wantsTicket: boolean;
  /** Of a HelloRetryRequest. */
  readonly cookie: Uint8Array | null;
  /** RFC 8701, or null. */
  readonly grease: GreaseValues | null;
  /** RFC 9849: the content of encrypted_client_hello, or null for none. */
  readonly encryptedClientHello: Uint8Array | null;
  /** RFC 9849 §6.1.2: what looks like a PSK in an outer hello, or null. */
  readonly greasePsk: {
    readonly identity: Uint8Array;
    readonly binder: Uint8Array;
    readonly obfuscatedAge: number;
  } | null;
  /** Numbers by which the extensions are put in order, one for each; null: in the usual order. */
  readonly extensionOrder: readonly number[] | null;
}

/** A session and how old it is. */
export interface OfferedSession {
  readonly session: TlsSession;
  /** Its cipher suite. */
  readonly suite: CipherSuite;
  readonly ageMs: number;
}

/** More than a ClientHello has extensions. */
const EXTENSION_ORDER_LENGTH = 40;

/**
 * The first offer of a connection.
 *
 * @param sessions gives one session after the other until one can be offered
 * @param isTrusted whether a server that was authenticated by this session still would be
 * @throws RangeError when a name in `alpn` is not 1 … 255 bytes, no version, suite or group is left, or something was
 * wished for that takes `fallback`
 */
export function makeOffer(
  wish: Wish,
  random: RandomSource,
  unixTimeMs: number,
  sessions: () => TlsSession | null = () => null,
  isTrusted: (session: TlsSession) => boolean = () => true,
): Offer {
  checkWish(wish);
  const range = TLS_VERSIONS.filter((each) => each >= wish.minVersion && each <= wish.maxVersion);
  const suites = wish.cipherSuites.filter((suite) => range.some((version) => isSuiteOf(suite, version)));
  // a version without a suite could be chosen, and then fail
  const versions = range.filter((version) => suites.some((suite) => isSuiteOf(suite, version)));
  const with13 = versions.includes('TLSv1.3');
  if (suites.length === 0) throw new RangeError('no cipher suite is left');
  const groups = with13 ? wish.groups : wish.groups.filter(isTls12Group);
  if (groups.length === 0) throw new RangeError('no group is left for the key exchange');
  const unlisted = wish.keyShares?.find((group) => !groups.includes(group));
  if (unlisted !== undefined && with13) {
    throw new RangeError(`a key share of ${unlisted}, which is not among the groups`);
  }
  const helloRandom = new Uint8Array(32);
  random.fill(helloRandom);
  const session = usableSession(sessions, wish, versions, suites, unixTimeMs, isTrusted);
  // RFC 5077 §3.4: with a ticket the id is made up too: its echo says that the ticket was taken
  let sessionId = new Uint8Array(with13 || session !== null ? 32 : 0);
  random.fill(sessionId);
  if (session !== null && session.session.sessionId.length > 0) sessionId = session.session.sessionId.slice();
  return {
    versions,
    fallback: wish.fallback,
    random: helloRandom,
    sessionId,
    cipherSuites: suites.map((suite) => suite.id),
    groups,
    signatureSchemes: wish.signatureSchemes,
    keyShares: with13 ? keySharesFor(wish.keyShares ?? sharedGroups(groups), random) : [],
    hostName: hostNameForSni(wish.serverName),
    alpn: wish.alpn,
    mustSelectProtocol: wish.mustSelectProtocol,
    recordSizeLimit: wish.recordSizeLimit,
    session,
    earlyData: wish.earlyData && session !== null && isEarly(session.session, wish),
    wantsTicket: wish.wantsTicket && versions.some(isOld),
    certificateStatus: wish.certificateStatus,
    signedCertificateTimestamps: wish.signedCertificateTimestamps,
    certificateCompression: with13 ? wish.certificateCompression : [],
    postHandshakeAuth: with13 && wish.postHandshakeAuth,
    fallbackScsv: wish.fallbackScsv,
    former: wish.former,
    cookie: null,
    grease: wish.grease ? drawGrease(random) : null,
    encryptedClientHello: null,
    greasePsk: null,
    extensionOrder: wish.permuteExtensions
      ? Array.from({ length: EXTENSION_ORDER_LENGTH }, () => random.uint32())
      : null,
  };
}

function checkWish(wish: Wish): void {
  if (wish.minVersion > wish.maxVersion) {
    throw new RangeError(`minVersion ${wish.minVersion} is above maxVersion ${wish.maxVersion}`);
  }
  if (wish.minVersion < 'TLSv1.2' && !wish.fallback) {
    throw new RangeError(`${wish.minVersion} is only spoken with fallback`);
  }
  const unwished = wish.cipherSuites.find((suite) => suite.offered === 'fallback');
  if (unwished !== undefined && !wish.fallback) {
    throw new RangeError(`${unwished.name} is only offered with fallback`);
  }
  for (const name of wish.alpn) {
    const lengthBytes = utf8ToBytes(name).length;
    if (lengthBytes < 1 || lengthBytes > 255) throw new RangeError(`ALPN name of ${lengthBytes} bytes`);
  }
}

/** Whether a version is one before TLS 1.3. */
export function isOld(version: TlsVersion): boolean {
  return version < 'TLSv1.3';
}

function usableSession(
  sessions: () => TlsSession | null,
  wish: Wish,
  versions: readonly TlsVersion[],
  suites: readonly CipherSuite[],
  unixTimeMs: number,
  isTrusted: (session: TlsSession) => boolean,
): OfferedSession | null {
  for (let session = sessions(); session !== null; session = sessions()) {
    const suite = cipherSuiteOf(session.cipherSuite);
    if (suite === undefined || !versions.includes(session.version) || !isFresh(session, unixTimeMs)) continue;
    if (isOld(session.version) && session.ticket.length > 0 && !wish.wantsTicket) continue;
    // RFC 8446 §4.2.11: a PSK goes with any suite of its hash; RFC 5246 §7.4.1.2: a session with its own suite
    const fits =
      session.version === 'TLSv1.3'
        ? suites.some((each) => each.version === 'TLSv1.3' && each.hash === suite.hash)
        : suites.includes(suite);
    if (fits && isTrusted(session)) return { session, suite, ageMs: unixTimeMs - session.receivedUnixTimeMs };
  }
  return null;
}

/** RFC 8446 §4.2.10: early data belongs to the application protocol of its session, and to its suite. */
function isEarly(session: TlsSession, wish: Wish): boolean {
  if (session.version !== 'TLSv1.3' || session.maxEarlyDataBytes === 0) return false;
  if (!wish.cipherSuites.some((suite) => suite.id === session.cipherSuite)) return false;
  return session.alpn === null || wish.alpn.includes(session.alpn);
}

/**
 * RFC 8446 §4.1.2: what may change after a HelloRetryRequest: the key shares are replaced by one of the selected group,
 * the cookie is added, early_data is removed, and a PSK that does not fit the selected suite is left out.
 */
export function retryOffer(
  first: Offer,
  suite: CipherSuite,
  share: KeyShare | null,
  cookie: Uint8Array | null,
): Offer {
  return {
    ...first,
    session: first.session?.suite.hash === suite.hash ? first.session : null,
    greasePsk: first.greasePsk?.binder.length === suite.hashBytes ? first.greasePsk : null,
    earlyData: false,
    keyShares: share === null ? first.keyShares : [share],
    cookie,
    grease: first.grease === null ? null : { ...first.grease, hasShare: share === null },
  };
}

/** RFC 8446 §4.1.2, RFC 5246 §7.4.1.2: the newest version; what is newer than TLS 1.2 stands in an extension. */
export function legacyVersionOf(offer: Offer): number {
  return Math.min(versionNumber(offer.versions[0]!), ProtocolVersion.Tls12);
}

/** Whether CBC is offered: RFC 7366 is for it alone. */
export function offersBlockCiphers(offer: Offer): boolean {
  return offer.cipherSuites.some((id) => cipherSuiteOf(id)?.cipher.kind === 'block');
}

/** The session that is offered as a PSK of TLS 1.3, or null. */
export function pskOf(offer: Offer): OfferedSession | null {
  return offer.session?.session.version === 'TLSv1.3' ? offer.session : null;
}

/** RFC 6066 §3: no trailing dot, and literal addresses are not permitted. */
export function hostNameForSni(serverName: string): string | null {
  const name = serverName.endsWith('.') ? serverName.slice(0, -1) : serverName;
  const isAddress = name.includes(':') || /^\d+(\.\d+){3}$/.test(name);
  return name === '' || isAddress ? null : name;
}
