// sends broken frames: errors about packets by chance quote what was wrong with them
import test from 'ava';
import { fc } from '../../test/properties.ts';
import { RxFlag } from '../link.ts';
import { SeededRandom } from '../random.ts';
import { Stack } from '../stack.ts';
import { HeapRings } from '../testing/heap-rings.ts';
import { RecordingSink } from '../testing/packet-sink.ts';
import { icmpMessage, ipPacket, udpDatagram } from '../testing/packets.ts';
import { Slab } from '../wire/slab.ts';
import type { IpCounters } from './counters.ts';
import type { Interface } from './interface.ts';

const OURS = { v4: '192.0.2.1', v6: '2001:db8::1' } as const;
const PEER = { v4: '192.0.2.9', v6: '2001:db8::9' } as const;

class Bed {
  readonly sink: RecordingSink = new RecordingSink();
  readonly stack: Stack = new Stack({ random: new SeededRandom(7), rings: new HeapRings(256, 4096), now: 0 });
  readonly iface: Interface = this.stack.addInterface({
    name: 'test0',
    sink: this.sink,
    capabilities: { mtuBytes: 1500, txChecksum: false, txSegmentBytes: 0 },
    addresses: [`${OURS.v4}/24`, `${OURS.v6}/64`],
    gateways: ['192.0.2.254', '2001:db8::fe'],
  });
  received: Uint8Array[] = [];

  constructor() {
    this.stack.udp.open({
      local: null,
      localPort: 53,
      remote: null,
      remotePort: 0,
      broadcast: false,
      receiver: {
        datagram: (_socket, slab, off, length) => {
          this.received.push(slab.bytes.slice(off, off + length));
        },
      },
    });
  }

  input(bytes: Uint8Array, flags = 0): void {
    this.iface.input(new Slab(bytes), 0, bytes.length, flags, this.stack.now);
  }

  get counters(): IpCounters {
    return this.stack.counters.toJSON()['ip'] as unknown as IpCounters;
  }
}

const payload = Uint8Array.of(1, 2, 3, 4, 5);

function datagram(from: string, to: string): Uint8Array {
  return ipPacket({ from, to, protocol: 17 }, udpDatagram(from, to, 1234, 53, payload));
}

/** An IPv6 packet with extension headers in front of a datagram for port 53. */
function withHeaders(first: number, headers: Uint8Array): Uint8Array {
  const udp = udpDatagram(PEER.v6, OURS.v6, 1234, 53, payload);
  const all = new Uint8Array(headers.length + udp.length);
  all.set(headers);
  all.set(udp, headers.length);
  return ipPacket({ from: PEER.v6, to: OURS.v6, protocol: first }, all);
}

// [RFC 1122 §3.1-1]
test('a datagram for us is delivered, with whatever the link put behind the packet', (t) => {
  for (const family of ['v4', 'v6'] as const) {
    const bed = new Bed();
    const packet = datagram(PEER[family], OURS[family]);
    bed.input(packet);
    const padded = new Uint8Array(packet.length + 7).fill(0xee);
    padded.set(packet);
    bed.input(padded);
    t.deepEqual(bed.received, [payload, payload]);
  }
});

test('packets in the middle of a slab are read from there', (t) => {
  const bed = new Bed();
  const packet = datagram(PEER.v4, OURS.v4);
  const slab = Slab.alloc(packet.length + 33);
  slab.bytes.fill(0x45);
  slab.bytes.set(packet, 13);
  bed.iface.input(slab, 13, packet.length, 0, 0);
  t.deepEqual(bed.received, [payload]);
});

test('every truncation is dropped and counted', (t) => {
  for (const family of ['v4', 'v6'] as const) {
    const packet = datagram(PEER[family], OURS[family]);
    for (let length = 0; length < packet.length; length++) {
      const bed = new Bed();
      bed.input(packet.slice(0, length));
      const { dropTruncated, dropHeaderLength, dropTotalLength } = bed.counters;
      t.is(dropTruncated + dropHeaderLength + dropTotalLength, 1, `${family} ${length}`);
      t.is(bed.received.length, 0);
      t.is(bed.sink.packets.length, 0);
    }
  }
});

// [RFC 1122 §3.2.1.2-1]
test('every single turned bit of an IPv4 header is noticed', (t) => {
  const packet = datagram(PEER.v4, OURS.v4);
  for (let bit = 0; bit < 160; bit++) {
    const bed = new Bed();
    const copy = packet.slice();
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    bed.input(copy);
    t.is(bed.received.length, 0, `bit ${bit}`);
  }
});

// [RFC 1122 §3.2.1.3-3] [RFC 1122 §3.2.1.3-4]
test('RFC 1122 §3.2.1.3: martian sources and destinations', (t) => {
  const sources = [
    '0.0.0.0',
    '0.1.2.3',
    '127.0.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '192.0.2.255',
    OURS.v4,
  ];
  const sources6 = ['::', '::1', 'ff02::1', '::ffff:192.0.2.9', OURS.v6];
  const bed = new Bed();
  for (const from of sources) bed.input(datagram(from, OURS.v4));
  for (const from of sources6) bed.input(datagram(from, OURS.v6));
  t.is(bed.counters.dropMartianSource, sources.length + sources6.length);
  const destinations = ['0.0.0.0', '127.0.0.1', '240.1.1.1'];
  for (const to of destinations) bed.input(datagram(PEER.v4, to));
  for (const to of ['::', '::1', '::ffff:192.0.2.1']) bed.input(datagram(PEER.v6, to));
  t.is(bed.counters.dropMartianDestination, destinations.length + 3);
  for (const to of ['192.0.2.2', '198.51.100.1', '224.0.0.251']) bed.input(datagram(PEER.v4, to));
  for (const to of ['2001:db8::2', 'ff02::fb', 'ff02::1:ff00:2']) bed.input(datagram(PEER.v6, to));
  t.is(bed.counters.dropNotForUs, 6);
  t.is(bed.received.length, 0);
  t.is(bed.sink.packets.length, 0);
});

// [RFC 1122 §3.3.6-1] [RFC 1122 §3.3.7-3]
test('broadcasts, all-hosts and our solicited-node address are ours', (t) => {
  const bed = new Bed();
  for (const to of ['192.0.2.255', '255.255.255.255', '224.0.0.1']) bed.input(datagram(PEER.v4, to));
  for (const to of ['ff02::1', 'ff01::1', 'ff02::1:ff00:1']) bed.input(datagram(PEER.v6, to));
  t.is(bed.received.length, 6);
});

// [RFC 1122 §3.2.1.8-3] [RFC 1122 §3.2.1.8-6] [RFC 1122 §3.2.2.5-1]
test('RFC 7126: source routes are refused, other options are skipped [RFC 9293 MUST-50], broken ones dropped', (t) => {
  const udp = udpDatagram(PEER.v4, OURS.v4, 1234, 53, payload);
  const send = (options: number[]): Bed => {
    const bed = new Bed();
    const fields = { from: PEER.v4, to: OURS.v4, protocol: 17, options: Uint8Array.from(options) };
    bed.input(ipPacket(fields, udp));
    return bed;
  };
  t.is(send([131, 3, 4, 0]).counters.dropSourceRoute, 1);
  t.is(send([1, 137, 7, 4, 1, 2, 3, 4]).counters.dropSourceRoute, 1);
  t.is(send([1, 1, 1, 1]).received.length, 1);
  t.is(send([148, 4, 0, 0]).received.length, 1);
  // the stream identifier
  t.is(send([136, 4, 1, 2]).received.length, 1);
  t.is(send([0, 137, 3, 4]).received.length, 1);
  // RFC 1122 §3.2.2.5, RFC 792: type 12, and where the header is wrong
  for (const [options, wrong] of [
    [[68, 0, 0, 0], 21],
    [[68, 1, 0, 0], 21],
    [[1, 1, 68, 5], 23],
    [[1, 1, 1, 68], 23],
  ] as const) {
    const bed = send([...options]);
    t.is(bed.counters.dropOptions, 1);
    t.deepEqual(
      [...bed.sink.packets[0]!.bytes.slice(20, 22), bed.sink.packets[0]!.bytes[24]],
      [12, 0, wrong],
    );
  }
});

test('RFC 8200 §4: extension headers that are allowed are passed', (t) => {
  const hopByHop = [60, 0, 1, 4, 0, 0, 0, 0];
  const destination = [43, 0, 0, 0, 0, 0, 0, 0];
  const routing = [60, 0, 4, 0, 0, 0, 0, 0];
  const last = [17, 1, 0x1e, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  const bed = new Bed();
  bed.input(withHeaders(0, Uint8Array.from([...hopByHop, ...destination, ...routing, ...last])));
  t.deepEqual(bed.received, [payload]);
});

test('RFC 8200 §4: those that are not allowed are answered or dropped', (t) => {
  const sendHeaders = (first: number, headers: number[]): Bed => {
    const bed = new Bed();
    bed.input(withHeaders(first, Uint8Array.from(headers)));
    t.is(bed.received.length, 0);
    t.is(bed.counters.dropExtensionHeaders, 1);
    return bed;
  };
  const answer = (bed: Bed): number[] => {
    const bytes = bed.sink.take();
    t.is(bytes[40], 4);
    return [bytes[41] ?? -1, bytes[47] ?? -1];
  };
  // Hop-by-hop options that are not first: unrecognized next header, pointing to where they were announced
  t.deepEqual(answer(sendHeaders(60, [0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0])), [1, 40]);
  // Routing with segments left: points to the type
  t.deepEqual(answer(sendHeaders(43, [17, 2, 0, 1, 0, 0, 0, 0, ...new Array<number>(16).fill(0)])), [0, 42]);
  // Unknown options by the two highest bits of their type
  t.deepEqual(answer(sendHeaders(60, [17, 0, 0x80, 4, 0, 0, 0, 0])), [2, 42]);
  t.deepEqual(answer(sendHeaders(60, [17, 0, 0xc0, 4, 0, 0, 0, 0])), [2, 42]);
  t.is(sendHeaders(60, [17, 0, 0x40, 4, 0, 0, 0, 0]).sink.packets.length, 0);
  // Cut off, and too many
  t.is(sendHeaders(60, [17, 9, 1, 4, 0, 0, 0, 0]).sink.packets.length, 0);
  t.is(sendHeaders(60, [17, 0, 1, 5, 0, 0, 0, 0]).sink.packets.length, 0);
  const many = Array.from({ length: 20 }, () => [60, 0, 1, 4, 0, 0, 0, 0]).flat();
  t.is(sendHeaders(60, many).sink.packets.length, 0);
});

test('RFC 6946 §4: what stands behind the header of an atomic fragment is judged as in a packet without', (t) => {
  const fragment = (next: number): number[] => [next, 0, 0, 0, 0, 0, 0, 9];
  const bed = new Bed();
  // an unknown option whose type asks for an answer
  bed.input(withHeaders(44, Uint8Array.from([...fragment(60), 17, 0, 0x80, 4, 0, 0, 0, 0])));
  t.is(bed.counters.dropExtensionHeaders, 1);
  const answer = bed.sink.take();
  t.deepEqual([answer[40], answer[41], answer[47]], [4, 2, 50]);
  bed.input(withHeaders(44, Uint8Array.from(fragment(59))));
  t.is(bed.counters.dropNoNextHeader, 1);
  // another Fragment header, and options that are cut off
  bed.input(withHeaders(44, Uint8Array.from([...fragment(44), ...fragment(17)])));
  bed.input(withHeaders(44, Uint8Array.from([...fragment(60), 17, 9, 1, 4, 0, 0, 0, 0])));
  t.is(bed.counters.dropExtensionHeaders, 3);
  t.is(bed.sink.packets.length, 0);
  t.is(bed.counters.atomicFragments, 4);
});

test('no next header, and protocols that nobody registered', (t) => {
  const bed = new Bed();
  bed.input(ipPacket({ from: PEER.v6, to: OURS.v6, protocol: 59 }, payload));
  t.is(bed.counters.dropNoNextHeader, 1);
  bed.input(ipPacket({ from: PEER.v4, to: OURS.v4, protocol: 132 }, payload));
  const answer4 = bed.sink.take();
  t.deepEqual([...answer4.subarray(20, 22)], [3, 2]);
  bed.input(ipPacket({ from: PEER.v6, to: OURS.v6, protocol: 132 }, payload));
  const answer6 = bed.sink.take();
  t.deepEqual([...answer6.subarray(40, 42), answer6[47]], [4, 1, 6]);
  // ICMP of the other version
  bed.input(
    ipPacket({ from: PEER.v4, to: OURS.v4, protocol: 58 }, icmpMessage(PEER.v4, OURS.v4, 8, 0, 0, payload)),
  );
  bed.input(
    ipPacket({ from: PEER.v6, to: OURS.v6, protocol: 1 }, icmpMessage(PEER.v6, OURS.v6, 8, 0, 0, payload)),
  );
  t.is(bed.counters.dropUnknownProtocol, 4);
  // Nothing is told about a broadcast.
  bed.sink.packets.length = 0;
  bed.input(ipPacket({ from: PEER.v4, to: '192.0.2.255', protocol: 132 }, payload));
  t.is(bed.sink.packets.length, 0);
});

test('random bytes and mutated packets never throw, and never send a storm', (t) => {
  const samples = [
    datagram(PEER.v4, OURS.v4),
    datagram(PEER.v6, OURS.v6),
    withHeaders(0, Uint8Array.from([60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0])),
    withHeaders(44, Uint8Array.from([17, 0, 0, 1, 9, 9, 9, 9])),
    ipPacket({ from: PEER.v4, to: OURS.v4, protocol: 17, flagsFragment: 0x2000 }, new Uint8Array(64)),
    ipPacket(
      { from: PEER.v4, to: OURS.v4, protocol: 1 },
      icmpMessage(PEER.v4, OURS.v4, 3, 4, 1000, datagram(OURS.v4, PEER.v4)),
    ),
    ipPacket(
      { from: PEER.v6, to: OURS.v6, protocol: 58 },
      icmpMessage(PEER.v6, OURS.v6, 2, 0, 1280, datagram(OURS.v6, PEER.v6)),
    ),
  ];
  const mutated = fc
    .tuple(
      fc.constantFrom(...samples),
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
      fc.nat(200),
    )
    .map(([sample, changes, cut]) => {
      const copy = sample.slice(0, Math.max(0, sample.length - Math.max(0, cut - 100)));
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
      return copy;
    });
  const random = fc.uint8Array({ maxLength: 120 }).map((bytes) => {
    if (bytes.length > 0) bytes[0] = (bytes[0] ?? 0) & 1 ? 0x45 : 0x60;
    return bytes;
  });
  const bed = new Bed();
  fc.assert(
    fc.property(fc.oneof(mutated, random), fc.boolean(), (bytes, valid) => {
      const before = bed.sink.packets.length;
      bed.input(bytes, valid ? RxFlag.ChecksumValid : 0);
      t.true(bed.sink.packets.length - before <= 1);
    }),
    { numRuns: 3000 },
  );
  bed.stack.advance(120_000);
  t.is(bed.stack.ipInput.reassembler.openCount, 0);
  t.is(bed.stack.ipInput.reassembler.heldBytes, 0);
});
