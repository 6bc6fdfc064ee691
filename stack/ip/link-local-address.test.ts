import test from 'ava';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf } from '../testing/packets.ts';
import { ArpOperation, writeArp } from '../wire/arp.ts';
import { EtherType, writeEthernetHeader } from '../wire/ethernet.ts';
import type { IpPrefix } from '../wire/ip-address.ts';
import { Slab } from '../wire/slab.ts';
import {
  LinkLocalAddress,
  LinkLocalCounters,
  MAX_CONFLICTS,
  RATE_LIMIT_INTERVAL_MS,
} from './link-local-address.ts';

const SECOND = 1000;

interface Host {
  readonly station: Station;
  readonly counters: LinkLocalCounters;
  readonly search: LinkLocalAddress;
  /** What the owner was told, '' for none. */
  readonly told: string[];
}

function host(wire: EthernetWire, number: number): Host {
  const station = wire.add(number, []);
  const counters = new LinkLocalCounters();
  const told: string[] = [];
  const search = new LinkLocalAddress(station.stack, counters, station.link, {
    linkLocalChanged(prefix: IpPrefix | null): void {
      told.push(prefix === null ? '' : `${prefix.address}/${prefix.prefixLength}`);
      const settings = prefix === null ? null : { addresses: [prefix], routes: [], mtuBytes: Infinity };
      station.stack.configure(station.iface, 'link-local', settings);
    },
  });
  return { station, counters, search, told };
}

/** The address that a station of this number takes when it is alone. */
function firstOf(number: number): string {
  const wire = new EthernetWire();
  const { search, told } = host(wire, number);
  search.begin(0);
  wire.runFor(20 * SECOND);
  return told[0]!.split('/')[0]!;
}

/** ARP frames of a station, as `to sender target`. */
function arps(wire: EthernetWire, from: Station): string[] {
  return wire.trace
    .filter((frame) => frame.from === from && frame.bytes[12] === 8 && frame.bytes[13] === 6)
    .map(({ bytes }) => {
      const to = bytes[0] === 0xff ? 'all' : String(bytes[5]);
      return `${to} ${bytes.subarray(28, 32).join('.')} ${bytes.subarray(38, 42).join('.')}`;
    });
}

/** Another station says that it has `address`. */
function claim({ station }: Host, address: string): void {
  const { view, bytes } = Slab.alloc(42);
  writeEthernetHeader(view, 0, 0xffff, -1, 0x0200, 66, EtherType.Arp);
  const word = addressOf(address).w3;
  writeArp(view, 14, ArpOperation.Request, 0x0200, 66, word, 0, 0, word);
  station.input(bytes);
}

test('RFC 3927 §2.2: an address is asked for three times, used, and announced twice; it is the same each time', (t) => {
  const wire = new EthernetWire();
  const { station, search, told, counters } = host(wire, 1);
  wire.runFor(60 * SECOND);
  t.deepEqual(told, [], 'not asked for yet');
  wire.settle();
  search.begin(10 * SECOND);
  wire.runFor(9 * SECOND);
  t.deepEqual(arps(wire, station), []);
  wire.runFor(20 * SECOND);
  const own = firstOf(1);
  t.regex(own, /^169\.254\.([1-9]|\d\d|1\d\d|2[0-4]\d|25[0-4])\.\d+$/);
  t.not(own, firstOf(2), 'stations differ');
  t.deepEqual(told, [`${own}/16`]);
  t.deepEqual(arps(wire, station), [
    ...new Array<string>(3).fill(`all 0.0.0.0 ${own}`),
    ...new Array<string>(2).fill(`all ${own} ${own}`),
  ]);
  t.like(counters, { configured: 1, conflicts: 0, givenUp: 0 });
});

test('two stations reach each other without a server; all hear of link-local senders (RFC 3927 §2.5)', (t) => {
  const wire = new EthernetWire();
  const a = host(wire, 1);
  const b = host(wire, 2);
  a.search.begin(0);
  b.search.begin(0);
  wire.runFor(20 * SECOND);
  wire.trace.length = 0;
  a.station.stack.icmp.ping({ destination: b.search.address!, count: 1, timeoutMs: 1000 });
  wire.runFor(SECOND);
  t.is(a.station.counters('icmp')['echoReplies'], 1);
  t.deepEqual(
    [...arps(wire, a.station), ...arps(wire, b.station)].map((each) => each.split(' ')[0]),
    ['all', 'all'],
    'question and answer',
  );
});

test('somebody has it: others are tried, after ten of them one a minute (RFC 3927 §2.2.1)', (t) => {
  const wire = new EthernetWire();
  const { station, search, told, counters } = host(wire, 1);
  const tried = new Set<string>();
  const { filter } = wire;
  wire.filter = (frame, from): boolean => {
    if (from === station && frame.subarray(28, 32).every((byte) => byte === 0))
      tried.add(frame.subarray(38, 42).join('.'));
    return filter(frame, from);
  };
  /** For so many seconds everything that it asks for belongs to another station. */
  const refuseFor = (seconds: number): void => {
    for (let i = 0; i < seconds; i++) {
      wire.runFor(SECOND);
      const last = [...tried].at(-1);
      if (last !== undefined) claim({ station, search, told, counters }, last);
    }
  };
  search.begin(0);
  refuseFor(50);
  t.is(tried.size, MAX_CONFLICTS + 1, 'all different, and no more of them yet');
  refuseFor(RATE_LIMIT_INTERVAL_MS / SECOND);
  t.is(tried.size, MAX_CONFLICTS + 2);
  t.is(counters.conflicts, MAX_CONFLICTS + 2);
  wire.runFor(RATE_LIMIT_INTERVAL_MS + 20 * SECOND);
  t.deepEqual(told, [`${[...tried].at(-1)}/16`]);
  t.is(tried.size, MAX_CONFLICTS + 3);
});

test('an address in use is defended once in ten seconds, then given up for another (RFC 3927 §2.5)', (t) => {
  const wire = new EthernetWire();
  const own = host(wire, 1);
  own.search.begin(0);
  wire.runFor(20 * SECOND);
  const first = own.search.address!.toString();
  wire.trace.length = 0;
  claim(own, first);
  wire.runFor(11 * SECOND);
  t.deepEqual(arps(wire, own.station), [`all ${first} ${first}`]);
  claim(own, first);
  wire.runFor(5 * SECOND);
  t.is(own.counters.givenUp, 0);
  claim(own, first);
  t.is(own.search.address, null);
  wire.runFor(20 * SECOND);
  const second = own.search.address?.toString();
  t.not(second, first);
  t.deepEqual(own.told, [`${first}/16`, '', `${second}/16`]);
  t.like(own.counters, { configured: 2, givenUp: 1 });
  t.deepEqual(
    own.station.iface.addresses.map(({ address }) => address.toString()),
    [second!],
  );
});

test('a lease that comes ends the search, not the use; after the end nothing is sent', (t) => {
  const wire = new EthernetWire();
  const { station, search, told } = host(wire, 1);
  search.begin(0);
  wire.runFor(2 * SECOND);
  search.cease();
  wire.trace.length = 0;
  wire.runFor(60 * SECOND);
  t.deepEqual([arps(wire, station), told], [[], []]);
  search.begin(0);
  wire.runFor(20 * SECOND);
  search.cease();
  t.is(station.iface.addresses.length, 1);
  search.begin(0);
  wire.runFor(20 * SECOND);
  t.is(told.length, 1, 'there is one');
  search.close();
  t.is(station.link.observer, null);
});
