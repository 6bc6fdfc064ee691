import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { NetError } from '../stack/errors.ts';
import { HEADROOM_BYTES, TxPacket } from '../stack/link.ts';
import { Slab } from '../stack/wire/slab.ts';
import type { Device } from './device.ts';
import { Collector, fill } from './testing/packets.ts';
import { openUnix, type UnixOptions } from './unix.ts';

interface Ends {
  readonly device: Device;
  /** The other side of the stream. */
  readonly peer: Socket;
  readonly server: Server;
}

async function createEnds(t: ExecutionContext, options: UnixOptions = {}): Promise<Ends> {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-'));
  const server = createServer();
  const path = join(folder, 'socket');
  server.listen(path);
  await once(server, 'listening');
  const connection = once(server, 'connection');
  const device = openUnix(path, options);
  const [peer] = (await connection) as [Socket];
  t.teardown(() => {
    device.close();
    peer.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  });
  return { device, peer, server };
}

function frame(lengthBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  fill(bytes, 0, lengthBytes, seed);
  return bytes;
}

function stream(frames: readonly Uint8Array[]): Buffer {
  const parts = frames.flatMap((bytes) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return [length, Buffer.from(bytes)];
  });
  return Buffer.concat(parts);
}

/** A packet whose payload lies in two pieces elsewhere, as in a ring. */
function packetOf(bytes: Uint8Array): TxPacket {
  const packet = new TxPacket(Slab.alloc(HEADROOM_BYTES + 64));
  const head = Math.min(bytes.length, 54);
  packet.headLen = head;
  packet.head.bytes.set(bytes.subarray(0, head), HEADROOM_BYTES);
  packet.body = new Slab(bytes);
  const half = (bytes.length - head) >> 1;
  packet.bodyOff = head;
  packet.bodyLen = half;
  packet.body2Off = head + half;
  packet.body2Len = half > 0 ? bytes.length - head - half : 0;
  return packet;
}

async function receiveUntil(device: Device, got: Collector, count: number): Promise<void> {
  while (got.packets.length < count) {
    device.receive(got, 64);
    await setImmediate();
  }
}

test('frames cut at every byte come whole', async (t) => {
  const { device, peer } = await createEnds(t);
  t.deepEqual(device.capabilities.mtuBytes, 1500);
  t.is(device.capabilities.ethernet!.address[0]! & 3, 2, 'of our own making, one station');
  const frames = [frame(60, 1), frame(15, 2), frame(61, 3)];
  const bytes = stream(frames);
  for (let cut = 1; cut < bytes.length; cut++) {
    const got = new Collector();
    peer.write(bytes.subarray(0, cut));
    await setImmediate();
    device.receive(got, 64);
    peer.write(bytes.subarray(cut));
    await receiveUntil(device, got, frames.length);
    t.deepEqual(got.packets, frames, `cut at ${cut}`);
  }
  t.is(device.counters.rxPackets, 3 * (bytes.length - 1));
});

test('frames of all sizes, more than one read takes, and no more than the budget at a time', async (t) => {
  const { device, peer } = await createEnds(t, { mtuBytes: 65_520 });
  const frames = Array.from({ length: 300 }, (_, i) => frame(15 + ((i * 4201) % 69_000), i));
  frames.push(frame(69_632, 7));
  peer.write(stream(frames));
  const got = new Collector();
  while (got.packets.length < frames.length) {
    const before = got.packets.length;
    t.is(device.receive(got, 3), got.packets.length - before);
    t.true(got.packets.length - before <= 3);
    await setImmediate();
  }
  t.deepEqual(got.packets, frames);
});

test('frames without anything in them are counted; a length that is too large is no stream of frames', async (t) => {
  const { device, peer } = await createEnds(t);
  peer.write(stream([new Uint8Array(0), frame(14, 1), frame(20, 2)]));
  const got = new Collector();
  await receiveUntil(device, got, 1);
  t.deepEqual(got.packets, [frame(20, 2)]);
  t.is(device.counters.rxDroppedShort, 2);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(69_633);
  peer.write(length);
  const error = await t.throwsAsync(receiveUntil(device, got, 2), { instanceOf: NetError });
  t.is(error.tunwireCode, 'DEVICE_LOST');
  t.regex(error.message, /at most 69632 bytes, got the length 69633/);
});

test('a frame that is larger than any is dropped and counted', async (t) => {
  const { device, peer } = await createEnds(t);
  t.true(device.send(packetOf(frame(69_633, 1))));
  t.like(device.counters, { txDroppedTooLarge: 1, txPackets: 0 });
  t.true(device.send(packetOf(frame(69_632, 2))));
  const chunks: Buffer[] = [];
  peer.on('data', (chunk: Buffer) => chunks.push(chunk));
  while (Buffer.concat(chunks).length < 4 + 69_632) {
    device.advance(0);
    await setImmediate();
  }
  t.deepEqual(Buffer.concat(chunks), stream([frame(69_632, 2)]));
});

test('a stream that is full takes nothing, or the rest later; nothing is lost or mixed up', async (t) => {
  const { device, peer } = await createEnds(t, { mtuBytes: 65_520 });
  peer.pause();
  const sent: Uint8Array[] = [];
  let partial = false;
  for (let i = 0; ; i++) {
    const bytes = frame(60_001 + i, i);
    if (!device.send(packetOf(bytes))) break;
    sent.push(bytes);
    partial ||= device.nextDeadline() < Infinity;
  }
  t.true(device.counters.txFull > 0);
  t.true(sent.length > 10);
  const chunks: Buffer[] = [];
  peer.on('data', (chunk: Buffer) => chunks.push(chunk));
  peer.resume();
  const expected = stream(sent);
  let lengthBytes = 0;
  for (let now = 0; lengthBytes < expected.length; now++) {
    device.advance(now);
    await setImmediate();
    lengthBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }
  t.true(Buffer.concat(chunks).equals(expected));
  t.is(device.nextDeadline(), Infinity);
  t.is(device.counters.txPackets, sent.length);
  t.log(`a frame was cut off: ${partial}`);
});

test('the end of the stream is the loss of the device', async (t) => {
  const { device, peer } = await createEnds(t);
  peer.end();
  const got = new Collector();
  const lost = await t.throwsAsync(receiveUntil(device, got, 1), { instanceOf: NetError });
  t.is(lost.tunwireCode, 'DEVICE_LOST');
  t.regex(lost.message, /the other side has closed/);
  device.close();
  device.close();
});

test('paths that cannot be are refused', (t) => {
  t.throws(() => openUnix('x'.repeat(108)), { message: /1 … 107 bytes/ });
  t.throws(() => openUnix(''), { message: /1 … 107 bytes/ });
  t.throws(() => openUnix('/dev/null'), { message: /ECONNREFUSED; nothing listens there/ });
  t.throws(() => openUnix('/dev/null', { mtuBytes: 67 }), { message: /68 … 65535/ });
});
