import test from 'ava';
import { fc } from '../../test/properties.ts';
import * as t from '../testing/certificates.ts';
import * as der from '../testing/der-writer.ts';
import * as r from '../testing/revocation.ts';
import { ChainVerifier, TrustedSiteVerifier } from './chain-verifier.ts';
import { DerError } from './der.ts';
import { readOcspResponse } from './ocsp-response.ts';
import { MAX_OCSP_AGE_MS } from './stapled-status.ts';
import { TrustStore } from './trust-store.ts';
import { CertificateAlert, CertificateStatus, type CertificateVerdict } from './verdict.ts';

const HOST = 'www.example.com';
const HOUR = 3_600_000;
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
const NO_CHECK = t.extension('1.3.6.1.5.5.7.48.1.5', der.nothing());
const MUST_STAPLE = t.extension('1.3.6.1.5.5.7.1.24', der.sequence(der.integer(5)));

const root = t.issueCa('Root');
const ca = t.issueCa('CA', { issuer: root });
const SERIAL = der.integer(0x4711);
const server = t.issueServer([HOST], ca, { serial: SERIAL });
const stapling = t.issueServer([HOST], ca, { serial: SERIAL, extensions: [MUST_STAPLE] });
const delegate = (issuer: t.TestCertificate, options: Partial<t.IssueOptions> = {}): t.TestCertificate =>
  t.issue({
    subject: 'Responder',
    issuer,
    extensions: [t.keyUsage(t.DIGITAL_SIGNATURE), t.extendedKeyUsage(OCSP_SIGNING), NO_CHECK],
    ...options,
  });
const responder = delegate(ca);

const store = new TrustStore();
store.add(root.der);
const verifier = new ChainVerifier(store);

function verify(
  response: Uint8Array | null,
  leaf: t.TestCertificate = server,
  time: number = t.TEST_TIME,
): CertificateVerdict {
  const evidence = { ocspResponse: response, signedCertificateTimestamps: null };
  return verifier.verify([leaf.der, ca.der], HOST, time, evidence);
}

const good: Record<string, () => Uint8Array> = {
  'signed by the issuer': () => r.ocspResponse(SERIAL, ca),
  'the issuer named by its key': () => r.ocspResponse(SERIAL, ca, { byKey: true }),
  'hashes with SHA-256': () => r.ocspResponse(SERIAL, ca, { hash: 'sha256' }),
  'signed by a responder of the issuer': () =>
    r.ocspResponse(SERIAL, ca, { responder, certificates: [responder] }),
  'a responder named by its key, behind another': () =>
    r.ocspResponse(SERIAL, ca, { responder, byKey: true, certificates: [root, responder] }),
  'no end, and young': () => r.ocspResponse(SERIAL, ca, { nextUpdate: null }),
  'a clock that is behind': () => r.ocspResponse(SERIAL, ca, { thisUpdate: t.TEST_TIME + 240_000 }),
  'a clock that is ahead': () => r.ocspResponse(SERIAL, ca, { nextUpdate: t.TEST_TIME - 240_000 }),
  'an extension that is not critical': () =>
    r.ocspResponse(SERIAL, ca, { singleExtensions: [t.extension('1.2.3.4', der.nothing())] }),
};
for (const [title, response] of Object.entries(good)) {
  test(`good: ${title}`, (x) => {
    const verdict = verify(response(), stapling);
    x.is(verdict.status, CertificateStatus.Valid, verdict.reason);
    x.true(verdict.accepted);
  });
}

test('revoked', (x) => {
  for (const time of [t.TEST_TIME, t.TEST_TIME + 5 * HOUR]) {
    const verdict = verify(r.ocspResponse(SERIAL, ca, { status: r.ocspRevoked(1) }), server, time);
    x.false(verdict.accepted);
    x.is(verdict.status, CertificateStatus.Revoked);
    x.is(verdict.alert, CertificateAlert.CertificateRevoked);
    x.regex(verdict.reason, /was revoked, says its OCSP responder: its key was compromised/);
  }
});

const tryLater = der.sequence(r.enumerated(3));

test('nothing known, nothing sent: accepted, unless the certificate must come with its status', (x) => {
  for (const response of [null, tryLater, r.ocspResponse(SERIAL, ca, { status: r.OCSP_UNKNOWN })]) {
    x.true(verify(response).accepted);
    const verdict = verify(response, stapling);
    x.false(verdict.accepted);
    x.is(verdict.status, CertificateStatus.Invalid);
    x.is(verdict.alert, CertificateAlert.BadCertificateStatusResponse);
  }
  // RFC 7633 §4.2: nor is who did not ask, also not by what was found out for somebody who did
  const unasked = { ocspResponse: null, isStatusAsked: false, signedCertificateTimestamps: null };
  x.true(verifier.verify([stapling.der, ca.der], HOST, t.TEST_TIME, unasked).accepted);
  x.false(verify(null, stapling).accepted);
  // who has no handshake to look at is not told of a staple, nor of its absence
  x.true(verifier.verify([stapling.der, ca.der], HOST, t.TEST_TIME).accepted);
});

const noPurpose = delegate(ca, { extensions: [t.extendedKeyUsage(t.SERVER_AUTH)] });
const ofRoot = delegate(root);
const past = delegate(ca, { notAfter: t.TEST_TIME - HOUR });
const noSigning = delegate(ca, {
  extensions: [t.keyUsage(t.KEY_CERT_SIGN), t.extendedKeyUsage(OCSP_SIGNING)],
});
const critical = delegate(ca, {
  extensions: [t.extendedKeyUsage(OCSP_SIGNING), t.extension('1.2.3.4', der.nothing(), true)],
});
const forged = delegate(t.issueCa('CA'));
const by = (one: t.TestCertificate): Uint8Array =>
  r.ocspResponse(SERIAL, ca, { responder: one, certificates: [one] });

const unsatisfactory: Record<string, readonly [() => Uint8Array, RegExp]> = {
  'not DER': [() => Uint8Array.of(1, 2, 3), /malformed/],
  'another serial number': [() => r.ocspResponse(der.integer(1), ca), /not about/],
  'another issuer': [() => r.ocspResponse(SERIAL, root), /not about/],
  'another key of the issuer': [() => r.ocspResponse(SERIAL, t.issueCa('CA')), /not about/],
  'signed by somebody else': [
    () => r.ocspResponse(SERIAL, ca, { responder: root }),
    /not signed by the issuer/,
  ],
  'a responder that is not sent along': [() => r.ocspResponse(SERIAL, ca, { responder }), /not signed by/],
  'the server itself as responder': [() => by(server), /extendedKeyUsage/],
  'a responder without the purpose': [() => by(noPurpose), /extendedKeyUsage/],
  'a responder of the issuer of the issuer': [() => by(ofRoot), /was not issued by/],
  'a responder of another key of that name': [() => by(forged), /was not issued by/],
  'a responder past its end': [() => by(past), /not valid now/],
  'a responder that may not sign': [() => by(noSigning), /keyUsage/],
  'a responder with a critical extension': [() => by(critical), /critical/],
  'signed with SHA-1': [
    () => {
      const rsa = delegate(ca, { key: 'rsa2048' });
      return r.ocspResponse(SERIAL, ca, { responder: rsa, certificates: [rsa], signature: 'sha1' });
    },
    /too weak/,
  ],
  'out of date': [
    () => r.ocspResponse(SERIAL, ca, { thisUpdate: t.TEST_TIME - 9 * HOUR, nextUpdate: t.TEST_TIME - HOUR }),
    /was good until/,
  ],
  'no end, and old': [
    () => r.ocspResponse(SERIAL, ca, { thisUpdate: t.TEST_TIME - MAX_OCSP_AGE_MS - HOUR, nextUpdate: null }),
    /was good until/,
  ],
  'from the future': [
    () => r.ocspResponse(SERIAL, ca, { thisUpdate: t.TEST_TIME + HOUR, nextUpdate: t.TEST_TIME + 2 * HOUR }),
    /from the future/,
  ],
  'an end before its beginning': [
    () => r.ocspResponse(SERIAL, ca, { nextUpdate: t.TEST_TIME - 2 * HOUR }),
    /before it begins/,
  ],
  'a critical extension': [
    () => r.ocspResponse(SERIAL, ca, { extensions: [t.extension('1.2.3.4', der.nothing(), true)] }),
    /critical/,
  ],
  'an altered signature': [
    () => {
      const bytes = r.ocspResponse(SERIAL, ca);
      bytes[bytes.length - 1]! ^= 1;
      return bytes;
    },
    /not signed by the issuer/,
  ],
};
for (const [title, [response, reason]] of Object.entries(unsatisfactory)) {
  test(`unsatisfactory: ${title}`, (x) => {
    const verdict = verify(response());
    x.false(verdict.accepted);
    x.is(verdict.status, CertificateStatus.Invalid);
    x.is(verdict.alert, CertificateAlert.BadCertificateStatusResponse); // RFC 6066 §8
    x.regex(verdict.reason, reason);
  });
}

test('a chain that was accepted is looked at again with another answer, and when its answer has ended', (x) => {
  const response = r.ocspResponse(SERIAL, ca);
  x.true(verify(response).accepted);
  x.true(verify(response, server, t.TEST_TIME + HOUR).accepted);
  x.false(verify(response, server, t.TEST_TIME + 2 * HOUR).accepted);
  x.false(verify(r.ocspResponse(SERIAL, ca, { status: r.ocspRevoked(0) })).accepted);
});

test('TRUSTEDSITE: revoked is reported and accepted', (x) => {
  const evidence = {
    ocspResponse: r.ocspResponse(SERIAL, ca, { status: r.ocspRevoked(0) }),
    signedCertificateTimestamps: null,
  };
  const verdict = new TrustedSiteVerifier(verifier).verify([server.der, ca.der], HOST, t.TEST_TIME, evidence);
  x.true(verdict.accepted);
  x.is(verdict.status, CertificateStatus.Revoked);
});

test('a server that is trusted as such has no issuer to ask', (x) => {
  const own = new TrustStore();
  own.add(server.der);
  const evidence = { ocspResponse: Uint8Array.of(1), signedCertificateTimestamps: null };
  x.true(new ChainVerifier(own).verify([server.der], HOST, t.TEST_TIME, evidence).accepted);
});

test('truncated and altered anywhere: a DerError or a response, nothing else, and never another good one', (x) => {
  const whole = r.ocspResponse(SERIAL, ca, { responder, certificates: [responder] });
  for (let length = 0; length < whole.length; length++) {
    x.throws(() => readOcspResponse(whole.subarray(0, length)), { instanceOf: DerError });
  }
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
      const altered = Uint8Array.from(whole);
      altered[at] = value;
      try {
        readOcspResponse(altered);
      } catch (error) {
        if (!(error instanceof DerError)) throw error;
      }
      verify(altered);
    }),
    { numRuns: 500 },
  );
});
