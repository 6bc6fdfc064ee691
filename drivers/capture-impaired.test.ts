import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { capture } from './capture.ts';
import type { Device } from './device.ts';
import { type ImpairedDevice, impair } from './impair.ts';
import type { Impairments, ImpairSettings } from './impair-options.ts';
import { createMemoryLink, openMemory } from './memory.ts';
import { openPcap } from './pcap-reader.ts';
import { Direction, PcapngWriter } from './pcapng.ts';
import { Collector } from './testing/packets.ts';
import { bytesOf, segment } from './testing/raw-packets.ts';

const ENDS = { source: '192.0.2.1', destination: '192.0.2.2', sourcePort: 1000, destinationPort: 2000 };

const ALWAYS = { fromMs: 0, toMs: Infinity };

/** 40 bytes of headers and `payloadBytes` more, ECN-capable. */
function packetOf(payloadBytes = 100): ReturnType<typeof segment> {
  const fields = { ...ENDS, sequence: 1, acknowledgment: 5, flags: 0x10 };
  return segment(fields, new Uint8Array(payloadBytes).fill(7), 0, false);
}

interface Seen {
  readonly out: boolean;
  readonly comment: string;
  readonly isLost: boolean;
  readonly bytes: Uint8Array;
}

/** A captured device on an impaired link, with a clock that the test moves. */
class Bench {
  now = 0;
  readonly path: string;
  readonly impaired: ImpairedDevice;
  readonly device: Device;
  readonly peer: Device;
  readonly received: Collector = new Collector();
  readonly #writer: PcapngWriter;

  constructor(t: ExecutionContext, settings: ImpairSettings) {
    const folder = mkdtempSync(join(tmpdir(), 'tunwire-capture-impaired-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    this.path = join(folder, 'test.pcapng');
    this.#writer = new PcapngWriter(this.path);
    const [a, b] = createMemoryLink();
    const clock = (): number => this.now;
    this.impaired = impair(openMemory(a), { ...settings, clock });
    this.device = capture(this.impaired, this.#writer, { clock, epochMs: 0, impaired: this.impaired });
    this.peer = openMemory(b);
  }

  receive(): void {
    while (this.device.receive(this.received, 64) > 0) {}
  }

  /** Lets everything arrive that is under way. */
  run(): void {
    this.receive();
    for (let next = this.impaired.nextDeadline(); next < Infinity; next = this.impaired.nextDeadline()) {
      this.now = Math.max(next, this.now);
      this.device.advance(this.now);
      this.receive();
    }
  }

  /** What the capture has. */
  read(): Seen[] {
    this.device.close();
    this.peer.close();
    this.#writer.close();
    const reader = openPcap(this.path);
    const all: Seen[] = [];
    while (reader.next()) {
      const { direction, comment, isLost, slab, off, len } = reader.frame;
      const bytes = slab.bytes.slice(off, off + len);
      all.push({ out: direction === Direction.Outbound, comment, isLost, bytes });
    }
    reader.close();
    return all;
  }
}

/** The comments of `count` packets, sent and received with the same impairments. */
function comments(t: ExecutionContext, impairments: Impairments, count = 1): [out: Seen[], in_: Seen[]] {
  const bench = new Bench(t, { out: impairments, in: impairments });
  for (let i = 0; i < count; i++) {
    bench.device.send(packetOf());
    bench.peer.send(packetOf());
  }
  bench.run();
  const all = bench.read();
  return [all.filter(({ out }) => out), all.filter(({ out }) => !out)];
}

const LOSSES: readonly (readonly [Impairments, string])[] = [
  [{ loss: 1 }, 'lost: by chance'],
  [{ burstLoss: { toBad: 1, toGood: 0, lossInGood: 1 } }, 'lost: in a burst'],
  [{ lossEvery: 1 }, 'lost: one of every so many'],
  [{ lossPackets: [1] }, 'lost: its number is listed'],
  [{ drop: () => true }, 'lost: chosen by the predicate'],
  [{ mtuBytes: 100 }, 'lost: too large'],
];

for (const [impairments, story] of LOSSES) {
  test(`a packet that is lost is captured in either direction, and said to be: ${story}`, (t) => {
    const sides = comments(t, impairments);
    for (const seen of sides) {
      t.is(seen.length, 1);
      t.like(seen[0], { comment: `impaired: ${story}`, isLost: true });
      t.deepEqual(seen[0]!.bytes, bytesOf(packetOf()));
    }
  });
}

test('the link is down: what is lost is captured', (t) => {
  const bench = new Bench(t, { in: { down: [ALWAYS] }, out: { down: [ALWAYS] } });
  bench.device.send(packetOf());
  bench.peer.send(packetOf());
  bench.run();
  t.is(bench.received.count, 0);
  t.deepEqual(
    bench.read().map(({ out, comment, isLost }) => [out, comment, isLost]),
    [
      [true, 'impaired: lost: the link is down', true],
      [false, 'impaired: lost: the link is down', true],
    ],
  );
});

test('a full queue: who had to wait, and who was lost', (t) => {
  // 140 bytes at 1,120 bits in each millisecond
  const [out, received] = comments(t, { rateBps: 1_120_000, queuePackets: 1, delayMs: 2 }, 2);
  for (const seen of [out, received]) {
    t.deepEqual(seen.map(({ comment }) => comment).toSorted(), [
      'impaired: delayed 3 ms',
      'impaired: lost: the queue is full',
    ]);
  }
});

test('what changes a packet is told: sent ones are captured as they were, received ones as they came', (t) => {
  const whole = bytesOf(packetOf());
  const [corruptOut, corruptIn] = comments(t, { corrupt: 1 });
  const [, byte = ''] = /^impaired: a bit of byte (\d+) turned over$/.exec(corruptIn[0]!.comment) ?? [];
  t.regex(corruptOut[0]!.comment, /^impaired: a bit of byte \d+ turned over$/);
  t.deepEqual(corruptOut[0]!.bytes, whole);
  t.not(corruptIn[0]!.bytes[Number(byte)], whole[Number(byte)]);
  t.false(corruptIn[0]!.isLost);

  const [cutOut, cutIn] = comments(t, { truncate: 1 });
  t.is(cutIn[0]!.comment, `impaired: cut from 140 to ${cutIn[0]!.bytes.length} bytes`);
  t.regex(cutOut[0]!.comment, /^impaired: cut from 140 to \d+ bytes$/);
  t.is(cutOut[0]!.bytes.length, 140);
});

test('a duplicate is a packet of its own where it is received, and part of the story where it is sent', (t) => {
  const [out, received] = comments(t, { duplicate: 1, delayMs: 5 });
  t.deepEqual(
    out.map(({ comment }) => comment),
    ['impaired: duplicated, delayed 5 ms; a duplicate, delayed 5 ms'],
  );
  t.deepEqual(
    received.map(({ comment }) => comment),
    ['impaired: duplicated, delayed 5 ms; a duplicate, delayed 5 ms', 'impaired: a duplicate, delayed 5 ms'],
  );
});

test('a packet that overtakes is told, and one that nothing is done to has no comment', (t) => {
  t.is(comments(t, { delayMs: 5, reorder: 1 })[1][0]!.comment, 'impaired: sent ahead');
  t.is(comments(t, { loss: 1e-9 })[0][0]!.comment, '');
});

test('who sends too much for the MTU is told in the capture, by the link itself', (t) => {
  const bench = new Bench(t, { out: { mtuBytes: 100, mtuPolicy: 'refuse' } });
  bench.device.send(packetOf());
  bench.run();
  t.deepEqual(
    bench.read().map(({ out, comment, isLost }) => [out, comment, isLost]),
    [
      [true, 'impaired: refused: too large, its sender is told', true],
      [false, 'impaired: made by the link itself', false],
    ],
  );
});

test('a comment of the stack stands before that of the link, one about a received packet behind', (t) => {
  const bench = new Bench(t, { out: { loss: 1 } });
  const packet = packetOf();
  packet.comment = 'retransmission 1 after RTO';
  bench.device.send(packet);
  t.deepEqual(
    bench.read().map(({ comment }) => comment),
    ['retransmission 1 after RTO; impaired: lost: by chance'],
  );
});

test('two captures hear the same, and nothing is noted when the last has ended', (t) => {
  const bench = new Bench(t, { out: { delayMs: 1 } });
  const path = join(bench.path, '../second.pcapng');
  const writer = new PcapngWriter(path);
  const clock = (): number => bench.now;
  const outer = capture(bench.device, writer, { clock, epochMs: 0, impaired: bench.impaired });
  outer.send(packetOf());
  outer.detach();
  bench.device.send(packetOf());
  writer.close();
  const reader = openPcap(path);
  t.true(reader.next());
  t.is(reader.frame.comment, 'impaired: delayed 1 ms');
  t.false(reader.next());
  reader.close();
  t.deepEqual(
    bench.read().map(({ comment }) => comment),
    ['impaired: delayed 1 ms', 'impaired: delayed 1 ms'],
  );
  const heard: string[] = [];
  const witness = { sent: (story: string) => heard.push(story), received: () => {}, lost: () => {} };
  const [a] = createMemoryLink();
  const plain = impair(openMemory(a), { out: { delayMs: 1 }, clock });
  plain.watch(witness);
  plain.send(packetOf());
  plain.unwatch(witness);
  plain.send(packetOf());
  t.deepEqual(heard, ['delayed 1 ms']);
});
