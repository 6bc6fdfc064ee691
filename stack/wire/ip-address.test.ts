import { isIPv4, isIPv6 } from 'node:net';
import test from 'ava';
import { fc } from '../../test/properties.ts';
import { IpAddress, parsePrefix } from './ip-address.ts';

test('RFC 5952 text forms', (t) => {
  for (const [given, wanted] of [
    ['2001:0db8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['FE80::A', 'fe80::a'],
  ] as const) {
    t.is(IpAddress.parse(given)?.toString(), wanted, given);
  }
});

test('what is not a literal', (t) => {
  for (const bad of [
    '',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    '1.2.3.4 ',
    'a',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    '::1.2.3',
    'fe80::1%eth0',
    '1:2:3:4:5:6:7:1.2.3.4',
    '::g',
    ':1::2',
    '1:2:3:4:5:6:7::8:9',
  ]) {
    t.is(IpAddress.parse(bad), null, bad);
  }
});

test('agrees with node:net on random text near an address', (t) => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.ipV4(),
        fc.ipV6(),
        fc.string({ unit: fc.constantFrom(...'0123af:.'.split('')), maxLength: 20 }),
      ),
      (text) => {
        t.is(IpAddress.parse(text) !== null, isIPv4(text) || isIPv6(text), text);
      },
    ),
    { numRuns: 5000 },
  );
});

test('text and bytes round-trip', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const address = IpAddress.parse(text);
      if (address === null) return t.fail(text);
      const view = new DataView(new ArrayBuffer(16));
      address.write(view, 0);
      t.true(IpAddress.read(view, 0, address.family).equals(address));
      t.true(IpAddress.parse(address.toString())?.equals(address));
    }),
  );
});

test('prefixes', (t) => {
  t.is(parsePrefix('192.0.2.2/24')?.prefixLength, 24);
  t.is(parsePrefix('2001:db8::2')?.prefixLength, 128);
  for (const bad of ['192.0.2.2/33', '192.0.2.2/', '/24', '::/129', '192.0.2.2/-1', '192.0.2.2/1e1'])
    t.is(parsePrefix(bad), null, bad);
  const net = IpAddress.parse('2001:db8:0:8000::1');
  t.true(net?.sharesPrefix(IpAddress.parse('2001:db8:0:8001::1') as IpAddress, 63));
  t.false(net?.sharesPrefix(IpAddress.parse('2001:db8:0:8001::1') as IpAddress, 64));
});
