import test from 'ava';
import { type GeneralName, NameForm } from './general-name.ts';
import { matchesServer, parseReferenceName } from './server-name.ts';

const dns = (text: string): GeneralName => ({ form: NameForm.Dns, text });
const ip = (...octets: number[]): GeneralName => ({ form: NameForm.Ip, octets: Uint8Array.from(octets) });

/** Whether a certificate with one name is for a server. */
const table: readonly (readonly [name: GeneralName, server: string, matches: boolean])[] = [
  [dns('example.com'), 'example.com', true],
  [dns('EXAMPLE.com'), 'example.COM', true],
  [dns('example.com'), 'example.com.', true],
  [dns('example.com.'), 'example.com', false],
  [dns('example.com'), 'example.com..', false],
  [dns('example.com'), 'www.example.com', false],
  [dns('www.example.com'), 'example.com', false],
  [dns('localhost'), 'localhost', true],
  [dns('my_host.lab'), 'my_host.lab', true],
  [dns('*.example.com'), 'www.example.com', true],
  [dns('*.EXAMPLE.com'), 'WWW.example.com', true],
  [dns('*.example.com'), 'example.com', false],
  [dns('*.example.com'), 'a.b.example.com', false],
  [dns('*.example.com'), '.example.com', false],
  [dns('*.example.com'), 'xn--bcher-kva.example.com', true],
  [dns('*'), 'localhost', false],
  [dns('*.'), 'localhost', false],
  [dns('*.com'), 'example.com', false],
  [dns('*.*.com'), 'www.example.com', false],
  [dns('www.*.com'), 'www.example.com', false],
  [dns('w*.example.com'), 'www.example.com', false],
  [dns('*w.example.com'), 'www.example.com', false],
  [dns('xn--*.example.com'), 'xn--bcher-kva.example.com', false],
  [dns('*.example.com'), '*.example.com', false],
  [dns('xn--BCHER-kva.example'), 'xn--bcher-kva.example', true],
  [dns(''), 'example.com', false],
  [dns('.example.com'), 'www.example.com', false],
  [dns('example.com\0.evil.org'), 'example.com', false],
  [dns('192.0.2.1'), '192.0.2.1', false],
  [dns('*.0.2.1'), '192.0.2.1', false],
  [ip(192, 0, 2, 1), '192.0.2.1', true],
  [ip(192, 0, 2, 1), '192.0.2.2', false],
  [ip(192, 0, 2, 1), '192.0.2.01', false],
  [ip(192, 0, 2, 1), '192.0.2.1.', false],
  [ip(192, 0, 2, 1), '0xc0000201', false],
  [ip(192, 0, 2, 1), '3221225985', false],
  [ip(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), '2001:DB8::1', true],
  [ip(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), '[2001:db8:0:0:0:0:0:1]', true],
  [ip(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), '2001:db8::1%eth0', true],
  [ip(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), '2001:db8::1::', false],
  [ip(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1), '::ffff:192.0.2.1', true],
  [ip(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1), '192.0.2.1', false],
  [ip(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), '::', true],
  [{ form: NameForm.Uri, text: 'https://example.com' }, 'example.com', false],
  [{ form: NameForm.Email, text: 'a@example.com' }, 'example.com', false],
];

for (const [name, server, matches] of table) {
  const shown =
    'text' in name ? JSON.stringify(name.text) : 'octets' in name ? [...name.octets].join('.') : '';
  test(`${shown} is ${matches ? '' : 'not '}for ${server}`, (t) => {
    const reference = parseReferenceName(server);
    t.is(reference !== null && matchesServer([name], reference), matches);
  });
}

test('what is no name at all', (t) => {
  const long = `${'a'.repeat(63)}.`.repeat(4);
  for (const text of [
    '',
    '.',
    'a b',
    'é.example',
    '-a.example',
    'a-.example',
    `${'a'.repeat(64)}.example`,
    long,
    '1.2.3',
    'a.1',
    '[::1',
    '1:2:3',
    '::1.2.3.4.5',
    '12345::',
    '::1::',
  ]) {
    t.is(parseReferenceName(text), null, text);
  }
});
