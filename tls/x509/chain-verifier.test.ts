import test from 'ava';
import * as t from '../testing/certificates.ts';
import * as der from '../testing/der-writer.ts';
import { ChainVerifier, type ChainVerifierOptions, TrustedSiteVerifier } from './chain-verifier.ts';
import { TrustStore } from './trust-store.ts';
import { CertificateAlert, CertificateStatus, type CertificateVerdict } from './verdict.ts';

const HOST = 'www.example.com';
const root = t.issueCa('Root');
const intermediate = t.issueCa('Intermediate', { issuer: root });
const server = t.issueServer([HOST], intermediate);

const REQUIRE_POLICY = t.extension('2.5.29.36', der.sequence(der.implicit(0, Uint8Array.of(0))), true);

interface Chain {
  readonly chain: readonly t.TestCertificate[];
  readonly roots?: readonly t.TestCertificate[];
  readonly host?: string;
  readonly time?: number;
  readonly options?: ChainVerifierOptions;
}

function verify(given: Chain): CertificateVerdict {
  const store = new TrustStore();
  for (const certificate of given.roots ?? [root]) store.add(certificate.der);
  const verifier = new ChainVerifier(store, given.options);
  return verifier.verify(
    given.chain.map((certificate) => certificate.der),
    given.host ?? HOST,
    given.time ?? t.TEST_TIME,
  );
}

/** A server with an intermediate that differs from a good one. */
function withIntermediate(subject: string, options: Parameters<typeof t.issueCa>[1]): Chain {
  const ca = t.issueCa(subject, { issuer: root, ...options });
  return { chain: [t.issueServer([HOST], ca), ca] };
}

const accepted: Record<string, () => Chain> = {
  'server, intermediate, root': () => ({ chain: [server, intermediate] }),
  'with the root sent along': () => ({ chain: [server, intermediate, root] }),
  'in any order, twice, with others between': () => {
    const second = t.issueCa('Second', { issuer: intermediate });
    const other = t.issueCa('Other');
    return { chain: [t.issueServer([HOST], second), root, other, intermediate, intermediate, second] };
  },
  'directly below the root': () => ({ chain: [t.issueServer([HOST], root)] }),
  'an intermediate as trust anchor': () => ({ chain: [server], roots: [intermediate] }),
  'the server itself as trust anchor': () => ({ chain: [server], roots: [server] }),
  'a self-signed CA that is the server, as openssl req -x509 makes it': () => {
    const self = t.issue({
      subject: 'x',
      extensions: [t.basicConstraints(true), t.subjectAltName(t.dnsName(HOST))],
    });
    return { chain: [self], roots: [self] };
  },
  'a root of version 1': () => {
    const old = t.issue({ subject: 'Old', version: 1, keyIds: false });
    return { chain: [t.issueServer([HOST], old)], roots: [old] };
  },
  'no keyUsage, no extendedKeyUsage, no key identifiers': () => {
    const ca = t.issue({
      subject: 'Bare',
      issuer: root,
      extensions: [t.basicConstraints(true)],
      keyIds: false,
    });
    const leaf = t.issue({
      subject: 'x',
      issuer: ca,
      extensions: [t.subjectAltName(t.dnsName(HOST))],
      keyIds: false,
    });
    return { chain: [leaf, ca] };
  },
  'the first second of its time': () => ({
    chain: [t.issueServer([HOST], root, { notBefore: t.TEST_TIME })],
  }),
  'the last second of its time, to its end': () => ({
    chain: [t.issueServer([HOST], root, { notAfter: t.TEST_TIME })],
    time: t.TEST_TIME + 999,
  }),
  'a time after 2049': () => ({
    chain: [t.issueServer([HOST], root, { notAfter: Date.UTC(2099, 0, 1) })],
  }),
  'path length not exceeded': () => {
    const limited = t.issueCa('Limited', { issuer: root, pathLength: 1 });
    const below = t.issueCa('Below', { issuer: limited, pathLength: 0 });
    return { chain: [t.issueServer([HOST], below), below, limited] };
  },
  'self-issued certificates do not count for the path length': () => {
    const limited = t.issueCa('Limited', { issuer: root, pathLength: 0 });
    const rolled = t.issueCa('Limited', { issuer: limited });
    return { chain: [t.issueServer([HOST], rolled), rolled, limited] };
  },
  'an intermediate for TLS servers': () =>
    withIntermediate('Tls', { extensions: [t.extendedKeyUsage(t.CLIENT_AUTH, t.SERVER_AUTH)] }),
  'an intermediate for any purpose': () =>
    withIntermediate('Any', { extensions: [t.extendedKeyUsage(t.ANY_PURPOSE)] }),
  'a backtrack from an expired cross-certificate': () => {
    const key = t.issueCa('Shared');
    const stale = t.issueCa('Shared', { issuer: root, key, notAfter: t.TEST_TIME - 1000 });
    const fresh = t.issueCa('Shared', { issuer: root, key });
    return { chain: [t.issueServer([HOST], key), stale, fresh] };
  },
  'a backtrack from a branch without a trusted root': () => {
    const key = t.issueCa('Shared');
    const stranger = t.issueCa('Stranger');
    const wrong = t.issueCa('Shared', { issuer: stranger, key });
    const right = t.issueCa('Shared', { issuer: intermediate, key });
    return { chain: [t.issueServer([HOST], key), wrong, stranger, right, intermediate] };
  },
  'a root that is expired, its cross-certificate by a current one': () => {
    const old = t.issueCa('Old root', { notAfter: t.TEST_TIME - 1000 });
    const cross = t.issueCa('Old root', { issuer: root, key: old });
    return { chain: [t.issueServer([HOST], old), cross], roots: [old, root] };
  },
  'another root of the same name': () => {
    const twin = t.issueCa('Root');
    return { chain: [server, intermediate], roots: [twin, root] };
  },
  'names of issuers that differ in case and white space': () => {
    const ca = t.issueCa(t.nameOf({ CN: 'Mixed  Case' }), { issuer: root });
    const leaf = t.issueServer([HOST], { ...ca, subject: t.nameOf({ CN: ' mixed case ' }) });
    return { chain: [leaf, ca] };
  },
  'a broken certificate that nobody needs': () => ({
    chain: [server, { ...root, der: root.der.subarray(0, 100) }, intermediate],
  }),
  'without a subject': () => {
    const names = t.extension('2.5.29.17', der.sequence(t.dnsName(HOST)), true);
    return { chain: [t.issue({ subject: t.nameOf({}), issuer: root, extensions: [names] })] };
  },
  'an unknown extension that is not critical': () => ({
    chain: [t.issueServer([HOST], root, { extensions: [t.extension('1.2.3.4', der.nothing())] })],
  }),
  'serial number zero': () => ({ chain: [t.issueServer([HOST], root, { serial: der.integer(0) })] }),
  'RSA 1024 and SHA-1, when legacy is allowed': () => {
    const ca = t.issueCa('Legacy', { key: 'rsa1024', signature: 'sha1' });
    return {
      chain: [t.issueServer([HOST], ca, { signature: 'sha1' })],
      roots: [ca],
      options: { legacy: true },
    };
  },
  'a weak signature of a root on itself': () => {
    const ca = t.issueCa('Sha1 root', { key: 'rsa2048', signature: 'sha1' });
    return { chain: [t.issueServer([HOST], ca)], roots: [ca] };
  },
  'an IPv4 address': () => ({
    chain: [t.issue({ subject: 'x', issuer: root, extensions: [t.subjectAltName(t.ipName(192, 0, 2, 7))] })],
    host: '192.0.2.7',
  }),
};

for (const type of ['p256', 'p384', 'p521', 'ed25519', 'ed448', 'rsa2048'] as const) {
  accepted[`keys of type ${type}`] = () => {
    const ca = t.issueCa(`CA ${type}`, { key: type });
    return { chain: [t.issueServer([HOST], ca, { key: type })], roots: [ca] };
  };
}
for (const signature of ['sha384', 'sha512', 'rsa-pss'] as const) {
  accepted[`RSA signature ${signature}`] = () => {
    const ca = t.issueCa('CA', { key: 'rsa2048' });
    return { chain: [t.issueServer([HOST], ca, { signature })], roots: [ca] };
  };
}

for (const [title, build] of Object.entries(accepted)) {
  test(`accepted: ${title}`, (a) => {
    const verdict = verify(build());
    a.deepEqual(
      { accepted: verdict.accepted, status: verdict.status, alert: verdict.alert },
      { accepted: true, status: CertificateStatus.Valid, alert: 0 },
      verdict.reason,
    );
  });
}

const { Invalid, Untrusted, Expired, NoMatch, None } = CertificateStatus;
const { BadCertificate, UnsupportedCertificate, CertificateExpired, UnknownCa, DecodeError } =
  CertificateAlert;

const refused: Record<string, readonly [CertificateStatus, CertificateAlert, RegExp, () => Chain]> = {
  'no certificate': [None, DecodeError, /sent no certificate/, () => ({ chain: [] })],
  'another name': [
    NoMatch,
    BadCertificate,
    /^"CN=www\.example\.com" is not for "example\.org" but for www\.example\.com$/,
    () => ({ chain: [server, intermediate], host: 'example.org' }),
  ],
  'the common name alone': [
    NoMatch,
    BadCertificate,
    /no subjectAltName/,
    () => ({ chain: [t.issue({ subject: HOST, issuer: root })] }),
  ],
  'a name that is none': [
    NoMatch,
    BadCertificate,
    /neither a host name nor an IP address/,
    () => ({ chain: [server, intermediate], host: 'www..example.com' }),
  ],
  'server expired': [
    Expired,
    CertificateExpired,
    /"CN=www\.example\.com" expired on 2026-06-15T11:59:59\.000Z$/,
    () => ({ chain: [t.issueServer([HOST], root, { notAfter: t.TEST_TIME - 1000 })] }),
  ],
  'server not valid yet': [
    Expired,
    CertificateExpired,
    /not valid before 2026-06-15T12:00:01\.000Z$/,
    () => ({ chain: [t.issueServer([HOST], root, { notBefore: t.TEST_TIME + 1000 })] }),
  ],
  'intermediate expired': [
    Expired,
    CertificateExpired,
    /"CN=Stale" expired/,
    () => withIntermediate('Stale', { notAfter: t.TEST_TIME - 1000 }),
  ],
  'root expired': [
    Expired,
    CertificateExpired,
    /"CN=Stale root" expired/,
    () => {
      const stale = t.issueCa('Stale root', { notAfter: t.TEST_TIME - 1000 });
      return { chain: [t.issueServer([HOST], stale)], roots: [stale] };
    },
  ],
  'expired and for another name': [
    Expired,
    CertificateExpired,
    /expired on .*; and "CN=www\.example\.com" is not for "other"/,
    () => ({ chain: [t.issueServer([HOST], root, { notAfter: t.TEST_TIME - 1000 })], host: 'other' }),
  ],
  'expired and untrusted: expired would say too little': [
    Untrusted,
    UnknownCa,
    /no trusted issuer/,
    () => ({ chain: [t.issueServer([HOST], t.issueCa('Stranger'), { notAfter: t.TEST_TIME - 1000 })] }),
  ],
  'a time that is no number': [
    Expired,
    CertificateExpired,
    /not a number/,
    () => ({ chain: [server, intermediate], time: Number.NaN }),
  ],
  'self-signed': [
    Untrusted,
    UnknownCa,
    /"CN=www\.example\.com" is self-signed and not trusted/,
    () => ({ chain: [t.issue({ subject: HOST, extensions: [t.subjectAltName(t.dnsName(HOST))] })] }),
  ],
  'intermediate missing': [
    Untrusted,
    UnknownCa,
    /no trusted issuer for "CN=www\.example\.com": its issuer is "CN=Intermediate"/,
    () => ({ chain: [server] }),
  ],
  'unknown root': [
    Untrusted,
    UnknownCa,
    /"CN=Stranger" is self-signed and not trusted/,
    () => {
      const stranger = t.issueCa('Stranger');
      return { chain: [t.issueServer([HOST], stranger), stranger] };
    },
  ],
  'no roots at all': [
    Untrusted,
    UnknownCa,
    /no trusted issuer/,
    () => ({ chain: [server, intermediate], roots: [] }),
  ],
  'a root with the name of the right one and another key': [
    Untrusted,
    UnknownCa,
    /another key than the one that signed it/,
    () => ({ chain: [server, intermediate], roots: [t.issueCa('Root')] }),
  ],
  'signature broken': [
    Invalid,
    BadCertificate,
    /"CN=www\.example\.com" was not signed by the key of "CN=Intermediate"/,
    () => {
      const bytes = Uint8Array.from(server.der);
      bytes[bytes.length - 1]! ^= 1;
      return { chain: [{ ...server, der: bytes }, intermediate] };
    },
  ],
  'signed by the name but not the key of the root': [
    Invalid,
    BadCertificate,
    /was not signed by the key of "CN=Root"/,
    () => ({
      chain: [t.issueServer([HOST], { ...t.issueCa('Root'), subject: root.subject }, { keyIds: false })],
    }),
  ],
  'signed with an algorithm that its issuer cannot use': [
    Invalid,
    BadCertificate,
    /was not signed by the key of/,
    () => ({ chain: [t.issueServer([HOST], { ...root, privateKey: t.keyPair('rsa2048').privateKey })] }),
  ],
  'issuer is no CA': [
    Invalid,
    BadCertificate,
    /"CN=host\.example\.com" is no CA/,
    () => {
      const host = t.issueServer(['host.example.com'], root);
      return { chain: [t.issueServer([HOST], host), host] };
    },
  ],
  'issuer without basicConstraints': [
    Invalid,
    BadCertificate,
    /"CN=Plain" is no CA/,
    () => {
      const plain = t.issue({ subject: 'Plain', issuer: root, extensions: [t.keyUsage(t.KEY_CERT_SIGN)] });
      return { chain: [t.issueServer([HOST], plain), plain] };
    },
  ],
  'intermediate of version 1': [
    Invalid,
    BadCertificate,
    /"CN=Old" is no CA: it is of version 1/,
    () => {
      const old = t.issue({ subject: 'Old', issuer: root, version: 1, keyIds: false });
      return { chain: [t.issueServer([HOST], old), old] };
    },
  ],
  'root that is no CA': [
    Invalid,
    BadCertificate,
    /"CN=Plain" is no CA/,
    () => {
      const plain = t.issue({ subject: 'Plain' });
      return { chain: [t.issueServer([HOST], plain)], roots: [plain] };
    },
  ],
  'issuer may not sign certificates': [
    Invalid,
    BadCertificate,
    /may not sign certificates by its keyUsage/,
    () => {
      const ca = t.issue({
        subject: 'Crl',
        issuer: root,
        extensions: [t.basicConstraints(true), t.keyUsage(t.CRL_SIGN)],
      });
      return { chain: [t.issueServer([HOST], ca), ca] };
    },
  ],
  'issuer without a name': [
    Invalid,
    BadCertificate,
    /malformed: empty issuer name/,
    () => {
      const ca = t.issueCa(t.nameOf({}), { issuer: root });
      return { chain: [t.issueServer([HOST], ca), ca] };
    },
  ],
  'path length exceeded': [
    Invalid,
    BadCertificate,
    /"CN=Limited" allows 0 intermediates below it, the path has 1/,
    () => {
      const limited = t.issueCa('Limited', { issuer: root, pathLength: 0 });
      const below = t.issueCa('Below', { issuer: limited });
      return { chain: [t.issueServer([HOST], below), below, limited] };
    },
  ],
  'path length of the root exceeded': [
    Invalid,
    BadCertificate,
    /"CN=Limited root" allows 0 intermediates/,
    () => {
      const limited = t.issueCa('Limited root', { pathLength: 0 });
      const below = t.issueCa('Below', { issuer: limited });
      return { chain: [t.issueServer([HOST], below), below], roots: [limited] };
    },
  ],
  'longer than the caller allows': [
    Untrusted,
    UnknownCa,
    /the path is longer than 0 intermediates/,
    () => ({ chain: [server, intermediate], options: { maxIntermediates: 0 } }),
  ],
  'authorityInfoAccess that is none': [
    Invalid,
    BadCertificate,
    /malformed/,
    () => {
      const access = t.extension('1.3.6.1.5.5.7.1.1', Buffer.from('malformed'));
      const extensions = [t.subjectAltName(t.dnsName(HOST)), access];
      return { chain: [t.issue({ subject: 'x', issuer: root, extensions })] };
    },
  ],
  'server not for TLS by keyUsage': [
    Invalid,
    UnsupportedCertificate,
    /may not be used for TLS by its keyUsage/,
    () => {
      const extensions = [t.subjectAltName(t.dnsName(HOST)), t.keyUsage(0x02)];
      return { chain: [t.issue({ subject: 'x', issuer: root, extensions })] };
    },
  ],
  'server may sign certificates and is no CA': [
    Invalid,
    BadCertificate,
    /and is no CA/,
    () => {
      const extensions = [
        t.subjectAltName(t.dnsName(HOST)),
        t.keyUsage(t.DIGITAL_SIGNATURE | t.KEY_CERT_SIGN),
      ];
      return { chain: [t.issue({ subject: 'x', issuer: root, extensions })] };
    },
  ],
  'server for clients only': [
    Invalid,
    UnsupportedCertificate,
    /"CN=x" is not for TLS servers by its extendedKeyUsage/,
    () => {
      const extensions = [t.subjectAltName(t.dnsName(HOST)), t.extendedKeyUsage(t.CLIENT_AUTH)];
      return { chain: [t.issue({ subject: 'x', issuer: root, extensions })] };
    },
  ],
  'server for any purpose alone': [
    Invalid,
    UnsupportedCertificate,
    /is not for TLS servers by its extendedKeyUsage/,
    () => {
      const extensions = [t.subjectAltName(t.dnsName(HOST)), t.extendedKeyUsage(t.ANY_PURPOSE)];
      return { chain: [t.issue({ subject: 'x', issuer: root, extensions })] };
    },
  ],
  'intermediate for clients only': [
    Invalid,
    UnsupportedCertificate,
    /"CN=Clients" may not issue for TLS servers/,
    () => withIntermediate('Clients', { extensions: [t.extendedKeyUsage(t.CLIENT_AUTH)] }),
  ],
  'name constraints in a server': [
    Invalid,
    BadCertificate,
    /has name constraints and is no CA/,
    () => ({
      chain: [t.issueServer([HOST], root, { extensions: [t.nameConstraints([t.dnsName('example.com')])] })],
    }),
  ],
  'name constraints broken': [
    Invalid,
    BadCertificate,
    /breaks the name constraints of "CN=Org": DNS name "www\.example\.com" is in none of the permitted subtrees/,
    () => withIntermediate('Org', { extensions: [t.nameConstraints([t.dnsName('example.org')])] }),
  ],
  'name constraints broken by an intermediate': [
    Invalid,
    BadCertificate,
    /"CN=Below" breaks the name constraints of "CN=Constrained": directory name/,
    () => {
      const base = t.directoryName(t.nameOf({ CN: HOST }));
      const ca = t.issueCa('Constrained', { issuer: root, extensions: [t.nameConstraints([base])] });
      const below = t.issueCa('Below', { issuer: ca });
      return { chain: [t.issueServer([HOST], below), below, ca] };
    },
  ],
  'name constraints of the root broken': [
    Invalid,
    BadCertificate,
    /breaks the name constraints of "CN=Constrained root"/,
    () => {
      const ca = t.issueCa('Constrained root', {
        extensions: [t.nameConstraints([], [t.dnsName('example.com')])],
      });
      return { chain: [t.issueServer([HOST], ca)], roots: [ca] };
    },
  ],
  'no subject, and names that are not critical': [
    Invalid,
    BadCertificate,
    /no subject and no critical subjectAltName/,
    () => ({
      chain: [
        t.issue({ subject: t.nameOf({}), issuer: root, extensions: [t.subjectAltName(t.dnsName(HOST))] }),
      ],
    }),
  ],
  'weak signature on the server': [
    Invalid,
    UnsupportedCertificate,
    /"CN=www\.example\.com" is signed with sha1WithRSAEncryption, which is too weak/,
    () => {
      const ca = t.issueCa('RSA', { key: 'rsa2048' });
      return { chain: [t.issueServer([HOST], ca, { signature: 'sha1' })], roots: [ca] };
    },
  ],
  'weak signature on an intermediate': [
    Invalid,
    UnsupportedCertificate,
    /"CN=Weak" is signed with md5WithRSAEncryption/,
    () => {
      const top = t.issueCa('RSA', { key: 'rsa2048' });
      const weak = t.issueCa('Weak', { issuer: top, signature: 'md5' });
      return { chain: [t.issueServer([HOST], weak), weak], roots: [top] };
    },
  ],
  'RSA key too short': [
    Invalid,
    UnsupportedCertificate,
    /RSA key of 1024 bits is shorter than 2048/,
    () => ({ chain: [t.issueServer([HOST], root, { key: 'rsa1024' })] }),
  ],
  'RSA key of the root too short': [
    Invalid,
    UnsupportedCertificate,
    /"CN=Small" is refused: its RSA key of 1024 bits/,
    () => {
      const small = t.issueCa('Small', { key: 'rsa1024' });
      return { chain: [t.issueServer([HOST], small)], roots: [small] };
    },
  ],
  'unknown curve': [
    Invalid,
    UnsupportedCertificate,
    /its curve 1\.3\.132\.0\.10 is not/,
    () => ({ chain: [t.issueServer([HOST], root, { key: 'k256' })] }),
  ],
  'point not on its curve': [
    Invalid,
    UnsupportedCertificate,
    /its key is not valid/,
    () => {
      const spki = t.spkiOf(t.keyPair('p256').publicKey);
      spki.fill(0x11, spki.length - 64);
      return { chain: [t.issueServer([HOST], root, { spki })] };
    },
  ],
  'key of an unknown kind': [
    Invalid,
    UnsupportedCertificate,
    /key algorithm 1\.2\.840\.10040\.4\.1 is not supported/,
    () => {
      const dsa = der.sequence(der.sequence(der.oid('1.2.840.10040.4.1')), der.bitString(der.integer(5)));
      return { chain: [t.issueServer([HOST], root, { spki: dsa })] };
    },
  ],
  'key malformed': [
    Invalid,
    BadCertificate,
    /the key of .* is malformed/,
    () => ({ chain: [t.issueServer([HOST], root, { spki: der.sequence(der.nothing()) })] }),
  ],
  'even RSA exponent': [
    Invalid,
    UnsupportedCertificate,
    /exponent is even/,
    () => {
      const spki = t.spkiOf(t.keyPair('rsa2048').publicKey);
      spki[spki.length - 1] = 0;
      return { chain: [t.issueServer([HOST], root, { spki })] };
    },
  ],
  'signed and unsigned algorithm differ': [
    Invalid,
    BadCertificate,
    /signed and unsigned signature algorithm differ/,
    () => ({
      chain: [t.issueServer([HOST], root, { innerAlgorithm: der.sequence(der.oid('1.2.840.10045.4.3.3')) })],
    }),
  ],
  'negative serial number': [
    Invalid,
    BadCertificate,
    /negative serial number/,
    () => ({ chain: [t.issueServer([HOST], root, { serial: der.element(2, Uint8Array.of(0x80)) })] }),
  ],
  'long serial number': [
    Invalid,
    BadCertificate,
    /more than 20 octets/,
    () => ({ chain: [t.issueServer([HOST], root, { serial: der.element(2, new Uint8Array(21).fill(1)) })] }),
  ],
  'an extension twice': [
    Invalid,
    BadCertificate,
    /extension 2\.5\.29\.15 occurs twice/,
    () => ({ chain: [t.issueServer([HOST], root, { extensions: [t.keyUsage(t.DIGITAL_SIGNATURE)] })] }),
  ],
  'extensions in version 2': [
    Invalid,
    BadCertificate,
    /not of version 3/,
    () => ({ chain: [t.issueServer([HOST], root, { version: 2 })] }),
  ],
  'version 4': [
    Invalid,
    BadCertificate,
    /certificate version 4/,
    () => ({ chain: [t.issueServer([HOST], root, { version: 4 })] }),
  ],
  'a required policy is missing': [
    Invalid,
    BadCertificate,
    /"CN=www\.example\.com" has no policy that its issuers require/,
    () => withIntermediate('Strict', { extensions: [REQUIRE_POLICY] }),
  ],
  'signature algorithm unknown': [
    Invalid,
    UnsupportedCertificate,
    /signed with an algorithm that is not supported/,
    () => ({ chain: [t.issueServer([HOST], root, { signature: 'unknown' })] }),
  ],
  'many other names': [
    NoMatch,
    BadCertificate,
    /but for 192\.0\.2\.1, a\.b, b\.c, c\.d, d\.e, …$/,
    () => {
      const names = [t.ipName(192, 0, 2, 1), ...['a.b', 'b.c', 'c.d', 'd.e', 'e.f'].map(t.dnsName)];
      return { chain: [t.issue({ subject: 'x', issuer: root, extensions: [t.subjectAltName(...names)] })] };
    },
  ],
  'intermediate malformed': [
    Invalid,
    BadCertificate,
    /certificate 2 of the server's chain is malformed: .*; no trusted issuer/,
    () => ({ chain: [server, { ...intermediate, der: intermediate.der.subarray(1) }] }),
  ],
};

for (const [where, build] of [
  ['server', (extensions: Uint8Array[]) => ({ chain: [t.issueServer([HOST], root, { extensions })] })],
  ['intermediate', (extensions: Uint8Array[]) => withIntermediate('Odd', { extensions })],
  [
    'root',
    (extensions: Uint8Array[]) => {
      const odd = t.issueCa('Odd', { extensions });
      return { chain: [t.issueServer([HOST], odd)], roots: [odd] };
    },
  ],
] as const) {
  refused[`unknown critical extension in the ${where}`] = [
    Invalid,
    UnsupportedCertificate,
    /unknown critical extension 1\.2\.3\.4/,
    () => build([t.extension('1.2.3.4', der.nothing(), true)]),
  ];
}

for (const [title, [status, alert, reason, build]] of Object.entries(refused)) {
  test(`refused: ${title}`, (a) => {
    const given = build();
    const verdict = verify(given);
    a.regex(verdict.reason, reason);
    a.deepEqual(
      { accepted: verdict.accepted, status: verdict.status, alert: verdict.alert },
      { accepted: false, status, alert },
    );
  });
}

test('a trusted site is accepted whatever its status, which is still told', (a) => {
  const store = new TrustStore();
  const verifier = new TrustedSiteVerifier(new ChainVerifier(store));
  const verdict = verifier.verify([server.der], HOST, t.TEST_TIME);
  a.deepEqual([verdict.accepted, verdict.status, verdict.alert], [true, Untrusted, 0]);
  a.regex(verdict.reason, /no trusted issuer/);
  a.is(verifier.verify([Uint8Array.of(1)], HOST, t.TEST_TIME).status, Invalid);
});
