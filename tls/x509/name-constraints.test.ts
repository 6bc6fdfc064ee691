import test from 'ava';
import * as t from '../testing/certificates.ts';
import * as der from '../testing/der-writer.ts';
import { Certificate } from './certificate.ts';
import { checkNameConstraints } from './name-constraints.ts';

type Names = readonly Uint8Array[];

/** The verdict on a certificate with these names below a CA with these constraints; '' when allowed. */
function check(
  names: Names,
  permitted: Names,
  excluded: Names,
  subject = t.nameOf({}),
  comparisons = 1000,
): string {
  const ca = t.issueCa('CA', { extensions: [t.nameConstraints(permitted, excluded)] });
  const extensions = names.length === 0 ? [] : [t.subjectAltName(...names)];
  const leaf = t.issue({ subject, issuer: ca, extensions });
  const { nameConstraints } = new Certificate(ca.der).extensions;
  return checkNameConstraints(new Certificate(leaf.der), nameConstraints!, { comparisons });
}

const net192 = t.ipName(192, 0, 2, 0, 255, 255, 255, 0);
const org = t.nameOf({ C: 'DE', O: 'Lab' });

const allowed: Record<string, readonly [Names, Names, Names, Uint8Array?]> = {
  'same name': [[t.dnsName('Example.com')], [t.dnsName('example.COM')], []],
  'labels added': [[t.dnsName('a.b.example.com')], [t.dnsName('example.com')], []],
  'one of two subtrees': [[t.dnsName('a.b')], [t.dnsName('c.d'), t.dnsName('a.b')], []],
  'empty constraint': [[t.dnsName('a.b')], [t.dnsName('')], []],
  'wildcard inside': [[t.dnsName('*.example.com')], [t.dnsName('example.com')], []],
  'not excluded': [[t.dnsName('example.com')], [], [t.dnsName('b.example.com')]],
  'not a whole label excluded': [[t.dnsName('xexample.com')], [], [t.dnsName('example.com')]],
  'wildcard of one label, exclusion two below': [[t.dnsName('*.b.c')], [], [t.dnsName('x.y.b.c')]],
  'another form': [[t.dnsName('a.b')], [net192], [t.emailName('x@y')]],
  'address in the network': [[t.ipName(192, 0, 2, 9)], [net192], []],
  'address of the other family': [[t.ipName(...new Array(16).fill(0))], [], [net192]],
  'mailbox itself': [[t.emailName('me@Example.com')], [t.emailName('me@example.com')], []],
  'mailbox of the host': [[t.emailName('me@example.com')], [t.emailName('example.com')], []],
  'mailbox of a host below': [[t.emailName('me@a.example.com')], [t.emailName('.example.com')], []],
  'URI of the host': [[t.uriName('https://u@Example.com:1/x')], [t.uriName('example.com')], []],
  'URI of a host below': [[t.uriName('https://a.example.com')], [t.uriName('.example.com')], []],
  'subject below': [[], [t.directoryName(org)], [], t.nameOf({ C: 'DE', O: 'LAB', CN: 'x' })],
  'no subject': [[t.dnsName('a.b')], [t.directoryName(org)], []],
};

const refused: Record<string, readonly [RegExp, Names, Names, Names, Uint8Array?]> = {
  'another name': [/none of the permitted/, [t.dnsName('example.org')], [t.dnsName('example.com')], []],
  'not a whole label': [/none of the permitted/, [t.dnsName('xexample.com')], [t.dnsName('example.com')], []],
  'above the constraint': [/none of the permitted/, [t.dnsName('com')], [t.dnsName('example.com')], []],
  'one name of two': [/"b\.c" is in none/, [t.dnsName('a.b'), t.dnsName('b.c')], [t.dnsName('a.b')], []],
  'wildcard wider than permitted': [/none of the permitted/, [t.dnsName('*.b.c')], [t.dnsName('a.b.c')], []],
  excluded: [
    /in the excluded DNS name "example\.com"/,
    [t.dnsName('a.example.com')],
    [],
    [t.dnsName('example.com')],
  ],
  'excluded by everything': [/excluded/, [t.dnsName('a.b')], [], [t.dnsName('')]],
  'wildcard over an exclusion': [/excluded/, [t.dnsName('*.b.c')], [], [t.dnsName('a.b.c')]],
  'permitted and excluded': [/excluded/, [t.dnsName('a.b.c')], [t.dnsName('c')], [t.dnsName('b.c')]],
  'name that is no name': [/cannot be compared/, [t.dnsName('a b.c')], [t.dnsName('c')], []],
  'leading dot': [/cannot be compared/, [t.dnsName('a.b')], [t.dnsName('.b')], []],
  'address outside': [/IP 192\.0\.3\.9 is in none/, [t.ipName(192, 0, 3, 9)], [net192], []],
  'address excluded': [/IP 192\.0\.2\.9 is in the excluded/, [t.ipName(192, 0, 2, 9)], [], [net192]],
  'address of a family that is not permitted': [/none/, [t.ipName(...new Array(16).fill(0))], [net192], []],
  'mask with holes': [
    /cannot be compared/,
    [t.ipName(1, 2, 3, 4)],
    [t.ipName(1, 2, 3, 4, 255, 0, 255, 0)],
    [],
  ],
  'constraint of odd length': [/cannot be compared/, [t.ipName(1, 2, 3, 4)], [t.ipName(1, 2, 3, 4)], []],
  'address of odd length': [/cannot be compared/, [t.ipName(1, 2, 3)], [net192], []],
  'mailbox of another': [/none/, [t.emailName('Me@example.com')], [t.emailName('me@example.com')], []],
  'mailbox of a host below, of one host': [/none/, [t.emailName('m@a.b.c')], [t.emailName('b.c')], []],
  'mailbox of the domain itself': [/none/, [t.emailName('m@b.c')], [t.emailName('.b.c')], []],
  'mailbox without a host': [/cannot be compared/, [t.emailName('me')], [t.emailName('b.c')], []],
  'URI of another host': [/none/, [t.uriName('https://a.b')], [t.uriName('b.c')], []],
  'URI without a host name': [/cannot be compared/, [t.uriName('urn:x')], [t.uriName('b.c')], []],
  'URI of an address': [/cannot be compared/, [t.uriName('http://1.2.3.4/')], [t.uriName('b.c')], []],
  'subject outside': [
    /directory name .* in none/,
    [],
    [t.directoryName(org)],
    [],
    t.nameOf({ C: 'DE', O: 'X' }),
  ],
  'subject excluded': [/directory name .* excluded/, [], [], [t.directoryName(org)], org],
  'directory name outside': [
    /directory name/,
    [t.directoryName(t.nameOf({ CN: 'x' }))],
    [t.directoryName(org)],
    [],
  ],
  'mailbox in the subject': [
    /e-mail "a@b\.c"/,
    [],
    [],
    [t.emailName('b.c')],
    t.nameOf({ emailAddress: 'a@b.c' }),
  ],
  'form that cannot be processed': [
    /otherName cannot be compared/,
    [t.otherName('1.2.3', der.nothing())],
    [],
    [t.otherName('1.2.4', der.nothing())],
  ],
};

for (const [title, [names, permitted, excluded, subject]] of Object.entries(allowed)) {
  test(`allowed: ${title}`, (a) => a.is(check(names, permitted, excluded, subject), ''));
}
for (const [title, [reason, names, permitted, excluded, subject]] of Object.entries(refused)) {
  test(`refused: ${title}`, (a) => a.regex(check(names, permitted, excluded, subject), reason));
}

test('comparisons are bounded', (a) => {
  const names = Array.from({ length: 40 }, (_, i) => t.dnsName(`a${i}.b`));
  const bases = Array.from({ length: 40 }, (_, i) => t.dnsName(`b${i}.c`));
  a.is(check(names, [], bases, undefined, 1600), '');
  a.regex(check(names, [], bases, undefined, 1599), /too many/);
});

test('malformed constraints are not read', (a) => {
  const ca = (value: Uint8Array): Uint8Array =>
    t.issueCa('CA', { extensions: [t.extension('2.5.29.30', value, true)] }).der;
  a.throws(() => new Certificate(ca(der.sequence())), { message: /empty nameConstraints/ });
  a.throws(() => new Certificate(ca(der.sequence(der.explicit(0)))), { message: /empty list of subtrees/ });
  const withMaximum = der.sequence(t.dnsName('a'), der.implicit(1, Uint8Array.of(1)));
  a.throws(() => new Certificate(ca(der.sequence(der.explicit(0, withMaximum)))), {
    message: /minimum or maximum/,
  });
});
