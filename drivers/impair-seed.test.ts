import { hash } from 'node:crypto';
import test from 'ava';
import type { Device } from './device.ts';
import { impair } from './impair.ts';
import type { Impairments, ImpairSettings } from './impair-options.ts';
import { createMemoryLink, openMemory } from './memory.ts';
import { Collector } from './testing/packets.ts';
import { segment } from './testing/raw-packets.ts';

const ENDS = { source: '2001:db8::1', destination: '2001:db8::2', sourcePort: 1000, destinationPort: 2000 };
const PACKETS = 150;

/** Kinds whose choices are by chance: another seed makes another trace. */
const BY_CHANCE: Readonly<Record<string, Impairments>> = {
  'random loss': { loss: 0.3 },
  'bursts (Gilbert-Elliott)': { burstLoss: { toBad: 0.2, toGood: 0.3, lossInBad: 0.9, lossInGood: 0.05 } },
  'marks instead of loss': { loss: 0.3, ecn: true },
  jitter: { delayMs: 20, jitterMs: 10 },
  'jitter, normal': { delayMs: 20, jitterMs: 10, distribution: 'normal' },
  'jitter, order kept': { delayMs: 20, jitterMs: 10, keepOrder: true },
  reorder: { delayMs: 20, reorder: 0.3 },
  duplicate: { duplicate: 0.3 },
  corrupt: { corrupt: 0.3 },
  truncate: { truncate: 0.3 },
};

/** Kinds without chance: every seed makes the same trace. */
const WITHOUT_CHANCE: Readonly<Record<string, Impairments>> = {
  'every n-th': { lossEvery: 7 },
  listed: { lossPackets: [1, 5, 80] },
  predicate: { drop: (_slab, _off, len, number) => len > 200 && number % 4 === 0 },
  delay: { delayMs: 25 },
  'rate with a queue': { rateBps: 800_000, queuePackets: 10 },
  'rate with marks': { rateBps: 800_000, ecnThresholdPackets: 5 },
  MTU: { mtuBytes: 300 },
  'MTU, told': { mtuBytes: 1280, mtuPolicy: 'refuse' },
  'down at times': {
    down: [
      { fromMs: 10, toMs: 20 },
      { fromMs: 90, toMs: 120 },
    ],
  },
};

/** Every packet that arrived: when, on which side, and the hash of its bytes. */
function traceOf(settings: ImpairSettings): string[] {
  let now = 1000;
  const [a, b] = createMemoryLink();
  const device = impair(openMemory(a), { ...settings, clock: () => now });
  const peer = openMemory(b);
  const trace: string[] = [];
  const look = (): void => {
    for (const [side, end] of [
      ['out', peer],
      ['in', device],
    ] as const) {
      for (const bytes of arrived(end)) trace.push(`${now} ${side} ${hash('sha256', bytes)}`);
    }
  };
  const runUntil = (untilMs: number): void => {
    look();
    for (let next = device.nextDeadline(); next <= untilMs && next < Infinity; next = device.nextDeadline()) {
      now = Math.max(next, now);
      device.advance(now);
      look();
    }
  };
  for (let i = 1; i <= PACKETS; i++) {
    runUntil(1000 + i);
    now = 1000 + i;
    device.send(ecnCapable(i));
    peer.send(ecnCapable(i));
  }
  runUntil(Infinity);
  device.close();
  peer.close();
  return trace;
}

function arrived(end: Device): readonly Uint8Array[] {
  const collector = new Collector();
  while (end.receive(collector, 64) > 0) {}
  return collector.packets;
}

/** Small, medium and large ones in turn, each with its number in front. */
function ecnCapable(number: number): ReturnType<typeof segment> {
  const payload = new Uint8Array([40, 340, 1340][number % 3]!);
  new DataView(payload.buffer).setUint32(0, number);
  const packet = segment({ ...ENDS, sequence: -1, acknowledgment: 5, flags: 0x10 }, payload, 0, false);
  // RFC 3168 §5: ECT(0), the last two bits of the traffic class
  packet.head.bytes[packet.headOff + 1]! |= 2 << 4;
  return packet;
}

const both = (seed: number, impairments: Impairments): ImpairSettings => ({
  seed,
  in: impairments,
  out: impairments,
});

test('the same seed gives the same packets at the same times, for every kind of impairment', (t) => {
  const undisturbed = traceOf({});
  t.is(undisturbed.length, 2 * PACKETS);
  for (const [kind, impairments] of Object.entries(BY_CHANCE)) {
    const traces = [1, 2, 0x7fff_fff1].map((seed) => {
      const trace = traceOf(both(seed, impairments));
      t.deepEqual(traceOf(both(seed, impairments)), trace, `${kind}, seed ${seed}`);
      t.notDeepEqual(trace, undisturbed, kind);
      return trace.join('\n');
    });
    t.is(new Set(traces).size, traces.length, `${kind}: other seeds, other traces`);
  }
  for (const [kind, impairments] of Object.entries(WITHOUT_CHANCE)) {
    const trace = traceOf(both(1, impairments));
    t.notDeepEqual(trace, undisturbed, kind);
    for (const seed of [1, 2]) t.deepEqual(traceOf(both(seed, impairments)), trace, `${kind}, seed ${seed}`);
  }
});

test('all kinds together: the same seed gives the same packets at the same times', (t) => {
  const all: Impairments = Object.assign({}, ...Object.values(WITHOUT_CHANCE), ...Object.values(BY_CHANCE));
  for (const seed of [1, 2, 3]) {
    const settings = both(seed, all);
    t.deepEqual(traceOf(settings), traceOf(settings), `seed ${seed}`);
    t.notDeepEqual(traceOf(settings), traceOf({ ...settings, seed: seed + 10 }));
  }
});
