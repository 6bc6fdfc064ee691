import test from 'ava';
import { fc } from '../../test/properties.ts';
import { SeededRandom } from '../random.ts';
import { Stack } from '../stack.ts';
import { HeapRings } from '../testing/heap-rings.ts';
import { RecordingSink } from '../testing/packet-sink.ts';
import { ipPacket, udpDatagram } from '../testing/packets.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import { Slab } from '../wire/slab.ts';
import type { IpCounters } from './counters.ts';
import type { Interface } from './interface.ts';
import {
  MAX_FRAGMENTS,
  MAX_REASSEMBLIES,
  MAX_REASSEMBLY_BYTES,
  REASSEMBLY_TIMEOUT_MS,
  type Reassembler,
} from './reassembly.ts';

type Family = 'v4' | 'v6';
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
    gateways: [],
  });
  readonly received: Uint8Array[] = [];

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

  input(bytes: Uint8Array): void {
    this.iface.input(new Slab(bytes), 0, bytes.length, 0, this.stack.now);
  }

  get counters(): IpCounters {
    return this.stack.counters.toJSON()['ip'] as unknown as IpCounters;
  }

  get reassembler(): Reassembler {
    return this.stack.ipInput.reassembler;
  }
}

function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 131) >> 3);
}

/** One fragment: a piece of the fragmentable part. */
function fragment(
  family: Family,
  id: number,
  at: number,
  more: boolean,
  piece: Uint8Array,
  ecn = 0,
): Uint8Array {
  const from = PEER[family];
  const to = OURS[family];
  if (family === 'v4') {
    const flagsFragment = (more ? 0x2000 : 0) | (at >> 3);
    return ipPacket({ from, to, protocol: 17, id, flagsFragment, trafficClass: ecn }, piece);
  }
  const all = new Uint8Array(8 + piece.length);
  const view = new DataView(all.buffer);
  all[0] = 17;
  view.setUint16(2, at | (more ? 1 : 0));
  view.setUint32(4, id);
  all.set(piece, 8);
  return ipPacket({ from, to, protocol: 44, trafficClass: ecn }, all);
}

/** A datagram cut at the given multiples of 8. */
function cutUp(family: Family, id: number, payload: Uint8Array, cuts: number[], ecn = 0): Uint8Array[] {
  const udp = udpDatagram(PEER[family], OURS[family], 1234, 53, payload);
  const edges = [
    ...new Set([0, ...cuts.map((cut) => cut * 8).filter((cut) => cut < udp.length), udp.length]),
  ];
  edges.sort((x, y) => x - y);
  return edges
    .slice(0, -1)
    .map((at, i) => fragment(family, id, at, i < edges.length - 2, udp.slice(at, edges[i + 1]), ecn));
}

for (const family of ['v4', 'v6'] as const) {
  // [RFC 1122 §3.2.1.4-1]
  test(`fragments in any order, some twice, make the datagram (${family})`, (t) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 30, max: 3000 }),
        fc.array(fc.integer({ min: 4, max: 400 }), { minLength: 1, maxLength: 20 }),
        fc.infiniteStream(fc.nat(1000)),
        (length, cuts, numbers) => {
          const bed = new Bed();
          const payload = bytes(length);
          const pieces = cutUp(family, 77, payload, cuts);
          const next = (): number => numbers.next().value as number;
          const order = pieces.map((piece) => ({ piece, key: next() })).sort((x, y) => x.key - y.key);
          order.forEach(({ piece, key }, i) => {
            bed.input(piece);
            if (key % 3 === 0 && i < order.length - 1) bed.input(piece);
          });
          t.deepEqual(bed.received, [payload]);
          t.is(bed.reassembler.openCount, 0);
          t.is(bed.reassembler.heldBytes, 0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test(`RFC 5722: an overlap kills the datagram, and what comes after it (${family})`, (t) => {
    const bed = new Bed();
    const udp = udpDatagram(PEER[family], OURS[family], 1234, 53, bytes(56));
    bed.input(fragment(family, 5, 0, true, udp.slice(0, 24)));
    bed.input(fragment(family, 5, 16, true, udp.slice(16, 32)));
    bed.input(fragment(family, 5, 24, false, udp.slice(24)));
    bed.input(fragment(family, 5, 0, true, udp.slice(0, 24)));
    t.is(bed.received.length, 0);
    t.is(bed.counters.reassemblyOverlap, 1);
    t.is(bed.reassembler.heldBytes, 0);
    bed.stack.advance(REASSEMBLY_TIMEOUT_MS);
    t.is(bed.reassembler.openCount, 0);
    t.is(bed.sink.packets.length, 0);
    // The identification may be used again then.
    for (const piece of cutUp(family, 5, bytes(100), [5])) bed.input(piece);
    t.is(bed.received.length, 1);
  });

  test(`two different ends, and data beyond the end, contradict each other (${family})`, (t) => {
    const piece = bytes(16);
    for (const second of [fragment(family, 6, 32, false, piece), fragment(family, 6, 64, true, piece)]) {
      const bed = new Bed();
      bed.input(fragment(family, 6, 48, false, piece));
      bed.input(second);
      t.is(bed.counters.reassemblyOverlap, 1);
    }
    const bed = new Bed();
    bed.input(fragment(family, 6, 64, true, piece));
    bed.input(fragment(family, 6, 32, false, piece));
    t.is(bed.counters.reassemblyOverlap, 1);
  });

  test(`lengths that cannot be (${family})`, (t) => {
    const bed = new Bed();
    bed.input(fragment(family, 1, 0, true, bytes(9)));
    bed.input(fragment(family, 1, 0, true, new Uint8Array(0)));
    bed.input(fragment(family, 1, 8, false, new Uint8Array(0)));
    t.true(bed.counters.dropFragmentLength + bed.counters.dropExtensionHeaders >= 3);
    bed.input(fragment(family, 1, 65_528, false, bytes(64)));
    t.is(bed.counters.reassemblyTooBig, 1);
    t.is(bed.reassembler.openCount, 0);
  });

  // [RFC 1122 §3.3.2-3] [RFC 1122 §3.3.2-4]
  test(`the timeout tells the sender when the first fragment is there (${family})`, (t) => {
    const bed = new Bed();
    const [first, second] = cutUp(family, 9, bytes(100), [5]);
    bed.input(first!);
    bed.stack.advance(1000);
    bed.input(cutUp(family, 11, bytes(100), [5])[1]!);
    t.true(bed.stack.nextDeadline() <= REASSEMBLY_TIMEOUT_MS);
    bed.sink.packets.length = 0;
    bed.stack.advance(REASSEMBLY_TIMEOUT_MS);
    t.is(bed.counters.reassemblyTimeout, 1);
    const answer = bed.sink.take();
    const [type, code] = family === 'v4' ? [answer[20], answer[21]] : [answer[40], answer[41]];
    t.deepEqual([type, code], family === 'v4' ? [11, 1] : [3, 1]);
    const quote = answer.slice(family === 'v4' ? 28 : 48);
    t.deepEqual(quote, first!.slice(0, quote.length));
    bed.stack.advance(REASSEMBLY_TIMEOUT_MS + 1000);
    t.is(bed.counters.reassemblyTimeout, 2);
    t.is(bed.sink.packets.length, 0);
    bed.input(second!);
    t.is(bed.received.length, 0);
    t.is(bed.reassembler.openCount, 1);
  });

  test(`limits: datagrams, bytes and fragments (${family})`, (t) => {
    const bed = new Bed();
    for (let id = 0; id < MAX_REASSEMBLIES + 10; id++) bed.input(fragment(family, id, 8, true, bytes(8)));
    t.is(bed.reassembler.openCount, MAX_REASSEMBLIES);
    t.is(bed.counters.reassemblyEvicted, 10);
    for (let id = 1000; id < 1040; id++)
      for (let at = 0; at < 40; at++) bed.input(fragment(family, id, 8 + at * 1400, true, bytes(1400)));
    t.true(bed.reassembler.heldBytes <= MAX_REASSEMBLY_BYTES);
    for (let at = 0; at <= MAX_FRAGMENTS; at++) bed.input(fragment(family, 5000, 8 + at * 8, true, bytes(8)));
    t.is(bed.counters.reassemblyTooManyFragments, 1);
    bed.stack.advance(REASSEMBLY_TIMEOUT_MS);
    t.is(bed.reassembler.heldBytes, 0);
    t.is(bed.reassembler.openCount, 0);
    t.is(bed.stack.nextDeadline(), Infinity);
  });

  // [RFC 3168 §5.3-2]
  test(`RFC 3168 §5.3: marks on one fragment survive, and contradictions do not (${family})`, (t) => {
    const bed = new Bed();
    const marked = cutUp(family, 1, bytes(100), [4, 8], 3);
    const capable = cutUp(family, 1, bytes(100), [4, 8], 2);
    const plain = cutUp(family, 1, bytes(100), [4, 8], 0);
    for (const piece of [capable[0]!, marked[1]!, capable[2]!]) bed.input(piece);
    t.is(bed.received.length, 1);
    for (const piece of [plain[0]!, marked[1]!, plain[2]!]) bed.input(piece);
    t.is(bed.received.length, 1);
    t.is(bed.counters.dropFragmentEcn, 1);
  });
}

test('RFC 791 §3.2: the header of the whole has a checksum of its own, which an error quotes', (t) => {
  for (const marks of [
    [0, 0],
    [2, 3],
  ] as const) {
    const bed = new Bed();
    const udp = udpDatagram(PEER.v4, OURS.v4, 1234, 9, bytes(100));
    bed.input(fragment('v4', 5, 0, true, udp.slice(0, 64), marks[0]));
    bed.input(fragment('v4', 5, 64, false, udp.slice(64), marks[1]));
    const quoted = new Slab(bed.sink.take().slice(28));
    t.deepEqual([quoted.view.getUint16(2), quoted.view.getUint16(6)], [128, 0]);
    t.is(quoted.bytes[1]! & 3, marks[1]);
    t.is(foldChecksum(sumSlab(quoted, 0, 20, 0)), 0);
  }
});

test('RFC 6946: an atomic fragment is a packet of its own', (t) => {
  const bed = new Bed();
  const udp = udpDatagram(PEER.v6, OURS.v6, 1234, 53, bytes(40));
  bed.input(fragment('v6', 3, 0, true, udp.slice(0, 24)));
  bed.input(fragment('v6', 3, 0, false, udp));
  t.deepEqual(bed.received, [bytes(40)]);
  t.is(bed.counters.atomicFragments, 1);
  bed.input(fragment('v6', 3, 24, false, udp.slice(24)));
  t.is(bed.received.length, 2);
});

test('RFC 7112: a first fragment without the upper-layer header is refused', (t) => {
  const bed = new Bed();
  const from = PEER.v6;
  // Destination options that go on in the next fragment
  const all = Uint8Array.from([60, 0, 0, 1, 0, 0, 0, 9, 17, 3, 1, 4, 0, 0, 0, 0]);
  bed.input(ipPacket({ from, to: OURS.v6, protocol: 44 }, all));
  const answer = bed.sink.take();
  t.deepEqual([answer[40], answer[41]], [4, 3]);
  t.is(bed.reassembler.openCount, 0);
});

test('a first fragment with another Fragment header behind its own is refused', (t) => {
  const bed = new Bed();
  const all = Uint8Array.from([
    60,
    0,
    0,
    1,
    0,
    0,
    0,
    9,
    44,
    0,
    1,
    4,
    0,
    0,
    0,
    0,
    17,
    0,
    0,
    0,
    0,
    0,
    0,
    9,
    ...bytes(32),
  ]);
  bed.input(ipPacket({ from: PEER.v6, to: OURS.v6, protocol: 44 }, all));
  t.is(bed.counters.dropExtensionHeaders, 1);
  t.is(bed.reassembler.openCount, 0);
});
