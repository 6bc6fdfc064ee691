import test from 'ava';
import { fc } from '../../test/properties.ts';
import * as t from '../testing/certificates.ts';
import { Certificate } from './certificate.ts';
import { ChainVerifier, MAX_PEER_INTERMEDIATES } from './chain-verifier.ts';
import { DerError } from './der.ts';
import { MAX_SIGNATURE_CHECKS } from './path.ts';
import { TrustStore } from './trust-store.ts';
import { CertificateAlert, CertificateStatus, type CertificateVerdict } from './verdict.ts';

const HOST = 'www.example.com';
const root = t.issueCa('Root');
const server = t.issueServer([HOST, '*.example.net'], root);

function verify(chain: readonly Uint8Array[]): CertificateVerdict {
  const store = new TrustStore();
  store.add(root.der);
  return new ChainVerifier(store).verify(chain, HOST, t.TEST_TIME);
}

/** What the work of a chain may cost at most, with ample room for a slow machine. */
const MAX_MILLISECONDS = 2000;

function timed(a: import('ava').ExecutionContext, chain: readonly Uint8Array[]): CertificateVerdict {
  const start = performance.now();
  const verdict = verify(chain);
  a.true(performance.now() - start < MAX_MILLISECONDS);
  return verdict;
}

test('a certificate truncated at any byte is invalid', (a) => {
  for (let length = 0; length < server.der.length; length++) {
    const verdict = verify([server.der.subarray(0, length)]);
    a.is(verdict.status, CertificateStatus.Invalid);
    a.is(verdict.alert, CertificateAlert.BadCertificate);
    a.false(verdict.accepted);
  }
  a.true(verify([server.der]).accepted);
});

test('an intermediate truncated at any byte is invalid', (a) => {
  const ca = t.issueCa('Intermediate', { issuer: root });
  const leaf = t.issueServer([HOST], ca);
  for (let length = 0; length < ca.der.length; length += 3) {
    a.is(verify([leaf.der, ca.der.subarray(0, length)]).status, CertificateStatus.Invalid);
  }
});

test('a certificate with one byte changed is never accepted', (a) => {
  for (let at = 0; at < server.der.length; at++) {
    const bytes = Uint8Array.from(server.der);
    bytes[at]! ^= 1 << (at & 7);
    const verdict = verify([bytes]);
    a.false(verdict.accepted, `byte ${at}`);
  }
});

test('bytes inserted, removed or repeated: a certificate or a DerError', (a) => {
  fc.assert(
    fc.property(
      fc.nat(server.der.length),
      fc.nat(40),
      fc.uint8Array({ maxLength: 40 }),
      (at, removed, added) => {
        const { der } = server;
        const bytes = new Uint8Array(Buffer.concat([der.subarray(0, at), added, der.subarray(at + removed)]));
        try {
          new Certificate(bytes).toString();
        } catch (error) {
          if (!(error instanceof DerError)) throw error;
        }
      },
    ),
    { numRuns: 1000 },
  );
  a.pass();
});

test('bytes after a certificate are refused', (a) => {
  a.regex(verify([Buffer.concat([server.der, Uint8Array.of(0)])]).reason, /trailing bytes/);
});

test('a circle of cross-certificates ends', (a) => {
  const x = t.issueCa('X');
  const y = t.issueCa('Y');
  const crossX = t.issueCa('X', { issuer: y, key: x });
  const crossY = t.issueCa('Y', { issuer: x, key: y });
  const verdict = timed(a, [t.issueServer([HOST], x).der, crossX.der, crossY.der, x.der, y.der]);
  a.is(verdict.status, CertificateStatus.Untrusted);
});

test('every authority certified by every other, none of them trusted', (a) => {
  const count = 9;
  const authorities = Array.from({ length: count }, (_, i) => t.issueCa(`A${i}`));
  const certificates: Uint8Array[] = [];
  for (const issuer of authorities) {
    for (const [i, subject] of authorities.entries()) {
      if (issuer !== subject) certificates.push(t.issueCa(`A${i}`, { issuer, key: subject }).der);
    }
  }
  const verdict = timed(a, [t.issueServer([HOST], authorities[0]!).der, ...certificates]);
  a.false(verdict.accepted);
  a.is(verdict.alert, CertificateAlert.CertificateUnknown);
  a.regex(verdict.reason, /gave up looking/);
});

test('many issuers of one name, none of which signed', (a) => {
  const right = t.issueCa('Same', { keyIds: false });
  const others = Array.from(
    { length: MAX_PEER_INTERMEDIATES },
    () => t.issueCa('Same', { issuer: root, keyIds: false }).der,
  );
  const verdict = timed(a, [t.issueServer([HOST], right, { keyIds: false }).der, ...others]);
  a.false(verdict.accepted);
  a.regex(verdict.reason, new RegExp(`gave up .* after ${MAX_SIGNATURE_CHECKS} signatures`));
});

test('ten thousand intermediates cost no more than the first hundred', (a) => {
  const ca = t.issueCa('Intermediate', { issuer: root });
  const leaf = t.issueServer([HOST], ca);
  const filler = new Array<Uint8Array>(10_000).fill(t.issueCa('Filler').der);
  a.true(timed(a, [leaf.der, ca.der, ...filler]).accepted);
  a.is(timed(a, [leaf.der, ...filler, ca.der]).status, CertificateStatus.Untrusted);
});

test('a long chain ends at the limit', (a) => {
  let ca = root;
  const chain: Uint8Array[] = [];
  for (let i = 0; i < 20; i++) {
    ca = t.issueCa(`Level ${i}`, { issuer: ca });
    chain.unshift(ca.der);
  }
  const verdict = timed(a, [t.issueServer([HOST], ca).der, ...chain]);
  a.is(verdict.status, CertificateStatus.Untrusted);
  a.regex(verdict.reason, /longer than 10 intermediates/);
});

test('self-issued certificates do not count for the limit; there may be as many as come into question', (a) => {
  let ca = t.issueCa('CA', { issuer: root });
  const chain: Uint8Array[] = [ca.der];
  for (let i = 0; i < 20; i++) {
    ca = t.issueCa('CA', { issuer: ca });
    chain.unshift(ca.der);
  }
  const leaf = t.issueServer([HOST], ca);
  a.true(timed(a, [leaf.der, ...chain]).accepted);
});

test('thousands of names under thousands of constraints', (a) => {
  const bases = Array.from({ length: 2000 }, (_, i) => t.dnsName(`b${i}.example`));
  const names = Array.from({ length: 2000 }, (_, i) => `a${i}.example`);
  const ca = t.issueCa('Many', { issuer: root, extensions: [t.nameConstraints([], bases)] });
  const verdict = timed(a, [t.issueServer(names, ca).der, ca.der]);
  a.false(verdict.accepted);
  a.regex(verdict.reason, /gave up/);
});

test('control characters of a name do not reach the reason', (a) => {
  const leaf = t.issueServer(['a\u001b[2J.example'], root, { subject: 'x\u001b[2J\r\n\u202e' });
  const { reason, status } = verify([leaf.der]);
  a.is(status, CertificateStatus.NoMatch);
  a.notRegex(reason, /[\p{Cc}\p{Cf}]/u);
});
