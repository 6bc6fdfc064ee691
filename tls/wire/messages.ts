import { hexToBytes } from '@noble/hashes/utils.js';
import { TlsError } from '../errors.ts';
import { MAX_CHAIN_LENGTH } from '../limits.ts';
import { ExtensionType, HANDSHAKE_HEADER_BYTES, HandshakeType } from './codes.ts';
import { checkAnswered, type Extensions, readExtensions } from './extensions.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/** One whole handshake message. The bytes are borrowed: they are gone when the handler returns. */
export interface HandshakeMessage {
  readonly type: number;
  /** Header and body, as the transcript takes them. */
  readonly raw: Uint8Array;
}

/** A reader over the body of a message. */
export function bodyOf(message: HandshakeMessage, what: string): Reader {
  return new Reader(message.raw, what, HANDSHAKE_HEADER_BYTES);
}

/** RFC 8446 §4.1.3: SHA-256 of "HelloRetryRequest" in the random field marks a HelloRetryRequest. */
export const HELLO_RETRY_REQUEST_RANDOM: Uint8Array = hexToBytes(
  'cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c',
);

/** RFC 8446 §4.1.3 */
export interface ServerHello {
  readonly legacyVersion: number;
  readonly random: Uint8Array;
  readonly isHelloRetryRequest: boolean;
  readonly sessionId: Uint8Array;
  readonly cipherSuite: number;
  readonly compression: number;
  /** Not yet checked against what was offered: that depends on the version. */
  readonly extensions: Extensions;
  /** RFC 8446 §4.2.1: what supported_versions says, or null when it is not there (TLS 1.2 and older). */
  readonly selectedVersion: number | null;
}

/** Reads a ServerHello of any version, or a HelloRetryRequest. */
export function readServerHello(message: HandshakeMessage): ServerHello {
  const body = bodyOf(message, 'server_hello');
  const legacyVersion = body.u16();
  const random = body.take(32);
  const sessionId = body.vector8('session id').rest();
  if (sessionId.length > 32) throw new TlsError('InvalidVector', `session id of ${sessionId.length} bytes`);
  const cipherSuite = body.u16();
  const compression = body.u8();
  // RFC 5246 §7.4.1.3: before TLS 1.3 the whole block may be missing
  const extensions: Extensions = body.done ? new Map() : readExtensions(body, 'server_hello');
  body.finish();
  const versions = extensions.get(ExtensionType.SupportedVersions);
  const selectedVersion = versions === undefined ? null : versions.u16();
  versions?.finish();
  return {
    legacyVersion,
    random,
    isHelloRetryRequest: equalBytes(random, HELLO_RETRY_REQUEST_RANDOM),
    sessionId,
    cipherSuite,
    compression,
    extensions,
    selectedVersion,
  };
}

/** RFC 8446 §4.2.8: the key share of a ServerHello. The key is borrowed. */
export function readServerKeyShare(content: Reader): { group: number; publicKey: Uint8Array } {
  const group = content.u16();
  const key = content.vector16('key_exchange');
  if (key.done) throw new TlsError('InvalidVector', 'empty key_exchange');
  const publicKey = key.rest();
  content.finish();
  return { group, publicKey };
}

/** RFC 8446 §4.2.2: a copy of the cookie of a HelloRetryRequest. */
export function readCookie(content: Reader): Uint8Array {
  const cookie = content.vector16('cookie');
  if (cookie.done) throw new TlsError('InvalidVector', 'empty cookie');
  const copy = cookie.rest().slice();
  content.finish();
  return copy;
}

/** RFC 7301 §3.1: the one protocol name of a server's answer; borrowed. */
export function readSelectedProtocol(content: Reader): Uint8Array {
  const list = content.vector16('protocol_name_list');
  const name = list.vector8('protocol name');
  if (name.done) throw new TlsError('InvalidVector', 'empty protocol name');
  const selected = name.rest();
  list.finish();
  content.finish();
  return selected;
}

/** RFC 8446 §4.3.1 */
export function readEncryptedExtensions(message: HandshakeMessage, allowed: ReadonlySet<number>): Extensions {
  const body = bodyOf(message, 'encrypted_extensions');
  const extensions = readExtensions(body, 'encrypted_extensions');
  body.finish();
  checkAnswered(extensions, 'encrypted_extensions', allowed);
  return extensions;
}

/** RFC 8446 §4.3.2 in a handshake: what the server accepts from us. */
export interface CertificateRequest {
  readonly signatureSchemes: readonly number[];
  /** Names in DER, copied; empty: any. */
  readonly authorities: readonly Uint8Array[];
  readonly certificateTypes: null;
}

/** Reads a CertificateRequest of the handshake itself (its context is empty). */
export function readCertificateRequest(message: HandshakeMessage): CertificateRequest {
  const { context, ...request } = readLaterCertificateRequest(message);
  // RFC 8446 §4.3.2: This field SHALL be zero length unless used for the post-handshake authentication exchanges
  if (context.length > 0) throw new TlsError('UnsolicitedCertificateContext');
  return request;
}

/** Reads a CertificateRequest that came after the handshake, with a copy of its context. */
export function readLaterCertificateRequest(
  message: HandshakeMessage,
): CertificateRequest & { readonly context: Uint8Array } {
  const body = bodyOf(message, 'certificate_request');
  const context = body.vector8('certificate_request_context').rest().slice();
  // RFC 8446 §4.3.2: Clients MUST ignore unrecognized extensions.
  const extensions = readExtensions(body, 'certificate_request');
  body.finish();
  const algorithms = extensions.get(ExtensionType.SignatureAlgorithms);
  // RFC 8446 §4.3.2: The "signature_algorithms" extension MUST be specified
  if (algorithms === undefined)
    throw new TlsError('MissingExtension', 'signature_algorithms in certificate_request');
  const list = algorithms.vector16('supported_signature_algorithms');
  if (list.done) throw new TlsError('InvalidVector', 'no signature algorithms');
  const signatureSchemes: number[] = [];
  while (!list.done) signatureSchemes.push(list.u16());
  algorithms.finish();
  const authorities = extensions.get(ExtensionType.CertificateAuthorities);
  const names = authorities === undefined ? [] : readAuthorities(authorities);
  // RFC 8446 §4.2.4: authorities<3..2^16-1>
  if (authorities !== undefined && names.length === 0) throw new TlsError('InvalidVector', 'no authorities');
  authorities?.finish();
  return { context, signatureSchemes, authorities: names, certificateTypes: null };
}

/** What a server says about its certificate. */
export interface CertificateMessage {
  /** DER, copied, leaf first, never empty. */
  readonly chain: readonly Uint8Array[];
  /** RFC 6066 §8: the stapled answer of OCSP in DER, or null. */
  readonly ocspResponse: Uint8Array | null;
  /** RFC 6962 §3.3: the SignedCertificateTimestampList, or null. */
  readonly signedCertificateTimestamps: Uint8Array | null;
}

/**
 * RFC 8446 §4.4.2
 *
 * @param allowed extensions that an entry may carry
 */
export function readCertificate(message: HandshakeMessage, allowed: ReadonlySet<number>): CertificateMessage {
  const body = bodyOf(message, 'certificate');
  // RFC 8446 §4.4.2: in server authentication, this field SHALL be zero length
  if (!body.vector8('certificate_request_context').done) throw new TlsError('UnsolicitedCertificateContext');
  const list = body.vector24('certificate_list');
  body.finish();
  const chain: Uint8Array[] = [];
  let ocspResponse: Uint8Array | null = null;
  let signedCertificateTimestamps: Uint8Array | null = null;
  while (!list.done) {
    if (chain.length === MAX_CHAIN_LENGTH)
      throw new TlsError('ChainTooLong', `more than ${MAX_CHAIN_LENGTH}`);
    const certificate = list.vector24('cert_data');
    if (certificate.done) throw new TlsError('InvalidVector', 'empty cert_data');
    const extensions = readExtensions(list, 'certificate');
    checkAnswered(extensions, 'certificate', allowed);
    const status = extensions.get(ExtensionType.StatusRequest);
    const timestamps = extensions.get(ExtensionType.SignedCertificateTimestamp);
    const response = status === undefined ? null : readCertificateStatus(status);
    const list13 = timestamps === undefined ? null : readTimestamps(timestamps);
    // those of other certificates than the server's own would serve nobody
    if (chain.length === 0) {
      ocspResponse = response;
      signedCertificateTimestamps = list13;
    }
    chain.push(certificate.rest().slice());
  }
  // RFC 8446 §4.4.2.4: an empty Certificate message of a server → decode_error
  if (chain.length === 0) throw new TlsError('NoCertificate');
  return { chain, ocspResponse, signedCertificateTimestamps };
}

/** RFC 6066 §8: a copy of the OCSP response of a CertificateStatus. */
export function readCertificateStatus(content: Reader): Uint8Array {
  const type = content.u8();
  // RFC 6066 §8: ocsp is what was asked for
  if (type !== 1) throw new TlsError('InvalidVector', `certificate status of type ${type}`);
  const response = content.vector24('ocsp response');
  if (response.done) throw new TlsError('InvalidVector', 'empty ocsp response');
  const copy = response.rest().slice();
  content.finish();
  return copy;
}

/** RFC 6962 §3.3: a copy of a SignedCertificateTimestampList, with its length. */
export function readTimestamps(content: Reader): Uint8Array {
  const copy = content.bytes.slice(content.offset, content.offset + content.remaining);
  const list = content.vector16('signed certificate timestamps');
  content.finish();
  if (list.done) throw new TlsError('InvalidVector', 'no signed certificate timestamps');
  while (!list.done) {
    if (list.vector16('signed certificate timestamp').remaining === 0) {
      throw new TlsError('InvalidVector', 'empty signed certificate timestamp');
    }
  }
  return copy;
}

/** RFC 8446 §4.4.3; the signature is borrowed. */
export function readCertificateVerify(message: HandshakeMessage): { scheme: number; signature: Uint8Array } {
  const body = bodyOf(message, 'certificate_verify');
  const scheme = body.u16();
  const signature = body.vector16('signature').rest();
  body.finish();
  return { scheme, signature };
}

/** RFC 8446 §4.4.4; the verify data is borrowed. */
export function readFinished(message: HandshakeMessage, hashBytes: number): Uint8Array {
  const body = bodyOf(message, 'finished');
  const verifyData = body.rest();
  // RFC 8446 §4.4.4: one of another length cannot be right
  if (verifyData.length !== hashBytes) throw new TlsError('BadFinished', `${verifyData.length} bytes`);
  return verifyData;
}

/** RFC 8446 §4.6.1 */
export interface NewSessionTicket {
  readonly lifetimeSeconds: number;
  readonly ageAdd: number;
  readonly nonce: Uint8Array;
  readonly ticket: Uint8Array;
  /** 0 when early data is not allowed. */
  readonly maxEarlyDataBytes: number;
}

/** Reads a ticket into memory of its own. */
export function readNewSessionTicket(message: HandshakeMessage): NewSessionTicket {
  const body = bodyOf(message, 'new_session_ticket');
  const lifetimeSeconds = body.u32();
  const ageAdd = body.u32();
  const nonce = body.vector8('ticket_nonce').rest().slice();
  const ticket = body.vector16('ticket').rest().slice();
  if (ticket.length === 0) throw new TlsError('InvalidVector', 'empty ticket');
  // RFC 8446 §4.6.1: Clients MUST ignore unrecognized extensions.
  const extensions = readExtensions(body, 'new_session_ticket');
  body.finish();
  let maxEarlyDataBytes = 0;
  const earlyData = extensions.get(ExtensionType.EarlyData);
  if (earlyData !== undefined) {
    maxEarlyDataBytes = earlyData.u32();
    earlyData.finish();
  }
  return { lifetimeSeconds, ageAdd, nonce, ticket, maxEarlyDataBytes };
}

/** RFC 5077 §3.3 */
export interface NewSessionTicket12 {
  /** 0: not stated. */
  readonly lifetimeSeconds: number;
  /** Empty: none after all. */
  readonly ticket: Uint8Array;
}

/** Reads a ticket of TLS 1.2 into memory of its own. */
export function readNewSessionTicket12(message: HandshakeMessage): NewSessionTicket12 {
  const body = bodyOf(message, 'new_session_ticket');
  const lifetimeSeconds = body.u32();
  const ticket = body.vector16('ticket').rest().slice();
  body.finish();
  return { lifetimeSeconds, ticket };
}

/** RFC 8446 §4.6.3: whether the peer wants a key update of ours. */
export function readKeyUpdate(message: HandshakeMessage): boolean {
  const body = bodyOf(message, 'key_update');
  const request = body.u8();
  body.finish();
  // RFC 8446 §4.6.3: any other value → illegal_parameter
  if (request > 1) throw new TlsError('InvalidKeyUpdate', `request_update ${request}`);
  return request === 1;
}

/** RFC 8446 §4.6.3 */
export function writeKeyUpdate(requestPeer: boolean): Uint8Array {
  return Uint8Array.of(HandshakeType.KeyUpdate, 0, 0, 1, requestPeer ? 1 : 0);
}

/**
 * RFC 8446 §4.4.2: the Certificate message of a client; with an empty chain, of one that has none.
 *
 * @param context of the request; empty in a handshake
 */
export function writeCertificate(
  chain: readonly Uint8Array[],
  context: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const writer = new Writer();
  writer.vector8(() => writer.bytes(context));
  writer.vector24(() => {
    for (const certificate of chain) {
      writer.vector24(() => writer.bytes(certificate));
      writer.u16(0); // no extensions
    }
  });
  return handshakeMessage(HandshakeType.Certificate, writer.finish());
}

/**
 * RFC 8446 §4.4.3, RFC 5246 §7.4.8
 *
 * @param scheme null before TLS 1.2, where it is not said
 */
export function writeCertificateVerify(scheme: number | null, signature: Uint8Array): Uint8Array {
  const writer = new Writer();
  if (scheme !== null) writer.u16(scheme);
  writer.vector16(() => writer.bytes(signature));
  return handshakeMessage(HandshakeType.CertificateVerify, writer.finish());
}

/** RFC 8446 §4.4.4 */
export function writeFinished(verifyData: Uint8Array): Uint8Array {
  return handshakeMessage(HandshakeType.Finished, verifyData);
}

/** RFC 5246 §7.4.2: copies of the certificates of the server, leaf first. */
export function readCertificate12(message: HandshakeMessage): readonly Uint8Array[] {
  const body = bodyOf(message, 'certificate');
  const list = body.vector24('certificate_list');
  body.finish();
  const chain: Uint8Array[] = [];
  while (!list.done) {
    if (chain.length === MAX_CHAIN_LENGTH)
      throw new TlsError('ChainTooLong', `more than ${MAX_CHAIN_LENGTH}`);
    const certificate = list.vector24('certificate');
    if (certificate.done) throw new TlsError('InvalidVector', 'empty certificate');
    chain.push(certificate.rest().slice());
  }
  if (chain.length === 0) throw new TlsError('NoCertificate');
  return chain;
}

/** What a ServerKeyExchange of either kind has behind its parameters, borrowed. */
interface SignedParameters {
  /** What is signed, beside the randoms. */
  readonly params: Uint8Array;
  /** Before TLS 1.2 it is not said: null. */
  readonly scheme: number | null;
  readonly signature: Uint8Array;
}

/** RFC 8422 §5.4: an ECDHE key exchange, borrowed. */
export interface ServerKeyExchange extends SignedParameters {
  readonly group: number;
  readonly publicKey: Uint8Array;
}

/** RFC 5246 §7.4.3: a DHE key exchange, borrowed. */
export interface ServerDhExchange extends SignedParameters {
  readonly p: Uint8Array;
  readonly g: Uint8Array;
  readonly publicValue: Uint8Array;
}

/**
 * @param hasScheme since TLS 1.2
 * @throws TlsError also for a curve that is not named
 */
export function readServerKeyExchange(message: HandshakeMessage, hasScheme: boolean): ServerKeyExchange {
  const body = bodyOf(message, 'server_key_exchange');
  const curveType = body.u8();
  // RFC 8422 §5.4: only named_curve is left
  if (curveType !== 3) throw new TlsError('UnofferedGroup', `curve type ${curveType}`);
  const group = body.u16();
  const publicKey = notEmpty(body.vector8('public key'));
  return { group, publicKey, ...readSigned(message, body, 4 + publicKey.length, hasScheme) };
}

/** @param hasScheme since TLS 1.2 */
export function readServerDhExchange(message: HandshakeMessage, hasScheme: boolean): ServerDhExchange {
  const body = bodyOf(message, 'server_key_exchange');
  const p = notEmpty(body.vector16('dh_p'));
  const g = notEmpty(body.vector16('dh_g'));
  const publicValue = notEmpty(body.vector16('dh_Ys'));
  const paramsBytes = 6 + p.length + g.length + publicValue.length;
  return { p, g, publicValue, ...readSigned(message, body, paramsBytes, hasScheme) };
}

function notEmpty(vector: Reader): Uint8Array {
  if (vector.done) throw new TlsError('InvalidVector', `empty ${vector.what}`);
  return vector.rest();
}

function readSigned(
  message: HandshakeMessage,
  body: Reader,
  paramsBytes: number,
  hasScheme: boolean,
): SignedParameters {
  const params = message.raw.subarray(HANDSHAKE_HEADER_BYTES, HANDSHAKE_HEADER_BYTES + paramsBytes);
  const scheme = hasScheme ? body.u16() : null;
  const signature = body.vector16('signature').rest();
  body.finish();
  return { params, scheme, signature };
}

/** RFC 5246 §7.4.4: what the server accepts from us. */
export interface CertificateRequest12 {
  readonly certificateTypes: readonly number[];
  readonly signatureSchemes: readonly number[];
  /** Names in DER, copied. */
  readonly authorities: readonly Uint8Array[];
}

/**
 * Reads a CertificateRequest of a version before TLS 1.3.
 *
 * @param implied the signature schemes of a version before TLS 1.2, whose message does not name them, else null
 */
export function readCertificateRequest12(
  message: HandshakeMessage,
  implied: readonly number[] | null,
): CertificateRequest12 {
  const body = bodyOf(message, 'certificate_request');
  const types = body.vector8('certificate_types');
  if (types.done) throw new TlsError('InvalidVector', 'no certificate types');
  const certificateTypes = [...types.rest()];
  const signatureSchemes = implied ?? readSchemes(body);
  const authorities = readAuthorities(body);
  body.finish();
  return { certificateTypes, signatureSchemes, authorities };
}

function readSchemes(body: Reader): readonly number[] {
  const list = body.vector16('supported_signature_algorithms');
  if (list.done) throw new TlsError('InvalidVector', 'no signature algorithms');
  const schemes: number[] = [];
  while (!list.done) schemes.push(list.u16());
  return schemes;
}

/** RFC 8446 §4.2.4, RFC 5246 §7.4.4: a list of names in DER, copied. */
export function readAuthorities(from: Reader): readonly Uint8Array[] {
  const list = from.vector16('certificate_authorities');
  const authorities: Uint8Array[] = [];
  while (!list.done) {
    const name = list.vector16('distinguished name');
    if (name.done) throw new TlsError('InvalidVector', 'empty distinguished name');
    authorities.push(name.rest().slice());
  }
  return authorities;
}

/** RFC 5246 §7.4.2 */
export function writeCertificate12(chain: readonly Uint8Array[]): Uint8Array {
  const writer = new Writer();
  writer.vector24(() => {
    for (const certificate of chain) writer.vector24(() => writer.bytes(certificate));
  });
  return handshakeMessage(HandshakeType.Certificate, writer.finish());
}

/** RFC 8422 §5.7: a point; RFC 5246 §7.4.7: a public value, or an encrypted secret. */
export function writeClientKeyExchange(exchange: 'ecdhe' | 'dhe' | 'rsa', content: Uint8Array): Uint8Array {
  const writer = new Writer();
  if (exchange === 'ecdhe') writer.vector8(() => writer.bytes(content));
  else writer.vector16(() => writer.bytes(content));
  return handshakeMessage(HandshakeType.ClientKeyExchange, writer.finish());
}

/** Puts the handshake header before a body. */
export function handshakeMessage(type: number, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(HANDSHAKE_HEADER_BYTES + body.length);
  message[0] = type;
  message[1] = body.length >>> 16;
  message[2] = body.length >>> 8;
  message[3] = body.length;
  message.set(body, HANDSHAKE_HEADER_BYTES);
  return message;
}

/** Compares bytes that are no secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
