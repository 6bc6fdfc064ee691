import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../stack/random.ts';
import {
  generateKeyShare,
  generateKeyShares,
  isTls12Group,
  type KeyShare,
  type NamedGroup,
  sharedGroups,
} from '../keys/groups.ts';
import { KeySchedule } from '../keys/key-schedule.ts';
import { FALLBACK_SIGNATURE_SCHEMES, SIGNATURE_SCHEMES } from '../keys/signatures.ts';
import { type CipherSuite, cipherSuiteOf, isSuiteOf } from '../keys/suites.ts';
import type { Transcript } from '../keys/transcript.ts';
import { MAX_PLAINTEXT_BYTES } from '../limits.ts';
import { isFresh, type TlsSession } from '../session.ts';
import {
  ExtensionType,
  HandshakeType,
  ProtocolVersion,
  TLS_VERSIONS,
  type TlsVersion,
  versionNumber,
} from '../wire/codes.ts';
import { handshakeMessage } from '../wire/messages.ts';
import { Writer } from '../wire/writer.ts';

/** RFC 7685 §1: what a padded ClientHello has at least. */
const MIN_PADDED_BYTES = 512;

/** What a ClientHello offers: the measure of everything that the server answers. */
export interface Offer {
  /** The newest first. */
  readonly versions: readonly TlsVersion[];
  /** Whether what INET_OPTION_SECURE_FALLBACK permits is accepted. */
  readonly fallback: boolean;
  /** 32 bytes. */
  readonly random: Uint8Array;
  /** 32 bytes in middlebox compatibility mode (RFC 8446 §D.4), which TLS 1.3 has. */
  readonly sessionId: Uint8Array;
  readonly cipherSuites: readonly number[];
  readonly groups: readonly NamedGroup[];
  readonly signatureSchemes: readonly number[];
  readonly keyShares: readonly KeyShare[];
  /** The name for server_name, or null for none. */
  readonly hostName: string | null;
  readonly alpn: readonly string[];
  /** RFC 8449: whether record_size_limit is offered. */
  readonly recordSizeLimit: boolean;
  /** The session that is offered for resumption. */
  readonly session: OfferedSession | null;
  /** RFC 5077: whether tickets of TLS 1.2 and before are wanted. */
  readonly wantsTicket: boolean;
  /** Of a HelloRetryRequest. */
  readonly cookie: Uint8Array | null;
}

/** A session and how old it is. */
export interface OfferedSession {
  readonly session: TlsSession;
  /** Its cipher suite. */
  readonly suite: CipherSuite;
  readonly ageMs: number;
}

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
  readonly alpn: readonly string[];
  readonly recordSizeLimit: boolean;
  readonly wantsTicket: boolean;
}

/**
 * The first offer of a connection.
 *
 * @param sessions gives one session after the other until one can be offered
 * @throws RangeError when a name in `alpn` is not 1 … 255 bytes, no version, suite or group is left, or something was
 * wished for that takes `fallback`
 */
export function makeOffer(
  wish: Wish,
  random: RandomSource,
  unixTimeMs: number,
  sessions: () => TlsSession | null = () => null,
): Offer {
  const { alpn } = wish;
  if (wish.minVersion > wish.maxVersion) {
    throw new RangeError(`minVersion ${wish.minVersion} is above maxVersion ${wish.maxVersion}`);
  }
  if (wish.minVersion < 'TLSv1.2' && !wish.fallback) {
    throw new RangeError(`${wish.minVersion} is only spoken with fallback`);
  }
  const range = TLS_VERSIONS.filter((each) => each >= wish.minVersion && each <= wish.maxVersion);
  const suites = wish.cipherSuites.filter((suite) => range.some((version) => isSuiteOf(suite, version)));
  // a version without a suite could be chosen, and then fail
  const versions = range.filter((version) => suites.some((suite) => isSuiteOf(suite, version)));
  const with13 = versions.includes('TLSv1.3');
  if (suites.length === 0) throw new RangeError('no cipher suite is left');
  const unwished = suites.find((suite) => suite.offered === 'fallback');
  if (unwished !== undefined && !wish.fallback) {
    throw new RangeError(`${unwished.name} is only offered with fallback`);
  }
  for (const name of alpn) {
    const lengthBytes = utf8ToBytes(name).length;
    if (lengthBytes < 1 || lengthBytes > 255) throw new RangeError(`ALPN name of ${lengthBytes} bytes`);
  }
  const groups = with13 ? wish.groups : wish.groups.filter(isTls12Group);
  if (groups.length === 0) throw new RangeError('no group is left for the key exchange');
  const helloRandom = new Uint8Array(32);
  random.fill(helloRandom);
  const session = usableSession(sessions, versions, unixTimeMs);
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
    signatureSchemes: wish.fallback ? FALLBACK_SIGNATURE_SCHEMES : SIGNATURE_SCHEMES,
    keyShares: with13 ? generateKeyShares(sharedGroups(groups), random) : [],
    hostName: hostNameForSni(wish.serverName),
    alpn,
    recordSizeLimit: wish.recordSizeLimit,
    session,
    wantsTicket: wish.wantsTicket && versions.some(isOld),
    cookie: null,
  };
}

/** Whether a version is one before TLS 1.3. */
function isOld(version: TlsVersion): boolean {
  return version < 'TLSv1.3';
}

function usableSession(
  sessions: () => TlsSession | null,
  versions: readonly TlsVersion[],
  unixTimeMs: number,
): OfferedSession | null {
  for (let session = sessions(); session !== null; session = sessions()) {
    const suite = cipherSuiteOf(session.cipherSuite);
    if (suite === undefined || !versions.includes(session.version) || !isFresh(session, unixTimeMs)) continue;
    return { session, suite, ageMs: unixTimeMs - session.receivedUnixTimeMs };
  }
  return null;
}

/**
 * RFC 8446 §4.1.2: what may change after a HelloRetryRequest: the key shares are replaced by one of the selected group,
 * the cookie is added, and a PSK that does not fit the selected suite is left out.
 */
export function retryOffer(
  first: Offer,
  suite: CipherSuite,
  group: NamedGroup | null,
  cookie: Uint8Array | null,
  random: RandomSource,
): Offer {
  return {
    ...first,
    session: first.session?.suite.hash === suite.hash ? first.session : null,
    keyShares: group === null ? first.keyShares : [generateKeyShare(group, random)],
    cookie,
  };
}

/**
 * RFC 8446 §4.1.2
 *
 * @param before what the transcript holds before this hello, null for the first one
 */
export function writeClientHello(offer: Offer, before: Transcript | null = null): Uint8Array {
  let message = encodeClientHello(offer, 0);
  // RFC 7685 §1, §4: some old servers never answer a ClientHello of 256 … 511 bytes, and the extension has a content
  if (offer.fallback && message.length >= 256 && message.length < MIN_PADDED_BYTES) {
    const headerBytes = 4;
    message = encodeClientHello(offer, Math.max(1, MIN_PADDED_BYTES - message.length - headerBytes));
  }
  const psk = pskOf(offer);
  if (psk !== null) {
    // RFC 8446 §4.2.11.2: the binder signs all that stands before the list of binders, which ends the message
    const { suite } = psk;
    const truncated = message.subarray(0, message.length - suite.hashBytes - 3);
    const schedule = new KeySchedule(suite, psk.session.secret);
    const hash = before === null ? suite.hash(truncated) : before.hashWith(truncated);
    message.set(schedule.binder(hash), message.length - suite.hashBytes);
  }
  return message;
}

/** @param paddingBytes of the padding extension, 0 for none */
function encodeClientHello(offer: Offer, paddingBytes: number): Uint8Array {
  const writer = new Writer();
  writer.u16(legacyVersionOf(offer));
  writer.bytes(offer.random);
  writer.vector8(() => writer.bytes(offer.sessionId));
  writer.vector16(() => {
    for (const suite of offer.cipherSuites) writer.u16(suite);
  });
  // legacy_compression_methods: null only
  writer.vector8(() => writer.u8(0));
  writer.vector16(() => {
    if (paddingBytes > 0) {
      writer.u16(ExtensionType.Padding);
      writer.vector16(() => writer.bytes(new Uint8Array(paddingBytes)));
    }
    writeExtensions(writer, offer);
  });
  return handshakeMessage(HandshakeType.ClientHello, writer.finish());
}

/** RFC 8446 §4.1.2, RFC 5246 §7.4.1.2: the newest version; what is newer than TLS 1.2 stands in an extension. */
export function legacyVersionOf(offer: Offer): number {
  return Math.min(versionNumber(offer.versions[0]!), ProtocolVersion.Tls12);
}

/** Whether CBC is offered: RFC 7366 is for it alone. */
function offersBlockCiphers(offer: Offer): boolean {
  return offer.cipherSuites.some((id) => cipherSuiteOf(id)?.cipher.kind === 'block');
}

/** The session that is offered as a PSK of TLS 1.3, or null. */
export function pskOf(offer: Offer): OfferedSession | null {
  return offer.session?.session.version === 'TLSv1.3' ? offer.session : null;
}

/** The extensions with which EncryptedExtensions may answer an offer (RFC 8446 §4.2). */
export function answersInEncryptedExtensions(offer: Offer): ReadonlySet<number> {
  const types = new Set<number>([ExtensionType.SupportedGroups]);
  if (offer.hostName !== null) types.add(ExtensionType.ServerName);
  if (offer.alpn.length > 0) types.add(ExtensionType.ApplicationLayerProtocolNegotiation);
  if (offer.recordSizeLimit) types.add(ExtensionType.RecordSizeLimit);
  return types;
}

/** The extensions with which a ServerHello before TLS 1.3 may answer an offer. */
export function answersInServerHello12(offer: Offer): ReadonlySet<number> {
  // RFC 8422 §4: a server does not send supported_groups; some do, and it means nothing
  return new Set([
    ...answersInEncryptedExtensions(offer),
    ...(offer.wantsTicket ? [ExtensionType.SessionTicket] : []),
    ...(offersBlockCiphers(offer) ? [ExtensionType.EncryptThenMac] : []),
    ExtensionType.EcPointFormats,
    ExtensionType.ExtendedMasterSecret,
    ExtensionType.RenegotiationInfo,
  ]);
}

/** RFC 8446 §4.2: the extensions of a ServerHello. */
export function answersInServerHello(offer: Offer): ReadonlySet<number> {
  return new Set([
    ExtensionType.SupportedVersions,
    ExtensionType.KeyShare,
    ...(pskOf(offer) === null ? [] : [ExtensionType.PreSharedKey]),
  ]);
}

/** RFC 8446 §4.1.4: the extensions of a HelloRetryRequest. */
export const ANSWERS_IN_HELLO_RETRY_REQUEST: ReadonlySet<number> = new Set([
  ExtensionType.SupportedVersions,
  ExtensionType.KeyShare,
  ExtensionType.Cookie,
]);

/** Nothing is offered that a certificate entry could answer (RFC 8446 §4.4.2.1). */
export const ANSWERS_IN_CERTIFICATE: ReadonlySet<number> = new Set();

/** RFC 6066 §3: no trailing dot, and literal addresses are not permitted. */
export function hostNameForSni(serverName: string): string | null {
  const name = serverName.endsWith('.') ? serverName.slice(0, -1) : serverName;
  const isAddress = name.includes(':') || /^\d+(\.\d+){3}$/.test(name);
  return name === '' || isAddress ? null : name;
}

function writeExtensions(writer: Writer, offer: Offer): void {
  const extension = (type: number, content: () => void): void => {
    writer.u16(type);
    writer.vector16(content);
  };
  if (offer.hostName !== null) {
    const name = utf8ToBytes(offer.hostName);
    extension(ExtensionType.ServerName, () =>
      writer.vector16(() => {
        writer.u8(0); // host_name
        writer.vector16(() => writer.bytes(name));
      }),
    );
  }
  extension(ExtensionType.SupportedGroups, () =>
    writer.vector16(() => {
      for (const group of offer.groups) writer.u16(group);
    }),
  );
  // RFC 5246 §7.4.1.4.1: not before TLS 1.2
  if (legacyVersionOf(offer) >= ProtocolVersion.Tls12) {
    extension(ExtensionType.SignatureAlgorithms, () =>
      writer.vector16(() => {
        for (const scheme of offer.signatureSchemes) writer.u16(scheme);
      }),
    );
  }
  if (offer.alpn.length > 0) {
    extension(ExtensionType.ApplicationLayerProtocolNegotiation, () =>
      writer.vector16(() => {
        for (const name of offer.alpn) writer.vector8(() => writer.bytes(utf8ToBytes(name)));
      }),
    );
  }
  const with13 = offer.versions.includes('TLSv1.3');
  if (offer.recordSizeLimit) {
    // RFC 8449 §4: in TLS 1.3 the limit includes the content type: one more than the largest content
    extension(ExtensionType.RecordSizeLimit, () => writer.u16(MAX_PLAINTEXT_BYTES + (with13 ? 1 : 0)));
  }
  if (offer.versions.some(isOld)) {
    // RFC 8422 §5.1.2: uncompressed
    extension(ExtensionType.EcPointFormats, () => writer.vector8(() => writer.u8(0)));
    extension(ExtensionType.ExtendedMasterSecret, () => {});
    if (offersBlockCiphers(offer)) extension(ExtensionType.EncryptThenMac, () => {});
    // RFC 5746 §3.4: empty in the first handshake
    extension(ExtensionType.RenegotiationInfo, () => writer.u8(0));
    if (offer.wantsTicket) {
      const session = offer.session?.session;
      extension(ExtensionType.SessionTicket, () => {
        if (session !== undefined && isOld(session.version)) writer.bytes(session.ticket);
      });
    }
  }
  if (!with13) return;
  extension(ExtensionType.SupportedVersions, () =>
    writer.vector8(() => {
      for (const version of offer.versions) writer.u16(versionNumber(version));
    }),
  );
  // RFC 8446 §4.2.9: servers send no tickets to clients that do not say how they would use them
  extension(ExtensionType.PskKeyExchangeModes, () => writer.vector8(() => writer.u8(1))); // psk_dhe_ke
  extension(ExtensionType.KeyShare, () =>
    writer.vector16(() => {
      for (const share of offer.keyShares) {
        writer.u16(share.group);
        writer.vector16(() => writer.bytes(share.publicKey));
      }
    }),
  );
  const { cookie } = offer;
  if (cookie !== null) extension(ExtensionType.Cookie, () => writer.vector16(() => writer.bytes(cookie)));
  const psk = pskOf(offer);
  if (psk === null) return;
  // RFC 8446 §4.2.11: the last extension; its binder is written afterwards
  extension(ExtensionType.PreSharedKey, () => {
    writer.vector16(() => {
      writer.vector16(() => writer.bytes(psk.session.ticket));
      // RFC 8446 §4.2.11.1: obfuscated_ticket_age, modulo 2^32
      const age = (Math.floor(psk.ageMs) + psk.session.ageAdd) % 2 ** 32;
      writer.u16(Math.floor(age / 65536));
      writer.u16(age % 65536);
    });
    writer.vector16(() => writer.vector8(() => writer.bytes(new Uint8Array(psk.suite.hashBytes))));
  });
}
