import test from 'ava';
import { reduceProportionally } from './proportional-rate.ts';
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

// [RFC 8985 §6.3-1]
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

test('… on a connection with ECN as well', (t) => {
  const bench = inFlight();
  bench.connection.ecnOk = true;
  bench.wait(200);
  bench.take();
  bench.seg({ flags: 'A', seq: 1, ack: 1001 });
  t.is(bench.take().length, 2);
  bench.seg({ flags: 'A', seq: 1, ack: 3001 });
  t.is(bench.take().length, 4);
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

// [RFC 6675 §5-1] [RFC 6675 §4-1]
test('SACK: the hole is sent again as soon as three segments above are reported (RFC 6675)', (t) => {
  const bench = inFlight({ rttMs: 20 });
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

// [RFC 6675 §4-4] [RFC 6675 §4-3] [RFC 6675 §5-7]
test('SACK: several holes are sent again in one round trip, and nothing twice', (t) => {
  const bench = inFlight({ rttMs: 20 });
  bench.wait(20);
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
    const bench = inFlight({ ...options, rttMs: 20 });
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

// [RFC 2018 §8-3] [RFC 2018 §5-3] [RFC 2018 §5-1]
// [RFC 6675 §4-2]
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

// [RFC 6298 §3-1] [RFC 6298 §3-2]
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

test('RACK: with one segment above a hole the hole is given a quarter of the round trip (RFC 8985 §6.2)', (t) => {
  const bench = inFlight({ rttMs: 40 });
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 2001]] });
  bench.wait(9.9);
  t.deepEqual(bench.take(), []);
  bench.wait(0.2);
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 1000']);
});

test('RACK: a retransmission that is lost is sent again, without a timeout (RFC 8985 §3.2)', (t) => {
  const bench = inFlight({ rttMs: 40 });
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 4001]] });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 1000']);
  bench.write(3 * MSS);
  bench.wait(1);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 10_001]] });
  const fresh = bench.take();
  t.true(fresh.length > 0 && fresh.every((seg) => seg.seq > 10_000));
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 11_001]] });
  t.is(bench.take()[0]?.seq, 1);
  t.is(bench.connection.info().retransmits.timeout, 0);
});

test('RACK: where packets were seen to overtake each other three segments above a hole are no loss', (t) => {
  const bench = inFlight({ rttMs: 40 });
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 2001]] });
  bench.seg({ flags: 'A', seq: 1, ack: 2001 });
  t.is(bench.stack.tcp.counters.reorderings, 1);
  bench.seg({ flags: 'A', seq: 1, ack: 2001, sack: [[3001, 10_001]] });
  t.deepEqual(bench.take(), []);
  bench.seg({ flags: 'A', seq: 1, ack: 10_001 });
  t.is(bench.stack.tcp.counters.retransmits, 0);
  t.is(bench.connection.cc.ssthreshBytes, Infinity);
});

// [RFC 9937 §5-1] [RFC 9937 §5-3] [RFC 9937 §6.2-5] [RFC 9937 §6.3-1] [RFC 9937 §6.4-1]
// [RFC 8985 §9.3-2] [RFC 8985 §9.3-1]
// [RFC 5681 §4.3-2]
test('PRR: what is sent shrinks in proportion, and not in one step (RFC 9937)', (t) => {
  const bench = inFlight({ rttMs: 40 });
  bench.write(20 * MSS);
  bench.wait(40);
  const sent: number[] = [];
  for (let i = 1; i < 10; i++) {
    bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 1001 + i * MSS]] });
    sent.push(bench.take().length);
  }
  // Two by limited transmit, the retransmission, then about seven for every ten
  t.deepEqual(sent.slice(0, 3), [1, 1, 1]);
  const later = sent.slice(3).reduce((sum, n) => sum + n, 0);
  t.true(later >= 3 && later <= 5, `${sent}`);
  t.true(Math.max(...sent) === 1, `${sent}`);
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: bench.connection.sndNxt - bench.connection.iss });
  t.is(bench.connection.recovery, RecoveryState.Open);
  const { cwndBytes, ssthreshBytes } = bench.connection.cc;
  t.true(cwndBytes >= ssthreshBytes && cwndBytes < ssthreshBytes + 2 * MSS, `${cwndBytes} ${ssthreshBytes}`);
});

/** Seven of ten segments are lost, so that less than ssthresh is in flight; the first three are sent again. */
function halfLost(): TcpBench {
  const bench = inFlight({ rttMs: 40 });
  bench.write(20 * MSS);
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[7001, 10_001]] });
  bench.take();
  return bench;
}

// [RFC 9937 §6.1-1] [RFC 9937 §6.1-2] [RFC 9937 §6.2-1] [RFC 9937 §6.2-3]
test('PRR: RecoverFS leaves out what was reported before, and counts what the first ACK reports', (t) => {
  const bench = inFlight({ rttMs: 40 });
  bench.write(20 * MSS);
  bench.take();
  bench.wait(40);
  // Two were reported before the third shows the loss; limited transmit has sent two more
  for (let i = 1; i <= 3; i++) bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 1001 + i * MSS]] });
  t.is(bench.connection.prr.flightBytes, 10 * MSS);
  t.is(bench.connection.prr.deliveredBytes, MSS);
  t.is(bench.connection.prr.sentBytes, MSS);
});

// [RFC 9937 §6.2-6] [RFC 9937 §6.2-7] [RFC 9937 §6.2-8]
test('PRR: below ssthresh one more leaves than has arrived where SND.UNA moves and nothing more is lost', (t) => {
  const bench = halfLost();
  const { connection } = bench;
  t.is(connection.prr.sentBytes, 3 * MSS, 'as much as was delivered');
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 1001, sack: [[7001, 10_001]] });
  t.is(bench.take().length, 2);
});

test('… not where the ACK shows that a retransmission was lost, too', (t) => {
  const bench = halfLost();
  bench.wait(40);
  // The first and the third retransmission have arrived, the second one between them has not
  bench.seg({
    flags: 'A',
    seq: 1,
    ack: 1001,
    sack: [
      [2001, 3001],
      [7001, 10_001],
    ],
  });
  t.deepEqual(brief(bench.take()), ['A 1001 ack 1 len 1000', 'A 3001 ack 1 len 1000']);
});

// [RFC 9937 §5-2] [RFC 9937 §6.2-2] [RFC 9937 §6.2-4]
test('PRR without SACK: a duplicate counts as a segment; made-up ones give the peer nothing', (t) => {
  const bench = inFlight({ ...PLAIN, rttMs: 40 });
  bench.write(40 * MSS);
  bench.take();
  const { connection } = bench;
  for (let i = 0; i < 3; i++) bench.seg({ flags: 'A', seq: 1, ack: 1 });
  t.is(connection.recovery, RecoveryState.Fast);
  t.is(connection.prr.deliveredBytes, MSS);
  for (let i = 0; i < 50; i++) bench.seg({ flags: 'A', seq: 1, ack: 1 });
  t.true(connection.prr.deliveredBytes <= connection.prr.flightBytes, `${connection.prr.deliveredBytes}`);
  t.true(connection.prr.sentBytes <= connection.cc.ssthreshBytes + MSS, `${connection.prr.sentBytes}`);
  t.true(connection.inFlightBytes() >= 0);
});

test('PRR: one segment may always be in flight, or no ACK would ever come', (t) => {
  const { connection } = TcpBench.established({ peer: { mss: MSS, sackPermitted: true } });
  connection.cc.ssthreshBytes = 4 * MSS;
  connection.prr.sentBytes = 5 * MSS;
  connection.sent.beginAck(0);
  reduceProportionally(connection, 0, false);
  t.is(connection.inFlightBytes(), 0);
  t.is(connection.cc.cwndBytes, MSS);
});

test('NewReno: after a partial ACK no more has left than was sent', (t) => {
  const bench = inFlight(PLAIN);
  for (let i = 0; i < 9; i++) bench.seg({ flags: 'A', seq: 1, ack: 1 });
  bench.take();
  bench.seg({ flags: 'A', seq: 1, ack: 1001 });
  t.deepEqual(brief(bench.take()).slice(0, 1), ['A 1001 ack 1 len 1000']);
  t.true(bench.connection.inFlightBytes() >= 0, `${bench.connection.inFlightBytes()}`);
  bench.connection.sent.markHeadLost(MSS);
  bench.seg({ flags: 'A', seq: 1, ack: 2001 });
  t.true(bench.connection.inFlightBytes() >= 0, `${bench.connection.inFlightBytes()}`);
});

test('an ACK of something new tells the window, also when later segments came first', (t) => {
  const bench = inFlight();
  bench.write(10 * MSS);
  bench.seg({ flags: 'A', seq: 2001, ack: 1, win: 20_000, data: 100 });
  bench.seg({ flags: 'A', seq: 1, ack: 5001, win: 6000, data: 2000 });
  t.is(bench.connection.sndWnd, 6000, 'with the old window the edge would lie behind what was ever offered');
  bench.seg({ flags: 'A', seq: 1, ack: 5001, win: 3000, data: 2000 });
  t.is(bench.connection.sndWnd, 6000, 'an old duplicate tells nothing');
});

test('TLP: SACK blocks take their room in the probe', (t) => {
  const bench = inFlight({ rttMs: 40, tailLossProbe: true });
  bench.seg({ flags: 'PA', seq: 101, ack: 1, data: 10 });
  bench.write(5 * MSS);
  bench.take();
  bench.wait(90);
  const [probe] = bench.take();
  t.is(probe?.comment, 'tail loss probe');
  t.is(probe?.sack.length, 1);
  t.is(probe?.length, MSS - 12);
});

// [RFC 8985 §7.3-4] [RFC 8985 §7.3-5]
test('TLP: the last segment again after two round trips; its SACK shows the rest (RFC 8985 §7)', (t) => {
  const bench = inFlight({ rttMs: 40, tailLossProbe: true });
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 7001 });
  bench.wait(81);
  t.deepEqual(bench.take(), []);
  bench.wait(2);
  const seen = bench.take();
  t.deepEqual(brief(seen), ['PA 9001 ack 1 len 1000']);
  t.is(seen[0]?.comment, 'tail loss probe');
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 7001, sack: [[9001, 10_001]] });
  t.deepEqual(brief(bench.take()), ['A 7001 ack 1 len 1000'], 'one has left, one may be sent');
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 8001, sack: [[9001, 10_001]] });
  t.deepEqual(brief(bench.take()), ['A 8001 ack 1 len 1000']);
  t.is(bench.stack.tcp.counters.timeouts, 0);
});

// [RFC 8985 §7.4.2-1]
test('TLP: a loss that the probe has repaired counts as congestion; a duplicate does not', (t) => {
  for (const duplicate of [false, true]) {
    const bench = inFlight({ rttMs: 40, tailLossProbe: true });
    bench.wait(40);
    bench.seg({ flags: 'A', seq: 1, ack: 9001 });
    // One segment is left: the peer may delay its ACK, and the retransmission timer is no later
    bench.write(MSS);
    bench.wait(85);
    t.is(bench.stack.tcp.counters.tailLossProbes, 1);
    const sack: [number, number][] = [[10_001, 11_001]];
    bench.seg({ flags: 'A', seq: 1, ack: 11_001, ...(duplicate ? { sack } : {}) });
    bench.write(MSS);
    bench.seg({ flags: 'A', seq: 1, ack: 12_001 });
    t.is(bench.connection.cc.ssthreshBytes === Infinity, duplicate);
  }
});

test('TLP: new data rather than old', (t) => {
  const bench = inFlight({ rttMs: 40, tailLossProbe: true });
  bench.write(5 * MSS);
  t.deepEqual(bench.take(), [], 'cwnd is used up');
  bench.wait(90);
  t.deepEqual(brief(bench.take()), ['A 10001 ack 1 len 1000']);
});

// [RFC 4015 §2-1] [RFC 4015 §3.1-2]
test('Eifel: a timeout whose ACK names a time before the retransmission is taken back (RFC 3522, RFC 4015)', (t) => {
  const bench = inFlight({ rttMs: 40, peer: { ts: [1, 10_000], sackPermitted: false } });
  const sentAt = bench.connection.timestamp();
  const { cwndBytes } = bench.connection.cc;
  bench.wait(400);
  t.is(bench.stack.tcp.counters.timeouts, 1);
  bench.take();
  bench.seg({ flags: 'A', seq: 1, ack: 1001, ts: [2, sentAt] });
  t.is(bench.connection.recovery, RecoveryState.Open);
  t.is(bench.connection.cc.cwndBytes >= cwndBytes, true);
  t.is(bench.connection.cc.ssthreshBytes, Infinity);
  t.deepEqual(bench.take(), [], 'nothing else is sent again');
});

/** All of cwnd is in flight, a timeout has sent the first segment again, and the ACK of the original comes. @param flags of that ACK */
function spurious(cwndSegments: number, flags: string): TcpBench {
  const ecn = flags.includes('E') ? { flags: 'SAE' } : {};
  const bench = TcpBench.synSent({ sendRingBytes: 1 << 17 });
  bench.stack.tcp.settings.ecn = 'active';
  bench.connect();
  bench.take();
  bench.wait(40);
  bench.seg({
    flags: 'SA',
    seq: 0,
    ack: 1,
    mss: MSS + 12,
    ts: [1, bench.connection.timestampAt(bench.now - 40)],
    ...ecn,
  });
  const { connection } = bench;
  connection.cc.cwndBytes = cwndSegments * MSS;
  connection.cc.ssthreshBytes = 5 * MSS;
  bench.write(100 * MSS);
  const sentAt = connection.timestamp();
  bench.wait(1000 / 4);
  bench.take();
  bench.wait(50);
  bench.seg({ flags, seq: 1, ack: 1 + 20 * MSS, ts: [2, sentAt] });
  return bench;
}

// [RFC 4015 §3.4-2] [RFC 4015 §3.4-3] [RFC 4015 §3.4-4]
test('Eifel response: an initial window leaves at once, slow start does the rest (RFC 4015 §3.4)', (t) => {
  const bench = spurious(40, 'A');
  const { cc, recovery, undone } = bench.connection;
  t.is(recovery, RecoveryState.Open);
  t.is(undone, 1);
  t.is(bench.take().length, 10, 'of the 20 that were acknowledged');
  t.is(cc.cwndBytes, 30 * MSS);
  t.is(cc.ssthreshBytes, 40 * MSS, 'in flight when the timer expired');
});

// [RFC 4015 §3.4-1]
test('… but not where that ACK tells of congestion', (t) => {
  const bench = spurious(40, 'AE');
  const { connection } = bench;
  t.is(connection.recovery, RecoveryState.Open);
  t.is(connection.cc.cwndBytes, MSS);
  t.is(connection.cc.ssthreshBytes, 0.7 * 40 * MSS, 'reduced once');
  t.deepEqual(bench.take(), [], 'more than that is in flight, and nothing is sent again');
});

// [RFC 4015 §3.6-1] [RFC 4015 §3.5-1]
test('… and the timer learns of the path from the first new data (RFC 4015 §3.6)', (t) => {
  const bench = spurious(40, 'A');
  const { connection } = bench;
  const [first] = bench.take();
  const echo = first!.options.tsVal;
  const before = connection.rtt.srttMs;
  t.true(before > 40 && before < 100, 'the late ACK counts as any other');
  bench.wait(200);
  // What was sent before the timeout says nothing new
  bench.seg({ flags: 'A', seq: 1, ack: 1 + 30 * MSS, ts: [3, connection.timestampAt(bench.now - 200)] });
  t.true(connection.rtt.srttMs < 130);
  bench.seg({ flags: 'A', seq: 1, ack: 1 + 40 * MSS, ts: [3, connection.timestampAt(bench.now - 200)] });
  bench.seg({ flags: 'A', seq: 1, ack: 1 + 41 * MSS, ts: [3, echo] });
  t.is(connection.rtt.srttMs, 200);
  t.is(connection.rtt.rttvarMs, 100);
  t.is(connection.rtt.rtoMs, 600);
  // Once
  bench.seg({ flags: 'A', seq: 1, ack: 1 + 42 * MSS, ts: [4, connection.timestamp()] });
  t.true(connection.rtt.srttMs > 150);
});

// [RFC 4015 §3.1-3]
test('… a second timeout while the first is being repaired begins nothing anew', (t) => {
  const bench = inFlight({ rttMs: 40, peer: { ts: [1, 10_000], sackPermitted: false } });
  bench.wait(250);
  const { pipePrevBytes } = bench.connection.undo;
  t.is(pipePrevBytes, Infinity, 'ssthresh, which is not known yet');
  bench.connection.undo.pipePrevBytes = 77;
  bench.wait(1000);
  t.true(bench.stack.tcp.counters.timeouts >= 2);
  t.is(bench.connection.undo.pipePrevBytes, 77);
});

// [RFC 5682 §2.1-1] [RFC 5682 §3.1-2]
// [RFC 4015 §3.3-1]
// [RFC 9438 §4.9-1] [RFC 9438 §4.9-2]
test('F-RTO: new data first; an ACK of what was never sent again takes the timeout back (RFC 5682 §3)', (t) => {
  for (const spurious of [true, false]) {
    const bench = inFlight({ rttMs: 40 });
    bench.write(5 * MSS);
    bench.wait(300);
    t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 1000']);
    bench.seg({ flags: 'A', seq: 1, ack: 1001 });
    t.deepEqual(brief(bench.take()), ['A 10001 ack 1 len 1000', 'A 11001 ack 1 len 1000']);
    if (spurious) {
      bench.seg({ flags: 'A', seq: 1, ack: 2001 });
      t.is(bench.connection.recovery, RecoveryState.Open);
      t.is(bench.connection.cc.ssthreshBytes, Infinity);
      t.true(bench.take().every((seg) => seg.seq > 11_001));
    } else {
      bench.wait(40);
      bench.seg({ flags: 'A', seq: 1, ack: 1001, sack: [[10_001, 11_001]] });
      t.is(bench.connection.recovery, RecoveryState.Loss);
      t.is(bench.take()[0]?.seq, 1001);
    }
  }
});

// [RFC 9438 §4.9-3] [RFC 9438 §4.9-4]
test('D-SACK: a fast retransmission that was a duplicate is taken back (RFC 3708)', (t) => {
  const bench = inFlight({ rttMs: 40 });
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 4001]] });
  t.is(bench.take().length, 1);
  t.not(bench.connection.cc.ssthreshBytes, Infinity);
  bench.seg({ flags: 'A', seq: 1, ack: 9001 });
  t.not(bench.connection.cc.ssthreshBytes, Infinity);
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 9001, sack: [[1, 1001]] });
  t.is(bench.connection.cc.ssthreshBytes, Infinity);
  t.is(bench.stack.tcp.counters.spuriousRetransmits, 1);
});

test('D-SACK: what comes when nothing is in flight any more counts too (RFC 3708)', (t) => {
  const bench = inFlight({ rttMs: 40 });
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 4001]] });
  bench.seg({ flags: 'A', seq: 1, ack: 10_001 });
  t.not(bench.connection.cc.ssthreshBytes, Infinity);
  bench.seg({ flags: 'A', seq: 1, ack: 10_001, sack: [[1, 1001]] });
  t.is(bench.connection.cc.ssthreshBytes, Infinity);
  t.is(bench.stack.tcp.counters.spuriousRetransmits, 1);
  t.is(bench.connection.info().dsacks, 1);
});

test('TLP: the D-SACK for a probe may come after the ACK of everything (RFC 8985 §7.4.2)', (t) => {
  const bench = inFlight({ rttMs: 40, tailLossProbe: true });
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 1, ack: 9001 });
  bench.write(MSS);
  bench.wait(85);
  bench.seg({ flags: 'A', seq: 1, ack: 11_001 });
  bench.seg({ flags: 'A', seq: 1, ack: 11_001, sack: [[10_001, 11_001]] });
  bench.write(MSS);
  bench.seg({ flags: 'A', seq: 1, ack: 12_001 });
  t.is(bench.connection.cc.ssthreshBytes, Infinity);
});

test('TLP: a probe that a full device kept back is forgotten when the answer comes first', (t) => {
  const bench = inFlight({ rttMs: 40, tailLossProbe: true });
  bench.room = 0;
  bench.wait(90);
  bench.seg({ flags: 'A', seq: 1, ack: 10_001 });
  bench.room = Infinity;
  bench.settle();
  t.deepEqual(bench.take(), []);
  t.false(bench.connection.tailProbeDue);
});

test('an ACK whose timestamp shows that the retransmission was needed ends F-RTO: the rest is sent again, not new data', (t) => {
  const bench = inFlight({ rttMs: 20, sendRingBytes: 1 << 17, peer: { ts: [1, 0] } });
  bench.write(20 * MSS);
  bench.wait(300);
  const [again] = bench.take();
  t.is(again?.comment, 'retransmission 1 after RTO');
  const echo = again?.options.tsVal ?? 0;
  bench.wait(20);
  bench.seg({ flags: 'A', seq: 1, ack: 989, ts: [2, echo] });
  const seen = bench.take();
  t.deepEqual(
    seen.map((each) => each.seq),
    [989, 1977],
    'the next two of what was lost',
  );
});

test("without congestion control the peer's window is the limit; a loss is sent again, and nothing slows down", (t) => {
  const bench = TcpBench.established({
    rttMs: 20,
    connect: { congestion: 'none' },
    peer: { mss: MSS, sackPermitted: true },
  });
  bench.write(65_000);
  t.is(bench.take().length, 65);
  bench.wait(20);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 60_001]] });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 1000']);
  bench.seg({ flags: 'A', seq: 1, ack: 65_001 });
  bench.write(65_000);
  t.is(bench.take().length, 65);
  bench.wait(1000);
  t.true(bench.take().length >= 65, 'after a timeout, too');
});

test('a congestion control may be changed on the way; the window stays', (t) => {
  const bench = inFlight({ rttMs: 20 });
  const { connection } = bench;
  const { cwndBytes } = connection.cc;
  for (const name of ['newreno', 'bbr', 'cubic']) {
    connection.setCongestionControl(name);
    t.is(connection.cc.name, name);
    t.is(connection.cc.cwndBytes, cwndBytes);
  }
  connection.setCongestionControl('none');
  bench.write(30 * MSS);
  t.is(bench.take().length, 30);
  connection.setCongestionControl('cubic');
  t.true(connection.cc.cwndBytes <= 14_600);
  t.throws(() => connection.setCongestionControl('vegas'), { message: /cubic, newreno, bbr, none/ });
});

test('RFC 3465: a receiver that acknowledges byte by byte gains nothing, in slow start or after', (t) => {
  const grown = (pieces: number, ssthreshBytes: number): number => {
    const bench = inFlight({ rttMs: 20 });
    const { cc } = bench.connection;
    cc.ssthreshBytes = ssthreshBytes;
    for (let i = 1; i <= pieces; i++) bench.seg({ flags: 'A', seq: 1, ack: 1 + (10_000 * i) / pieces });
    return cc.cwndBytes;
  };
  for (const ssthreshBytes of [Infinity, 5 * MSS])
    t.true(grown(5000, ssthreshBytes) <= grown(10, ssthreshBytes) + 1);
});
