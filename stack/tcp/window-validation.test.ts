import test from 'ava';
import type { TcpConnection } from './connection.ts';
import { RecoveryState } from './recovery.ts';
import { TcpBench } from './testing.ts';
import {
  beginValidation,
  measureUse,
  NON_VALIDATED_PERIOD_MS,
  restartAfterIdle,
  type WindowValidation,
} from './window-validation.ts';

const MSS = 1000;

/** A connection that keeps its window, with a cwnd of `segments`. */
function preserving(segments: number): { bench: TcpBench; c: TcpConnection; v: WindowValidation } {
  const bench = TcpBench.established({ rttMs: 20, peer: { mss: MSS, sackPermitted: true } });
  const c = bench.connection;
  c.layer.settings.windowValidation = 'preserve';
  beginValidation(c);
  c.cc.cwndBytes = segments * MSS;
  return { bench, c, v: c.validation! };
}

/** One round trip in which so much is acknowledged. */
function round(c: TcpConnection, v: WindowValidation, segments: number): void {
  for (let i = 0; i < segments; i++) measureUse(c, v, MSS, i === segments - 1);
}

// [RFC 7661 §4.2-1] [RFC 7661 §4.2-2]
test('pipeACK is the largest of the last samples, one for a round trip (RFC 7661 §4.2)', (t) => {
  const { bench, c, v } = preserving(40);
  round(c, v, 1);
  t.is(v.pipeAckBytes, -1, 'undefined, until a whole round trip was measured');
  round(c, v, 30);
  t.is(v.pipeAckBytes, 30 * MSS);
  round(c, v, 5);
  t.is(v.pipeAckBytes, 30 * MSS);
  t.true(v.isValidated);
  bench.wait(1100);
  round(c, v, 5);
  t.is(v.pipeAckBytes, 5 * MSS, 'a second later');
  t.false(v.isValidated);
});

// [RFC 7661 §4.2-3]
test('nothing is measured in a recovery (RFC 7661 §4.2)', (t) => {
  const { c, v } = preserving(40);
  round(c, v, 1);
  c.recovery = RecoveryState.Fast;
  round(c, v, 5);
  t.is(v.pipeAckBytes, -1);
});

// [RFC 7661 §4.4.1-3]
test('the end of a repair leaves a segment at least (RFC 7661 §4.4.1)', (t) => {
  const { bench, c, v } = preserving(40);
  round(c, v, 1);
  round(c, v, 4);
  t.false(v.isValidated);
  bench.write(4 * MSS);
  bench.wait(20);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[3 * MSS + 1, 4 * MSS + 1]] });
  bench.wait(20);
  t.is(c.recovery, RecoveryState.Fast);
  t.is(c.cc.ssthreshBytes, 2 * MSS);
  bench.wait(5);
  c.bytesRetransmitted = 4 * MSS;
  bench.seg({ flags: 'A', seq: 1, ack: 4 * MSS + 1 });
  t.is(c.recovery, RecoveryState.Open);
  t.is(c.cc.cwndBytes, MSS);
  t.is(v.pipeAckBytes, -1, 'and pipeACK is undefined again');
});

test('ECN-Echo, too, counts what was used of a window that is not validated (RFC 7661 §4.4.1)', (t) => {
  const { bench, c, v } = preserving(40);
  c.ecnOk = true;
  round(c, v, 1);
  round(c, v, 8);
  bench.write(4 * MSS);
  bench.seg({ flags: 'AE', seq: 1, ack: MSS + 1 });
  t.is(c.cc.cwndBytes, 4 * MSS, 'half of pipeACK, which is more than what is in flight');
});

// [RFC 7661 §4.4.3-1]
test('after five minutes ssthresh keeps three quarters of cwnd, and cwnd half of itself (RFC 7661 §4.4.3)', (t) => {
  const { bench, c, v } = preserving(80);
  c.cc.ssthreshBytes = 50 * MSS;
  round(c, v, 1);
  round(c, v, 5);
  bench.wait(NON_VALIDATED_PERIOD_MS - 1);
  round(c, v, 5);
  t.is(c.cc.cwndBytes, 80 * MSS);
  bench.wait(1);
  round(c, v, 5);
  t.is(c.cc.cwndBytes, 40 * MSS);
  t.is(c.cc.ssthreshBytes, 60 * MSS);
});

// [RFC 2861 §3-2]
test('decay: ssthresh keeps three quarters of cwnd (RFC 2861 §3)', (t) => {
  const { bench, c } = preserving(80);
  c.layer.settings.windowValidation = 'decay';
  beginValidation(c);
  t.is(c.validation, null);
  c.cc.ssthreshBytes = 20 * MSS;
  bench.wait(1000);
  restartAfterIdle(c, c.rtt.rtoMs);
  t.is(c.cc.cwndBytes, 80 * MSS);
  restartAfterIdle(c, c.rtt.rtoMs * 1.5);
  t.is(c.cc.cwndBytes, 40 * MSS);
  t.is(c.cc.ssthreshBytes, 60 * MSS);
});

test('BBR and none have windows of their own', (t) => {
  const { c } = preserving(40);
  t.not(c.validation, null);
  c.setCongestionControl('bbr');
  t.is(c.validation, null);
  c.setCongestionControl('newreno');
  t.not(c.validation, null);
  c.setCongestionControl('none');
  t.is(c.validation, null);
});
