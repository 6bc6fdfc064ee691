import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { contextTag, DerError, DerReader, equalBytes, Tag } from './der.ts';

/** Timestamps of one list that are looked at; more than that are passed over. */
export const MAX_TIMESTAMPS = 32;

/** The promise of a log to publish a certificate (RFC 6962 §3.2). */
export interface SignedCertificateTimestamp {
  /** SHA-256 of the log's key. */
  readonly logId: Uint8Array;
  /** Unix time in milliseconds. */
  readonly timestampMs: number;
  readonly extensions: Uint8Array;
  /** HashAlgorithm and SignatureAlgorithm of RFC 5246 §7.4.1.4.1, one octet each. */
  readonly algorithm: number;
  readonly signature: Uint8Array;
}

/** A log whose timestamps count. */
export interface TimestampLog {
  /** SHA-256 of its key. */
  readonly id: Uint8Array;
  readonly key: KeyObject;
}

/** @param publicKey SubjectPublicKeyInfo, DER, or PEM as text @throws Error when it is no public key */
export function timestampLog(publicKey: string | Uint8Array): TimestampLog {
  const key =
    typeof publicKey === 'string'
      ? createPublicKey(publicKey)
      : createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
  const spki = key.export({ format: 'der', type: 'spki' });
  return { id: createHash('sha256').update(spki).digest(), key };
}

/**
 * Reads a SignedCertificateTimestampList (RFC 6962 §3.3). Those of unknown versions are passed over.
 * @throws DerError when it is malformed
 */
export function readTimestampList(list: Uint8Array): readonly SignedCertificateTimestamp[] {
  const timestamps: SignedCertificateTimestamp[] = [];
  if (list.length < 2 || lengthAt(list, 0) !== list.length - 2)
    throw new DerError('malformed list of timestamps');
  for (let at = 2; at < list.length; ) {
    const end = at + 2 + lengthAt(list, at);
    if (end > list.length) throw new DerError('truncated timestamp');
    if (timestamps.length < MAX_TIMESTAMPS && list[at + 2] === VERSION_1) {
      timestamps.push(readTimestamp(list.subarray(at + 3, end)));
    }
    at = end;
  }
  return timestamps;
}

/** The timestamps inside of a certificate (RFC 6962 §3.3). @throws DerError when they are malformed */
export function embeddedTimestamps(certificate: Certificate): readonly SignedCertificateTimestamp[] {
  const { embeddedTimestamps: encoded } = certificate.extensions;
  if (encoded === null) return [];
  const reader = new DerReader(encoded);
  const list = reader.contents(Tag.OctetString);
  reader.finish();
  return readTimestampList(list);
}

/** Whose timestamps count, and how many there have to be. */
export interface TimestampRules {
  readonly timestampLogs: readonly TimestampLog[];
  readonly minTimestamps: number;
}

/**
 * @param keys public keys of logs: PEM text or DER bytes (SubjectPublicKeyInfo)
 * @param least so many of the logs; undefined: one, when there are logs
 * @throws RangeError when `least` is not 0 to the number of logs; what node:crypto throws for something that is no key
 */
export function timestampRules(keys: readonly (string | Uint8Array)[], least?: number): TimestampRules {
  const minTimestamps = least ?? Math.min(keys.length, 1);
  if (!Number.isInteger(minTimestamps) || minTimestamps < 0 || minTimestamps > keys.length) {
    throw new RangeError(`expected 0 to the ${keys.length} of timestampLogs, got ${minTimestamps}`);
  }
  return { timestampLogs: keys.map((key) => timestampLog(key)), minTimestamps };
}

/**
 * How many of the logs have signed a timestamp for a certificate, in the handshake or inside of it, that is not from the future.
 * What is malformed or of other logs does not count.
 * @param issuer whose key has signed the certificate
 * @param fromHandshake the list of the handshake, or null
 * @param unixTimeMs milliseconds since 1970-01-01T00:00Z
 */
export function countLogs(
  logs: readonly TimestampLog[],
  certificate: Certificate,
  issuer: Certificate,
  fromHandshake: Uint8Array | null,
  unixTimeMs: number,
): number {
  const counted = new Set<TimestampLog>();
  const count = (timestamps: readonly SignedCertificateTimestamp[], entry: Uint8Array): void => {
    for (const timestamp of timestamps) {
      const log = logs.find(({ id }) => equalBytes(id, timestamp.logId));
      if (log === undefined || counted.has(log) || timestamp.timestampMs > unixTimeMs) continue;
      if (isSignedBy(log, timestamp, entry)) counted.add(log);
    }
  };
  try {
    count(embeddedTimestamps(certificate), precertificateEntry(certificate, issuer));
    if (fromHandshake !== null) count(readTimestampList(fromHandshake), certificateEntry(certificate));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
  }
  return counted.size;
}

const VERSION_1 = 0;
const EMBEDDED_TIMESTAMPS = '1.3.6.1.4.1.11129.2.4.2';
/** SHA-256 with RSA and ECDSA, the only ones of RFC 6962 §2.1.4. */
const ALGORITHMS: Readonly<Record<string, number>> = { rsa: 0x0401, ec: 0x0403 };

function lengthAt(bytes: Uint8Array, at: number): number {
  if (at + 2 > bytes.length) throw new DerError('truncated timestamp');
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** What follows the version. */
function readTimestamp(bytes: Uint8Array): SignedCertificateTimestamp {
  const extensionsEnd = 42 + lengthAt(bytes, 40);
  const signatureEnd = extensionsEnd + 4 + lengthAt(bytes, extensionsEnd + 2);
  if (signatureEnd !== bytes.length) throw new DerError('malformed timestamp');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    logId: bytes.slice(0, 32),
    timestampMs: Number(view.getBigUint64(32)),
    extensions: bytes.slice(42, extensionsEnd),
    algorithm: lengthAt(bytes, extensionsEnd),
    signature: bytes.slice(extensionsEnd + 4),
  };
}

function isSignedBy(
  { key }: TimestampLog,
  timestamp: SignedCertificateTimestamp,
  entry: Uint8Array,
): boolean {
  if (ALGORITHMS[key.asymmetricKeyType ?? ''] !== timestamp.algorithm) return false;
  const { extensions } = timestamp;
  const signed = Buffer.alloc(10 + entry.length + 2 + extensions.length);
  // RFC 6962 §3.2: sct_version v1, signature_type certificate_timestamp
  signed.writeBigUInt64BE(BigInt(timestamp.timestampMs), 2);
  signed.set(entry, 10);
  signed.writeUInt16BE(extensions.length, 10 + entry.length);
  signed.set(extensions, 12 + entry.length);
  return verify('sha256', signed, key, timestamp.signature);
}

/** RFC 6962 §3.2: x509_entry */
function certificateEntry({ der }: Certificate): Uint8Array {
  return Buffer.concat([Uint8Array.of(0, 0), length24(der), der]);
}

/** RFC 6962 §3.2: precert_entry, the certificate as it was before the timestamps went into it. */
function precertificateEntry(certificate: Certificate, issuer: Certificate): Uint8Array {
  const issuerKeyHash = createHash('sha256').update(issuer.spki).digest();
  const tbs = withoutTimestamps(certificate.tbs);
  return Buffer.concat([Uint8Array.of(0, 1), issuerKeyHash, length24(tbs), tbs]);
}

function withoutTimestamps(tbs: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  const fields = new DerReader(tbs).enter(Tag.Sequence);
  while (!fields.atEnd) {
    if (fields.peek() !== contextTag(3, true)) {
      parts.push(fields.element());
      continue;
    }
    const list = fields.enter(contextTag(3, true)).enter(Tag.Sequence);
    const kept: Uint8Array[] = [];
    while (!list.atEnd) {
      const extension = list.elementOf(Tag.Sequence);
      if (new DerReader(extension).enter(Tag.Sequence).oid() !== EMBEDDED_TIMESTAMPS) kept.push(extension);
    }
    // RFC 5280 §4.1: Extensions has one at least
    if (kept.length > 0) parts.push(encode(contextTag(3, true), encode(Tag.Sequence, ...kept)));
  }
  return encode(Tag.Sequence, ...parts);
}

function encode(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, { length: one }) => sum + one, 0);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) octets.unshift(rest & 0xff);
  const header = length < 0x80 ? [tag, length] : [tag, 0x80 | octets.length, ...octets];
  return Buffer.concat([Uint8Array.from(header), ...contents]);
}

function length24({ length }: Uint8Array): Uint8Array {
  return Uint8Array.of(length >>> 16, length >>> 8, length);
}
