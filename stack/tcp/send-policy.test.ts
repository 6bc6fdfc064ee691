import test from 'ava';
import type { PolicyChange } from './send-policy.ts';
import { TcpBench } from './testing.ts';

const MSS = 1000;

/** One connection of a stack whose settings say otherwise. */
function established(policy: PolicyChange): TcpBench {
  return TcpBench.established({ rttMs: 100, connect: { policy }, peer: { mss: MSS, sackPermitted: true } });
}

test('a connection asks for ECN, and another of the same stack does not', (t) => {
  t.is(TcpBench.synSent({ connect: { policy: { ecn: 'active' } } }).take()[0]?.flags, 'SEW');
  t.is(TcpBench.synSent({ connect: { policy: { ecn: 'off' } } }).take()[0]?.flags, 'S');
  t.is(TcpBench.synSent().take()[0]?.flags, 'S');
});

test('a connection is paced, and another is not', (t) => {
  const paced = established({ pacing: true });
  paced.write(10 * MSS);
  t.is(paced.take().length, 2);
  const others = established({ pacing: false });
  others.write(10 * MSS);
  t.is(others.take().length, 10);
});

test("Minshall's variant for one connection: a short segment waits for a short one, not for full ones", (t) => {
  const bench = established({ nagle: 'short' });
  bench.write(MSS + 10);
  t.deepEqual(
    bench.take().map(({ length }) => length),
    [MSS, 10],
  );
  bench.write(20);
  t.is(bench.take().length, 0, 'a short one is out');
  const standard = established({});
  standard.write(MSS + 10);
  t.deepEqual(
    standard.take().map(({ length }) => length),
    [MSS],
  );
});

test('a window that is not used is kept by one connection, and given up by another', (t) => {
  const kept = established({ windowValidation: 'preserve' });
  const given = established({});
  for (const bench of [kept, given]) {
    bench.connection.cc.cwndBytes = 40 * MSS;
    bench.write(100);
    bench.take();
    bench.seg({ flags: 'A', seq: 1, ack: 101 });
    bench.wait(30_000);
    bench.write(100);
    bench.take();
  }
  t.true(kept.connection.cc.cwndBytes >= 40 * MSS);
  t.is(given.connection.cc.cwndBytes, 10 * MSS);
});
