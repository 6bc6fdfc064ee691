import test from 'ava';
import { fc } from '../../test/properties.ts';
import { RxFlag } from '../link.ts';
import { EthernetWire, type Station } from '../testing/ethernet-wire.ts';
import { addressOf, icmpMessage, ipPacket, ipv6Fragments } from '../testing/packets.ts';
import { ArpOperation, writeArp } from '../wire/arp.ts';
import { EtherType, writeEthernetHeader } from '../wire/ethernet.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { Slab } from '../wire/slab.ts';
import { type Neighbour, NeighbourState } from './neighbour.ts';
import {
  NEIGHBOUR_CACHE_ENTRIES,
  NEIGHBOUR_QUEUE_BYTES,
  NEIGHBOUR_QUEUE_PACKETS,
} from './neighbour-cache.ts';
import type { PingResult } from './ping.ts';

const A = { v4: '192.0.2.1', v6: '2001:db8::1' } as const;
const B = { v4: '192.0.2.2', v6: '2001:db8::2' } as const;
const NOBODY = { v4: '192.0.2.99', v6: '2001:db8::99' } as const;
const FAMILIES = ['v4', 'v6'] as const;

interface Bed {
  readonly wire: EthernetWire;
  readonly a: Station;
  readonly b: Station;
}

function bed(offload = false): Bed {
  const wire = new EthernetWire();
  const beginsMs = wire.nowMs;
  wire.nowMs -= 2000;
  const a = wire.add(1, [`${A.v4}/24`, `${A.v6}/64`], offload);
  const b = wire.add(2, [`${B.v4}/24`, `${B.v6}/64`], offload);
  // the reports of the groups of their IPv6 addresses are over
  wire.runFor(beginsMs - wire.nowMs);
  wire.trace.length = 0;
  return { wire, a, b };
}

/** Pings once. @returns the results, filled as time passes */
function ping({ wire, a }: Bed, to: string, payloadBytes = 8): PingResult[] {
  const results: PingResult[] = [];
  const probe = a.stack.icmp.ping({ destination: addressOf(to), count: 1, payloadBytes, timeoutMs: 10_000 });
  const before = wire.onEvents;
  wire.onEvents = (endpoint, events): void => {
    before(endpoint, events);
    if (endpoint !== probe) return;
    for (let result = probe.take(); result !== null; result = probe.take()) results.push(result);
  };
  wire.settle();
  return results;
}

function neighbourOf(station: Station, text: string): Neighbour | null {
  const { w0, w1, w2, w3 } = addressOf(text);
  return station.link.neighbours.find(w0, w1, w2, w3);
}

/** Frames that ask for or tell a link address, as `1→ff…: what`. */
function isControl(frame: Uint8Array): boolean {
  const type = (frame[12]! << 8) | frame[13]!;
  if (type === EtherType.Arp) return true;
  return type === EtherType.Ipv6 && frame[20] === 58 && (frame[54] === 135 || frame[54] === 136);
}

function controls(wire: EthernetWire): { atMs: number; to: string }[] {
  return wire.trace
    .filter(({ bytes }) => isControl(bytes))
    .map(({ atMs, bytes }) => ({ atMs, to: Buffer.from(bytes.subarray(0, 6)).toString('hex') }));
}

interface ArpFields {
  readonly operation: number;
  readonly hardware: number;
  readonly sender: string;
  readonly target: string;
  readonly destination?: number;
}

const word = (text: string): number => addressOf(text).w3;

/** An ARP frame of the station 02:00:00:00:00:`hardware`. */
function arpFrame(fields: ArpFields): Uint8Array {
  const { view, bytes } = Slab.alloc(42);
  const { destination = 1, hardware, operation } = fields;
  if (destination < 0) writeEthernetHeader(view, 0, 0xffff, -1, 0x0200, hardware, EtherType.Arp);
  else writeEthernetHeader(view, 0, 0x0200, destination, 0x0200, hardware, EtherType.Arp);
  writeArp(view, 14, operation, 0x0200, hardware, word(fields.sender), 0, 0, word(fields.target));
  return bytes;
}

interface NdpFields {
  readonly type: 135 | 136;
  readonly from: string;
  readonly to: string;
  readonly target: string;
  readonly flags?: number;
  /** Link address told, 02:00:00:00:00:XX; absent: no option. */
  readonly hardware?: number;
  readonly hopLimit?: number;
  readonly code?: number;
}

function ndpFrame(fields: NdpFields): Uint8Array {
  const { type, from, to, flags = 0, hardware, hopLimit = 255, code = 0 } = fields;
  const data = new Uint8Array(hardware === undefined ? 16 : 24);
  addressOf(fields.target).write(new DataView(data.buffer), 0);
  if (hardware !== undefined) data.set([type === 135 ? 1 : 2, 1, 2, 0, 0, 0, 0, hardware], 16);
  const message = icmpMessage(from, to, type, code, flags << 24, data);
  const packet = ipPacket({ from, to, protocol: 58, ttl: hopLimit }, message);
  const frame = Slab.alloc(14 + packet.length);
  const group = to.startsWith('ff');
  const low = addressOf(to).w3;
  writeEthernetHeader(frame.view, 0, group ? 0x3333 : 0x0200, group ? low : 1, 0x0200, 7, EtherType.Ipv6);
  frame.bytes.set(packet, 14);
  return frame.bytes;
}

for (const family of FAMILIES) {
  test(`the first packet asks, waits and goes; the answer needs no question (${family})`, (t) => {
    const both = bed();
    const { wire, a, b } = both;
    const results = ping(both, B[family]);
    wire.settle();
    t.is(results[0]?.outcome, 'reply');
    const asked = family === 'v4' ? 'ffffffffffff' : '3333ff000002';
    t.deepEqual(
      controls(wire).map(({ to }) => to),
      [asked, '020000000001'],
    );
    t.is(neighbourOf(a, B[family])?.state, NeighbourState.Reachable);
    // b has learned a's address from the question; it has not confirmed it
    t.is(neighbourOf(b, A[family])?.state, NeighbourState.Delay);
    const again = ping(both, B[family]);
    wire.settle();
    t.is(again[0]?.outcome, 'reply');
    t.is(controls(wire).length, 2);
    t.like(a.counters('neighbour'), { created: 1, resolved: 1, queued: 1, queueDropped: 0 });
  });

  // [RFC 1122 §3.3.1.4-3] [RFC 1122 §3.3.1.4-4]
  test(`NUD: reachable becomes stale, is delayed, probed and confirmed (${family})`, (t) => {
    const both = bed();
    const { wire, a } = both;
    ping(both, B[family]);
    wire.runFor(100);
    const neighbour = neighbourOf(a, B[family])!;
    const { reachableMs } = a.link.neighbours;
    t.true(reachableMs >= 15_000 && reachableMs <= 45_000);
    wire.runFor(reachableMs);
    wire.trace.length = 0;
    // b's own probes are not what is looked at
    wire.filter = (frame, from) => from === a || !isControl(frame) || frame[21] === 2 || frame[54] === 136;
    ping(both, B[family]);
    wire.settle();
    t.is(neighbour.state, NeighbourState.Delay);
    const sentAt = wire.nowMs;
    wire.runFor(5000);
    const asked = controls(wire).filter(({ to }) => to === '020000000002');
    t.is(asked[0]?.atMs, sentAt + 5000);
    t.is(neighbour.state, NeighbourState.Reachable);
    t.is(a.counters('neighbour')['probesFailed'], 0);
  });

  // [RFC 1122 §3.3.1.4-1] [RFC 1122 §3.3.1.4-2]
  test(`NUD: a neighbour that is gone is probed three times and asked for anew (${family})`, (t) => {
    const both = bed();
    const { wire, a } = both;
    ping(both, B[family]);
    wire.settle();
    wire.runFor(60_000);
    wire.trace.length = 0;
    wire.filter = (_, from) => from === a;
    ping(both, B[family]);
    const sentAt = wire.nowMs;
    wire.runFor(8000);
    const probes = wire.trace.filter(({ bytes, from }) => from === a && isControl(bytes));
    t.deepEqual(
      probes.map(({ atMs, bytes }) => [atMs - sentAt, bytes[5]]),
      [
        [5000, 2],
        [6000, 2],
        [7000, 2],
      ],
    );
    t.is(neighbourOf(a, B[family]), null);
    t.is(a.counters('neighbour')['probesFailed'], 1);
    ping(both, B[family]);
    t.is(neighbourOf(a, B[family])?.state, NeighbourState.Incomplete);
  });

  test(`nobody answers: three questions a second apart, then the host is unreachable (${family})`, (t) => {
    const both = bed();
    const { wire, a } = both;
    const results = ping(both, NOBODY[family]);
    const connection = a.stack.tcp.connect({
      remote: addressOf(NOBODY[family]),
      remotePort: 80,
      local: null,
      localPort: 0,
      noDelay: false,
      keepAlive: null,
    });
    wire.runFor(2999);
    t.deepEqual(
      controls(wire).map(({ atMs }) => atMs),
      [1000, 2000, 3000],
    );
    t.is(connection.softError, null);
    wire.runFor(1);
    t.is(results[0]?.outcome, 'error');
    t.is(connection.softError, 'HOST_UNREACHABLE');
    t.is(a.counters('neighbour')['unreachable'], 1);
    connection.abort();
    wire.runFor(10_000);
    t.is(a.link.neighbours.size, 0);
    t.is(a.link.neighbours.waitingBytes, 0);
    t.is(a.stack.nextDeadline(), Infinity);
  });

  test(`few packets wait: the newest, of a limited size (${family})`, (t) => {
    const both = bed();
    const { wire, a } = both;
    wire.filter = (frame) => !isControl(frame);
    for (let i = 0; i < 5; i++) ping(both, B[family], 100 + i);
    const neighbour = neighbourOf(a, B[family])!;
    const header = family === 'v4' ? 28 : 48;
    t.is(neighbour.waiting.length, NEIGHBOUR_QUEUE_PACKETS);
    t.deepEqual(
      neighbour.waiting.map(({ lengthBytes }) => lengthBytes - header),
      [102, 103, 104],
    );
    t.is(a.counters('neighbour')['queueOverflow'], 2);
    t.is(a.link.neighbours.waitingBytes, 3 * header + 102 + 103 + 104);
    wire.filter = () => true;
    wire.runFor(1000);
    t.is(echoRequests(both.b), 3);
    t.is(a.link.neighbours.waitingBytes, 0);
  });

  test(`fragments and group addresses go their way (${family})`, (t) => {
    const both = bed();
    const results = ping(both, B[family], 4000);
    both.wire.settle();
    t.is(results[0]?.outcome, 'reply');
    t.is(both.a.counters('neighbour')['queued'], 3);
  });
}

// [RFC 1122 §3.3.6-2]
test('groups have addresses of their own', (t) => {
  const { wire, a } = bed();
  const send = (to: string): string => {
    wire.trace.length = 0;
    const route = a.stack.ip.route(addressOf(to), null);
    a.stack.ip.begin(route, 8);
    t.true(a.stack.ip.finish(route, 253, -1, 0, 64));
    const frame = wire.trace[0]!.bytes;
    t.is(frame.length, 14 + 8 + (to.includes(':') ? 40 : 20));
    return Buffer.from(frame.subarray(0, 14)).toString('hex');
  };
  t.is(send('224.129.2.3'), '01005e010203' + '020000000001' + '0800');
  t.is(send('192.0.2.255'), 'ffffffffffff' + '020000000001' + '0800');
  t.is(send('255.255.255.255'), 'ffffffffffff' + '020000000001' + '0800');
  t.is(send('ff02::1:2:3'), '333300020003' + '020000000001' + '86dd');
  t.is(wire.trace.filter(({ bytes }) => isControl(bytes)).length, 0);
});

test('who scans us fills no more than the cache, and what is in use stays', (t) => {
  const both = bed();
  const { wire, a } = both;
  ping(both, B.v4);
  wire.settle();
  for (let i = 0; i < 2 * NEIGHBOUR_CACHE_ENTRIES; i++) {
    const from = new IpAddress(6, 0x20010db8, 0, i, 0x1000 + i).toString();
    a.input(ndpFrame({ type: 135, from, to: A.v6, target: A.v6, hardware: 9 }));
    // from time to time something is sent to the one that counts
    if (i % 500 === 0) ping(both, B.v4);
  }
  t.is(a.link.neighbours.size, NEIGHBOUR_CACHE_ENTRIES);
  t.not(neighbourOf(a, B.v4), null);
  t.is(a.counters('neighbour')['evicted'], NEIGHBOUR_CACHE_ENTRIES + 1);
  // fe80::/10 is on every link, but not other prefixes
  a.input(ndpFrame({ type: 135, from: '2001:db9::1', to: A.v6, target: A.v6, hardware: 9 }));
  t.is(a.counters('neighbour')['ignoredOffLink'], 1);
});

test('we scan a network: what waits is limited in all', (t) => {
  const both = bed();
  const { a } = both;
  const wide = both.wire.add(3, ['10.0.0.1/8']);
  both.wire.filter = () => false;
  const route = (i: number): void => {
    const r = wide.stack.ip.route(IpAddress.v4(0x0a010000 + i), null);
    wide.stack.ip.begin(r, 1400);
    t.true(wide.stack.ip.finish(r, 253, -1, 0, 64));
  };
  for (let i = 0; i < 3000; i++) route(i);
  t.true(wide.link.neighbours.waitingBytes <= NEIGHBOUR_QUEUE_BYTES);
  t.is(wide.link.neighbours.size, NEIGHBOUR_CACHE_ENTRIES);
  both.wire.runFor(4000);
  t.is(wide.link.neighbours.size, 0);
  t.is(wide.link.neighbours.waitingBytes, 0);
  t.is(a.link.neighbours.size, 0);
});

test('ARP: questions for us are answered and their senders remembered, others are not', (t) => {
  const { wire, a } = bed();
  const from = '192.0.2.50';
  a.input(
    arpFrame({ operation: ArpOperation.Request, hardware: 50, sender: from, target: A.v4, destination: -1 }),
  );
  t.is(wire.trace.length, 1);
  const reply = wire.trace[0]!.bytes;
  t.is(Buffer.from(reply.subarray(0, 6)).toString('hex'), '020000000032');
  t.is(reply[21], ArpOperation.Reply);
  t.deepEqual([...reply.subarray(28, 32)], [192, 0, 2, 1]);
  t.is(neighbourOf(a, from)?.state, NeighbourState.Stale);
  a.input(arpFrame({ operation: ArpOperation.Request, hardware: 51, sender: '192.0.2.51', target: B.v4 }));
  a.input(arpFrame({ operation: ArpOperation.Reply, hardware: 51, sender: '192.0.2.51', target: A.v4 }));
  a.input(arpFrame({ operation: ArpOperation.Request, hardware: 52, sender: '203.0.113.9', target: A.v4 }));
  // RFC 5227: a probe is answered, and nobody remembered
  a.input(arpFrame({ operation: ArpOperation.Request, hardware: 53, sender: '0.0.0.0', target: A.v4 }));
  t.is(a.link.neighbours.size, 1);
  t.like(a.counters('neighbour'), {
    ignoredUnknown: 2,
    ignoredOffLink: 1,
    advertisementsSent: 3,
    dropNotForUs: 1,
  });
});

test('ARP: nonsense and forgeries are dropped, each by its reason', (t) => {
  const { wire, a } = bed();
  const good = { operation: ArpOperation.Request, hardware: 50, sender: '192.0.2.50', target: A.v4 };
  const frame = arpFrame(good);
  for (let length = 0; length < frame.length; length++) a.input(frame.slice(0, length));
  t.is(a.counters('ethernet')['dropTruncated'], 14);
  t.is(a.counters('neighbour')['dropTruncated'], 28);
  a.input(arpFrame({ ...good, operation: 3 }));
  t.is(a.counters('neighbour')['dropArpFormat'], 1);
  for (const sender of ['127.0.0.1', '224.0.0.1', '255.255.255.255', '192.0.2.255', '240.0.0.1'])
    a.input(arpFrame({ ...good, sender }));
  a.input(arpFrame({ ...good, sender: '0.0.0.0', operation: ArpOperation.Reply }));
  t.is(a.counters('neighbour')['dropSender'], 6);
  for (const high of [0x01, 0xff]) {
    const group = arpFrame(good);
    group[22] = high;
    a.input(group);
  }
  const ours = arpFrame(good);
  ours.set(a.address, 22);
  a.input(ours);
  t.is(a.counters('neighbour')['dropLinkAddress'], 3);
  t.is(a.link.neighbours.size, 0);
  t.is(wire.trace.length, 0);
});

test('an address that changes is believed once a second, and then verified', (t) => {
  const both = bed();
  const { wire, a } = both;
  ping(both, B.v4);
  wire.settle();
  const neighbour = neighbourOf(a, B.v4)!;
  const forged = arpFrame({ operation: ArpOperation.Reply, hardware: 66, sender: B.v4, target: A.v4 });
  a.input(forged);
  t.is(neighbour.low, 2);
  t.is(a.counters('neighbour')['changeIgnored'], 1);
  wire.runFor(1000);
  a.input(forged);
  t.is(neighbour.low, 66);
  t.is(neighbour.state, NeighbourState.Stale, 'no answer to a question of ours: not confirmed');
  ping(both, B.v4);
  // the forger hears the next packets, until b verifies a: its question tells its address
  wire.runFor(8000);
  t.is(neighbourOf(a, B.v4)?.low, 2);
  t.is(a.counters('neighbour')['changed'], 2);
});

test('somebody else has our address: counted, told, defended every ten seconds', (t) => {
  const { wire, a } = bed();
  const told: string[] = [];
  a.link.observer = { addressConflict: (_iface, address, by) => told.push(`${address} ${by}`) };
  const gratuitous = arpFrame({
    operation: ArpOperation.Request,
    hardware: 66,
    sender: A.v4,
    target: A.v4,
    destination: -1,
  });
  a.input(gratuitous);
  a.input(gratuitous);
  t.is(wire.trace.length, 1);
  const announcement = wire.trace[0]!.bytes;
  t.deepEqual([...announcement.subarray(0, 6)], [255, 255, 255, 255, 255, 255]);
  t.deepEqual(announcement.subarray(28, 32), announcement.subarray(38, 42));
  wire.settle();
  wire.runFor(10_000);
  a.input(ndpFrame({ type: 136, from: A.v6, to: 'ff02::1', target: A.v6, hardware: 66, flags: 0x20 }));
  t.is(wire.trace.length, 2);
  t.deepEqual(told, [`${A.v4} 02:00:00:00:00:42`, `${A.v4} 02:00:00:00:00:42`, `${A.v6} 02:00:00:00:00:07`]);
  t.like(a.counters('neighbour'), { conflicts: 3, defended: 2 });
  // RFC 4862 §5.4.3: one that checks whether the address is free is told that it is not
  a.input(ndpFrame({ type: 135, from: '::', to: 'ff02::1:ff00:1', target: A.v6 }));
  const answer = wire.trace[2]!.bytes;
  t.is(Buffer.from(answer.subarray(0, 6)).toString('hex'), '333300000001');
  t.is(answer[54], 136);
  t.is(answer[58], 0x20, 'override, not solicited');
  // one that has the address and asks for somebody else's neighbour with it
  wire.runFor(10_000);
  wire.trace.length = 0;
  a.input(ndpFrame({ type: 135, from: A.v6, to: 'ff02::1:ff00:1', target: A.v6, hardware: 66 }));
  t.like(a.counters('neighbour'), { conflicts: 5, defended: 3 });
  t.is(told.length, 5, 'the check of an address among them');
  t.deepEqual(
    wire.trace.map(({ bytes }) => [bytes[5], bytes[54], bytes[58]]),
    [[1, 136, 0x20]],
  );
});

test('NDP: messages that passed a router, or are damaged, are dropped', (t) => {
  const { wire, a } = bed();
  const good: NdpFields = { type: 135, from: B.v6, to: 'ff02::1:ff00:1', target: A.v6, hardware: 2 };
  const bad: NdpFields[] = [
    { ...good, hopLimit: 254 },
    { ...good, code: 1 },
    { ...good, target: 'ff02::1' },
    { ...good, from: '::' },
    { ...good, from: '::', to: A.v6 },
    { type: 136, from: B.v6, to: 'ff02::1', target: B.v6, hardware: 2, flags: 0x60 },
  ];
  for (const fields of bad) a.input(ndpFrame(fields));
  // one of the two without a sender is no message of this kind at all: it told a link address, or its hop limit was wrong
  t.is(a.counters('neighbour')['dropNdpInvalid'], bad.length);
  a.input(ndpFrame({ ...good, target: B.v6 }));
  t.is(a.counters('neighbour')['dropNotForUs'], 1);
  a.input(ndpFrame({ ...good, hardware: 1 }));
  t.is(a.counters('neighbour')['dropLinkAddress'], 1);
  t.is(wire.trace.length, 0);
  t.is(a.link.neighbours.size, 0);
  a.input(ndpFrame(good));
  t.is(wire.trace.length, 1);
  t.is(neighbourOf(a, B.v6)?.state, NeighbourState.Stale);
});

test('NDP: what came in fragments is ignored, were it one fragment only (RFC 6980 §5)', (t) => {
  const { wire, a } = bed();
  const whole = ndpFrame({ type: 135, from: B.v6, to: 'ff02::1:ff00:1', target: A.v6, hardware: 2 });
  let id = 1;
  for (const bytesEach of [1000, 16]) {
    const fragments = ipv6Fragments(whole.subarray(14), bytesEach, id++);
    for (const fragment of fragments) a.input(Uint8Array.from([...whole.subarray(0, 14), ...fragment]));
  }
  t.like(a.counters('ip'), { atomicFragments: 1, reassembled: 1 });
  t.is(a.counters('neighbour')['dropNdpInvalid'], 2);
  t.is(wire.trace.length, 0);
  t.is(a.link.neighbours.size, 0);
  // another extension header makes none
  const packet = ipPacket(
    { from: B.v6, to: 'ff02::1:ff00:1', protocol: 60, ttl: 255 },
    new Uint8Array(8 + 32),
  );
  packet.set([58, 0, 1, 4, 0, 0, 0, 0, ...whole.subarray(54)], 40);
  a.input(Uint8Array.from([...whole.subarray(0, 14), ...packet]));
  t.is(wire.trace.length, 1);
});

test('NDP: an advertisement without override changes nothing but the trust (RFC 4861 §7.2.5)', (t) => {
  const both = bed();
  ping(both, B.v6);
  both.wire.settle();
  both.wire.runFor(2000);
  const { a } = both;
  const neighbour = neighbourOf(a, B.v6)!;
  t.is(neighbour.state, NeighbourState.Reachable);
  const other: NdpFields = { type: 136, from: B.v6, to: A.v6, target: B.v6, hardware: 66, flags: 0x40 };
  a.input(ndpFrame(other));
  t.is(neighbour.state, NeighbourState.Stale);
  t.is(neighbour.low, 2);
  a.input(ndpFrame({ ...other, flags: 0x60 }));
  t.is(neighbour.low, 66);
  t.is(neighbour.state, NeighbourState.Stale, 'nobody asked');
});

test('frames: for others, of other LANs, of unknown types; priority tags are skipped', (t) => {
  const { wire, a } = bed();
  const packet = ipPacket(
    { from: B.v4, to: A.v4, protocol: 1 },
    icmpMessage(B.v4, A.v4, 8, 0, 0, new Uint8Array(8)),
  );
  const frame = (change: (bytes: Uint8Array) => void, tag: number[] = []): void => {
    const { view, bytes } = Slab.alloc(14 + tag.length + packet.length);
    writeEthernetHeader(view, 0, 0x0200, 1, 0x0200, 2, tag.length > 0 ? EtherType.Vlan : EtherType.Ipv4);
    bytes.set(tag, 14);
    bytes.set(packet, 14 + tag.length);
    change(bytes);
    a.input(bytes);
  };
  const received = (): number => a.counters('icmp')['echoRequests']!;
  frame(() => {});
  t.is(received(), 1);
  frame(() => {}, [0xe0, 0, 8, 0]);
  t.is(received(), 2);
  frame(() => {}, [0xe0, 5, 8, 0]);
  frame((bytes) => {
    bytes[5] = 9;
  });
  frame((bytes) => {
    bytes.set(a.address, 6);
  });
  frame((bytes) => {
    bytes[12] = 0x88;
  });
  // cut off inside the header, and inside a tag
  for (const lengthBytes of [0, 13, 15, 17]) {
    const { view, bytes } = Slab.alloc(18);
    writeEthernetHeader(view, 0, 0x0200, 1, 0x0200, 2, EtherType.Vlan);
    a.input(bytes.slice(0, lengthBytes));
  }
  t.is(a.counters('ethernet')['dropTruncated'], 4);
  t.is(received(), 2);
  t.like(a.counters('ethernet'), { dropVlan: 1, dropOtherStation: 1, dropOwn: 1, dropUnknownType: 1 });
  t.is(wire.trace.filter(({ bytes }) => isControl(bytes)).length, 1, 'one question for two answers');
});

// [RFC 1122 §3.2.2-8] [RFC 1122 §3.3.6-3]
test('a datagram for us in a frame to all, or to a group, is not taken: no answer of ICMP, TCP or UDP', (t) => {
  for (const family of FAMILIES) {
    const { wire, a } = bed();
    a.stack.tcp.listen({ local: null, port: 7, backlog: 1 });
    const echo = icmpMessage(B[family], A[family], family === 'v4' ? 8 : 128, 0, 0, new Uint8Array(8));
    const syn = new Uint8Array(20);
    syn.set([0x80, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff]);
    const toNobody = Uint8Array.of(0x80, 0, 0, 99, 0, 8, 0, 0);
    const send = (payload: Uint8Array, protocol: number, high: number, low: number): void => {
      const packet = ipPacket({ from: B[family], to: A[family], protocol }, payload);
      const { view, bytes } = Slab.alloc(14 + packet.length);
      writeEthernetHeader(view, 0, high, low, 0x0200, 2, family === 'v4' ? EtherType.Ipv4 : EtherType.Ipv6);
      bytes.set(packet, 14);
      a.input(bytes, RxFlag.ChecksumValid);
      wire.settle();
    };
    const all = (high: number, low: number): void => {
      send(echo, family === 'v4' ? 1 : 58, high, low);
      send(syn, 6, high, low);
      send(toNobody, 17, high, low);
      send(new Uint8Array(8), 253, high, low);
    };
    all(0xffff, -1);
    all(0x0100, 0x5e000001);
    all(0x3333, 1);
    t.is(wire.trace.length, 0, family);
    t.is(a.counters('ip')['dropLinkGroup'], 12);
    all(0x0200, 1);
    wire.runFor(100);
    t.is(
      wire.trace.filter(({ from, bytes }) => from === a && !isControl(bytes)).length,
      4,
      'what went to us alone is answered',
    );
  }
});

test('a full device loses what waited, and no more', (t) => {
  const both = bed();
  const { wire, a } = both;
  a.room = 1;
  const results = ping(both, B.v4);
  t.is(a.counters('neighbour')['queueDroppedFull'], 1);
  a.room = Infinity;
  const again = ping(both, B.v4);
  wire.settle();
  t.is(again[0]?.outcome, 'reply');
  t.is(results.length, 0);
});

test('whatever comes, the stack neither throws nor stores without limit', (t) => {
  const { wire, a } = bed();
  const good = [
    arpFrame({ operation: ArpOperation.Request, hardware: 50, sender: '192.0.2.50', target: A.v4 }),
    ndpFrame({ type: 135, from: B.v6, to: A.v6, target: A.v6, hardware: 2 }),
    ndpFrame({ type: 136, from: B.v6, to: A.v6, target: B.v6, hardware: 2, flags: 0x60 }),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...good),
      fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 4 }),
      fc.nat(90),
      (frame, changes, length) => {
        const bytes = frame.slice(0, Math.max(length, 12));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        a.input(bytes);
        wire.trace.length = 0;
        return a.link.neighbours.size <= NEIGHBOUR_CACHE_ENTRIES;
      },
    ),
    { numRuns: 2000 },
  );
  t.pass();
});

function echoRequests(station: Station): number {
  return station.counters('icmp')['echoRequests']!;
}
