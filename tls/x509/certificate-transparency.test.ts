import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import test from 'ava';
import { fc } from '../../test/properties.ts';
import * as t from '../testing/certificates.ts';
import * as der from '../testing/der-writer.ts';
import { Certificate } from './certificate.ts';
import { embeddedTimestamps, readTimestampList, timestampLog } from './certificate-transparency.ts';
import { ChainVerifier } from './chain-verifier.ts';
import { DerError } from './der.ts';
import { TrustStore } from './trust-store.ts';
import { CertificateAlert, CertificateStatus, type CertificateVerdict } from './verdict.ts';

const HOST = 'www.example.com';
const HOUR = 3_600_000;
const root = t.issueCa('Root');

interface Log {
  readonly spki: Uint8Array;
  readonly privateKey: KeyObject;
}

function makeLog(kind: 'ec' | 'rsa' = 'ec'): Log {
  const { publicKey, privateKey } =
    kind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { spki: publicKey.export({ type: 'spki', format: 'der' }), privateKey };
}

const u = (value: number, bytes: number): Buffer => {
  const encoded = Buffer.alloc(8);
  encoded.writeBigUInt64BE(BigInt(value));
  return encoded.subarray(8 - bytes);
};

/** One SignedCertificateTimestamp over an entry (RFC 6962 §3.2). */
function timestamp(log: Log, entry: Uint8Array, at = t.TEST_TIME - HOUR, version = 0): Uint8Array {
  const signed = Buffer.concat([Uint8Array.of(version, 0), u(at, 8), entry, u(0, 2)]);
  const signature = sign('sha256', signed, log.privateKey);
  const algorithm = log.privateKey.asymmetricKeyType === 'rsa' ? 1 : 3;
  return Buffer.concat([
    ...[Uint8Array.of(version), createHash('sha256').update(log.spki).digest(), u(at, 8), u(0, 2)],
    ...[Uint8Array.of(4, algorithm), u(signature.length, 2), signature],
  ]);
}

function listOf(...timestamps: readonly Uint8Array[]): Uint8Array {
  const inner = Buffer.concat(timestamps.flatMap((one) => [u(one.length, 2), one]));
  return Buffer.concat([u(inner.length, 2), inner]);
}

const x509Entry = (bytes: Uint8Array): Uint8Array => Buffer.concat([u(0, 2), u(bytes.length, 3), bytes]);

function precertEntry(certificate: t.TestCertificate): Uint8Array {
  const { tbs } = new Certificate(certificate.der);
  const issuer = createHash('sha256').update(t.spkiOf(root.publicKey)).digest();
  return Buffer.concat([u(1, 2), issuer, u(tbs.length, 3), tbs]);
}

const [one, two, other] = [makeLog(), makeLog('rsa'), makeLog()];
const plain = t.issueServer([HOST], root, { serial: der.integer(5) });

/** The same certificate as `plain`, with timestamps inside of it. */
function withEmbedded(list: Uint8Array): t.TestCertificate {
  const embedded = t.extension('1.3.6.1.4.1.11129.2.4.2', der.octetString(list));
  return t.issueServer([HOST], root, { serial: der.integer(5), key: plain, extensions: [embedded] });
}

function verify(leaf: t.TestCertificate, list: Uint8Array | null, minTimestamps = 2): CertificateVerdict {
  const roots = new TrustStore();
  roots.add(root.der);
  const timestampLogs = [one, two].map(({ spki }) => timestampLog(spki));
  const evidence = { ocspResponse: null, signedCertificateTimestamps: list };
  return new ChainVerifier(roots, { timestampLogs, minTimestamps }).verify(
    [leaf.der],
    HOST,
    t.TEST_TIME,
    evidence,
  );
}

const good = x509Entry(plain.der);

test('timestamps of the handshake, of as many known logs as are asked for', (x) => {
  x.true(verify(plain, listOf(timestamp(one, good), timestamp(two, good))).accepted);
  x.true(verify(plain, null, 0).accepted);
  const verdict = verify(plain, listOf(timestamp(one, good)));
  x.deepEqual(
    [verdict.status, verdict.alert],
    [CertificateStatus.Invalid, CertificateAlert.CertificateUnknown],
  );
  x.regex(verdict.reason, /timestamps of 1 known logs, not of 2/);
});

test('timestamps inside of the certificate, and both together', (x) => {
  const entry = precertEntry(plain);
  const both = withEmbedded(listOf(timestamp(one, entry), timestamp(two, entry)));
  x.is(embeddedTimestamps(new Certificate(both.der)).length, 2);
  x.true(verify(both, null).accepted);
  const half = withEmbedded(listOf(timestamp(one, entry)));
  x.false(verify(half, null).accepted);
  x.true(verify(half, listOf(timestamp(two, x509Entry(half.der)))).accepted);
});

const useless: Record<string, () => Uint8Array | null> = {
  'none at all': () => null,
  'one log twice': () => listOf(timestamp(one, good), timestamp(one, good, t.TEST_TIME - 2 * HOUR)),
  'an unknown log': () => listOf(timestamp(one, good), timestamp(other, good)),
  'another certificate': () => listOf(timestamp(one, good), timestamp(two, x509Entry(root.der))),
  'from the future': () => listOf(timestamp(one, good), timestamp(two, good, t.TEST_TIME + HOUR)),
  'of an unknown version': () => listOf(timestamp(one, good), timestamp(two, good, t.TEST_TIME - HOUR, 1)),
  'a malformed list': () => Uint8Array.of(0, 9, 0),
};
for (const [title, list] of Object.entries(useless)) {
  test(`does not count: ${title}`, (x) => {
    x.regex(verify(plain, list()).reason, /timestamps of [01] known logs/);
  });
}

test('cut at every byte and altered: a DerError or a list', (x) => {
  const whole = listOf(timestamp(one, good), timestamp(two, good));
  x.is(readTimestampList(whole)[0]!.timestampMs, t.TEST_TIME - HOUR);
  for (let end = 0; end < whole.length; end++) {
    x.throws(() => readTimestampList(whole.subarray(0, end)), { instanceOf: DerError });
  }
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
      const altered = Uint8Array.from(whole);
      altered[at] = value;
      try {
        readTimestampList(altered);
      } catch (error) {
        if (!(error instanceof DerError)) throw error;
      }
    }),
  );
});
