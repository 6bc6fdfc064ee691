import test from 'ava';
import type { NetError } from '../errors.ts';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf } from '../testing/packets.ts';
import type { Interface } from './interface.ts';
import type { Ping } from './ping.ts';

interface Bed {
  readonly wire: EthernetWire;
  readonly a: Station;
  readonly b: Station;
  readonly vlan: Interface;
}

/** Two stations with the same addresses on the LAN and on VLAN 10, but for the last part; b is on VLAN 20 too. */
function bed(): Bed {
  const wire = new EthernetWire();
  const a = wire.add(1, ['10.0.0.1/24', 'fe80::1/64']);
  const b = wire.add(2, ['10.0.0.2/24', 'fe80::2/64']);
  const vlan = a.stack.addVlan(a.iface, { id: 10, addresses: ['10.10.0.1/24', 'fe80::1/64', 'fd10::1/64'] });
  b.stack.addVlan(b.iface, { id: 10, addresses: ['10.10.0.2/24', 'fe80::2/64', 'fd10::2/64'] });
  b.stack.addVlan(b.iface, { id: 20, addresses: ['10.20.0.2/24'] });
  wire.runFor(5000);
  wire.trace.length = 0;
  return { wire, a, b, vlan };
}

function ping({ wire, a }: Bed, to: string, zone = 0): string {
  const ping: Ping = a.stack.icmp.ping({
    destination: addressOf(to).inZone(zone),
    count: 1,
    payloadBytes: 1400,
  });
  wire.runFor(5000);
  return ping.take()?.outcome ?? 'nothing';
}

/** The tags of the frames that were sent; 0: none. */
function tags({ wire }: Bed): number[] {
  const all = wire.trace.splice(0).map(({ bytes }) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return view.getUint16(12) === 0x8100 ? view.getUint16(14) : 0;
  });
  return [...new Set(all)];
}

test('an interface of a VLAN has its own addresses, neighbours and tag', (t) => {
  const it = bed();
  t.is(it.vlan.name, 'station1.10');
  for (const to of ['10.10.0.2', 'fd10::2']) {
    t.is(ping(it, to), 'reply');
    t.deepEqual(tags(it), [10]);
  }
  t.is(ping(it, '10.0.0.2'), 'reply');
  t.deepEqual(tags(it), [0]);
  t.is(ping(it, 'fe80::2', 2), 'reply');
  t.deepEqual(tags(it), [10], 'the zone of a link-local address is the VLAN');
  t.is(ping(it, 'fe80::2', 1), 'reply');
  t.deepEqual(tags(it), [0]);
});

test('frames of other VLANs are dropped and counted; a priority tag makes none', (t) => {
  const it = bed();
  ping(it, '10.10.0.2');
  const request = it.wire.trace.find(({ from, bytes }) => from === it.a && bytes.length > 1400)!.bytes;
  const before = it.b.counters('icmp')['echoRequests']!;
  const droppedBefore = it.b.counters('ip')['dropNotForUs']!;
  const notForUs = (): number => it.b.counters('ip')['dropNotForUs']! - droppedBefore;
  const send = (tci: number): number => {
    const frame = request.slice();
    frame.set([tci >> 8, tci & 255], 14);
    it.b.input(frame);
    return it.b.counters('icmp')['echoRequests']! - before;
  };
  t.is(send(30), 0);
  t.is(it.b.counters('ethernet')['dropVlan'], 1);
  t.is(send(20), 0, 'the address is not one of this VLAN');
  t.is(notForUs(), 1);
  t.is(send(0), 0, 'nor of the LAN itself');
  t.is(notForUs(), 2);
  t.is(send(0xe00a), 1, 'priority 7 of VLAN 10');
  // a service tag is not that of a VLAN of ours
  const outer = request.slice();
  outer.set([0x88, 0xa8], 12);
  it.b.input(outer);
  t.is(it.b.counters('ethernet')['dropVlan'], 2);
});

test('numbers that cannot be, or are taken', (t) => {
  const { a, vlan } = bed();
  for (const id of [0, 4095, 1.5, 10]) {
    const error = t.throws<NetError>(() => a.stack.addVlan(a.iface, { id, addresses: [] }));
    t.is(error?.tunwireCode, 'ARGUMENT_INVALID');
    t.regex(error?.message ?? '', /1 … 4094/);
  }
  t.throws(() => a.stack.addVlan(vlan, { id: 11, addresses: [] }));
});
