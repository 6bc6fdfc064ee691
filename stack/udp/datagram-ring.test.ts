import test from 'ava';
import { fc } from '../../test/properties.ts';
import { Ring } from '../ring.ts';
import { Slab } from '../wire/slab.ts';
import {
  DatagramHeader,
  datagramRoom,
  peekDatagram,
  pushDatagram,
  pushDatagramTo,
  RECORD_HEADER_BYTES,
  recordBytes,
  shiftDatagram,
} from './datagram-ring.ts';

test('records come out as they went in, wherever the ring wraps', (t) => {
  const datagram = fc.record({
    family: fc.constantFrom<0 | 4 | 6>(0, 4, 6),
    words: fc.tuple(fc.integer(), fc.integer(), fc.integer(), fc.integer()),
    port: fc.nat(65_535),
    payload: fc.uint8Array({ maxLength: 100 }),
  });
  fc.assert(
    fc.property(fc.array(datagram, { maxLength: 60 }), fc.integer(), (datagrams, start) => {
      const positions = Int32Array.of(start & ~3, start & ~3);
      const ring = new Ring(Slab.alloc(300), 20, 256, positions, 0, 1);
      const header = new DatagramHeader();
      const queued: typeof datagrams = [];
      const shift = (): void => {
        const expected = queued.shift()!;
        t.true(peekDatagram(ring, header));
        const payload = new Uint8Array(header.lengthBytes);
        ring.copyOut(header.position, payload, 0, header.lengthBytes);
        t.deepEqual(payload, expected.payload);
        t.deepEqual([header.w0, header.w1, header.w2, header.w3], expected.words);
        t.deepEqual([header.family, header.port], [expected.family, expected.port]);
        shiftDatagram(ring, header);
      };
      for (const one of datagrams) {
        const [w0, w1, w2, w3] = one.words;
        const fits = one.payload.length <= datagramRoom(ring);
        const { family, port, payload } = one;
        t.is(pushDatagram(ring, family, w0, w1, w2, w3, port, payload, 0, payload.length), fits);
        if (fits) queued.push(one);
        else if (queued.length > 0) shift();
      }
      while (queued.length > 0) shift();
      t.false(peekDatagram(ring, header));
      t.is(ring.usedBytes, 0);
    }),
  );
});

test('a length that cannot be is not followed', (t) => {
  const ring = Ring.alloc(128);
  t.true(pushDatagramTo(ring, null, 0, Uint8Array.of(1, 2, 3), 0, 3));
  t.is(ring.usedBytes, recordBytes(3));
  t.is(recordBytes(3), RECORD_HEADER_BYTES + 4);
  // the first byte is the type of service
  for (const length of [5, 100, 0x7fffffff, 0x80000005, 0xfffffffd, 0xffffffff]) {
    ring.slab.view.setUint32(0, length);
    t.false(peekDatagram(ring, new DatagramHeader()), String(length));
  }
});

test('the largest datagram fits an empty ring of 128 KB, and not one of 64 KB', (t) => {
  t.true(datagramRoom(Ring.alloc(131_072)) >= 65_527);
  t.true(datagramRoom(Ring.alloc(65_536)) < 65_527);
});
