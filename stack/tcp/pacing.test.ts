import test from 'ava';
import { type BenchOptions, TcpBench } from './testing.ts';

const MSS = 1000;

function established(rttMs: number, options: BenchOptions = {}): TcpBench {
  const bench = TcpBench.synSent(options);
  bench.take();
  bench.wait(rttMs);
  bench.stack.tcp.settings.pacing = true;
  bench.seg({ flags: 'SA', seq: 0, ack: 1, win: 65_535, mss: MSS, sackPermitted: true });
  bench.take();
  return bench;
}

test('paced: the window of slow start leaves within half a round trip, in pieces', (t) => {
  const bench = established(100);
  const began = bench.now;
  bench.write(20 * MSS);
  // 2 * 10 segments in 100 ms; two at once, and one for the timer that is a millisecond late at first
  t.is(bench.take().length, 2);
  bench.wait(99);
  const seen = bench.take();
  t.is(seen.length, 8, 'the rest of cwnd');
  const last = (seen.at(-1)?.atMs ?? 0) - began;
  t.true(last > 30 && last <= 50, `${last}`);
  const times = new Set(seen.map((each) => each.atMs));
  t.true(times.size >= 4, 'not all at once');
});

test('paced: at most one timer per millisecond; super-segments stay large', (t) => {
  const bench = established(10, { txSegmentBytes: 65_535, sendRingBytes: 1 << 20 });
  const { connection } = bench;
  connection.cc.cwndBytes = 1_000_000;
  connection.sndWnd = 1_000_000;
  bench.write(600_000);
  let turns = 1;
  const began = bench.now;
  while (connection.sndNxt !== connection.queuedTo()) {
    bench.wait(bench.stack.nextDeadline() - bench.now);
    turns++;
  }
  // 2 MB in 10 ms are 200 KB in a millisecond
  t.true(bench.now - began >= 1.9 && bench.now - began <= 3.1, `${bench.now - began}`);
  t.true(turns <= 4, `${turns}`);
  const seen = bench.take();
  t.true(seen.length <= 14, `${seen.length}`);
});

test('short round trips are not paced, nor is anything by default', (t) => {
  const near = established(1);
  near.write(20 * MSS);
  t.is(near.take().length, 10);
  t.is(near.connection.info().pacingBytesPerSecond, -1);
  const bench = TcpBench.established({ rttMs: 100, peer: { mss: MSS } });
  bench.write(20 * MSS);
  t.is(bench.take().length, 10);
});

test('paced: a retransmission after a timeout leaves at once', (t) => {
  const bench = established(100);
  bench.write(10 * MSS);
  bench.wait(100);
  t.is(bench.take().length, 10);
  bench.wait(1000);
  t.is(bench.take()[0]?.comment, 'retransmission 1 after RTO');
});
