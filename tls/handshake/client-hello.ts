import { utf8ToBytes } from '@noble/hashes/utils.js';
import { KeySchedule } from '../keys/key-schedule.ts';
import type { Transcript } from '../keys/transcript.ts';
import { MAX_PLAINTEXT_BYTES } from '../limits.ts';
import { ExtensionType, HANDSHAKE_HEADER_BYTES, HandshakeType, versionNumber } from '../wire/codes.ts';
import { handshakeMessage } from '../wire/messages.ts';
import { Writer } from '../wire/writer.ts';
import { isOld, legacyVersionOf, type Offer, offersBlockCiphers, pskOf } from './offer.ts';
import { renegotiationInfo } from './renegotiation.ts';

/** RFC 7685 §1: what a padded ClientHello has at least. */
const MIN_PADDED_BYTES = 512;

/** RFC 7507 §2 */
const TLS_FALLBACK_SCSV = 0x5600;

/** One extension of a ClientHello. */
export interface HelloExtension {
  readonly type: number;
  /** Without type and length. */
  readonly content: Uint8Array;
}

/** A ClientHello before it is bytes (RFC 8446 §4.1.2): what a tester may change at will. */
export interface ClientHelloDraft {
  readonly legacyVersion: number;
  /** 32 bytes. */
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly cipherSuites: readonly number[];
  readonly compressionMethods: Uint8Array;
  /** In their order. pre_shared_key, which is last, ends with binders that are computed afterwards. */
  readonly extensions: readonly HelloExtension[];
}

/** Makes one draft from another; see {@link TlsTesting.clientHello}. */
export type ClientHelloEdit = (draft: ClientHelloDraft) => ClientHelloDraft;

/**
 * RFC 8446 §4.1.2
 *
 * @param before what the transcript holds before this hello, null for the first one
 * @param edit what a tester wants to be different, or null
 */
export function writeClientHello(
  offer: Offer,
  before: Transcript | null = null,
  edit: ClientHelloEdit | null = null,
): Uint8Array {
  const draft = padded(draftClientHello(offer), offer);
  const message = handshakeMessage(
    HandshakeType.ClientHello,
    encodeClientHello(edit === null ? draft : edit(draft)),
  );
  signBinder(message, offer, before);
  return message;
}

/** RFC 7685 §1, §4: some old servers never answer a ClientHello of 256 … 511 bytes, and the extension has a content. */
function padded(draft: ClientHelloDraft, offer: Offer): ClientHelloDraft {
  if (!offer.fallback) return draft;
  const messageBytes = HANDSHAKE_HEADER_BYTES + encodeClientHello(draft).length;
  if (messageBytes < 256 || messageBytes >= MIN_PADDED_BYTES) return draft;
  const extensionHeaderBytes = 4;
  const content = new Uint8Array(Math.max(1, MIN_PADDED_BYTES - messageBytes - extensionHeaderBytes));
  return { ...draft, extensions: [{ type: ExtensionType.Padding, content }, ...draft.extensions] };
}

/** What the hello of an offer says, with zeros in the place of binders. */
export function draftClientHello(offer: Offer): ClientHelloDraft {
  const { grease } = offer;
  return {
    legacyVersion: legacyVersionOf(offer),
    random: offer.random,
    sessionId: offer.sessionId,
    cipherSuites: [
      ...(grease === null ? [] : [grease.cipherSuite]),
      ...offer.cipherSuites,
      ...(offer.fallbackScsv ? [TLS_FALLBACK_SCSV] : []),
    ],
    // legacy_compression_methods: null only
    compressionMethods: Uint8Array.of(0),
    extensions: inOrder(extensionsOf(offer), offer),
  };
}

/** The body of the message. */
export function encodeClientHello(draft: ClientHelloDraft): Uint8Array {
  const writer = new Writer();
  writer.u16(draft.legacyVersion);
  writer.bytes(draft.random);
  writer.vector8(() => writer.bytes(draft.sessionId));
  writer.vector16(() => {
    for (const suite of draft.cipherSuites) writer.u16(suite);
  });
  writer.vector8(() => writer.bytes(draft.compressionMethods));
  writer.vector16(() => {
    for (const { type, content } of draft.extensions) {
      writer.u16(type);
      writer.vector16(() => writer.bytes(content));
    }
  });
  return writer.finish();
}

/**
 * RFC 8446 §4.2.11.2: writes the binder, which signs all that stands before the list of binders; that ends the message.
 *
 * @param before what the transcript holds before this hello, null for the first one
 */
export function signBinder(message: Uint8Array, offer: Offer, before: Transcript | null): void {
  const psk = pskOf(offer);
  if (psk === null) return;
  const { suite } = psk;
  const truncated = message.subarray(0, message.length - suite.hashBytes - 3);
  const schedule = new KeySchedule(suite, psk.session.secret);
  const hash = before === null ? suite.hash(truncated) : before.hashWith(truncated);
  message.set(schedule.binder(hash), message.length - suite.hashBytes);
}

function inOrder(extensions: readonly HelloExtension[], offer: Offer): readonly HelloExtension[] {
  const { extensionOrder, grease } = offer;
  const last = extensions.filter(({ type }) => type === ExtensionType.PreSharedKey);
  let first = extensions.filter(({ type }) => type !== ExtensionType.PreSharedKey);
  if (extensionOrder !== null) {
    const keys = new Map(first.map(({ type }, i) => [type, extensionOrder[i] ?? 0]));
    first = first.sort((a, b) => keys.get(a.type)! - keys.get(b.type)!);
  }
  if (grease === null) return [...first, ...last];
  // RFC 8701 §3.1: one of them empty, the other not
  const [one, other] = grease.extensions;
  return [
    { type: one, content: new Uint8Array(0) },
    ...first,
    { type: other, content: Uint8Array.of(0) },
    ...last,
  ];
}

function content(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  write(writer);
  return writer.finish();
}

function list16(values: readonly number[]): Uint8Array {
  return content((writer) =>
    writer.vector16(() => {
      for (const value of values) writer.u16(value);
    }),
  );
}

function list8(values: readonly number[]): Uint8Array {
  return content((writer) =>
    writer.vector8(() => {
      for (const value of values) writer.u16(value);
    }),
  );
}

const NOTHING = new Uint8Array(0);

function extensionsOf(offer: Offer): HelloExtension[] {
  const extensions: HelloExtension[] = [];
  const add = (type: number, bytes: Uint8Array): void => {
    extensions.push({ type, content: bytes });
  };
  const { grease } = offer;
  const with13 = offer.versions.includes('TLSv1.3');
  if (offer.hostName !== null) add(ExtensionType.ServerName, serverName(offer.hostName));
  add(ExtensionType.SupportedGroups, list16([...(grease === null ? [] : [grease.group]), ...offer.groups]));
  // RFC 5246 §7.4.1.4.1: not before TLS 1.2
  if (offer.versions[0]! >= 'TLSv1.2') {
    const schemes = [...(grease === null ? [] : [grease.signatureScheme]), ...offer.signatureSchemes];
    add(ExtensionType.SignatureAlgorithms, list16(schemes));
  }
  if (offer.alpn.length > 0)
    add(ExtensionType.ApplicationLayerProtocolNegotiation, protocolNames(offer.alpn));
  // RFC 6066 §8: ocsp, no responder ids, no extensions
  if (offer.certificateStatus) add(ExtensionType.StatusRequest, Uint8Array.of(1, 0, 0, 0, 0));
  if (offer.signedCertificateTimestamps) add(ExtensionType.SignedCertificateTimestamp, NOTHING);
  if (offer.recordSizeLimit > 0) {
    // RFC 8449 §4: in TLS 1.3 the limit includes the content type: one more than the largest content
    const limit = Math.min(offer.recordSizeLimit, MAX_PLAINTEXT_BYTES + (with13 ? 1 : 0));
    add(
      ExtensionType.RecordSizeLimit,
      content((writer) => writer.u16(limit)),
    );
  }
  if (offer.versions.some(isOld)) addOld(add, offer);
  if (with13) add13(add, offer);
  return extensions;
}

type Add = (type: number, bytes: Uint8Array) => void;

/** What only versions before TLS 1.3 have. */
function addOld(add: Add, offer: Offer): void {
  // RFC 8422 §5.1.2: uncompressed
  add(ExtensionType.EcPointFormats, Uint8Array.of(1, 0));
  add(ExtensionType.ExtendedMasterSecret, NOTHING);
  if (offersBlockCiphers(offer)) add(ExtensionType.EncryptThenMac, NOTHING);
  add(ExtensionType.RenegotiationInfo, renegotiationInfo(offer.former));
  if (!offer.wantsTicket) return;
  const session = offer.session?.session;
  add(
    ExtensionType.SessionTicket,
    session !== undefined && isOld(session.version) ? session.ticket : NOTHING,
  );
}

/** What only TLS 1.3 has. */
function add13(add: Add, offer: Offer): void {
  const { cookie, grease } = offer;
  const versions = offer.versions.map(versionNumber);
  add(ExtensionType.SupportedVersions, list8([...(grease === null ? [] : [grease.version]), ...versions]));
  // RFC 8446 §4.2.9: servers send no tickets to clients that do not say how they would use them
  add(ExtensionType.PskKeyExchangeModes, Uint8Array.of(1, 1)); // psk_dhe_ke
  add(ExtensionType.KeyShare, keyShares(offer));
  if (offer.certificateCompression.length > 0) {
    add(ExtensionType.CompressCertificate, list8(offer.certificateCompression.map(({ id }) => id)));
  }
  if (offer.postHandshakeAuth) add(ExtensionType.PostHandshakeAuth, NOTHING);
  if (offer.earlyData) add(ExtensionType.EarlyData, NOTHING);
  if (cookie !== null) {
    add(
      ExtensionType.Cookie,
      content((writer) => writer.vector16(() => writer.bytes(cookie))),
    );
  }
  if (offer.encryptedClientHello !== null)
    add(ExtensionType.EncryptedClientHello, offer.encryptedClientHello);
  // RFC 8446 §4.2.11: the last extension; its binder is written afterwards
  const psk = pskOf(offer);
  if (psk !== null) {
    // RFC 8446 §4.2.11.1: obfuscated_ticket_age, modulo 2^32
    const age = (Math.floor(psk.ageMs) + psk.session.ageAdd) % 2 ** 32;
    const binder = new Uint8Array(psk.suite.hashBytes);
    add(ExtensionType.PreSharedKey, preSharedKey(psk.session.ticket, age, binder));
  } else if (offer.greasePsk !== null) {
    const { identity, binder, obfuscatedAge } = offer.greasePsk;
    add(ExtensionType.PreSharedKey, preSharedKey(identity, obfuscatedAge, binder));
  }
}

function serverName(hostName: string): Uint8Array {
  return content((writer) =>
    writer.vector16(() => {
      writer.u8(0); // host_name
      writer.vector16(() => writer.bytes(utf8ToBytes(hostName)));
    }),
  );
}

function protocolNames(names: readonly string[]): Uint8Array {
  return content((writer) =>
    writer.vector16(() => {
      for (const name of names) writer.vector8(() => writer.bytes(utf8ToBytes(name)));
    }),
  );
}

function keyShares(offer: Offer): Uint8Array {
  return content((writer) =>
    writer.vector16(() => {
      if (offer.grease?.hasShare === true) {
        writer.u16(offer.grease.group);
        writer.vector16(() => writer.u8(0));
      }
      for (const share of offer.keyShares) {
        writer.u16(share.group);
        writer.vector16(() => writer.bytes(share.publicKey));
      }
    }),
  );
}

function preSharedKey(identity: Uint8Array, obfuscatedAge: number, binder: Uint8Array): Uint8Array {
  return content((writer) => {
    writer.vector16(() => {
      writer.vector16(() => writer.bytes(identity));
      writer.u16(Math.floor(obfuscatedAge / 65536));
      writer.u16(obfuscatedAge % 65536);
    });
    writer.vector16(() => writer.vector8(() => writer.bytes(binder)));
  });
}
