import test from 'ava';
import { TcpBench } from './testing.ts';

const DAY_MS = 86_400_000;
/** RFC 9293 §3.4.3: two minutes. */
const MSL_MS = 120_000;

function withTimestamps(): TcpBench {
  return TcpBench.established({ peer: { ts: [1000, 0] } });
}

// [RFC 7323 §4.1-1] [RFC 7323 §5.4-1]
test('the clock of timestamps is in proportion to time: one tick for each millisecond, and so one for each window at least', (t) => {
  const bench = withTimestamps();
  const sentAt = (ms: number): number => {
    bench.wait(ms);
    bench.connection.setNoDelay(true);
    bench.write(1);
    const { options, seq } = bench.take()[0]!;
    bench.seg({ flags: 'A', seq: 1, ack: seq + 1, ts: [1000, options.tsVal] });
    return options.tsVal;
  };
  const first = sentAt(0);
  t.is((sentAt(1) - first) | 0, 1);
  t.is((sentAt(9) - first) | 0, 10);
  t.is((sentAt(10_000) - first) | 0, 10_010);
  t.is((sentAt(3_600_000) - first) | 0, 3_610_010);
});

// [RFC 7323 §5.4-2]
test('the clock comes round after more than 24 days: what was sent an MSL ago, or days ago, is older', (t) => {
  const { connection, now } = withTimestamps();
  const past = connection.timestampAt(now);
  for (const laterMs of [1, MSL_MS, DAY_MS, 24 * DAY_MS]) {
    t.true(((connection.timestampAt(now + laterMs) - past) | 0) > 0, `${laterMs} ms`);
  }
  t.true(((connection.timestampAt(now + 25 * DAY_MS) - past) | 0) < 0, 'this test can fail');
});

// [RFC 7323 §4.1-2]
test('an ACK that acknowledges nothing new measures no round trip, whatever it echoes', (t) => {
  const bench = withTimestamps();
  bench.write(3000);
  const { options } = bench.take()[0]!;
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 1001, ts: [1040, options.tsVal] });
  const { srttMs } = bench.connection.rtt;
  bench.wait(100);
  bench.seg({ flags: 'A', seq: 1, ack: 1001, ts: [1140, options.tsVal] });
  t.is(bench.connection.rtt.srttMs, srttMs);
});

// [RFC 7323 §5.5-1]
test('after more than 24 idle days a timestamp that is older is no reason to drop', (t) => {
  const bench = withTimestamps();
  bench.wait(23 * DAY_MS);
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 10, ts: [900, 0] });
  t.is(bench.connection.info().bytesIn, 0);
  bench.wait(2 * DAY_MS);
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 10, ts: [900, 0] });
  t.is(bench.connection.info().bytesIn, 10);
});
