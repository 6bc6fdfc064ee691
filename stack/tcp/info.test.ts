import test from 'ava';
import { BulkTransfer } from '../testing/bulk-transfer.ts';
import { StackPair } from '../testing/stack-pair.ts';
import { TcpBench } from './testing.ts';

const MSS = 1000;

test('times: busy while anything is unacknowledged, limited by the peer while its window is shut', (t) => {
  const bench = TcpBench.established({ rttMs: 10, peer: { win: 2000, mss: MSS } });
  bench.wait(1000);
  t.is(bench.connection.info().busyMs, 0);
  bench.write(5000);
  bench.wait(30);
  let info = bench.connection.info();
  t.is(info.busyMs, 30);
  t.is(info.peerLimitedMs, 30);
  t.is(info.unsentBytes, 3000);
  bench.seg({ flags: 'A', seq: 1, ack: 2001, win: 10_000 });
  bench.wait(20);
  info = bench.connection.info();
  t.deepEqual([info.busyMs, info.peerLimitedMs, info.bufferLimitedMs], [50, 30, 0]);
  bench.seg({ flags: 'A', seq: 1, ack: 5001, win: 10_000 });
  bench.wait(100);
  t.is(bench.connection.info().busyMs, 50);
});

test('times: limited by the send buffer when all of it is in flight', (t) => {
  const bench = TcpBench.established({ rttMs: 10, sendRingBytes: 4096, peer: { mss: MSS } });
  bench.connection.setNoDelay(true);
  bench.write(4096);
  bench.wait(40);
  t.is(bench.connection.info().bufferLimitedMs, 40);
  bench.seg({ flags: 'A', seq: 1, ack: 1001 });
  bench.wait(40);
  const info = bench.connection.info();
  t.deepEqual([info.busyMs, info.bufferLimitedMs, info.peerLimitedMs], [80, 40, 0]);
});

test('counters: what was sent, sent again, acknowledged and delivered; the states of congestion', (t) => {
  const bench = TcpBench.established({ rttMs: 20, peer: { mss: MSS, sackPermitted: true } });
  const { connection } = bench;
  const state = (): string => connection.info().congestionState;
  bench.write(10 * MSS);
  bench.wait(20);
  t.is(state(), 'open');
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 2001]] });
  t.is(state(), 'disorder');
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 5001]] });
  t.is(state(), 'recovery');
  let info = connection.info();
  t.is(info.sackedBytes, 4000);
  t.is(info.lostBytes, 1000);
  t.is(info.retransmittedBytes, 1000);
  t.is(info.totalDeliveredBytes, 4000);
  t.is(info.totalLostBytes, 1000);
  bench.seg({ flags: 'A', seq: 1, ack: 10_001 });
  t.is(state(), 'open');
  info = connection.info();
  t.is(info.bytesOut, 10_000);
  t.is(info.bytesSent, 11_000);
  t.is(info.bytesRetransmitted, 1000);
  t.is(info.dataSegmentsOut, 11);
  t.is(info.totalDeliveredBytes, 10_000);
  t.is(info.retransmits.fast, 1);
  bench.write(MSS);
  bench.wait(300);
  info = connection.info();
  t.is(info.congestionState, 'loss');
  t.is(info.backoff, 1);
  t.is(info.unanswered, 1);
  t.is(info.retransmits.timeout, 1);
  bench.seg({ flags: 'A', seq: 1, ack: 11_001, sack: [[10_001, 11_001]] });
  t.is(connection.info().dsacks, 1);
});

test('a super-segment counts as the segments it becomes', (t) => {
  const bench = TcpBench.established({ txSegmentBytes: 65_535 });
  const before = bench.connection.info().segmentsOut;
  bench.write(14_600);
  t.is(bench.take().length, 1);
  t.is(bench.connection.info().segmentsOut - before, 10);
  t.is(bench.connection.info().dataSegmentsOut, 10);
});

test('rates: what arrives per second, and the rate of pacing', (t) => {
  const link = { latencyMs: 20, kilobitsPerSecond: 20_000, queuePackets: 200 };
  const pair = new StackPair({
    sendRingBytes: 1 << 20,
    recvRingBytes: 1 << 20,
    forward: link,
    backward: link,
  });
  const { sender } = new BulkTransfer(pair, Infinity, 'bbr');
  pair.runFor(3000);
  const info = sender.info();
  const payloadBytesPerSecond = (20_000_000 / 8) * (1448 / 1500);
  t.true(
    Math.abs(info.deliveryBytesPerSecond / payloadBytesPerSecond - 1) < 0.1,
    `${info.deliveryBytesPerSecond}`,
  );
  t.true(info.pacingBytesPerSecond > 0.8 * payloadBytesPerSecond);
  t.is(info.maxPacingBytesPerSecond, -1);
  t.false(info.deliveryIsAppLimited);
  t.is(info.congestion, 'bbr');
  sender.maxPacingBytesPerMs = 500;
  pair.runFor(500);
  const before = sender.info().bytesOut;
  pair.runFor(2000);
  const rate = (sender.info().bytesOut - before) / 2;
  t.true(rate < 560_000 && rate > 440_000, `${rate}`);
  t.is(sender.info().pacingBytesPerSecond, 500_000);
});

test('reordering: the largest distance in segments, as Linux counts it; 3 before any', (t) => {
  const bench = TcpBench.established({ rttMs: 20, peer: { mss: MSS, sackPermitted: true } });
  const { connection } = bench;
  bench.write(10 * MSS);
  bench.wait(20);
  t.is(connection.info().reorderingSegments, 3);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[6001, 7001]] });
  // The second of ten was five behind
  bench.seg({
    flags: 'A',
    seq: 1,
    ack: 1,
    sack: [
      [1001, 2001],
      [6001, 7001],
    ],
  });
  t.is(connection.info().reorderings, 1);
  t.is(connection.info().reorderingSegments, 6);
  bench.seg({ flags: 'A', seq: 1, ack: 7001 });
  t.is(connection.info().reorderingSegments, 7, 'the first');
});

test('timeouts: how many, in how many rows, and how long those took', (t) => {
  const bench = TcpBench.established({ rttMs: 20, peer: { mss: MSS, sackPermitted: true } });
  const { connection } = bench;
  bench.write(MSS);
  bench.wait(700);
  let info = connection.info();
  t.deepEqual([info.timeouts, info.timeoutRecoveries], [2, 1]);
  bench.seg({ flags: 'A', seq: 1, ack: 1001 });
  info = connection.info();
  t.true(info.timeoutMs > 400 && info.timeoutMs < 500, `${info.timeoutMs}`);
  bench.wait(1000);
  t.is(connection.info().timeoutMs, info.timeoutMs);
  bench.write(MSS);
  bench.wait(400);
  t.is(connection.info().timeoutRecoveries, 2);
});

test('received: out of order, ECN-capable, marked; when data and when anything came', (t) => {
  const bench = TcpBench.established({ rttMs: 20, peer: { mss: MSS, sackPermitted: true } });
  bench.seg({ flags: 'A', seq: 101, ack: 1, data: 100 });
  bench.wait(30);
  bench.seg({ flags: 'A', seq: 1, ack: 1, data: 100 });
  bench.wait(40);
  bench.seg({ flags: 'A', seq: 201, ack: 1 });
  bench.wait(5);
  const info = bench.connection.info();
  t.is(info.segmentsOutOfOrder, 1);
  t.deepEqual([info.sinceDataReceivedMs, info.sinceReceivedMs], [45, 5]);
  t.deepEqual(
    [info.ectSeen, info.ceSegmentsIn, info.fastOpen, info.fastOpenFailure],
    [false, 0, false, 'none'],
  );
});
