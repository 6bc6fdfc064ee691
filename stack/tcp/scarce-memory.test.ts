import test, { type ExecutionContext } from 'ava';
import type { Endpoint } from '../endpoint.ts';
import { ElasticHeapRings } from '../testing/elastic-heap-rings.ts';
import { addressOf } from '../testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from '../testing/stack-pair.ts';
import { TcpConnection } from './connection.ts';
import { TcpListener } from './listener.ts';
import { SCARCE_SEND_BYTES } from './send-buffer.ts';

const PORT = 7;
const CHUNK: Uint8Array = new Uint8Array(65_536);

interface Bench {
  readonly pair: StackPair;
  readonly rings: ElasticHeapRings;
  readonly connections: readonly TcpConnection[];
}

/** Connections of an end with little memory to one that takes everything. */
function bench(t: ExecutionContext, count: number, limitBytes: number): Bench {
  const rings = new ElasticHeapRings();
  const far = new ElasticHeapRings();
  const link = { latencyMs: 0.05, kilobitsPerSecond: 1_000_000, queuePackets: 10_000 };
  const pair = new StackPair({ aSource: rings, bSource: far, forward: link, backward: link });
  pair.traceLimit = 0;
  pair.onEvents = take;
  pair.b.tcp.listen({ local: null, port: PORT, backlog: count });
  const remote = { remote: addressOf(PAIR_ADDRESSES.b.v4), remotePort: PORT, local: null, localPort: 0 };
  const connections = Array.from({ length: count }, () =>
    pair.a.tcp.connect({ ...remote, noDelay: false, keepAlive: null }),
  );
  t.true(pair.runUntil(() => connections.every((c) => c.isSynchronized), pair.nowMs + 1000));
  rings.limitBytes = limitBytes;
  return { pair, rings, connections };
}

/** The end with memory enough accepts and reads. */
function take(endpoint: Endpoint): void {
  if (endpoint instanceof TcpListener) while (endpoint.accept() !== null);
  if (!(endpoint instanceof TcpConnection) || endpoint.recvRing === null) return;
  const { recvRing } = endpoint;
  recvRing.advanceTail(recvRing.usedBytes);
  endpoint.appRead();
}

test('memory that comes back goes to the writers that wait, at once and in the order in which they asked', (t) => {
  const ends = bench(t, 4, 2 * SCARCE_SEND_BYTES);
  const { pair, rings, connections } = ends;
  rings.isScarce = true;
  pair.forward.filter = () => 'drop';
  const holders = (): number[] => [...connections.keys()].filter((i) => connections[i]!.sendRing !== null);
  // two full segments, which are acknowledged at once
  const write = (i: number): number => rings.write(connections[i]!, CHUNK, 0, 2896, false);
  // the first one asks, and writes into all memory there is for one direction
  t.is(write(0), 0);
  t.is(write(0), 2896);
  for (const i of [2, 1, 3]) t.is(write(i), 0);
  // asking again is not asking earlier
  t.is(write(1), 0);
  pair.runFor(50);
  t.deepEqual(holders(), [0]);
  pair.forward.filter = null;
  t.true(pair.runUntil(() => !holders().includes(0), pair.nowMs + 5000));
  const begun = pair.nowMs;
  for (const next of [2, 1, 3]) {
    // as soon as the data is acknowledged the ring is somebody else's
    t.true(
      pair.runUntil(() => holders().includes(next), begun + 1),
      `${next}`,
    );
    t.deepEqual(holders(), [next]);
    t.is(write(next), 2896);
  }
  t.is(pair.a.tcp.counters.writersWithoutMemory, 3);
});

test('40 writers with memory for ten rings are about as fast as the link', (t) => {
  const ends = bench(t, 40, 11 * SCARCE_SEND_BYTES);
  const { pair, rings, connections } = ends;
  rings.isScarce = true;
  const target = 301_184;
  const written = connections.map(() => 0);
  const write = (i: number): void => {
    while (written[i]! < target) {
      const length = Math.min(target - written[i]!, CHUNK.length);
      const taken = rings.write(connections[i]!, CHUNK, 0, length, false);
      if (taken === 0) return;
      written[i]! += taken;
    }
  };
  pair.onEvents = (endpoint: Endpoint): void => {
    const which = connections.indexOf(endpoint as TcpConnection);
    if (which >= 0) write(which);
    else take(endpoint);
  };
  const begun = pair.nowMs;
  for (const i of connections.keys()) write(i);
  const isDone = (): boolean => connections.every((c) => c.bytesOut >= target);
  t.true(pair.runUntil(isDone, begun + 60_000));
  // 12 MB take 96 ms at 1 Gbit/s, with the headers 100; then somebody's last segment may wait for a delayed acknowledgment
  t.true(pair.nowMs - begun < 200, `${pair.nowMs - begun} ms`);
});

test('40 senders to an end with memory for ten rings are not held up for seconds by what it has to drop', (t) => {
  const rings = new ElasticHeapRings();
  rings.knowsScarcity = true;
  const far = new ElasticHeapRings();
  const link = { latencyMs: 0.05, kilobitsPerSecond: 1_000_000, queuePackets: 10_000 };
  const pair = new StackPair({ aSource: rings, bSource: far, forward: link, backward: link });
  pair.traceLimit = 0;
  const count = 40;
  const target = 301_184;
  pair.b.tcp.listen({ local: null, port: PORT, backlog: count });
  const remote = { remote: addressOf(PAIR_ADDRESSES.b.v4), remotePort: PORT, local: null, localPort: 0 };
  const connections = Array.from({ length: count }, () =>
    pair.a.tcp.connect({ ...remote, noDelay: false, keepAlive: null }),
  );
  const senders: TcpConnection[] = [];
  const written = new Map<TcpConnection, number>();
  const write = (c: TcpConnection): void => {
    for (;;) {
      const done = written.get(c) ?? 0;
      const taken = done >= target ? 0 : far.write(c, CHUNK, 0, Math.min(target - done, CHUNK.length), false);
      if (taken === 0) return;
      written.set(c, done + taken);
    }
  };
  pair.onEvents = (endpoint: Endpoint): void => {
    if (endpoint instanceof TcpListener) {
      for (let c = endpoint.accept(); c !== null; c = endpoint.accept()) senders.push(c);
      for (const c of senders) write(c);
    } else if (senders.includes(endpoint as TcpConnection)) write(endpoint as TcpConnection);
  };
  t.true(pair.runUntil(() => senders.length === count, pair.nowMs + 1000));
  rings.limitBytes = 1 << 18;
  const begun = pair.nowMs;
  for (const c of senders) write(c);
  // the application reads now and then, one connection after the other
  let left = count * target;
  for (let turn = 0; left > 0 && pair.nowMs < begun + 120_000; turn++) {
    pair.runFor(1);
    const c = connections[turn % count]!;
    left -= c.recvRing?.usedBytes ?? 0;
    take(c);
  }
  t.is(left, 0);
  const { dropNoMemory } = pair.a.tcp.counters;
  t.log(
    `${Math.round(pair.nowMs - begun)} ms, ${dropNoMemory} dropped, ${pair.b.tcp.counters.timeouts} timeouts`,
  );
  t.true(dropNoMemory > 0, 'memory was short');
  t.true(pair.nowMs - begun < 2000, `${pair.nowMs - begun} ms`);
});
