import { domainToASCII } from 'node:url';
import test from 'ava';
import { fc } from '../../test/properties.ts';
import { NetError } from '../errors.ts';
import { isLocalhost, parseHost } from './host-name.ts';

const parse = (host: string): string => {
  const parsed = parseHost(host, domainToASCII);
  return parsed.kind === 'address' ? `address ${parsed.address}` : `name ${parsed.name}`;
};

const accepted: readonly (readonly [string, string])[] = [
  ['192.0.2.1', 'address 192.0.2.1'],
  ['0.0.0.0', 'address 0.0.0.0'],
  ['2001:DB8::1', 'address 2001:db8::1'],
  ['::', 'address ::'],
  ['[2001:db8::1]', 'address 2001:db8::1'],
  ['::ffff:192.0.2.1', 'address 192.0.2.1'],
  ['::ffff:c000:201', 'address 192.0.2.1'],
  ['1:2:3:4:5:6:192.0.2.1', 'address 1:2:3:4:5:6:c000:201'],
  ['Example.COM', 'name example.com'],
  ['example.com.', 'name example.com'],
  ['localhost', 'name localhost'],
  ['_sip.example_1.com', 'name _sip.example_1.com'],
  ['3com.com', 'name 3com.com'],
  ['1.2.3.4.com', 'name 1.2.3.4.com'],
  ['bücher.example', 'name xn--bcher-kva.example'],
  ['BÜCHER。example', 'name xn--bcher-kva.example'],
  [`${'a'.repeat(63)}.b`, `name ${'a'.repeat(63)}.b`],
  [`${'abcdefg.'.repeat(31)}abcde`, `name ${'abcdefg.'.repeat(31)}abcde`],
];

for (const [host, meaning] of accepted) test(`taken: ${host}`, (t) => t.is(parse(host), meaning));

const refused: readonly (readonly [string, RegExp])[] = [
  ['', /empty/],
  ['http://example.com/x', /looks like a URL; give only the host name: "example\.com"/],
  ['https://user:pw@[2001:db8::1]:8443/', /URL.*"\[2001:db8::1\]"/],
  ['HTTPS://EXAMPLE.COM:443', /URL.*"EXAMPLE\.COM"/],
  ['example.com/path', /part of a URL.*"example\.com"/],
  ['//example.com', /part of a URL/],
  ['example.com?x=1', /part of a URL/],
  ['user@example.com', /"example\.com"/],
  ['example.com:443', /port.*"example\.com".*"443"/],
  ['[::1]:443', /port.*"\[::1\]".*"443"/],
  ['1:2:3', /neither/],
  ['2001:db8::1%eth0', /zone/],
  ['fe80::1%', /zone follows/],
  ['[192.0.2.1]', /brackets/],
  ['[example.com]', /brackets/],
  ['.', /at least one label/],
  ['a..b', /empty/],
  ['.a', /empty/],
  ['a b', /" " is not allowed/],
  ['a\u0000b', /\\u0000/],
  ['a*', /not allowed/],
  ['-a.example', /hyphen/],
  ['a-.example', /hyphen/],
  ['127.1', /four decimal parts/],
  ['2130706433', /four decimal parts/],
  ['0x7f.1', /four decimal parts/],
  ['0x7f000001', /four decimal parts/],
  ['192.0.2.01', /four decimal parts/],
  ['192.0.2.256', /four decimal parts/],
  ['example.1', /four decimal parts/],
  ['example.0x', /four decimal parts/],
  ['１２７.１', /four decimal parts|UTS 46/],
  ['xn--\u00fc', /UTS 46/],
  ['\u200d', /UTS 46/],
  ['a'.repeat(64), /at most 63/],
  [`${'abcdefg.'.repeat(31)}abcdef`, /at most 253.*254/],
];

for (const [host, message] of refused) {
  test(`refused: ${JSON.stringify(host).slice(0, 60)}`, (t) => {
    const error = t.throws(() => parse(host), { instanceOf: NetError });
    t.is(error?.tunwireCode, 'HOST_INVALID');
    t.is(error?.phase, 'argument');
    t.regex(error?.message ?? '', message);
  });
}

test('a trailing dot is told', (t) => {
  t.like(parseHost('example.com.', null), { absolute: true });
  t.like(parseHost('example.com', null), { absolute: false });
});

test('without a converter names outside ASCII are refused', (t) => {
  t.throws(() => parseHost('bücher.example', null), { message: /xn--/ });
});

test('localhost names', (t) => {
  t.true(isLocalhost('localhost'));
  t.true(isLocalhost('a.b.localhost'));
  t.false(isLocalhost('notlocalhost'));
  t.false(isLocalhost('localhost.example'));
});

test('any text is classified or refused as HOST_INVALID; messages stay short', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.webUrl()), (host) => {
      try {
        const parsed = parseHost(host, domainToASCII);
        if (parsed.kind === 'name') t.regex(parsed.name, /^[a-z0-9_.-]{1,253}$/);
      } catch (error) {
        t.is((error as NetError).tunwireCode, 'HOST_INVALID');
        t.true((error as NetError).message.length < 1000);
      }
    }),
    { numRuns: 500 },
  );
});
