/** Logs of Certificate Transparency and their timestamps, for tests (RFC 6962). */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { Certificate } from '../x509/certificate.ts';
import * as t from './certificates.ts';
import * as der from './der-writer.ts';

export interface TestLog {
  readonly spki: Uint8Array;
  readonly privateKey: KeyObject;
}

export function makeLog(kind: 'ec' | 'rsa' = 'ec'): TestLog {
  const { publicKey, privateKey } =
    kind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { spki: publicKey.export({ type: 'spki', format: 'der' }), privateKey };
}

/** A number of so many bytes, the highest first. */
export function unsigned(value: number, bytes: number): Buffer {
  const encoded = Buffer.alloc(8);
  encoded.writeBigUInt64BE(BigInt(value));
  return encoded.subarray(8 - bytes);
}

/**
 * One SignedCertificateTimestamp over an entry (RFC 6962 §3.2).
 * @param at milliseconds since 1970
 */
export function timestamp(log: TestLog, entry: Uint8Array, at: number, version = 0): Uint8Array {
  const signed = Buffer.concat([Uint8Array.of(version, 0), unsigned(at, 8), entry, unsigned(0, 2)]);
  const signature = sign('sha256', signed, log.privateKey);
  const algorithm = log.privateKey.asymmetricKeyType === 'rsa' ? 1 : 3;
  const id = createHash('sha256').update(log.spki).digest();
  return Buffer.concat([
    ...[Uint8Array.of(version), id, unsigned(at, 8), unsigned(0, 2)],
    ...[Uint8Array.of(4, algorithm), unsigned(signature.length, 2), signature],
  ]);
}

/** SignedCertificateTimestampList (RFC 6962 §3.3). */
export function listOf(...timestamps: readonly Uint8Array[]): Uint8Array {
  const inner = Buffer.concat(timestamps.flatMap((one) => [unsigned(one.length, 2), one]));
  return Buffer.concat([unsigned(inner.length, 2), inner]);
}

/** RFC 6962 §3.2: x509_entry */
export function x509Entry(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([unsigned(0, 2), unsigned(bytes.length, 3), bytes]);
}

/** RFC 6962 §3.2: precert_entry of a certificate that has no timestamps yet. */
export function precertEntry(certificate: t.TestCertificate, issuer: t.TestCertificate): Uint8Array {
  const { tbs } = new Certificate(certificate.der);
  const issuerKeyHash = createHash('sha256').update(t.spkiOf(issuer.publicKey)).digest();
  return Buffer.concat([unsigned(1, 2), issuerKeyHash, unsigned(tbs.length, 3), tbs]);
}

/** The extension of a certificate with a list inside. */
export function embeddedList(list: Uint8Array): Uint8Array {
  return t.extension('1.3.6.1.4.1.11129.2.4.2', der.octetString(list));
}

/**
 * A server's certificate with a timestamp of each log inside.
 * @param at milliseconds since 1970
 */
export function issueLogged(
  names: readonly string[],
  issuer: t.TestCertificate,
  logs: readonly TestLog[],
  at: number,
  options: Partial<t.IssueOptions>,
): t.TestCertificate {
  const serial = der.integer(0x1066);
  const plain = t.issueServer(names, issuer, { ...options, serial });
  const entry = precertEntry(plain, issuer);
  const extensions = [embeddedList(listOf(...logs.map((log) => timestamp(log, entry, at))))];
  return t.issueServer(names, issuer, { ...options, serial, key: plain, extensions });
}
