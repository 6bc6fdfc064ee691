import test from 'ava';
import * as t from '../testing/certificates.ts';
import { Certificate } from './certificate.ts';
import { ChainVerifier } from './chain-verifier.ts';
import { TrustStore } from './trust-store.ts';
import { CertificateStatus } from './verdict.ts';
import { VerifiedSignatures } from './verified-signatures.ts';

const root = t.issueCa('Root');
const intermediate = t.issueCa('Intermediate', { issuer: root });
const HOST = 'www.example.com';

/** A check that counts, and says what it is told to. */
function counting(verdict: boolean): { readonly verify: () => boolean; readonly calls: () => number } {
  let calls = 0;
  return {
    verify: () => {
      calls++;
      return verdict;
    },
    calls: () => calls,
  };
}

test('the signature on the certificate of an authority is verified once', (a) => {
  const [child, issuer] = [new Certificate(intermediate.der), new Certificate(root.der)];
  const known = new VerifiedSignatures();
  const right = counting(true);
  for (let i = 0; i < 3; i++) a.true(known.check(child, issuer, right.verify));
  a.is(right.calls(), 1);
  a.true(known.check(new Certificate(intermediate.der.slice()), issuer, right.verify), 'read again');
  a.is(right.calls(), 1);
});

test('not with another key, nor with another byte in the certificate, nor when it was wrong', (a) => {
  const child = new Certificate(intermediate.der);
  const known = new VerifiedSignatures();
  known.check(child, new Certificate(root.der), () => true);
  const wrong = counting(false);
  a.false(known.check(child, new Certificate(t.issueCa('Root').der), wrong.verify));
  const changed = intermediate.der.slice();
  // the last byte of the signature
  changed[changed.length - 1] = changed[changed.length - 1]! ^ 1;
  for (let i = 0; i < 2; i++)
    a.false(known.check(new Certificate(changed), new Certificate(root.der), wrong.verify));
  a.is(wrong.calls(), 3);
});

test('signatures on certificates of servers are verified each time', (a) => {
  const leaf = new Certificate(t.issueServer([HOST], intermediate).der);
  const known = new VerifiedSignatures();
  const right = counting(true);
  for (let i = 0; i < 3; i++) known.check(leaf, new Certificate(intermediate.der), right.verify);
  a.is(right.calls(), 3);
});

test('256 are remembered, those used last', (a) => {
  const issuer = new Certificate(root.der);
  const authorities = Array.from(
    { length: 257 },
    (_, i) => new Certificate(t.issueCa(`Authority ${i}`, { issuer: root }).der),
  );
  const known = new VerifiedSignatures();
  for (const each of authorities.slice(0, 256)) known.check(each, issuer, () => true);
  known.check(authorities[0]!, issuer, () => true);
  known.check(authorities[256]!, issuer, () => true);
  const right = counting(true);
  known.check(authorities[0]!, issuer, right.verify);
  a.is(right.calls(), 0);
  known.check(authorities[1]!, issuer, right.verify);
  a.is(right.calls(), 1);
});

test('what else is wrong with a known authority is found each time', (a) => {
  const store = new TrustStore();
  store.add(root.der);
  const verifier = new ChainVerifier(store);
  const short = t.issueCa('Short', { issuer: root, notAfter: t.TEST_TIME + 1000 });
  for (let i = 0; i < 2; i++) {
    const chain = [t.issueServer([HOST], short).der, short.der];
    a.true(verifier.verify(chain, HOST, t.TEST_TIME).accepted);
    a.is(verifier.verify(chain, HOST, t.TEST_TIME + 5000).status, CertificateStatus.Expired);
  }
  const others = new TrustStore();
  others.add(t.issueCa('Root').der);
  const chain = [t.issueServer([HOST], intermediate).der, intermediate.der];
  a.is(new ChainVerifier(others).verify(chain, HOST, t.TEST_TIME).status, CertificateStatus.Untrusted);
});
