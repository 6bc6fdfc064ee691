import { X509Certificate } from 'node:crypto';
import test from 'ava';
import * as t from '../testing/certificates.ts';
import * as der from '../testing/der-writer.ts';
import { Certificate } from './certificate.ts';
import { DerError, hex } from './der.ts';
import { KeyUsage } from './extensions.ts';
import { NameForm } from './general-name.ts';

const root = t.issueCa('Root', { pathLength: 3 });

test('fields are those that OpenSSL reads', (a) => {
  const leaf = t.issueServer(['a.example', '*.b.example'], root, {
    subject: t.nameOf({ C: 'DE', O: 'Läb', CN: 'a.example' }),
    notBefore: Date.UTC(2020, 1, 29, 1, 2, 3),
    notAfter: Date.UTC(2061, 11, 31, 23, 59, 59),
    serial: der.element(2, Uint8Array.of(0x12, 0x34)),
  });
  const ours = new Certificate(leaf.der);
  const theirs = new X509Certificate(leaf.der);
  a.is(ours.notBefore, theirs.validFromDate.getTime());
  a.is(ours.notAfter, theirs.validToDate.getTime());
  a.is(hex(ours.serial), theirs.serialNumber);
  a.true(ours.publicKey!.equals(theirs.publicKey));
  a.is(ours.toString(), '"CN=a.example, O=Läb, C=DE"');
  a.is(theirs.subject, 'C=DE\nO=Läb\nCN=a.example');
  a.is(ours.isCa, theirs.ca);
  a.true(theirs.verify(root.publicKey));
  a.deepEqual(
    ours.extensions.subjectAltName?.map((name) => (name.form === NameForm.Dns ? name.text : '')),
    ['a.example', '*.b.example'],
  );
  a.is(ours.extensions.keyUsage, KeyUsage.DigitalSignature);
  a.deepEqual(ours.extensions.extendedKeyUsage, [t.SERVER_AUTH]);
  a.deepEqual(new Certificate(root.der).extensions.basicConstraints, { ca: true, pathLength: 3 });
});

test('a certificate of version 1 has no extensions', (a) => {
  const old = new Certificate(t.issue({ subject: 'Old', version: 1, keyIds: false }).der);
  a.is(old.version, 1);
  a.is(old.extensions.keyUsage, -1);
});

test('equal names, whatever their string type, case and white space', (a) => {
  const name = (value: Uint8Array): Certificate => {
    const subject = der.sequence(der.set(der.sequence(der.oid('2.5.4.3'), value)));
    return new Certificate(t.issue({ subject }).der);
  };
  const bmp = (text: string): Uint8Array =>
    der.element(
      0x1e,
      Uint8Array.from([...text].flatMap((c) => [c.charCodeAt(0) >> 8, c.charCodeAt(0) & 0xff])),
    );
  const { key } = name(der.utf8String('Größe  X')).subject;
  for (const value of [
    der.utf8String(' gRÖßE x '),
    bmp('GRÖßE X'),
    der.element(0x14, new Uint8Array(Buffer.from('größe x', 'latin1'))),
  ]) {
    a.is(name(value).subject.key, key);
  }
  a.not(name(der.utf8String('GrößeX')).subject.key, key);
  a.is(name(der.printableString('AB')).subject.key, name(der.ia5String('ab')).subject.key);
  a.not(name(der.octetString(der.ascii('ab'))).subject.key, name(der.ia5String('ab')).subject.key);
});

test('the order of names counts, that of the attributes of one does not', (a) => {
  const pair = (type: string, value: string): Uint8Array =>
    der.sequence(der.oid(type), der.utf8String(value));
  const subject = (...sets: Uint8Array[]): string =>
    new Certificate(t.issue({ subject: der.sequence(...sets) }).der).subject.key;
  const [cn, o] = [pair('2.5.4.3', 'x'), pair('2.5.4.10', 'y')];
  a.is(subject(der.set(cn, o)), subject(der.set(o, cn)));
  a.not(subject(der.set(cn), der.set(o)), subject(der.set(o), der.set(cn)));
  a.not(subject(der.set(cn), der.set(o)), subject(der.set(cn, o)));
});

const malformed: Record<string, readonly [RegExp, Uint8Array]> = {
  'critical authorityKeyIdentifier': [/is critical/, t.extension('2.5.29.35', der.sequence(), true)],
  'critical subjectKeyIdentifier': [
    /is critical/,
    t.extension('2.5.29.14', der.octetString(der.ascii('x')), true),
  ],
  'critical authorityInfoAccess': [/is critical/, t.extension('1.3.6.1.5.5.7.1.1', der.sequence(), true)],
  'half a reference': [/half a reference/, t.extension('2.5.29.35', der.sequence(der.explicit(1)))],
  'empty extendedKeyUsage': [/empty extendedKeyUsage/, t.extendedKeyUsage()],
  'empty subjectAltName': [/empty subjectAltName/, t.subjectAltName()],
  'a name beyond ASCII': [/more than ASCII/, t.subjectAltName(t.dnsName('☃.example'))],
  'an unknown form of name': [/malformed GeneralName/, t.subjectAltName(der.implicit(9, der.ascii('x')))],
  'keyUsage of nothing': [/without a use/, t.keyUsage(0)],
  'bytes after a value': [
    /trailing bytes/,
    t.extension('2.5.29.37', der.concat(der.sequence(der.oid('1.2.3')), der.nothing())),
  ],
  'negative path length': [
    /negative/,
    t.extension('2.5.29.19', der.sequence(der.boolean(true), der.element(2, Uint8Array.of(0xff)))),
  ],
  'policyConstraints not critical': [
    /not critical/,
    t.extension('2.5.29.36', der.sequence(der.implicit(0, Uint8Array.of(0)))),
  ],
  'inhibitAnyPolicy not critical': [/not critical/, t.extension('2.5.29.54', der.integer(0))],
  'a policy twice': [
    /policy given twice/,
    t.extension('2.5.29.32', der.sequence(der.sequence(der.oid('1.2.3')), der.sequence(der.oid('1.2.3')))),
  ],
  'an extension that is no extension': [/expected tag/, der.sequence(der.nothing())],
};

for (const [title, [message, extension]] of Object.entries(malformed)) {
  test(`not read: ${title}`, (a) => {
    const { der: bytes } = t.issue({ subject: 'x', issuer: root, extensions: [extension], keyIds: false });
    a.throws(() => new Certificate(bytes), { instanceOf: DerError, message });
  });
}

test('an encoded default is read', (a) => {
  const falsehood = der.boolean(false);
  const extensions = [
    t.extension('2.5.29.19', der.sequence(falsehood)),
    der.sequence(der.oid('2.5.29.37'), falsehood, der.octetString(der.sequence(der.oid('1.2.3')))),
  ];
  const certificate = new Certificate(t.issue({ subject: 'x', extensions }).der);
  a.false(certificate.isCa);
  a.deepEqual(certificate.extensions.extendedKeyUsage, ['1.2.3']);
});
