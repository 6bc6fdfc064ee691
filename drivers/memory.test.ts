import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { NetError } from '../stack/errors.ts';
import { HEADER_BYTES, HEADROOM_BYTES, RxFlag, TxPacket } from '../stack/link.ts';
import { Slab } from '../stack/wire/slab.ts';
import { fc } from '../test/properties.ts';
import type { Device } from './device.ts';
import { createMemoryLink, type MemoryLinkOptions, openMemory } from './memory.ts';
import { clearEvent, eventfd, POLLIN, PollSet } from './syscalls.ts';
import { Collector, fill } from './testing/packets.ts';

function packetOf(headBytes: number, bodyBytes: number, body2Bytes: number, seed: number): TxPacket {
  const packet = new TxPacket(Slab.alloc(HEADROOM_BYTES + HEADER_BYTES));
  packet.body = Slab.alloc(bodyBytes + body2Bytes);
  packet.headLen = headBytes;
  fill(packet.head.bytes, packet.headOff, headBytes, seed);
  // the second piece lies before the first, as when a ring wraps
  packet.bodyOff = body2Bytes;
  packet.bodyLen = bodyBytes;
  packet.body2Len = body2Bytes;
  fill(packet.body.bytes, 0, bodyBytes + body2Bytes, seed + 1);
  return packet;
}

function pair(options: MemoryLinkOptions = {}): [Device, Device] {
  const [a, b] = createMemoryLink(options);
  return [openMemory(a), openMemory(b)];
}

function bytesOf(packet: TxPacket): Uint8Array {
  const all = new Uint8Array(packet.lengthBytes);
  packet.gather(all, 0);
  return all;
}

test('packets arrive in order, whole and unchanged, in both directions', (t) => {
  const [a, b] = pair();
  const first = packetOf(20, 100, 0, 1);
  const second = packetOf(40, 33, 7, 2);
  t.true(a.send(first));
  t.true(a.send(second));
  t.true(b.send(packetOf(28, 0, 0, 3)));
  const atB = new Collector();
  t.is(b.receive(atB, 64), 2);
  t.deepEqual(atB.packets, [bytesOf(first), bytesOf(second)]);
  t.is(b.receive(atB, 64), 0);
  const atA = new Collector();
  t.is(a.receive(atA, 64), 1);
  t.deepEqual(atA.packets, [bytesOf(packetOf(28, 0, 0, 3))]);
  t.is(a.counters.txPackets, 2);
  t.is(b.counters.rxBytes, first.lengthBytes + second.lengthBytes);
});

test('the budget ends a receive, the rest waits', (t) => {
  const [a, b] = pair();
  for (let i = 0; i < 5; i++) a.send(packetOf(20, i, 0, i));
  const got = new Collector();
  t.is(b.receive(got, 3), 3);
  t.false(b.prepareSleep());
  t.is(b.receive(got, 3), 2);
  t.true(b.prepareSleep());
  b.awake();
});

test('a partial checksum is told, a complete one is not', (t) => {
  const [a, b] = pair({ checksums: 'skip', segmentBytes: 65_535 });
  t.deepEqual(a.capabilities, { mtuBytes: 1500, txChecksum: true, txSegmentBytes: 65_535 });
  const partial = packetOf(40, 10, 0, 1);
  partial.csumStart = 20;
  partial.csumOffset = 16;
  a.send(partial);
  a.send(packetOf(40, 10, 0, 1));
  const got = new Collector();
  b.receive(got, 9);
  t.deepEqual(got.flags, [RxFlag.ChecksumValid | RxFlag.ChecksumPartial, 0]);
});

test('any sequence of sends and receives delivers every accepted packet once, in order', (t) => {
  const step = fc.oneof(
    fc.record({ head: fc.integer({ min: 20, max: 60 }), body: fc.integer({ min: 0, max: 65_400 }) }),
    fc.record({ budget: fc.integer({ min: 1, max: 20 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
      const [a, b] = pair({ mtuBytes: 65_535, queueBytes: 256 * 1024 });
      const sent: number[] = [];
      const got = new Collector(true);
      for (const s of steps) {
        if ('budget' in s) b.receive(got, s.budget);
        else {
          const packet = packetOf(s.head, s.body, 0, sent.length);
          if (a.send(packet)) sent.push(hash(bytesOf(packet)));
        }
      }
      while (b.receive(got, 16) > 0);
      t.deepEqual(got.hashes, sent);
      t.true(a.send(packetOf(60, 65_475, 0, 1)), 'an empty queue takes the largest packet');
    }),
    { numRuns: 40 },
  );
});

function hash(bytes: Uint8Array): number {
  return Collector.hash(bytes, 0, bytes.length);
}

test('a full queue refuses, wakes its sender when there is room, and never before', (t) => {
  const [endA, endB] = createMemoryLink({ queueBytes: 256 * 1024 });
  const fd = eventfd();
  const poll = new PollSet(1);
  poll.set(0, fd, POLLIN);
  const a = openMemory(endA, { eventFd: fd });
  const b = openMemory(endB);
  const packet = packetOf(20, 1480, 0, 1);
  let sent = 0;
  while (a.send(packet)) sent++;
  t.is(sent, Math.floor((256 * 1024) / 1512));
  t.is(a.counters.txFull, 1);
  t.true(a.prepareSleep());
  t.is(poll.wait(0), 0);
  const got = new Collector();
  b.receive(got, 2);
  t.is(poll.wait(0), 1, 'woken');
  a.awake();
  t.true(a.send(packet));
});

test('a packet that is larger than any is dropped and counted', (t) => {
  const [a, b] = pair();
  t.true(a.send(packetOf(20, 70_000, 0, 1)));
  t.like(a.counters, { txDroppedTooLarge: 1, txPackets: 0 });
  t.is(b.receive(new Collector(), 9), 0);
});

test('a sender that found no room does not sleep when the room came in between', (t) => {
  const [a, b] = pair({ queueBytes: 256 * 1024 });
  const packet = packetOf(20, 1480, 0, 1);
  while (a.send(packet));
  b.receive(new Collector(), 1);
  t.false(a.prepareSleep());
});

test('flush wakes a sleeping peer once, and only a sleeping one', (t) => {
  const [endA, endB] = createMemoryLink();
  const fd = eventfd();
  const poll = new PollSet(1);
  poll.set(0, fd, POLLIN);
  const a = openMemory(endA);
  const b = openMemory(endB, { eventFd: fd });
  a.send(packetOf(20, 0, 0, 1));
  a.flush();
  t.is(poll.wait(0), 0, 'awake: not woken');
  t.is(b.receive(new Collector(), 9), 1);
  t.true(b.prepareSleep());
  a.send(packetOf(20, 0, 0, 1));
  t.is(poll.wait(0), 0, 'not before the flush');
  a.flush();
  t.is(poll.wait(0), 1);
});

test('packets wait for an end that is not attached yet, and are dropped when the queue is full', (t) => {
  const [endA, endB] = createMemoryLink({ queueBytes: 256 * 1024 });
  const a = openMemory(endA);
  for (let i = 0; i < 500; i++) t.true(a.send(packetOf(20, 1480, 0, i)));
  t.is(a.counters.txDroppedDown, 500 - a.counters.txPackets);
  const got = new Collector();
  t.is(openMemory(endB).receive(got, 1000), a.counters.txPackets);
});

test('an end whose peer has closed drops, and one that waited for room is woken', (t) => {
  const [endA, endB] = createMemoryLink({ queueBytes: 256 * 1024 });
  const fd = eventfd();
  const poll = new PollSet(1);
  poll.set(0, fd, POLLIN);
  const a = openMemory(endA, { eventFd: fd });
  const b = openMemory(endB);
  while (a.send(packetOf(20, 1480, 0, 1)));
  a.prepareSleep();
  b.close();
  b.close();
  t.is(poll.wait(0), 1);
  a.awake();
  t.true(a.send(packetOf(20, 1480, 0, 1)));
  t.is(a.counters.txDroppedDown, 1);
});

test('an end is attached once', (t) => {
  const [end] = createMemoryLink();
  openMemory(end).close();
  const error = t.throws(() => openMemory(end), { instanceOf: NetError });
  t.is(error.tunwireCode, 'DEVICE_FAILED');
});

test('options that do not fit are refused', (t) => {
  for (const options of [
    { mtuBytes: 67 },
    { mtuBytes: 65_536 },
    { queueBytes: 128 * 1024 },
    { queueBytes: 300_000 },
    { segmentBytes: 65_535 },
  ]) {
    const error = t.throws(() => createMemoryLink(options), { instanceOf: NetError });
    t.is(error.tunwireCode, 'ARGUMENT_INVALID');
  }
});

test('two threads exchange packets and sleep without losing a wake-up', async (t) => {
  const [endA, endB] = createMemoryLink({ queueBytes: 256 * 1024 });
  const worker = new Worker(new URL('./testing/memory-echo.ts', import.meta.url), {
    workerData: { end: endB, packets: 20_000 },
  });
  t.deepEqual(await once(worker, 'message'), ['attached']);
  const echoed = once(worker, 'message');
  const fd = eventfd();
  const poll = new PollSet(1);
  poll.set(0, fd, POLLIN);
  const a = openMemory(endA, { eventFd: fd });
  const got = new Collector(true);
  const packet = packetOf(20, 900, 0, 7);
  const expected = hash(bytesOf(packet));
  let sent = 0;
  while (got.count < 20_000) {
    while (sent < 20_000 && a.send(packet)) sent++;
    a.flush();
    const received = a.receive(got, 64);
    if (received === 64 || got.count === 20_000 || !a.prepareSleep()) continue;
    const woken = poll.wait(5000);
    a.awake();
    if (woken === 0) {
      t.fail(`slept without a wake-up after ${sent} sent, ${got.count} received`);
      break;
    }
    clearEvent(fd);
  }
  t.deepEqual(await echoed, [20_000]);
  t.true(got.hashes.every((h) => h === expected));
});
