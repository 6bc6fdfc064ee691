import test from 'ava';
import { SentQueue } from './sent-queue.ts';
import { TcpBench } from './testing.ts';

/** Sends `count` pieces of 1000 bytes from `seq`, one per millisecond from `now` on. */
function send(queue: SentQueue, seq: number, count: number, now: number, inFlight = 0): void {
  for (let i = 0; i < count; i++) {
    const start = seq + i * 1000;
    queue.push(start, start + 1000, now + i, inFlight + i * 1000);
  }
}

function ack(queue: SentQueue, to: number, now: number): void {
  queue.beginAck(now);
  queue.ackTo(to);
  queue.rate.generate(10);
}

// [BBR §4.1-1]
test('the rate is what was delivered over the longer of the time to send and the time of the ACKs (§4.1.1.2)', (t) => {
  const queue = new SentQueue();
  send(queue, 0, 10, 100);
  const { rate } = queue;
  ack(queue, 1000, 140);
  t.is(rate.sampleBytes, 1000);
  t.is(rate.intervalMs, 40);
  t.is(rate.bytesPerMs, 25);
  // sent one per millisecond, and the ACKs come one per 4 ms
  for (let i = 2; i <= 10; i++) ack(queue, i * 1000, 140 + 4 * (i - 1));
  t.is(rate.deliveredBytes, 10_000);
  send(queue, 10_000, 10, 200, 1);
  for (let i = 1; i <= 10; i++) ack(queue, 10_000 + i * 1000, 240 + 4 * i);
  // the last piece was sent after 10,000 were delivered, at 176
  t.is(rate.priorDelivered, 10_000);
  t.is(rate.sampleBytes, 10_000);
  t.is(rate.intervalMs, 280 - 176);
});

// [BBR §4.1.3-2]
test('an ACK that comes sooner than a round trip can gives no rate', (t) => {
  const queue = new SentQueue();
  send(queue, 0, 1, 100);
  ack(queue, 1000, 105);
  t.true(queue.rate.hasSample);
  t.is(queue.rate.bytesPerMs, 0);
});

test('pieces that are sent while the application has nothing more are marked, until they have arrived (§4.1.2.4)', (t) => {
  const queue = new SentQueue();
  const { rate } = queue;
  send(queue, 0, 2, 100);
  rate.markAppLimited(2000);
  send(queue, 2000, 1, 110, 2000);
  ack(queue, 2000, 140);
  t.false(rate.isAppLimited, 'these were sent before');
  ack(queue, 3000, 150);
  t.true(rate.isAppLimited);
  t.is(rate.appLimitedTo, 0, 'the bubble has passed');
});

// [BBR §4.1.3-1]
test('BBR asks for SACK and timestamps, and what SACK reports is delivered', (t) => {
  const bench = TcpBench.synSent({ connect: { congestion: 'bbr' } });
  const [syn] = bench.take();
  t.true(syn?.options.sackPermitted);
  t.true(syn?.options.hasTimestamps);
  bench.wait(50);
  bench.seg({ flags: 'SA', seq: 0, ack: 1, mss: 1000, sackPermitted: true });
  bench.take();
  bench.write(4000);
  bench.wait(50);
  bench.seg({ flags: 'A', seq: 1, ack: 1, sack: [[1001, 3001]] });
  const { rate } = bench.connection.sent;
  t.is(rate.deliveredBytes, 2000);
  t.true(rate.bytesPerMs > 0);
});

test('a piece that is sent again counts from then on; its loss is counted', (t) => {
  const queue = new SentQueue();
  const lost: number[][] = [];
  queue.lossObserver = {
    pieceLost: (start, bytes, txInFlight, lostSince) => lost.push([start, bytes, txInFlight, lostSince]),
  };
  send(queue, 0, 4, 100);
  queue.beginAck(150);
  queue.markSacked(1000, 4000);
  queue.rate.generate(10);
  t.is(queue.rate.deliveredBytes, 3000);
  queue.markHeadLost(1000);
  t.deepEqual(lost, [[0, 1000, 1000, 1000]]);
  queue.retransmitted(queue.first, 160, 0);
  ack(queue, 4000, 200);
  t.is(queue.rate.deliveredBytes, 4000);
  t.is(queue.rate.sampleBytes, 1000);
  t.is(queue.rate.intervalMs, 40);
  t.is(queue.rate.lostSinceBytes, 0);
});

// [BBR §2.2-1] [BBR §2.2-2]
test('neither headers nor pure ACKs count as sent or delivered', (t) => {
  const bench = TcpBench.established();
  const { connection } = bench;
  for (let seq = 1; seq < 4000; seq += 1000) bench.seg({ flags: 'PA', seq, ack: 1, data: 1000 });
  t.true(bench.take().length > 0, 'there were ACKs');
  t.is(connection.sent.rate.deliveredBytes, 0);
  t.is(connection.info().bytesSent, 0);
  bench.write(1000);
  bench.wait(10);
  bench.seg({ flags: 'A', seq: 4001, ack: 1001 });
  t.is(connection.sent.rate.deliveredBytes, 1000);
});
