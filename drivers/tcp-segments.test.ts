import test from 'ava';
import { RxFlag } from '../stack/link.ts';
import { completePacket } from '../stack/wire/partial-checksum.ts';
import { Slab } from '../stack/wire/slab.ts';
import { fc } from '../test/properties.ts';
import { DeviceCounters } from './device.ts';
import { inputSegments } from './tcp-segments.ts';
import { Collector, fill } from './testing/packets.ts';
import { bytesOf, checksumIsRight, segment } from './testing/raw-packets.ts';

const V4 = { source: '192.0.2.1', destination: '192.0.2.2', sourcePort: 1000, destinationPort: 2000 };
const V6 = { source: '2001:db8::1', destination: '2001:db8::2', sourcePort: 1000, destinationPort: 2000 };
const FLAGS: number = RxFlag.ChecksumValid | RxFlag.ChecksumPartial;
const [FIN, PSH, ACK, CWR] = [0x01, 0x08, 0x10, 0x80];

test('a super-packet becomes the segments it was made of', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(V4, V6),
      fc.constantFrom(0, 14),
      fc.integer({ min: 1, max: 6000 }),
      fc.integer({ min: 1, max: 1500 }),
      (ends, linkBytes, payloadBytes, gsoBytes) => {
        const payload = new Uint8Array(payloadBytes);
        fill(payload, 0, payloadBytes, gsoBytes);
        const sequence = 0xffffff00 | 0;
        const fields = { ...ends, sequence, acknowledgment: 7, flags: FIN | PSH | ACK | CWR };
        const packet = bytesOf(segment(fields, payload, gsoBytes));
        const slab = new Slab(Uint8Array.from([...new Uint8Array(linkBytes).fill(0xab), ...packet]));
        const got = new Collector();
        const ip = ends === V4 ? 20 : 40;
        const counters = new DeviceCounters();
        inputSegments(slab, 0, slab.lengthBytes, linkBytes, gsoBytes, linkBytes + ip, FLAGS, got, counters);
        const count = Math.ceil(payloadBytes / gsoBytes);
        t.is(got.count, count);
        t.is(counters.rxPackets, count);
        const data: number[] = [];
        for (const [i, frame] of got.packets.entries()) {
          const piece = new Slab(frame.slice(linkBytes));
          completePacket(piece, 0, piece.lengthBytes);
          t.true(checksumIsRight(piece.bytes));
          t.is(piece.view.getInt32(ip + 4), (sequence + i * gsoBytes) | 0);
          const last = i === count - 1 ? FIN | PSH : 0;
          t.is(piece.bytes[ip + 13], ACK | last | (i === 0 ? CWR : 0));
          data.push(...piece.bytes.subarray(ip + 20));
        }
        t.deepEqual(Uint8Array.from(data), payload);
      },
    ),
    { numRuns: 60 },
  );
});

test('what cannot be cut is dropped, whatever its header says', (t) => {
  const packet = bytesOf(
    segment({ ...V4, sequence: 1, acknowledgment: 2, flags: ACK }, new Uint8Array(100), 50),
  );
  fc.assert(
    fc.property(
      fc.nat(packet.length),
      fc.nat(70_000),
      fc.nat(70_000),
      fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 }),
      (length, gsoBytes, tcpOff, changes) => {
        const slab = new Slab(packet.slice());
        for (const [at, value] of changes) slab.bytes[at] = value;
        const got = new Collector();
        inputSegments(slab, 0, Math.max(length, 20), 0, gsoBytes, tcpOff, FLAGS, got, new DeviceCounters());
        return got.packets.every((piece) => piece.length <= packet.length);
      },
    ),
  );
  const counters = new DeviceCounters();
  for (const [gsoBytes, tcpOff] of [
    [0, 20],
    [50, 19],
    [50, 121],
  ] as const)
    inputSegments(new Slab(packet), 0, packet.length, 0, gsoBytes, tcpOff, FLAGS, new Collector(), counters);
  t.is(counters.rxDroppedSuperPacket, 3);
});
