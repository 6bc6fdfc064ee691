import test from 'ava';
import { fc } from '../../test/properties.ts';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf, icmpMessage, ipPacket } from '../testing/packets.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import { EtherType, writeEthernetHeader } from '../wire/ethernet.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { RecordType } from '../wire/membership.ts';
import { Slab } from '../wire/slab.ts';
import { type GroupMembership, MAX_GROUP_SOURCES, MAX_GROUPS } from './group-membership.ts';

const SECOND = 1000;

/** The two protocols, which must do the same. */
interface Family {
  readonly name: string;
  readonly own: string;
  readonly group: string;
  readonly other: string;
  readonly sources: readonly [string, string];
  readonly groups: (station: Station) => GroupMembership;
  /** `type group sources…` of each record of a report, `old GROUP`, `leave GROUP`. */
  readonly read: (frame: Uint8Array) => string[];
  readonly query: (fields: QueryFields) => Uint8Array;
  /** A report of the older version, by somebody else. */
  readonly oldReport: (group: string) => Uint8Array;
}

interface QueryFields {
  readonly version?: 1 | 2 | 3;
  readonly group?: string;
  readonly sources?: readonly string[];
  readonly ttl?: number;
}

const RECORD_NAMES = new Map<number, string>(
  Object.entries(RecordType).map(([name, value]) => [value, name]),
);
const bytesOf = (address: IpAddress): number[] => {
  const bytes = new Uint8Array(16);
  return [...bytes.slice(0, address.write(new DataView(bytes.buffer), 0))];
};
const asBytes = (text: string): number[] => bytesOf(addressOf(text));

function textOf(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  return addressOf(groups.join(':')).toString();
}

function records(bytes: Uint8Array, size: number): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: string[] = [];
  let at = 8;
  for (let left = view.getUint16(6); left > 0; left--) {
    const count = view.getUint16(at + 2);
    const each = (i: number): string => textOf(bytes.subarray(at + 4 + i * size, at + 4 + (i + 1) * size));
    const sources = Array.from({ length: count }, (_, i) => each(i + 1));
    found.push([RECORD_NAMES.get(bytes[at]!), each(0), ...sources].join(' '));
    at += 4 + (count + 1) * size;
  }
  return found;
}

function framed(packet: Uint8Array, type: number): Uint8Array {
  const frame = Slab.alloc(14 + packet.length);
  writeEthernetHeader(frame.view, 0, 0x0100, 0x5e000001, 0x0200, 9, type);
  frame.bytes.set(packet, 14);
  return frame.bytes;
}

function igmpFrame(to: string, message: number[], ttl = 1): Uint8Array {
  const slab = new Slab(Uint8Array.from(message));
  slab.view.setUint16(2, foldChecksum(sumSlab(slab, 0, slab.lengthBytes, 0)));
  return framed(ipPacket({ from: '192.0.2.9', to, protocol: 2, ttl }, slab.bytes), EtherType.Ipv4);
}

function mldFrame(to: string, type: number, rest: number, data: number[], hopLimit = 1): Uint8Array {
  const from = 'fe80::9';
  const message = icmpMessage(from, to, type, 0, rest, Uint8Array.from(data));
  const payload = Uint8Array.of(58, 0, 5, 2, 0, 0, 1, 0, ...message);
  return framed(ipPacket({ from, to, protocol: 0, ttl: hopLimit }, payload), EtherType.Ipv6);
}

const FAMILIES: readonly Family[] = [
  {
    name: 'IGMP',
    own: '192.0.2.1/24',
    group: '239.1.2.3',
    other: '239.9.9.9',
    sources: ['198.51.100.1', '198.51.100.2'],
    groups: (station) => station.iface.igmp!.groups,
    read: (frame) => {
      if (frame[12] !== 8 || frame[13] !== 0 || frame[23] !== 2) return [];
      const message = frame.subarray(14 + 24);
      const group = textOf(message.subarray(4, 8));
      if (message[0] === 0x22) return records(message, 4);
      return [`${message[0] === 0x17 ? 'leave' : 'old'} ${group}`];
    },
    query: ({ version = 3, group, sources = [], ttl }) => {
      const first = [0x11, version === 1 ? 0 : 100, 0, 0, ...(group ? asBytes(group) : [0, 0, 0, 0])];
      const rest = version === 3 ? [2, 125, 0, sources.length, ...sources.flatMap(asBytes)] : [];
      return igmpFrame(group ?? '224.0.0.1', [...first, ...rest], ttl);
    },
    oldReport: (group) => igmpFrame(group, [0x16, 0, 0, 0, ...asBytes(group)]),
  },
  {
    name: 'MLD',
    own: 'fe80::1/64',
    group: 'ff05::1:2',
    other: 'ff05::9:9',
    sources: ['2001:db8::1', '2001:db8::2'],
    groups: (station) => station.iface.mld!.groups,
    read: (frame) => {
      if (frame[12] !== 0x86 || frame[20] !== 0) return [];
      const message = frame.subarray(14 + 48);
      if (message[0] === 143) return records(message, 16);
      return [`${message[0] === 132 ? 'leave' : 'old'} ${textOf(message.subarray(8, 24))}`];
    },
    query: ({ version = 3, group, sources = [], ttl }) => {
      const first = group ? asBytes(group) : new Array<number>(16).fill(0);
      const rest = version === 3 ? [2, 125, 0, sources.length, ...sources.flatMap(asBytes)] : [];
      return mldFrame(group ?? 'ff02::1', 130, 10_000 << 16, [...first, ...rest], ttl);
    },
    oldReport: (group) => mldFrame(group, 131, 0, asBytes(group)),
  },
];

for (const family of FAMILIES) {
  const { name, group, other } = family;
  const [first, second] = family.sources;
  const G = addressOf(group);
  const S1 = addressOf(first);
  const S2 = addressOf(second);

  const bed = (): { wire: EthernetWire; own: Station; groups: GroupMembership; said: () => string[] } => {
    const wire = new EthernetWire();
    const own = wire.add(1, [family.own]);
    wire.runFor(5 * SECOND);
    wire.trace.length = 0;
    const said = (): string[] => wire.trace.splice(0).flatMap(({ bytes }) => family.read(bytes));
    return { wire, own, groups: family.groups(own), said };
  };

  // [RFC 1122 §3.3.7-1] [RFC 1122 §3.3.7-2]
  test(`${name}: joining and leaving is told twice, the second time within a second`, (t) => {
    const { wire, groups, said } = bed();
    const { size } = groups;
    t.true(groups.join(G, null));
    wire.settle();
    t.deepEqual(said(), [`ChangeToExclude ${group}`]);
    wire.runFor(SECOND);
    t.deepEqual(said(), [`ChangeToExclude ${group}`]);
    // another one wants it too: nothing new
    t.true(groups.join(G, null));
    groups.leave(G, null);
    wire.runFor(60 * SECOND);
    t.deepEqual(said(), []);
    t.true(groups.has(G.w0, G.w1, G.w2, G.w3));
    groups.leave(G, null);
    t.false(groups.has(G.w0, G.w1, G.w2, G.w3));
    wire.runFor(60 * SECOND);
    t.deepEqual(said(), [`ChangeToInclude ${group}`, `ChangeToInclude ${group}`]);
    t.is(groups.size, size);
  });

  test(`${name}: sources`, (t) => {
    const { wire, groups, said } = bed();
    groups.join(G, S1);
    wire.runFor(2 * SECOND);
    t.deepEqual(said(), [`AllowSources ${group} ${first}`, `AllowSources ${group} ${first}`]);
    groups.join(G, S2);
    groups.leave(G, S1);
    wire.runFor(2 * SECOND);
    const change = [`AllowSources ${group} ${second}`, `BlockSources ${group} ${first}`];
    t.deepEqual(said(), [...change, ...change]);
    // somebody wants all of them, and then not any more
    groups.join(G, null);
    wire.runFor(2 * SECOND);
    t.deepEqual(said(), [`ChangeToExclude ${group}`, `ChangeToExclude ${group}`]);
    groups.leave(G, null);
    wire.runFor(2 * SECOND);
    t.deepEqual(said(), [`ChangeToInclude ${group} ${second}`, `ChangeToInclude ${group} ${second}`]);
    groups.leave(G, S2);
    wire.runFor(2 * SECOND);
    t.deepEqual(said(), [`BlockSources ${group} ${second}`, `BlockSources ${group} ${second}`]);
  });

  test(`${name}: questions of routers`, (t) => {
    const { wire, own, groups, said } = bed();
    groups.join(G, null);
    groups.join(addressOf(other), S1);
    wire.runFor(10 * SECOND);
    said();
    const current = [`ModeIsExclude ${group}`, `ModeIsInclude ${other} ${first}`];
    const answers = (): string[] => said().filter((each) => !each.includes('ff02::1:ff'));
    own.input(family.query({}));
    wire.runFor(10 * SECOND);
    t.deepEqual(answers(), current);
    own.input(family.query({ group }));
    wire.runFor(10 * SECOND);
    t.deepEqual(answers(), [current[0]!]);
    own.input(family.query({ group, sources: [first, second] }));
    wire.runFor(10 * SECOND);
    t.deepEqual(answers(), [`ModeIsInclude ${group} ${first} ${second}`]);
    own.input(family.query({ group: other, sources: [first, second] }));
    own.input(family.query({ group: other, sources: [second] }));
    wire.runFor(10 * SECOND);
    t.deepEqual(answers(), [`ModeIsInclude ${other} ${first}`]);
    // from beyond a router
    own.input(family.query({ ttl: 2 }));
    wire.runFor(10 * SECOND);
    t.deepEqual(answers(), []);
    t.like(own.counters('multicast'), { dropInvalid: 1, queriesReceived: 5 });
  });

  test(`${name}: an older router is spoken to in its version, until it is silent for long enough`, (t) => {
    const { wire, own, groups, said } = bed();
    own.input(family.query({ version: 2 }));
    wire.runFor(10 * SECOND);
    said();
    groups.join(G, null);
    wire.settle();
    t.deepEqual(said(), [`old ${group}`]);
    wire.runFor(10 * SECOND);
    t.deepEqual(said(), [`old ${group}`]);
    own.input(family.query({ version: 2, group }));
    wire.runFor(10 * SECOND);
    t.deepEqual(said(), [`old ${group}`]);
    // another member is quicker
    own.input(family.query({ version: 2, group }));
    own.input(family.oldReport(group));
    wire.runFor(10 * SECOND);
    t.deepEqual(said(), []);
    t.is(own.counters('multicast')['suppressed'], 1);
    groups.leave(G, null);
    wire.runFor(10 * SECOND);
    t.deepEqual(said(), [`leave ${group}`]);
    wire.runFor(260 * SECOND);
    wire.settle();
    groups.join(G, null);
    wire.settle();
    t.deepEqual(said(), [`ChangeToExclude ${group}`]);
  });

  test(`${name}: no more groups and sources than the limits`, (t) => {
    const { own, groups } = bed();
    const nth = (i: number): IpAddress =>
      addressOf(G.family === 4 ? `239.0.${i >> 8}.${i & 255}` : `ff05::${i.toString(16)}`);
    const { size } = groups;
    let joined = size;
    for (let i = 0; i < MAX_GROUPS + 3; i++) if (groups.join(nth(i), null)) joined++;
    t.is(joined, MAX_GROUPS);
    const source = (i: number): IpAddress =>
      addressOf(G.family === 4 ? `10.0.0.${i}` : `2001:db8::${i.toString(16)}`);
    let sources = 0;
    for (let i = 1; i < 100; i++) if (groups.join(nth(0), source(i))) sources++;
    t.is(sources, MAX_GROUP_SOURCES);
    t.is(own.counters('multicast')['refused'], 3 + size + 99 - MAX_GROUP_SOURCES);
  });

  test(`${name}: what all groups take goes in several reports, each of which fits`, (t) => {
    const { wire, own, groups } = bed();
    const nth = (i: number): IpAddress =>
      addressOf(G.family === 4 ? `239.0.${i >> 8}.${i & 255}` : `ff05::${i.toString(16)}`);
    const { size } = groups;
    for (let i = 1; i <= MAX_GROUPS - size; i++) {
      t.true(groups.join(nth(i), S1));
      t.true(groups.join(nth(i), S2));
    }
    wire.runFor(60 * SECOND);
    wire.trace.length = 0;
    own.input(family.query({}));
    wire.runFor(10 * SECOND);
    const reports = wire.trace.map(({ bytes }) => bytes);
    t.true(reports.length > 1);
    // RFC 2464 §2, RFC 8200 §5: every link takes the second
    t.true(reports.every(({ length }) => length <= 14 + (G.family === 4 ? 1500 : 1280)));
    const told = new Set(reports.flatMap((frame) => family.read(frame)));
    for (let i = 1; i <= MAX_GROUPS - size; i++)
      t.true(told.has(`ModeIsInclude ${nth(i)} ${first} ${second}`), `${nth(i)}`);
    t.is(told.size, MAX_GROUPS);
  });

  test(`${name}: whatever comes, nothing is thrown, and what is sent is well-formed`, (t) => {
    const { wire, own, groups } = bed();
    groups.join(G, null);
    const good = [
      family.query({}),
      family.query({ group, sources: [first, second] }),
      family.query({ version: 2 }),
      family.oldReport(group),
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...good),
        fc.array(fc.tuple(fc.integer({ min: 34, max: 100 }), fc.nat(255)), { maxLength: 3 }),
        fc.integer({ min: 34, max: 110 }),
        (frame, changes, length) => {
          const bytes = frame.slice(0, length);
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          own.input(bytes);
          wire.runFor(100);
          for (const { bytes: sent } of wire.trace.splice(0)) family.read(sent);
          return groups.size <= MAX_GROUPS;
        },
      ),
      { numRuns: 300 },
    );
    t.pass();
  });
}

test('IGMP: routers of version 1 hear reports of version 1, and no farewell', (t) => {
  const wire = new EthernetWire();
  const own = wire.add(1, ['192.0.2.1/24']);
  own.input(FAMILIES[0]!.query({ version: 1 }));
  const { groups } = own.iface.igmp!;
  groups.join(addressOf('239.1.2.3'), null);
  wire.settle();
  const report = wire.trace[0]!.bytes;
  t.is(report[38], 0x12);
  t.is(report[22], 1, 'TTL');
  t.deepEqual([...report.subarray(34, 38)], [0x94, 4, 0, 0]);
  t.deepEqual([...report.subarray(0, 6)], [1, 0, 0x5e, 1, 2, 3]);
  wire.trace.length = 0;
  groups.leave(addressOf('239.1.2.3'), null);
  wire.runFor(20 * SECOND);
  t.is(wire.trace.length, 0);
});

test('MLD: the groups of own addresses are reported, on a link with neighbours', (t) => {
  const wire = new EthernetWire();
  wire.add(1, ['fe80::aa:bbcc/64', '2001:db8::11:2233/64']);
  wire.settle();
  t.deepEqual(
    wire.trace.flatMap(({ bytes }) => FAMILIES[1]!.read(bytes)),
    ['ChangeToExclude ff02::1:ffaa:bbcc', 'ChangeToExclude ff02::1:ff11:2233'],
  );
});

test('IGMP: what is cut off, and what other members say, is counted and changes nothing', (t) => {
  const wire = new EthernetWire();
  const own = wire.add(1, ['192.0.2.1/24']);
  own.input(igmpFrame('224.0.0.1', [0x11, 100, 0, 0]));
  // a farewell, a report of version 3
  own.input(igmpFrame('224.0.0.1', [0x17, 0, 0, 0, 239, 1, 2, 3]));
  own.input(igmpFrame('224.0.0.1', [0x22, 0, 0, 0, 0, 0, 0, 0]));
  wire.runFor(10 * SECOND);
  t.like(own.counters('multicast'), { dropTruncated: 1, ignoredOthers: 2, queriesReceived: 0 });
  t.is(wire.trace.length, 0);
});

test('MLD: a question without the Router Alert option is none (RFC 3810 §6.2)', (t) => {
  const wire = new EthernetWire();
  const own = wire.add(1, ['fe80::1/64']);
  wire.runFor(5 * SECOND);
  wire.trace.length = 0;
  const from = 'fe80::9';
  const to = 'ff02::1';
  const message = icmpMessage(from, to, 130, 0, 10_000 << 16, new Uint8Array(20));
  // padding in the place of the option
  const padded = Uint8Array.of(58, 0, 1, 4, 0, 0, 0, 0, ...message);
  own.input(framed(ipPacket({ from, to, protocol: 0, ttl: 1 }, padded), EtherType.Ipv6));
  own.input(framed(ipPacket({ from, to, protocol: 58, ttl: 1 }, message), EtherType.Ipv6));
  wire.runFor(10 * SECOND);
  t.like(own.counters('multicast'), { dropInvalid: 2, queriesReceived: 0 });
  t.is(wire.trace.length, 0);
});
