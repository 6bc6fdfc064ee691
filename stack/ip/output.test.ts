// sends broken frames: the transport is twenty bytes of anything
import test from 'ava';
import { fc } from '../../test/properties.ts';
import { SeededRandom } from '../random.ts';
import { Stack } from '../stack.ts';
import { HeapRings } from '../testing/heap-rings.ts';
import { RecordingSink, type SunkPacket } from '../testing/packet-sink.ts';
import { addressOf } from '../testing/packets.ts';
import { fold16, foldChecksum, sumPseudoHeader, sumSlab } from '../wire/checksum.ts';
import { Slab } from '../wire/slab.ts';

const OURS = { v4: '192.0.2.1', v6: '2001:db8::1' } as const;
const PEER = { v4: '192.0.2.9', v6: '2001:db8::9' } as const;

interface Sent {
  readonly taken: boolean;
  readonly packets: SunkPacket[];
}

/** Sends one packet with a transport header of 20 bytes (checksum at 16) and two pieces of payload. */
function send(
  family: 'v4' | 'v6',
  protocol: number,
  pieces: [Uint8Array, Uint8Array],
  options: {
    txChecksum?: boolean;
    pathMtuBytes?: number;
    gsoBytes?: number;
    room?: number;
    seed?: number;
  } = {},
): Sent {
  const sink = new RecordingSink();
  sink.room = options.room ?? Infinity;
  const stack = new Stack({
    random: new SeededRandom(options.seed ?? 1),
    rings: new HeapRings(256, 256),
    now: 0,
  });
  stack.addInterface({
    name: 'test0',
    sink,
    capabilities: {
      mtuBytes: 1500,
      txChecksum: options.txChecksum ?? false,
      txSegmentBytes: options.gsoBytes === undefined ? 0 : 65_535,
    },
    addresses: [`${OURS.v4}/24`, `${OURS.v6}/64`],
    gateways: [],
  });
  const { ip, tx } = stack;
  const route = ip.route(addressOf(PEER[family]), null);
  if (options.pathMtuBytes !== undefined) ip.reducePathMtu(route, options.pathMtuBytes);
  const at = ip.begin(route, 20);
  for (let i = 0; i < 20; i++) tx.head.view.setUint8(at + i, i + 1);
  const body = Slab.alloc(pieces[0].length + pieces[1].length + 3);
  body.bytes.set(pieces[0], 0);
  body.bytes.set(pieces[1], pieces[0].length + 3);
  tx.body = body;
  tx.bodyLen = pieces[0].length;
  tx.body2Off = pieces[0].length + 3;
  tx.body2Len = pieces[1].length;
  tx.gsoBytes = options.gsoBytes ?? 0;
  const taken = ip.finish(route, protocol, 16, 0x2a, 33);
  return { taken, packets: sink.packets };
}

for (const family of ['v4', 'v6'] as const) {
  const header = family === 'v4' ? 20 : 40;
  const pseudo = (protocol: number, length: number): number =>
    sumPseudoHeader(addressOf(OURS[family]), addressOf(PEER[family]), protocol, length);

  test(`checksums over two pieces are right, whole and in fragments (${family})`, (t) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.uint8Array({ maxLength: 400 }), (first, second) => {
        const { packets } = send(family, 6, [first, second]);
        t.is(packets.length, 1);
        const slab = new Slab(packets[0]!.bytes);
        const length = slab.lengthBytes - header;
        t.is(length, 20 + first.length + second.length);
        t.is(foldChecksum(sumSlab(slab, header, length, pseudo(6, length))), 0);
        if (family === 'v4') t.is(foldChecksum(sumSlab(slab, 0, header, 0)), 0);
        t.is(packets[0]!.csumStart, -1);
      }),
      { numRuns: 50 },
    );
  });

  test(`a device that completes checksums gets the pseudo-header's sum (${family})`, (t) => {
    const pieces: [Uint8Array, Uint8Array] = [new Uint8Array(30_000), new Uint8Array(25_000)];
    const { packets } = send(family, 6, pieces, { txChecksum: true, gsoBytes: 1448 });
    const packet = packets[0]!;
    t.is(packets.length, 1);
    t.is(packet.csumStart, header);
    t.is(packet.csumOffset, 16);
    t.is(packet.gsoBytes, 1448);
    const { view } = new Slab(packet.bytes);
    t.is(view.getUint16(header + 16), fold16(pseudo(6, 55_020)));
    t.is(view.getUint16(family === 'v4' ? 2 : 4), family === 'v4' ? 55_040 : 55_020);
  });

  test(`what does not fit the path is cut at multiples of 8, with one identification (${family})`, (t) => {
    const { packets } = send(family, 17, [new Uint8Array(2001), new Uint8Array(2000)], { txChecksum: true });
    t.is(packets.length, 3);
    let at = 0;
    const ids = new Set<number>();
    packets.forEach(({ bytes, csumStart }, i) => {
      const { view } = new Slab(bytes);
      const overhead = family === 'v4' ? 20 : 48;
      const word = view.getUint16(family === 'v4' ? 6 : 42);
      t.is(csumStart, -1);
      t.true(bytes.length <= 1500);
      t.is(family === 'v4' ? (word & 0x1fff) * 8 : word & 0xfff8, at);
      t.is(family === 'v4' ? (word & 0x2000) !== 0 : (word & 1) !== 0, i < 2);
      t.is(word & (family === 'v4' ? 0xc000 : 6), 0);
      ids.add(family === 'v4' ? view.getUint16(4) : view.getUint32(44));
      if (family === 'v6') t.deepEqual([view.getUint8(6), view.getUint8(40)], [44, 17]);
      at += bytes.length - overhead;
    });
    t.is(at, 4021);
    t.is(ids.size, 1);
  });

  test(`a full device takes nothing and says so; after a first fragment the rest is lost (${family})`, (t) => {
    const small: [Uint8Array, Uint8Array] = [new Uint8Array(10), new Uint8Array(0)];
    const large: [Uint8Array, Uint8Array] = [new Uint8Array(4000), new Uint8Array(0)];
    t.false(send(family, 17, small, { room: 0 }).taken);
    t.false(send(family, 17, large, { room: 0 }).taken);
    const cut = send(family, 17, large, { room: 1 });
    t.true(cut.taken);
    t.is(cut.packets.length, 1);
  });
}

// [RFC 1122 §3.2.1.8-5] [RFC 1122 §3.2.1.8-10]
test('header fields: class, hop limit, protocol; Don’t Fragment for TCP only', (t) => {
  const none: [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)];
  const tcp = send('v4', 6, none).packets[0]!.bytes;
  t.deepEqual([...tcp.slice(0, 10)], [0x45, 0x2a, 0, 40, 0, 0, 0x40, 0, 33, 6]);
  const udp = send('v4', 17, none).packets[0]!.bytes;
  t.is(udp[6], 0);
  const another = send('v4', 17, none, { seed: 2 }).packets[0]!.bytes;
  t.notDeepEqual(udp.slice(4, 6), another.slice(4, 6));
  const six = send('v6', 6, none).packets[0]!.bytes;
  t.deepEqual([six[0], six[1]! & 0xf0], [0x62, 0xa0]);
  t.deepEqual([...six.slice(4, 8)], [0, 20, 6, 33]);
  // RFC 1191: at the lower bound routers may fragment
  t.is(send('v4', 6, none, { pathMtuBytes: 68 }).packets[0]!.bytes[6], 0);
  t.is(send('v4', 6, none, { pathMtuBytes: 553 }).packets[0]!.bytes[6], 0x40);
});

test('RFC 768: a UDP checksum of zero is sent as ones', (t) => {
  // The word that makes the sum come out as zero is found by sending once.
  const first = send('v4', 17, [Uint8Array.of(0, 0), new Uint8Array(0)]).packets[0]!;
  const sum = new Slab(first.bytes).view.getUint16(36);
  const filler = Uint8Array.of(sum >> 8, sum & 255);
  const zero = send('v4', 17, [filler, new Uint8Array(0)]).packets[0]!;
  t.is(new Slab(zero.bytes).view.getUint16(36), 0xffff);
  const tcpFirst = send('v4', 6, [Uint8Array.of(0, 0), new Uint8Array(0)]).packets[0]!;
  const tcpSum = new Slab(tcpFirst.bytes).view.getUint16(36);
  const tcpZero = send('v4', 6, [Uint8Array.of(tcpSum >> 8, tcpSum & 255), new Uint8Array(0)]).packets[0]!;
  t.is(new Slab(tcpZero.bytes).view.getUint16(36), 0);
});
