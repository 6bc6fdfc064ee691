import test from 'ava';
import { EthernetWire } from '../testing/ethernet-wire.ts';
import type { IpPrefix } from '../wire/ip-address.ts';
import { parsePrefix } from '../wire/ip-address.ts';
import { AddressCheck } from './address-check.ts';

const prefix = (text: string): IpPrefix => parsePrefix(text)!;

test('addresses are asked for, v4 and v6 at once, and used when nobody has them', (t) => {
  const wire = new EthernetWire();
  const own = wire.add(1, []);
  wire.add(2, ['192.0.2.2/24', 'fe80::2/64']);
  const free: IpPrefix[] = [];
  const taken: string[] = [];
  const wanted = ['192.0.2.1/24', '192.0.2.2/24', '192.0.2.3/24', 'fe80::1/64', 'fe80::2/64'].map(prefix);
  const check = new AddressCheck(own.stack, own.link, wanted, {
    addressIsFree: (each) => {
      free.push(each);
      own.stack.configure(own.iface, 'checked', { addresses: [...free], routes: [], mtuBytes: Infinity });
    },
    addressIsTaken: (address) => taken.push(address.toString()),
  });
  t.is(check.pending.length, 5);
  t.deepEqual(own.iface.addresses, []);
  wire.runFor(20_000);
  t.deepEqual(taken.sort(), ['192.0.2.2', 'fe80::2']);
  t.deepEqual(own.iface.addresses.map(({ address }) => address.toString()).sort(), [
    '192.0.2.1',
    '192.0.2.3',
    'fe80::1',
  ]);
  t.deepEqual(check.pending, []);
  // RFC 5227 §2.3: what is taken into use is announced twice
  const announced = wire.trace.filter(
    ({ from, bytes }) => from === own && bytes[13] === 6 && bytes[31] === 1 && bytes[41] === 1,
  );
  t.is(announced.length, 2);
});

test('ended early, nothing more is sent or told', (t) => {
  const wire = new EthernetWire();
  const own = wire.add(1, []);
  const check = new AddressCheck(own.stack, own.link, [prefix('192.0.2.1/24'), prefix('fe80::1/64')], {
    addressIsFree: () => t.fail(),
    addressIsTaken: () => t.fail(),
  });
  wire.settle();
  check.close();
  wire.runFor(3000);
  wire.trace.length = 0;
  wire.runFor(60_000);
  t.is(wire.trace.length, 0);
});
