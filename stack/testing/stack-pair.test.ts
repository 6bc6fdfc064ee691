import test from 'ava';
import { addressOf } from './packets.ts';
import { type LinkOptions, PAIR_ADDRESSES, StackPair } from './stack-pair.ts';

/** Sends numbered datagrams from a to b. @returns the numbers that arrived, in order */
function numbers(pair: StackPair, count: number, gapMs: number): number[] {
  const got: number[] = [];
  pair.b.udp.open({
    local: null,
    localPort: 9,
    remote: null,
    remotePort: 0,
    broadcast: false,
    receiver: { datagram: (_socket, slab, off) => got.push(slab.view.getUint16(off)) },
  });
  const socket = pair.a.udp.open({
    local: null,
    localPort: 0,
    remote: addressOf(PAIR_ADDRESSES.b.v4),
    remotePort: 9,
    broadcast: false,
  });
  const payload = new Uint8Array(100);
  for (let i = 0; i < count; i++) {
    new DataView(payload.buffer).setUint16(0, i);
    socket.sendTo(payload, 0, 100, null, 0);
    pair.runFor(gapMs);
  }
  pair.runFor(1000);
  return got;
}

const BAD: Partial<LinkOptions> = { latencyMs: 10, loss: 0.1, duplicate: 0.1, reorder: 0.3, corrupt: 0.1 };

test('a good link delivers everything in order, after its latency', (t) => {
  const pair = new StackPair({ forward: { latencyMs: 7 } });
  t.deepEqual(
    numbers(pair, 50, 1),
    Array.from({ length: 50 }, (_, i) => i),
  );
  t.true(pair.trace.every((packet) => packet.fate === 'delivered'));
});

test('a bad link loses, doubles, reorders and corrupts; the same seed does the same', (t) => {
  const run = (seed: number): { got: number[]; pair: StackPair } => {
    const pair = new StackPair({ seed, forward: BAD });
    return { got: numbers(pair, 400, 2), pair };
  };
  const first = run(3);
  t.deepEqual(run(3).got, first.got);
  t.deepEqual(run(3).pair.trace, first.pair.trace);
  t.notDeepEqual(run(4).got, first.got);
  const unique = new Set(first.got);
  t.true(unique.size < 380 && unique.size > 250);
  t.true(first.got.length > unique.size);
  t.true(first.got.some((n, i) => i > 0 && n < (first.got[i - 1] ?? 0)));
  const { ip, udp } = first.pair.b.counters.toJSON();
  t.true((ip?.['dropHeaderChecksum'] ?? 0) > 0);
  t.true((udp?.['dropChecksum'] ?? 0) > 0);
});

test('a limited rate takes its time, and its queue is finite', (t) => {
  const pair = new StackPair({ forward: { kilobitsPerSecond: 1024, latencyMs: 0, queuePackets: 5 } });
  // 128 bytes are one kilobit: one packet a millisecond
  const got = numbers(pair, 20, 0);
  t.true(got.length >= 5 && got.length <= 7);
  const slow = new StackPair({ forward: { kilobitsPerSecond: 1024, latencyMs: 0 } });
  t.is(numbers(slow, 20, 1).length, 20);
});

test('filters decide packet by packet', (t) => {
  const pair = new StackPair();
  let n = 0;
  pair.forward.filter = () => (n++ % 2 === 0 ? 'drop' : 'pass');
  t.deepEqual(numbers(pair, 6, 1), [1, 3, 5]);
});
