import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { NetError } from '../stack/errors.ts';
import { openPcapInput } from './pcap-input.ts';
import { LinkType } from './pcap-link.ts';
import { Lab } from './testing/lab.ts';
import { Collector } from './testing/packets.ts';
import { type FileFrame, pcapFile } from './testing/pcap-files.ts';
import { bytesOf, echoRequest } from './testing/raw-packets.ts';

const EPOCH_MS = 1_795_305_600_123;
const ETHERNET = [...new Array<number>(12).fill(2), 8, 0];
const request = (to: string, size: number): Uint8Array =>
  bytesOf(echoRequest({ source: '192.0.2.9', destination: to }, new Uint8Array(size)));

function frame(afterMs: number, bytes: Uint8Array, header: readonly number[] = ETHERNET): FileFrame {
  const whole = Math.floor(afterMs);
  return {
    epochMs: EPOCH_MS + whole,
    nanoseconds: Math.round((afterMs - whole) * 1e6),
    // padded, as short frames are
    bytes: Uint8Array.from([...header, ...bytes, 0, 0, 0]),
  };
}

function write(t: ExecutionContext, frames: readonly FileFrame[], cutOff = 0): string {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-pcap-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'in.pcap');
  const file = pcapFile(LinkType.Ethernet, frames, true, true);
  writeFileSync(path, file.subarray(0, file.length - cutOff));
  return path;
}

test('packets come at their times, and a stack answers them', (t) => {
  const path = write(t, [
    frame(0, request('192.0.2.1', 10)),
    frame(1.5, Uint8Array.of(1, 2, 3), [...new Array<number>(12).fill(2), 8, 6]),
    frame(20.000001, request('192.0.2.1', 20)),
    frame(10, request('192.0.2.1', 30)),
    frame(70, request('192.0.2.77', 40)),
  ]);
  const lab = new Lab();
  const ends: unknown[] = [];
  const device = openPcapInput(path, { clock: lab.clock, onEnd: (error) => ends.push(error) });
  t.is(device.name, `pcap:${path}`);
  const host = lab.add(device, ['192.0.2.1/24'], 1);
  const times: number[] = [];
  const { stack } = host;
  while (lab.nextMs() !== Infinity) {
    lab.run(lab.nextMs());
    times.push(lab.nowMs);
  }
  t.deepEqual(times, [1000, 1020.000001, 1070]);
  t.is(stack.icmp.counters.echoRepliesSent, 3);
  t.like(device.counters, { rxPackets: 4, rxDroppedNotIp: 1, txPackets: 3 });
  t.deepEqual(ends, [null]);
});

test('speed, choice and budget', (t) => {
  const path = write(
    t,
    [0, 10, 20, 30].map((at) => frame(at, request('192.0.2.1', at))),
  );
  let now = 0;
  const fast = openPcapInput(path, { clock: () => now, speed: 10 });
  const got = new Collector();
  t.is(fast.receive(got, 8), 1);
  t.is(fast.nextDeadline(), 1);
  t.true(fast.prepareSleep());
  now = 2;
  t.false(fast.prepareSleep());
  t.is(fast.receive(got, 1), 1);
  t.is(fast.receive(got, 8), 1);
  const instant = openPcapInput(path, {
    clock: () => now,
    speed: Infinity,
    accept: (_slab, _off, len) => len !== 20 + 8 + 10 + 3,
  });
  t.is(instant.receive(got, 8), 3);
  t.is(instant.nextDeadline(), Infinity);
  for (const speed of [0, -1, Number.NaN])
    t.throws(() => openPcapInput(path, { clock: () => now, speed }), {
      instanceOf: NetError,
      code: 'EINVAL',
    });
});

test('a file that is cut off gives what is whole, and tells; close ends it', (t) => {
  const path = write(t, [frame(0, request('192.0.2.1', 1)), frame(1, request('192.0.2.1', 2))], 5);
  const ends: (string | undefined)[] = [];
  const device = openPcapInput(path, {
    clock: () => 0,
    speed: Infinity,
    onEnd: (error) => ends.push(error?.message),
  });
  t.is(device.receive(new Collector(), 8), 1);
  t.is(ends.length, 1);
  t.regex(ends[0] ?? '', /the file ends within a packet/);
  const closed = openPcapInput(path, { clock: () => 0 });
  closed.close();
  closed.close();
  t.is(closed.receive(new Collector(), 8), 0);
  t.throws(() => openPcapInput(`${path}.none`, { clock: () => 0 }), { instanceOf: NetError });
});
