import test from 'ava';
import { fc } from '../../test/properties.ts';
import * as t from '../testing/certificates.ts';
import * as der from '../testing/der-writer.ts';
import {
  embeddedList,
  listOf,
  makeLog,
  precertEntry,
  type TestLog,
  timestamp,
  x509Entry,
} from '../testing/timestamps.ts';
import { Certificate } from './certificate.ts';
import { embeddedTimestamps, readTimestampList, timestampLog } from './certificate-transparency.ts';
import { ChainVerifier } from './chain-verifier.ts';
import { DerError } from './der.ts';
import { TrustStore } from './trust-store.ts';
import { CertificateAlert, CertificateStatus, type CertificateVerdict } from './verdict.ts';

const HOST = 'www.example.com';
const HOUR = 3_600_000;
const root = t.issueCa('Root');

const stamp = (
  log: TestLog,
  entry: Uint8Array,
  at: number = t.TEST_TIME - HOUR,
  version?: number,
): Uint8Array => timestamp(log, entry, at, version);

const [one, two, other] = [makeLog(), makeLog('rsa'), makeLog()];
const plain = t.issueServer([HOST], root, { serial: der.integer(5) });

/** The same certificate as `plain`, with timestamps inside of it. */
function withEmbedded(list: Uint8Array): t.TestCertificate {
  return t.issueServer([HOST], root, {
    serial: der.integer(5),
    key: plain,
    extensions: [embeddedList(list)],
  });
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
  x.true(verify(plain, listOf(stamp(one, good), stamp(two, good))).accepted);
  x.true(verify(plain, null, 0).accepted);
  const verdict = verify(plain, listOf(stamp(one, good)));
  x.deepEqual(
    [verdict.status, verdict.alert],
    [CertificateStatus.Invalid, CertificateAlert.CertificateUnknown],
  );
  x.regex(verdict.reason, /timestamps of 1 known logs, not of 2/);
});

test('timestamps inside of the certificate, and both together', (x) => {
  const entry = precertEntry(plain, root);
  const both = withEmbedded(listOf(stamp(one, entry), stamp(two, entry)));
  x.is(embeddedTimestamps(new Certificate(both.der)).length, 2);
  x.true(verify(both, null).accepted);
  const half = withEmbedded(listOf(stamp(one, entry)));
  x.false(verify(half, null).accepted);
  x.true(verify(half, listOf(stamp(two, x509Entry(half.der)))).accepted);
});

const useless: Record<string, () => Uint8Array | null> = {
  'none at all': () => null,
  'one log twice': () => listOf(stamp(one, good), stamp(one, good, t.TEST_TIME - 2 * HOUR)),
  'an unknown log': () => listOf(stamp(one, good), stamp(other, good)),
  'another certificate': () => listOf(stamp(one, good), stamp(two, x509Entry(root.der))),
  'from the future': () => listOf(stamp(one, good), stamp(two, good, t.TEST_TIME + HOUR)),
  'of an unknown version': () => listOf(stamp(one, good), stamp(two, good, t.TEST_TIME - HOUR, 1)),
  'a malformed list': () => Uint8Array.of(0, 9, 0),
};
for (const [title, list] of Object.entries(useless)) {
  test(`does not count: ${title}`, (x) => {
    x.regex(verify(plain, list()).reason, /timestamps of [01] known logs/);
  });
}

test('cut at every byte and altered: a DerError or a list', (x) => {
  const whole = listOf(stamp(one, good), stamp(two, good));
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
