import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { capture } from './capture.ts';
import type { Device } from './device.ts';
import { createMemoryLink, type MemoryLinkOptions, openMemory } from './memory.ts';
import { PcapngWriter } from './pcapng.ts';
import { Collector, fill } from './testing/packets.ts';
import { readPackets } from './testing/pcapng-reader.ts';
import { bytesOf, checksumIsRight, datagram, segment } from './testing/raw-packets.ts';

/** 2026-11-22T00:00:00Z */
const EPOCH_MS = 1_795_305_600_000;
const V4 = { source: '192.0.2.1', destination: '192.0.2.2', sourcePort: 1000, destinationPort: 2000 };
const V6 = { source: '2001:db8::1', destination: '2001:db8::2', sourcePort: 1000, destinationPort: 2000 };
const TCP = { sequence: -1, acknowledgment: 5, flags: 0x10 };

interface Setup {
  readonly path: string;
  readonly writer: PcapngWriter;
  readonly device: Device;
  readonly peer: Device;
  now: number;
}

function setUp(t: ExecutionContext, options: MemoryLinkOptions = {}): Setup {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-capture-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'test.pcapng');
  const writer = new PcapngWriter(path);
  const [a, b] = createMemoryLink(options);
  const setup = { path, writer, peer: openMemory(b), now: 0 };
  const device = capture(openMemory(a), writer, { clock: () => setup.now, epochMs: EPOCH_MS });
  return Object.assign(setup, { device });
}

function payloadOf(lengthBytes: number): Uint8Array {
  const payload = new Uint8Array(lengthBytes);
  fill(payload, 0, lengthBytes, 4);
  return payload;
}

test('both directions are written, with times, direction and comment, and pass unchanged', (t) => {
  const setup = setUp(t);
  const { device, peer, writer, path } = setup;
  const out = segment({ ...V4, ...TCP }, payloadOf(101), 0, false);
  out.comment = 'fast retransmit';
  setup.now = 1234.567891;
  t.true(device.send(out));
  const atPeer = new Collector();
  peer.receive(atPeer, 9);
  t.deepEqual(atPeer.packets, [bytesOf(out)]);
  const back = segment({ ...V6, ...TCP }, payloadOf(7), 0, false);
  peer.send(back);
  setup.now = 2000.5;
  const atDevice = new Collector();
  t.is(device.receive(atDevice, 9), 1);
  t.deepEqual(atDevice.packets, [bytesOf(back)]);
  device.close();
  writer.close();
  const [first, second] = readPackets(path);
  t.deepEqual(first, {
    iface: 0,
    nanoseconds: BigInt(EPOCH_MS + 1234) * 1_000_000n + 567_891n,
    data: Buffer.from(bytesOf(out)),
    direction: 2,
    comment: 'fast retransmit',
  });
  t.is(second?.direction, 1);
  t.is(second?.nanoseconds, BigInt(EPOCH_MS + 2000) * 1_000_000n + 500_000n);
});

test('partial checksums are completed in the capture only, on both sides of the link', (t) => {
  const { device, peer, writer, path } = setUp(t, { checksums: 'skip', segmentBytes: 65_535 });
  const packets = [V4, V6].flatMap((ends) => [
    segment({ ...ends, ...TCP }, payloadOf(5001), 1448),
    segment({ ...ends, ...TCP }, payloadOf(0)),
    datagram(ends, payloadOf(33)),
  ]);
  const atPeer = new Collector();
  const atDevice = new Collector();
  for (const packet of packets) {
    device.send(packet);
    peer.send(packet);
  }
  peer.receive(atPeer, 99);
  device.receive(atDevice, 99);
  t.deepEqual(atPeer.packets, packets.map(bytesOf));
  t.deepEqual(atDevice.packets, packets.map(bytesOf));
  writer.close();
  const written = readPackets(path);
  t.is(written.length, 2 * packets.length);
  for (const { data } of written) t.true(checksumIsRight(Uint8Array.from(data)));
  t.is(written[0]?.comment, 'handed to the device as 4 segments of 1448 bytes');
});

test('a packet that the device refuses is not written', (t) => {
  const { device, writer, path, peer } = setUp(t, { queueBytes: 256 * 1024 });
  const packet = segment({ ...V4, ...TCP }, payloadOf(1400), 0, false);
  let sent = 0;
  while (device.send(packet)) sent++;
  writer.close();
  t.is(readPackets(path).length, sent);
  t.true(device.send(packet) === false && peer.counters.rxPackets === 0);
});

test('a packet that the device takes and drops says so', (t) => {
  const { device, writer, path, peer } = setUp(t);
  const packet = segment({ ...V4, ...TCP }, payloadOf(10), 0, false);
  device.send(packet);
  peer.close();
  device.send(packet);
  device.send(packet);
  writer.close();
  const dropped = 'dropped by the device: it is down, or nobody is at the other end';
  t.deepEqual(
    readPackets(path).map(({ comment }) => comment),
    ['', dropped, dropped],
  );
});

test('a capture that ends does not end the connection', (t) => {
  const errors: Error[] = [];
  const writer = new PcapngWriter('/dev/full', { onError: (error) => errors.push(error) });
  const [a, b] = createMemoryLink();
  const device = capture(openMemory(a), writer, { clock: () => 0 });
  const peer = openMemory(b);
  t.true(device.send(segment({ ...V4, ...TCP }, payloadOf(10), 0, false)));
  t.is(peer.receive(new Collector(), 9), 1);
  peer.send(segment({ ...V4, ...TCP }, payloadOf(10), 0, false));
  t.is(device.receive(new Collector(), 9), 1);
  t.is(errors.length, 1);
  t.is(writer.dropped, 2);
});

test('the engine is asked to come back for what waits, and need not otherwise', (t) => {
  const setup = setUp(t);
  const { device } = setup;
  t.is(device.nextDeadline(), Number.POSITIVE_INFINITY);
  setup.now = 100;
  device.send(segment({ ...V4, ...TCP }, payloadOf(10), 0, false));
  for (let turns = 0; device.nextDeadline() < Number.POSITIVE_INFINITY; turns++) {
    t.true(turns < 3);
    setup.now = device.nextDeadline();
    device.advance(setup.now);
  }
  t.is(readPackets(setup.path).length, 1);
  t.true(setup.now <= 1100, 'written within a second');
});
