import test from 'ava';
import * as t from '../testing/certificates.ts';
import { ChainVerifier } from './chain-verifier.ts';
import { TrustStore } from './trust-store.ts';
import { CertificateStatus } from './verdict.ts';

const { Untrusted, Expired, NoMatch } = CertificateStatus;
const HOST = 'www.example.com';
const root = t.issueCa('Root');
const intermediate = t.issueCa('Intermediate', { issuer: root });
const server = t.issueServer([HOST], intermediate);

test('the path is checked without a name where there is none', (a) => {
  const store = new TrustStore();
  store.add(root.der);
  const verifier = new ChainVerifier(store);
  a.true(verifier.verifyPath([server.der, intermediate.der], t.TEST_TIME).accepted);
  a.false(verifier.verifyPath([server.der], t.TEST_TIME).accepted);
});

test('a remembered verdict holds for its chain, its name and its times only', (a) => {
  const store = new TrustStore();
  store.add(root.der);
  const verifier = new ChainVerifier(store, { cacheEntries: 2 });
  const leaf = t.issueServer([HOST, 'a.example.com', 'b.example.com'], intermediate, {
    notAfter: t.TEST_TIME + 1000,
  });
  const chain = [leaf.der, intermediate.der];
  const first = verifier.verify(chain, HOST, t.TEST_TIME);
  a.true(first.accepted);
  a.is(verifier.verify(chain, HOST, t.TEST_TIME + 1000), first, 'the same object');
  a.is(verifier.verify(chain, 'c.example.com', t.TEST_TIME).status, NoMatch);
  a.is(verifier.verify([leaf.der], HOST, t.TEST_TIME).status, Untrusted);
  a.is(verifier.verify(chain, HOST, t.TEST_TIME + 2000).status, Expired);
  const again = verifier.verify(chain, HOST, t.TEST_TIME);
  verifier.verify(chain, 'a.example.com', t.TEST_TIME);
  verifier.verify(chain, HOST, t.TEST_TIME);
  verifier.verify(chain, 'b.example.com', t.TEST_TIME);
  a.is(verifier.verify(chain, HOST, t.TEST_TIME), again, 'the one used last is kept');
});
