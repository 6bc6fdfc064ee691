import test from 'ava';
import { TcpBench } from './testing.ts';

const IDLE_MS = 60_000;

/** A time at which `(at + IDLE_MS) - at` is less than IDLE_MS, as fractions of a millisecond are rounded. */
function roundedDown(): number {
  for (let i = 1; i < 10_000; i++) {
    const at = 10_000 + i * 0.1234567;
    if (at + IDLE_MS - at < IDLE_MS) return at;
  }
  throw new Error('no such time');
}

test('a probe is sent at its time, also where rounding makes that a little less than the idle time', (t) => {
  const bench = TcpBench.established({
    connect: { keepAlive: { idleMs: IDLE_MS, intervalMs: 1000, count: 3 } },
  });
  const at = roundedDown();
  bench.now = at;
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'x' });
  bench.take();
  // the first deadline finds that something came meanwhile, the second one is the probe's
  for (let i = 0; i < 4 && bench.connection.keepaliveProbesSent === 0; i++) {
    bench.now = bench.stack.nextDeadline();
    bench.stack.advance(bench.now);
    bench.stack.transmit(bench.now);
  }
  t.is(bench.connection.keepaliveProbesSent, 1);
  t.is(bench.now, at + IDLE_MS);
});
