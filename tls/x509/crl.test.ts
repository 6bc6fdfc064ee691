import test from 'ava';
import fc from 'fast-check';
import { extension, issueCa, issueCrl, issueServer, TEST_TIME } from '../testing/certificates.ts';
import * as der from '../testing/der-writer.ts';
import { ChainVerifier } from './chain-verifier.ts';
import { CertificateList, CrlStore } from './crl.ts';
import { DerError } from './der.ts';
import { TrustStore } from './trust-store.ts';
import { CertificateAlert, CertificateStatus } from './verdict.ts';

const DAY = 86_400_000;
const root = issueCa('Root');
const middle = issueCa('Middle', { issuer: root });
const server = issueServer(['www.test'], middle);
const other = issueServer(['www.test'], middle);

function status(lists: readonly Uint8Array[], leaf = server, time = TEST_TIME): [number, number] {
  const roots = new TrustStore();
  roots.add(root.der);
  const crls = new CrlStore();
  for (const list of lists) crls.add(list);
  const verdict = new ChainVerifier(roots, { crls }).verify([leaf.der, middle.der], 'www.test', time);
  return [verdict.status, verdict.alert];
}

const REVOKED = [CertificateStatus.Revoked, CertificateAlert.CertificateRevoked];
const VALID = [CertificateStatus.Valid, CertificateAlert.None];

test('a certificate that a list of its issuer names is revoked, at any height of the path', (t) => {
  t.deepEqual(status([issueCrl({ issuer: middle, revoked: [server] })]), REVOKED);
  t.deepEqual(status([issueCrl({ issuer: root, revoked: [middle] })]), REVOKED);
  t.deepEqual(status([issueCrl({ issuer: middle, revoked: [other] })]), VALID);
  t.deepEqual(status([issueCrl({ issuer: middle, revoked: [] })]), VALID);
  t.deepEqual(status([issueCrl({ issuer: root, revoked: [server] })]), VALID, 'not its issuer');
});

test('a list counts when its issuer has signed it, from its time on, and for good', (t) => {
  const revoked = [server];
  t.deepEqual(status([issueCrl({ issuer: middle, revoked, signer: root })]), VALID);
  t.deepEqual(status([issueCrl({ issuer: middle, revoked, thisUpdate: TEST_TIME + DAY })]), VALID);
  const old = issueCrl({ issuer: middle, revoked, thisUpdate: TEST_TIME - 100 * DAY });
  t.deepEqual(status([old]), REVOKED, 'what was revoked stays so');
});

test('PEM, several lists, and what is no list', (t) => {
  const pem = (bytes: Uint8Array): string =>
    `-----BEGIN X509 CRL-----\n${Buffer.from(bytes).toString('base64')}\n-----END X509 CRL-----\n`;
  const store = new CrlStore();
  const lists = [issueCrl({ issuer: middle, revoked: [server] }), issueCrl({ issuer: root, revoked: [] })];
  t.is(store.add(lists.map(pem).join('')), 2);
  t.throws(() => store.add('hello'), { instanceOf: DerError });
  t.throws(() => store.add(server.pem), { instanceOf: DerError });
});

test('a list with an unknown critical extension is refused: an indirect or a partial one would mislead', (t) => {
  const distribution = extension('2.5.29.28', der.sequence(), true);
  const delta = extension('2.5.29.27', der.integer(1), true);
  for (const critical of [distribution, delta]) {
    t.throws(() => new CertificateList(issueCrl({ issuer: middle, revoked: [], extensions: [critical] })), {
      instanceOf: DerError,
      message: /critical/,
    });
  }
  const number = extension('2.5.29.20', der.integer(7));
  t.is(new CertificateList(issueCrl({ issuer: middle, revoked: [server], extensions: [number] })).size, 1);
});

test('cut at every byte, and any bytes', (t) => {
  const whole = issueCrl({ issuer: middle, revoked: [server, other] });
  for (let end = 0; end < whole.length; end++) {
    t.throws(() => new CertificateList(whole.subarray(0, end)), { instanceOf: DerError });
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(whole.length - 1), (noise, at) => {
      const changed = Uint8Array.from(whole);
      changed.set(noise.subarray(0, changed.length - at), at);
      try {
        new CertificateList(changed);
      } catch (error) {
        t.true(error instanceof DerError);
      }
    }),
  );
});
