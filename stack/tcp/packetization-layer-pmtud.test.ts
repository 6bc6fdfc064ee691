import test from 'ava';
import type { Endpoint } from '../endpoint.ts';
import { addressOf } from '../testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from '../testing/stack-pair.ts';
import { TcpConnection } from './connection.ts';
import { TcpListener } from './listener.ts';
import { TcpBench } from './testing.ts';

/** A stream from `a` to `b` over a path that drops packets above `mtuBytes` without a word. */
class Stream {
  readonly pair: StackPair;
  readonly sender: TcpConnection;
  mtuBytes: number;
  received = 0;
  /** The largest packet of the last second that arrived. */
  largest = 0;

  constructor(mtuBytes: number, family: 4 | 6 = 4) {
    this.mtuBytes = mtuBytes;
    this.pair = new StackPair({ forward: { latencyMs: 50 }, backward: { latencyMs: 50 } });
    this.pair.traceLimit = 0;
    this.pair.forward.filter = (bytes) => {
      if (bytes.length > this.mtuBytes) return 'drop';
      this.largest = Math.max(this.largest, bytes.length);
      return 'pass';
    };
    this.pair.b.tcp.listen({ local: null, port: 7, backlog: 1 });
    this.pair.onEvents = (endpoint) => this.#serve(endpoint);
    this.sender = this.pair.a.tcp.connect({
      remote: addressOf(PAIR_ADDRESSES.b[family === 4 ? 'v4' : 'v6']),
      remotePort: 7,
      local: null,
      localPort: 0,
      noDelay: false,
      keepAlive: null,
    });
  }

  #serve(endpoint: Endpoint): void {
    if (endpoint instanceof TcpListener) endpoint.accept();
    if (!(endpoint instanceof TcpConnection) || endpoint === this.sender) return;
    const used = endpoint.recvRing?.usedBytes ?? 0;
    endpoint.recvRing?.advanceTail(used);
    endpoint.appRead();
    this.received += used;
  }

  /** Writes as much as fits, again and again, for `ms`. */
  run(ms: number): void {
    this.largest = 0;
    for (const end = this.pair.nowMs + ms; this.pair.nowMs < end; this.pair.runFor(20)) {
      const ring = this.sender.sendRing!;
      ring.write(new Uint8Array(ring.freeBytes), 0, ring.freeBytes);
      this.sender.appWrote();
    }
  }
}

// [RFC 4821 §7.1-2] [RFC 4821 §7.7-1]
test('a path that swallows large packets is noticed, and probes find what it carries', (t) => {
  const stream = new Stream(1300);
  stream.run(25_000);
  t.is(stream.pair.a.tcp.counters.blackHolesSuspected, 1);
  t.true(stream.received > 1_000_000, `${stream.received} bytes`);
  t.true(stream.largest <= 1300 && stream.largest > 1260, `${stream.largest} bytes`);
  t.true(stream.pair.a.tcp.counters.mtuProbesLost >= 3);
  t.is(stream.sender.recovery, 0);
});

// [RFC 4821 §4-2] [RFC 4821 §4-3] [RFC 4821 §7.6.2-1]
test('the loss of a probe is no sign of congestion (RFC 4821 §7.7)', (t) => {
  const stream = new Stream(1300);
  stream.run(5000);
  const { counters } = stream.pair.a.tcp;
  const cwnd = stream.sender.cc.cwndBytes;
  const lost = counters.mtuProbesLost;
  stream.run(10_000);
  t.true(counters.mtuProbesLost > lost);
  t.true(stream.sender.cc.cwndBytes >= cwnd);
  t.is(counters.fastRetransmits - counters.mtuProbesLost <= 2 * counters.mtuProbesLost, true);
});

// [RFC 4821 §4-1] [RFC 4821 §7.1-1]
test('the loss of a probe is known within two round trips, without a timeout; nothing else is too large', (t) => {
  const stream = new Stream(1300);
  stream.run(5000);
  const { pair, sender } = stream;
  const { counters } = pair.a.tcp;
  const { mtuProbes, mtuProbesLost } = counters;
  const { timeoutRetransmits } = sender;
  const small = pair.forward.filter;
  let tooLarge = 0;
  let droppedAt = -1;
  let lost = mtuProbesLost;
  const knownAfterMs: number[] = [];
  pair.forward.filter = (bytes, ...more) => {
    if (counters.mtuProbesLost > lost) {
      lost = counters.mtuProbesLost;
      knownAfterMs.push(pair.nowMs - droppedAt);
    }
    if (bytes.length > stream.mtuBytes) {
      tooLarge++;
      droppedAt = pair.nowMs;
    }
    return small!(bytes, ...more);
  };
  stream.run(15_000);
  t.true(knownAfterMs.length >= 3, `${knownAfterMs}`);
  // half of the round trip of 100 ms is over when the filter sees a packet
  t.true(Math.max(...knownAfterMs) <= 200, `${knownAfterMs}`);
  t.is(sender.timeoutRetransmits, timeoutRetransmits);
  t.true(tooLarge <= counters.mtuProbes - mtuProbes);
});

// [RFC 4821 §4-4] [RFC 4821 §7.4-1] [RFC 4821 §7.4-2]
test('probes are far apart, leave when nothing is being repaired, and with enough behind them', (t) => {
  const stream = new Stream(1300);
  const { pair, sender } = stream;
  const { counters } = pair.a.tcp;
  const small = pair.forward.filter;
  const lostAt: number[] = [];
  let packets = 0;
  let probes = 0;
  let lost = 0;
  pair.forward.filter = (bytes, ...more) => {
    if (counters.mtuProbes > probes) {
      probes = counters.mtuProbes;
      t.is(sender.recovery, 0);
      t.is(sender.sent.lostBytes, 0);
      t.true(((sender.queuedTo() - sender.sndNxt) | 0) >= 4 * sender.mss);
    }
    if (counters.mtuProbesLost > lost) {
      lost = counters.mtuProbesLost;
      lostAt.push(pair.nowMs);
    }
    // losses of the path itself: there is something to be repaired again and again
    return ++packets % 211 === 0 ? 'drop' : small!(bytes, ...more);
  };
  stream.run(40_000);
  t.true(lostAt.length >= 3, `${lostAt.length} probes were lost`);
  for (let i = 1; i < lostAt.length; i++) t.true(lostAt[i]! - lostAt[i - 1]! >= 1000, `${lostAt}`);
  t.true(counters.fastRetransmits > 3 * lost, 'congestion comes more often');
});

// [RFC 4821 §7.2-1]
test('it was an outage: the full size is back within a few round trips', (t) => {
  const stream = new Stream(1500);
  stream.run(1000);
  stream.mtuBytes = 0;
  stream.run(4000);
  t.true(stream.sender.mss < 1448);
  stream.mtuBytes = 1500;
  stream.run(10_000);
  t.is(stream.sender.mss, 1448);
  t.is(stream.sender.pmtuSearch, null);
  t.is(stream.pair.a.tcp.counters.mtuProbesLost, 0);
});

// [RFC 4821 §7.7-2]
test('smaller still, down to a limit: IPv6 through a hole of 700 bytes', (t) => {
  const stream = new Stream(700, 6);
  stream.run(60_000);
  t.true(stream.received > 10_000);
  t.true(stream.largest <= 700);
});

// [RFC 4821 §7.3-1] [RFC 4821 §7.3-2]
test('a path that grows is found to have grown, after ten minutes', (t) => {
  const stream = new Stream(1300);
  stream.run(25_000);
  stream.mtuBytes = 1500;
  stream.run(1000);
  t.true(stream.sender.mss < 1250);
  stream.pair.runFor(600_000);
  stream.run(5000);
  t.is(stream.sender.mss, 1448);
});

test('short segments that time out say nothing of the path', (t) => {
  const bench = TcpBench.established();
  bench.write(1000);
  bench.wait(20_000);
  t.is(bench.connection.mss, 1460);
  t.is(bench.stack.tcp.counters.blackHolesSuspected, 0);
});

test('switched off: full segments are sent again and again', (t) => {
  const bench = TcpBench.established();
  bench.stack.tcp.settings.blackHoleDetection = false;
  bench.write(1460);
  bench.wait(20_000);
  t.true(bench.take().every((segment) => segment.length === 1460));
});

test('after a reduction a lost super-segment is cut anew, whole, and no byte is left out', (t) => {
  const bench = TcpBench.established({ txSegmentBytes: 65_536, sendRingBytes: 1 << 18 });
  bench.write(14_600);
  t.deepEqual(
    bench.take().map((segment) => [segment.length, segment.gsoBytes]),
    [[14_600, 1460]],
  );
  bench.wait(2000);
  const repeated = bench.take();
  t.is(bench.connection.mss, 1140);
  // The peer gets only what is not larger than the hole: it acknowledges that step by step
  const last = repeated.at(-1)!;
  t.deepEqual([last.seq, last.length, last.gsoBytes], [1, 1140, 0]);
  let acked = 1;
  for (let round = 0; round < 30 && acked < 14_601; round++) {
    bench.seg({ flags: 'A', seq: 1, ack: round === 0 ? 1141 : acked });
    for (const segment of bench.take()) {
      if (segment.length === 0) continue;
      t.true(segment.length <= 1140 || segment.gsoBytes === 1140, `${segment.length}/${segment.gsoBytes}`);
      t.true(segment.seq <= Math.max(acked, 1141), 'nothing is left out');
      acked = Math.max(acked, segment.seq + segment.length);
    }
  }
  t.is(acked, 14_601);
});
