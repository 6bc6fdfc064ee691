import test from 'ava';
import { RecoveryState } from './recovery.ts';
import { type BenchOptions, brief, TcpBench } from './testing.ts';

const MSS = 1000;

/** Established with segments of 1000 bytes, ten of them just sent. */
function inFlight(options: BenchOptions = {}): TcpBench {
  const bench = TcpBench.established({
    ...options,
    peer: { mss: MSS, sackPermitted: true, ...options.peer },
  });
  bench.write(10 * MSS);
  const sent = bench.take();
  if (sent.length !== 10) throw new Error(`${sent.length} segments instead of ten`);
  return bench;
}

const PLAIN = { peer: { sackPermitted: false } };

test('RTO: the first byte again, at doubling intervals; not more than one segment [MUST-18] [MUST-19]', (t) => {
  const bench = inFlight();
  const times: number[] = [bench.now];
  for (let i = 0; i < 5; i++) {
    bench.wait(bench.stack.nextDeadline() - bench.now);
    const seen = bench.take();
    t.deepEqual(brief(seen), ['A 1 ack 1 len 1000']);
    t.is(seen[0]?.comment, `retransmission ${i + 1} after RTO`);
    times.push(bench.now);
  }
  const gaps = times.slice(1).map((at, i) => at - times[i]!);
  t.deepEqual(gaps, [200, 400, 800, 1600, 3200]);
  t.is(bench.connection.cc.cwndBytes, MSS);
  t.is(bench.connection.cc.ssthreshBytes, 7 * MSS, 'reduced once, not with every timeout');
});

test('after an RTO slow start sends the rest again as ACKs come', (t) => {
  const bench = inFlight();
  bench.wait(200);
  bench.take();
  bench.seg({ flags: 'A', seq: 1, ack: 1001 });
  t.deepEqual(brief(bench.take()), ['A 1001 ack 1 len 1000', 'A 2001 ack 1 len 1000']);
  bench.seg({ flags: 'A', seq: 1, ack: 10_001 });
  t.is(bench.connection.recovery, RecoveryState.Open);
  t.deepEqual(bench.take(), []);
  t.is(bench.stack.nextDeadline(), Infinity, 'nothing is in flight: no timer');
});

test('R2: after fifteen retransmissions the connection fails [MUST-20] [SHLD-11]', (t) => {
  const bench = inFlight();
  const started = bench.now;
  bench.wait(100_000);
  t.is(bench.connection.error, null, 'not before 100 seconds');
  bench.wait(3_600_000);
  t.is(bench.connection.error, 'TIMEOUT');
  t.is(bench.connection.info().retransmits.timeout, 15);
  t.true(bench.now - started > 100_000);
  t.is(bench.take().at(-1)?.flags, 'RA');
});

test('R2 as a time is the user timeout [MUST-21]', (t) => {
  const bench = TcpBench.established();
  bench.connection.setUserTimeout(5000);
  bench.write('x');
  bench.wait(4999);
  t.is(bench.connection.error, null);
  bench.wait(1);
  t.is(bench.connection.error, 'TIMEOUT');
});

test('SACK: the hole is sent again as soon as three segments above are reported (RFC 6675)', (t) => {
  const bench = inFlight();
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 2001]] });
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 3001]] });
  t.deepEqual(bench.take(), []);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 4001]] });
  const seen = bench.take();
  t.deepEqual(brief(seen), ['A 1 ack 1 len 1000']);
  t.is(seen[0]?.comment, 'fast retransmission');
  t.is(bench.connection.recovery, RecoveryState.Fast);
  bench.seg({ flags: 'A', seq: 1, ack: 10_001 });
  t.is(bench.connection.recovery, RecoveryState.Open);
  t.is(bench.connection.cc.cwndBytes, 7 * MSS);
});

test('SACK: several holes are sent again in one round trip, and nothing twice', (t) => {
  const bench = inFlight();
  bench.seg({
    flags: 'A',
    seq: 1,
    ack: 1,
    sack: [
      [1001, 3001],
      [4001, 10_001],
    ],
  });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 1000', 'A 3001 ack 1 len 1000']);
  bench.seg({ flags: 'A', seq: 1, ack: 3001, sack: [[4001, 10_001]] });
  t.deepEqual(bench.take(), []);
});

test('limited transmit: the first two duplicates let new segments out (RFC 3042)', (t) => {
  for (const options of [PLAIN, {}]) {
    const bench = inFlight(options);
    bench.write(5 * MSS);
    t.deepEqual(bench.take(), []);
    const sack = (n: number): { sack?: [number, number][] } =>
      options === PLAIN ? {} : { sack: [[1001, 1001 + n * MSS]] };
    bench.seg({ flags: 'A', seq: 1, ack: 1, ...sack(1) });
    t.deepEqual(brief(bench.take()), ['A 10001 ack 1 len 1000']);
    bench.seg({ flags: 'A', seq: 1, ack: 1, ...sack(2) });
    t.deepEqual(brief(bench.take()), ['A 11001 ack 1 len 1000']);
    bench.seg({ flags: 'A', seq: 1, ack: 1, ...sack(3) });
    t.deepEqual(brief(bench.take())[0], 'A 1 ack 1 len 1000');
  }
});

test('NewReno: three duplicates, then one hole per partial ACK (RFC 6582)', (t) => {
  const bench = inFlight(PLAIN);
  for (let i = 0; i < 2; i++) bench.seg({ flags: 'A', seq: 1, ack: 1 });
  t.deepEqual(bench.take(), []);
  bench.seg({ flags: 'A', seq: 1, ack: 1 });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 1000']);
  bench.seg({ flags: 'A', seq: 1, ack: 4001 });
  t.deepEqual(brief(bench.take()), ['A 4001 ack 1 len 1000']);
  t.is(bench.connection.recovery, RecoveryState.Fast);
  bench.seg({ flags: 'A', seq: 1, ack: 10_001 });
  t.is(bench.connection.recovery, RecoveryState.Open);
});

test('NewReno: window updates, text and old ACKs are no duplicates (RFC 5681 §2)', (t) => {
  const bench = inFlight(PLAIN);
  for (let i = 0; i < 5; i++) {
    bench.seg({ flags: 'A', seq: 1, ack: 1, win: 60_000 + i });
    bench.seg({ flags: 'PA', seq: 1 + i, ack: 1, win: 60_000 + i, data: 'x' });
    bench.seg({ flags: 'A', seq: 2 + i, ack: 0, win: 60_000 + i });
  }
  t.is(bench.connection.dupAcks, 0);
  t.is(bench.connection.recovery, RecoveryState.Open);
});

test('blocks that cannot be true are ignored', (t) => {
  const bench = inFlight();
  bench.seg({
    flags: 'A',
    seq: 1,
    ack: 1,
    sack: [
      [5001, 4001],
      [9001, 12_001],
      [-500, 2001],
    ],
  });
  t.is(bench.connection.sent.sackedBytes, 0);
  t.is(bench.stack.tcp.counters.sackInvalid, 3);
});

test('a peer that forgets what it reported gets it again (RFC 2018 §8)', (t) => {
  const bench = inFlight();
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 10_001]] });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 1000']);
  bench.seg({ flags: 'A', seq: 1, ack: 1001 });
  bench.take();
  for (let i = 0; i < 9; i++) {
    bench.wait(1000);
    t.is(bench.take()[0]?.seq, 1001 + i * 1000);
    bench.seg({ flags: 'A', seq: 1, ack: 2001 + i * 1000 });
  }
  t.is(bench.connection.sndUna, bench.connection.sndNxt);
  t.is(bench.stack.tcp.counters.sackReneging, 1);
});

test('a FIN that got lost comes again', (t) => {
  const bench = TcpBench.established();
  bench.write('bye');
  bench.connection.shutdown();
  bench.settle();
  t.deepEqual(brief(bench.take()), ['PA 1 ack 1 len 3', 'FA 4 ack 1 len 0']);
  bench.seg({ flags: 'A', seq: 1, ack: 4 });
  bench.wait(200);
  t.deepEqual(brief(bench.take()), ['FA 4 ack 1 len 0']);
});

test('the round trip is measured, not over retransmissions, but with timestamps always', (t) => {
  const plain = TcpBench.established();
  plain.write('x');
  plain.wait(150);
  plain.seg({ flags: 'A', seq: 1, ack: 2 });
  t.is(plain.connection.rtt.latestMs, 150);
  plain.write('y');
  plain.wait(1000);
  plain.seg({ flags: 'A', seq: 1, ack: 3 });
  t.is(plain.connection.rtt.latestMs, 150);

  const stamped = TcpBench.established({ peer: { ts: [1, 10_000] } });
  stamped.write('x');
  stamped.wait(1000);
  const last = stamped.take().at(-1)!;
  stamped.wait(30);
  stamped.seg({ flags: 'A', seq: 1, ack: 2, ts: [2, last.options.tsVal] });
  t.is(stamped.connection.rtt.latestMs, stamped.now - last.atMs);
});

test('super-segments: only what is lost of one is sent again', (t) => {
  const bench = TcpBench.established({ txSegmentBytes: 65_535, peer: { mss: MSS, sackPermitted: true } });
  bench.write(10 * MSS);
  t.is(bench.take().length, 1);
  bench.seg({
    flags: 'A',
    seq: 1,
    ack: 2001,
    sack: [
      [3001, 6001],
      [7001, 10_001],
    ],
  });
  t.deepEqual(brief(bench.take()), ['A 2001 ack 1 len 1000', 'A 6001 ack 1 len 1000']);
});
