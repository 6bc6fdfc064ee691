import test from 'ava';
import { HEADROOM_BYTES, RxFlag, type TxPacket } from '../stack/link.ts';
import { Slab } from '../stack/wire/slab.ts';
import { fc } from '../test/properties.ts';
import { DeviceCounters } from './device.ts';
import { Collector, fill } from './testing/packets.ts';
import { bytesOf, checksumIsRight, datagram, segment } from './testing/raw-packets.ts';
import {
  inputVirtio,
  VIRTIO_HEADER_BYTES,
  VIRTIO_SHORT_HEADER_BYTES,
  writeVirtioHeader,
} from './virtio-net.ts';

const V4 = { source: '192.0.2.1', destination: '192.0.2.2', sourcePort: 1000, destinationPort: 2000 };
const V6 = { source: '2001:db8::1', destination: '2001:db8::2', sourcePort: 1000, destinationPort: 2000 };
const TCP = { sequence: -1, acknowledgment: 5, flags: 0x10 };
const BOTH = RxFlag.ChecksumValid | RxFlag.ChecksumPartial;

/** The header that was written before the packet. */
function headerOf(packet: TxPacket): number[] {
  packet.head.bytes.fill(0xee, 0, HEADROOM_BYTES);
  writeVirtioHeader(packet);
  return [...packet.head.bytes.slice(packet.headOff - VIRTIO_HEADER_BYTES, packet.headOff)];
}

/** Header and packet in one piece, as a read gives them. */
function wire(packet: TxPacket): Slab {
  writeVirtioHeader(packet);
  const header = packet.head.bytes.slice(packet.headOff - VIRTIO_HEADER_BYTES, packet.headOff);
  return new Slab(Uint8Array.from([...header, ...bytesOf(packet)]));
}

test('the header says what is left to do', (t) => {
  const payload = new Uint8Array(3000);
  t.deepEqual(headerOf(segment({ ...V4, ...TCP }, payload, 0, false)), new Array(12).fill(0));
  // flags, type, header length, segment size, checksum start, checksum offset, buffers
  t.deepEqual(headerOf(segment({ ...V4, ...TCP }, payload)), [1, 0, 0, 0, 0, 0, 20, 0, 16, 0, 0, 0]);
  t.deepEqual(headerOf(segment({ ...V4, ...TCP }, payload, 1448)), [1, 1, 40, 0, 168, 5, 20, 0, 16, 0, 0, 0]);
  t.deepEqual(headerOf(segment({ ...V6, ...TCP }, payload, 1448)), [1, 4, 60, 0, 168, 5, 40, 0, 16, 0, 0, 0]);
  const cwr = segment({ ...V4, ...TCP, flags: 0x90 }, payload, 1448);
  t.is(headerOf(cwr)[1], 0x81, 'CWR goes with the first segment only');
  t.deepEqual(headerOf(datagram(V6, payload, 1000)), [1, 5, 48, 0, 232, 3, 40, 0, 6, 0, 0, 0]);
});

test('what is left to do is told to the receiver', (t) => {
  const got = new Collector();
  const counters = new DeviceCounters();
  const partial = wire(segment({ ...V4, ...TCP }, new Uint8Array(3000), 1448));
  inputVirtio(partial, 0, partial.lengthBytes, got, counters);
  const complete = wire(segment({ ...V4, ...TCP }, new Uint8Array(10), 0, false));
  inputVirtio(complete, 0, complete.lengthBytes, got, counters);
  complete.bytes[0] = 2;
  inputVirtio(complete, 0, complete.lengthBytes, got, counters);
  t.deepEqual(got.flags, [BOTH, 0, RxFlag.ChecksumValid]);
  t.is(got.packets[0]?.length, 3040);
  t.is(counters.rxPackets, 3);
});

test('UDP super-packets are taken apart', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(V4, V6),
      fc.integer({ min: 1, max: 6000 }),
      fc.integer({ min: 1, max: 1500 }),
      (ends, payloadBytes, gsoBytes) => {
        fc.pre(payloadBytes / gsoBytes < 200);
        const payload = new Uint8Array(payloadBytes);
        fill(payload, 0, payloadBytes, gsoBytes);
        const packed = wire(datagram(ends, payload, gsoBytes));
        const got = new Collector();
        inputVirtio(packed, 0, packed.lengthBytes, got, new DeviceCounters());
        const headerBytes = ends === V4 ? 28 : 48;
        t.is(got.packets.length, Math.ceil(payloadBytes / gsoBytes));
        let at = 0;
        for (const [i, packet] of got.packets.entries()) {
          const part = payload.slice(at, at + gsoBytes);
          t.deepEqual(packet.slice(headerBytes), part);
          // as if it had been sent alone, but for the identification
          const alone = datagram(ends, part);
          const expected = bytesOf(alone);
          const view = new DataView(packet.buffer);
          if (ends === V4) {
            t.is(view.getUint16(4), 1 + i);
            t.is(view.getUint16(2), packet.length);
            t.is(headerSum(packet), 0xffff);
            expected.set(packet.subarray(4, 6), 4);
            expected.set(packet.subarray(10, 12), 10);
          }
          t.deepEqual(packet.slice(0, headerBytes), expected.slice(0, headerBytes));
          t.is(got.flags[i], BOTH);
          at += part.length;
        }
      },
    ),
    { numRuns: 60 },
  );
});

function headerSum(packet: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += (packet[i]! << 8) | packet[i + 1]!;
  return (sum & 0xffff) + (sum >>> 16);
}

test('damaged headers are counted, nothing is handed in and nothing thrown', (t) => {
  const got = new Collector();
  const counters = new DeviceCounters();
  const whole = wire(datagram(V4, new Uint8Array(100), 50));
  for (let len = 0; len <= VIRTIO_HEADER_BYTES + 28; len++) inputVirtio(whole, 0, len, got, counters);
  const unknown = wire(segment({ ...V4, ...TCP }, new Uint8Array(10)));
  unknown.bytes[1] = 3;
  inputVirtio(unknown, 0, unknown.lengthBytes, got, counters);
  const noSize = wire(datagram(V4, new Uint8Array(100), 50));
  noSize.bytes[4] = 0;
  inputVirtio(noSize, 0, noSize.lengthBytes, got, counters);
  t.is(got.count, 0);
  t.is(counters.rxDroppedShort, VIRTIO_HEADER_BYTES + 1);
  t.is(counters.rxDroppedSuperPacket, 28 + 2);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 120 }), (bytes) => {
      inputVirtio(new Slab(bytes), 0, bytes.length, new Collector(), counters);
    }),
  );
});

test('packets written by hand have right checksums', (t) => {
  for (const ends of [V4, V6]) {
    for (const length of [0, 1, 2, 7, 1001]) {
      const payload = new Uint8Array(length);
      fill(payload, 0, length, 1);
      t.true(checksumIsRight(bytesOf(segment({ ...ends, ...TCP }, payload, 0, false))));
      t.false(checksumIsRight(bytesOf(segment({ ...ends, ...TCP }, payload))));
    }
  }
});

test('behind a link header, with a short header in front, all offsets count from the frame', (t) => {
  const ETHERNET = 14;
  for (const ends of [V4, V6]) {
    const payload = new Uint8Array(2500);
    fill(payload, 0, payload.length, 4);
    const packet = datagram(ends, payload, 1000);
    packet.headOff -= ETHERNET;
    packet.headLen += ETHERNET;
    packet.csumStart += ETHERNET;
    packet.head.bytes.fill(0xab, packet.headOff, packet.headOff + ETHERNET);
    packet.head.bytes.fill(0xee, 0, packet.headOff);
    writeVirtioHeader(packet, VIRTIO_SHORT_HEADER_BYTES, ETHERNET);
    const at = packet.headOff - VIRTIO_SHORT_HEADER_BYTES;
    const header = packet.head.bytes.slice(at, packet.headOff);
    t.is(packet.head.bytes[at - 1], 0xee, 'no more than ten bytes');
    const ip = ends === V4 ? 20 : 40;
    t.deepEqual([...header], [1, 5, ETHERNET + ip + 8, 0, 232, 3, ETHERNET + ip, 0, 6, 0]);
    const slab = new Slab(Uint8Array.from([...header, ...bytesOf(packet)]));
    const got = new Collector();
    const counters = new DeviceCounters();
    inputVirtio(slab, 0, slab.lengthBytes, got, counters, VIRTIO_SHORT_HEADER_BYTES, ETHERNET);
    t.deepEqual(
      got.packets.map(({ length }) => length - ETHERNET - ip - 8),
      [1000, 1000, 500],
    );
    for (const frame of got.packets)
      t.deepEqual([...frame.subarray(0, ETHERNET)], new Array(ETHERNET).fill(0xab));
    t.deepEqual(
      Uint8Array.from(got.packets.flatMap((frame) => [...frame.subarray(ETHERNET + ip + 8)])),
      payload,
    );
    // a frame of the link header alone carries nothing
    inputVirtio(
      slab,
      0,
      VIRTIO_SHORT_HEADER_BYTES + ETHERNET,
      got,
      counters,
      VIRTIO_SHORT_HEADER_BYTES,
      ETHERNET,
    );
    t.is(counters.rxDroppedShort, 1);
  }
});

test('super-packets whose IP header is longer than where the transport begins are dropped', (t) => {
  for (const [type, udpOff] of [
    [1, 20],
    [5, 20],
  ] as const) {
    const bytes = new Uint8Array(12 + 90);
    bytes.set([1, type, 40, 0, 30, 0, udpOff, 0, type === 5 ? 6 : 16, 0]);
    // header of 60 bytes; the last segment ends before
    bytes[12] = 0x4f;
    bytes[12 + 20 + 12] = 0x50;
    const got = new Collector();
    const counters = new DeviceCounters();
    inputVirtio(new Slab(bytes), 0, bytes.length, got, counters, 12, 0, true);
    t.is(got.packets.length, 0);
    t.is(counters.rxDroppedSuperPacket, 1);
  }
});
