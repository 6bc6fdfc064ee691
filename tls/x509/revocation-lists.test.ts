import test from 'ava';
import { fc } from '../../test/properties.ts';
import * as t from '../testing/certificates.ts';
import * as der from '../testing/der-writer.ts';
import * as r from '../testing/revocation.ts';
import { CertificateList } from './certificate-list.ts';
import { ChainVerifier, type ChainVerifierOptions } from './chain-verifier.ts';
import { DerError } from './der.ts';
import { RevocationLists } from './revocation-lists.ts';
import { TrustStore } from './trust-store.ts';
import { CertificateAlert, CertificateStatus, type CertificateVerdict } from './verdict.ts';

const HOST = 'www.example.com';
const HOUR = 3_600_000;
const POINT = 'http://crl.example.com/1.crl';
const CA_EXTENSIONS = [t.basicConstraints(true), t.keyUsage(t.KEY_CERT_SIGN | t.CRL_SIGN)];
const point = (uri: string): Uint8Array => der.explicit(0, der.explicit(0, t.uriName(uri)));

const root = t.issue({ subject: 'Root', extensions: CA_EXTENSIONS });
const CA_SERIAL = der.integer(77);
const ca = t.issue({ subject: 'CA', issuer: root, serial: CA_SERIAL, extensions: CA_EXTENSIONS });
const SERIAL = der.integer(0x1234);
const server = t.issueServer([HOST], ca, {
  serial: SERIAL,
  extensions: [t.extension('2.5.29.31', der.sequence(der.sequence(point(POINT))))],
});
const CHAIN = [server.der, ca.der];
const OTHERS = [r.revokedEntry(der.integer(1)), r.revokedEntry(der.integer(0x1235), r.reasonCode(1))];
const THIS_ONE = [...OTHERS, r.revokedEntry(SERIAL, r.reasonCode(1))];

function listsOf(...given: readonly Uint8Array[]): RevocationLists {
  const lists = new RevocationLists();
  for (const one of given) lists.add(one);
  return lists;
}

function verify(
  given: readonly Uint8Array[],
  options: ChainVerifierOptions & { readonly time?: number } = {},
): CertificateVerdict {
  const { time = t.TEST_TIME, ...rest } = options;
  const store = new TrustStore();
  store.add(root.der);
  const verifier = new ChainVerifier(store, { revocationLists: listsOf(...given), ...rest });
  return verifier.verify(CHAIN, HOST, time);
}

const revoking: Record<string, () => readonly Uint8Array[]> = {
  'the server': () => [r.issueCrl(ca, { revoked: THIS_ONE })],
  'the intermediate': () => [r.issueCrl(root, { revoked: [r.revokedEntry(CA_SERIAL)] })],
  'a list of version 1': () => [r.issueCrl(ca, { version: 1, revoked: [r.revokedEntry(SERIAL)] })],
  'a hold': () => [r.issueCrl(ca, { revoked: [r.revokedEntry(SERIAL, r.reasonCode(6))] })],
  'a list that is out of date': () => [
    r.issueCrl(ca, { revoked: THIS_ONE, thisUpdate: t.TEST_TIME - 9 * HOUR, nextUpdate: t.TEST_TIME - HOUR }),
  ],
  'one of several lists': () => [r.issueCrl(root), r.issueCrl(ca), r.issueCrl(ca, { revoked: THIS_ONE })],
  'a list for servers': () => [
    r.issueCrl(ca, {
      revoked: THIS_ONE,
      extensions: [r.issuingDistributionPoint(der.implicit(1, Uint8Array.of(0xff)))],
    }),
  ],
  'a list for CAs': () => [
    r.issueCrl(root, {
      revoked: [r.revokedEntry(CA_SERIAL)],
      extensions: [r.issuingDistributionPoint(der.implicit(2, Uint8Array.of(0xff)))],
    }),
  ],
  'the list of its distribution point': () => [
    r.issueCrl(ca, { revoked: THIS_ONE, extensions: [r.issuingDistributionPoint(point(POINT))] }),
  ],
  'a delta list': () => [
    r.issueCrl(ca, { revoked: OTHERS, extensions: [r.crlNumber(4)] }),
    r.issueCrl(ca, { revoked: THIS_ONE, extensions: [r.crlNumber(5), r.deltaIndicator(4)] }),
  ],
};
for (const [title, lists] of Object.entries(revoking)) {
  test(`revoked: ${title}`, (x) => {
    const verdict = verify(lists());
    x.false(verdict.accepted);
    x.is(verdict.status, CertificateStatus.Revoked, verdict.reason);
    x.is(verdict.alert, CertificateAlert.CertificateRevoked);
  });
}

test('the reason of a revocation is told', (x) => {
  x.regex(
    verify([r.issueCrl(ca, { revoked: THIS_ONE })]).reason,
    /"CN=www\.example\.com" was revoked by its issuer: its key was comp/,
  );
});

/** Lists that say nothing of this chain: accepted, unless lists are required. */
const other = t.issue({ subject: 'CA', extensions: CA_EXTENSIONS });
const unrelated: Record<string, () => readonly [readonly Uint8Array[], RegExp]> = {
  'no list': () => [[], /no revocation list of "CN=CA"/],
  'a list of another key of that name': () => [
    [r.issueCrl(other, { revoked: THIS_ONE })],
    /was not signed by the key of "CN=CA"/,
  ],
  'a list of somebody else under that name': () => [
    [r.issueCrl(root, { revoked: THIS_ONE, issuerName: ca.subject })],
    /was not signed by the key/,
  ],
  'a list from the future': () => [
    [r.issueCrl(ca, { revoked: THIS_ONE, thisUpdate: t.TEST_TIME + HOUR / 2 })],
    /from the future/,
  ],
  'a stale list without this certificate': () => [
    [r.issueCrl(ca, { thisUpdate: t.TEST_TIME - 9 * HOUR, nextUpdate: t.TEST_TIME - HOUR })],
    /was to be replaced on 2026/,
  ],
  'a list for CAs': () => [
    [
      r.issueCrl(ca, {
        revoked: THIS_ONE,
        extensions: [r.issuingDistributionPoint(der.implicit(2, Uint8Array.of(0xff)))],
      }),
    ],
    /not about/,
  ],
  'a list for attribute certificates': () => [
    [
      r.issueCrl(ca, {
        revoked: THIS_ONE,
        extensions: [r.issuingDistributionPoint(der.implicit(5, Uint8Array.of(0xff)))],
      }),
    ],
    /not about/,
  ],
  'the list of another distribution point': () => [
    [r.issueCrl(ca, { extensions: [r.issuingDistributionPoint(point('http://crl.example.com/2.crl'))] })],
    /not about/,
  ],
  'a list for one reason, without this certificate': () => [
    [r.issueCrl(ca, { extensions: [r.issuingDistributionPoint(der.implicit(3, Uint8Array.of(6, 0x40)))] })],
    /not for every reason/,
  ],
  'a delta list alone': () => [
    [r.issueCrl(ca, { revoked: THIS_ONE, extensions: [r.crlNumber(5), r.deltaIndicator(4)] })],
    /no revocation list/,
  ],
  'a list signed with SHA-1': () => {
    const rsa = t.issue({ subject: 'CA', key: 'rsa2048', extensions: CA_EXTENSIONS });
    return [[r.issueCrl(rsa, { revoked: THIS_ONE, signature: 'sha1' })], /too weak/];
  },
};
for (const [title, make] of Object.entries(unrelated)) {
  test(`says nothing: ${title}`, (x) => {
    const [lists, reason] = make();
    x.true(verify(lists).accepted);
    const required = verify([...lists, r.issueCrl(root)], { requireRevocationLists: true });
    x.false(required.accepted);
    x.is(required.status, CertificateStatus.Invalid);
    x.is(required.alert, CertificateAlert.CertificateUnknown);
    x.regex(required.reason, reason);
  });
}

test('an issuer without cRLSign signs no lists', (x) => {
  const extensions = [t.basicConstraints(true), t.keyUsage(t.KEY_CERT_SIGN)];
  const poor = t.issue({ subject: 'Poor', issuer: root, extensions });
  const leaf = t.issueServer([HOST], poor, { serial: SERIAL });
  const store = new TrustStore();
  store.add(root.der);
  const revocationLists = listsOf(r.issueCrl(poor, { revoked: THIS_ONE }), r.issueCrl(root));
  const chain = [leaf.der, poor.der];
  x.true(new ChainVerifier(store, { revocationLists }).verify(chain, HOST, t.TEST_TIME).accepted);
  const strict = new ChainVerifier(store, { revocationLists, requireRevocationLists: true });
  x.regex(strict.verify(chain, HOST, t.TEST_TIME).reason, /may not sign revocation lists/);
});

test('required lists of every issuer: accepted', (x) => {
  const lists = [r.issueCrl(root), r.issueCrl(ca, { revoked: OTHERS })];
  x.is(verify(lists, { requireRevocationLists: true }).status, CertificateStatus.Valid);
  // RFC 5280 §6.3.3: reasons add up over lists
  const some = (...octets: number[]): Uint8Array =>
    r.issueCrl(ca, {
      extensions: [r.issuingDistributionPoint(der.implicit(3, Uint8Array.from(octets)))],
    });
  const parts = [r.issueCrl(root), some(6, 0x40), some(7, 0x3f, 0x80)];
  x.is(verify(parts, { requireRevocationLists: true }).status, CertificateStatus.Valid);
});

test('a delta list takes a hold back, and only from the list that it is for', (x) => {
  const base = r.issueCrl(ca, {
    revoked: [r.revokedEntry(SERIAL, r.reasonCode(6))],
    extensions: [r.crlNumber(4)],
  });
  const delta = (own: number, of: number): Uint8Array =>
    r.issueCrl(ca, {
      revoked: [r.revokedEntry(SERIAL, r.reasonCode(8))],
      extensions: [r.crlNumber(own), r.deltaIndicator(of)],
    });
  x.is(verify([base, delta(6, 4)]).status, CertificateStatus.Valid);
  x.is(verify([base, delta(6, 5)]).status, CertificateStatus.Revoked, 'made for a later list');
  x.is(verify([base, delta(3, 2)]).status, CertificateStatus.Revoked, 'older than the list');
});

test('a revoked cross-certificate is passed over for another path', (x) => {
  const old = t.issue({ subject: 'Old root', extensions: CA_EXTENSIONS });
  const crossed = t.issue({
    subject: 'CA',
    issuer: old,
    key: ca,
    serial: der.integer(5),
    extensions: CA_EXTENSIONS,
  });
  const store = new TrustStore();
  store.add(old.der);
  store.add(root.der);
  const revocationLists = listsOf(r.issueCrl(old, { revoked: [r.revokedEntry(der.integer(5))] }));
  const verifier = new ChainVerifier(store, { revocationLists });
  x.true(verifier.verify([server.der, crossed.der, ca.der], HOST, t.TEST_TIME).accepted);
  x.is(verifier.verify([server.der, crossed.der], HOST, t.TEST_TIME).status, CertificateStatus.Revoked);
});

test('a list that comes later, or ends, counts for chains that were accepted before', (x) => {
  const store = new TrustStore();
  store.add(root.der);
  const lists = listsOf(r.issueCrl(root, { nextUpdate: t.TEST_TIME + 9 * HOUR }), r.issueCrl(ca));
  const verifier = new ChainVerifier(store, { revocationLists: lists, requireRevocationLists: true });
  x.true(verifier.verify(CHAIN, HOST, t.TEST_TIME).accepted);
  x.regex(verifier.verify(CHAIN, HOST, t.TEST_TIME + 2 * HOUR).reason, /was to be replaced/);
  x.true(verifier.verify(CHAIN, HOST, t.TEST_TIME).accepted);
  lists.addPem(t.toPem(r.issueCrl(ca, { revoked: THIS_ONE }), 'X509 CRL'));
  x.is(verifier.verify(CHAIN, HOST, t.TEST_TIME).status, CertificateStatus.Revoked);
});

const refused: Record<string, readonly [() => Uint8Array, RegExp]> = {
  'an indirect list': [
    () => r.issueCrl(ca, { extensions: [r.issuingDistributionPoint(der.implicit(4, Uint8Array.of(0xff)))] }),
    /indirect/,
  ],
  'an unknown critical extension': [
    () => r.issueCrl(ca, { extensions: [t.extension('1.2.3.4', der.nothing(), true)] }),
    /critical extension 1\.2\.3\.4/,
  ],
  'an entry with certificateIssuer': [
    () =>
      r.issueCrl(ca, {
        revoked: [r.revokedEntry(SERIAL, t.extension('2.5.29.29', der.sequence(), true))],
      }),
    /critical extension 2\.5\.29\.29/,
  ],
  'a critical number': [
    () => r.issueCrl(ca, { extensions: [t.extension('2.5.29.20', der.integer(1), true)] }),
    /cRLNumber is critical/,
  ],
  'extensions in version 1': [
    () => r.issueCrl(ca, { version: 1, extensions: [r.crlNumber(1)] }),
    /version 1/,
  ],
  'an extension twice': [() => r.issueCrl(ca, { extensions: [r.crlNumber(1), r.crlNumber(1)] }), /twice/],
  'a list without an issuer': [() => r.issueCrl(ca, { issuerName: der.sequence() }), /empty issuer/],
  'what is no list': [() => server.der, /./],
};
for (const [title, [make, reason]] of Object.entries(refused)) {
  test(`not taken into a store: ${title}`, (x) => {
    const lists = new RevocationLists();
    x.false(lists.add(make()));
    x.is(lists.size, 0);
    x.regex(lists.problems[0]!.reason, reason);
  });
}

test('PEM: other blocks are passed over, a broken one is told of', (x) => {
  const lists = new RevocationLists();
  const good = t.toPem(r.issueCrl(ca), 'X509 CRL');
  x.is(lists.addPem(`${server.pem}${good}-----BEGIN X509 CRL-----\n*\n-----END X509 CRL-----\n`), 1);
  x.deepEqual(lists.problems, [{ index: 2, reason: 'not base64' }]);
});

test('a file of lists, in PEM or DER, is taken whole or not at all', (x) => {
  const one = r.issueCrl(ca);
  const two = r.issueCrl(root);
  x.is(RevocationLists.fromFiles([one, t.toPem(two, 'X509 CRL')]).size, 2);
  const both = Buffer.from(t.toPem(one, 'X509 CRL') + t.toPem(two, 'X509 CRL'));
  x.is(RevocationLists.fromFiles([both]).size, 2);
  for (const wrong of ['', 'hello', server.pem, server.der, `${both}-----BEGIN X509 CRL-----\n*\n`]) {
    x.throws(() => RevocationLists.fromFiles([one, wrong]), { instanceOf: DerError });
  }
});

test('malformed parameters of a signature: the list says nothing, and nothing is thrown', (x) => {
  const rsa = t.issue({ subject: 'CA', issuer: root, key: 'rsa2048', extensions: CA_EXTENSIONS });
  const leaf = t.issueServer([HOST], rsa, { serial: SERIAL });
  const list = r.issueCrl(rsa, { revoked: THIS_ONE });
  // sha256WithRSAEncryption with parameters NULL (05 00), twice: a BOOLEAN of no length in their place
  const algorithm = Buffer.from('300d06092a864886f70d01010b0500', 'hex');
  const broken = Buffer.from(list);
  for (let at = broken.indexOf(algorithm); at >= 0; at = broken.indexOf(algorithm, at + 1))
    broken[at + 13] = 1;
  const store = new TrustStore();
  store.add(root.der);
  const revocationLists = listsOf(broken, r.issueCrl(root));
  const verify = (requireRevocationLists: boolean): CertificateVerdict =>
    new ChainVerifier(store, { revocationLists, requireRevocationLists }).verify(
      [leaf.der, rsa.der],
      HOST,
      t.TEST_TIME,
    );
  x.is(revocationLists.size, 2);
  x.true(verify(false).accepted);
  x.regex(verify(true).reason, /its signature is malformed/);
});

test('truncated and altered anywhere: a DerError or a list, nothing else', (x) => {
  const whole = r.issueCrl(ca, {
    revoked: THIS_ONE,
    extensions: [r.crlNumber(3), r.issuingDistributionPoint(point(POINT))],
  });
  x.is(new CertificateList(whole).revoked.size, 3);
  for (let length = 0; length < whole.length; length++) {
    x.throws(() => new CertificateList(whole.subarray(0, length)), { instanceOf: DerError });
  }
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
      const altered = Uint8Array.from(whole);
      altered[at] = value;
      try {
        new CertificateList(altered);
      } catch (error) {
        if (!(error instanceof DerError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
  x.pass();
});
