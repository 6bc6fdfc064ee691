import test from 'ava';
import { BulkTransfer } from '../../testing/bulk-transfer.ts';
import { type LinkOptions, StackPair } from '../../testing/stack-pair.ts';
import { Bbr } from './bbr.ts';
import { BbrState } from './bbr-parameters.ts';

/** 100 Mbit/s and 40 ms: 345 packets are one bandwidth-delay product. */
const LINK = { latencyMs: 20, kilobitsPerSecond: 100_000, queuePackets: 340 };
const PAYLOAD_SHARE = 1448 / 1500;
const RING_BYTES = 1 << 22;

function pairOver(link: Partial<LinkOptions> = {}): StackPair {
  const pair = new StackPair({
    seed: 1,
    sendRingBytes: RING_BYTES,
    recvRingBytes: RING_BYTES,
    forward: { ...LINK, ...link },
    backward: LINK,
  });
  pair.traceLimit = 0;
  return pair;
}

function bbrOf(transfer: BulkTransfer): Bbr {
  const { cc } = transfer.sender;
  if (!(cc instanceof Bbr)) throw new Error(cc.name);
  return cc;
}

/** The states in their order, each as long as it lasts once. */
function statesOver(pair: StackPair, bbr: Bbr, forMs: number): BbrState[] {
  const states: BbrState[] = [];
  const end = pair.nowMs + forMs;
  do {
    if (bbr.state !== states.at(-1)) states.push(bbr.state);
  } while (pair.step(end));
  return states;
}

// [BBR §5.1-1]
test('startup finds the bandwidth, drain empties the queue, then probing goes round (§5.3)', (t) => {
  const pair = pairOver();
  const bbr = bbrOf(new BulkTransfer(pair, Infinity, 'bbr'));
  const states = statesOver(pair, bbr, 4000);
  const { Startup, Drain, ProbeBwDown, ProbeBwCruise, ProbeBwRefill, ProbeBwUp } = BbrState;
  // the first DOWN is over with the ACK that ends Drain: no queue is left
  const expected = [Startup, Drain, ProbeBwCruise, ProbeBwRefill, ProbeBwUp, ProbeBwDown, ProbeBwCruise];
  t.deepEqual(states.slice(0, 7), expected);
  const mbitPerSecond = (bbr.bandwidthBytesPerMs * 8) / 1000;
  t.true(Math.abs(mbitPerSecond - 100 * PAYLOAD_SHARE) < 2, `${mbitPerSecond}`);
  t.true(Math.abs(bbr.minRttMs - 40) < 1, `${bbr.minRttMs}`);
});

test('while cruising there is no queue, and the link is full', (t) => {
  const pair = pairOver();
  const transfer = new BulkTransfer(pair, Infinity, 'bbr');
  const bbr = bbrOf(transfer);
  pair.runUntil(() => bbr.state === BbrState.ProbeBwCruise, pair.nowMs + 5000);
  pair.runFor(400);
  t.is(bbr.state, BbrState.ProbeBwCruise);
  const before = transfer.receivedBytes;
  pair.runFor(400);
  t.true(transfer.sender.rtt.srttMs < 44, `${transfer.sender.rtt.srttMs}`);
  const share = ((transfer.receivedBytes - before) * 8) / (400 * 100_000 * PAYLOAD_SHARE);
  t.true(share > 0.96, `${share}`);
});

// [BBR §5.3.4-1] [BBR §5.5.7-1]
test('after five seconds without a shorter round trip there is a ProbeRTT of 200 ms at half the window (§5.3.4)', (t) => {
  const pair = pairOver();
  const transfer = new BulkTransfer(pair, Infinity, 'bbr');
  const bbr = bbrOf(transfer);
  pair.runFor(3000);
  t.true(pair.runUntil(() => bbr.state === BbrState.ProbeRtt, pair.nowMs + 6000));
  const began = pair.nowMs;
  let least: number = Infinity;
  while (bbr.state === BbrState.ProbeRtt && pair.step(began + 1000))
    least = Math.min(least, transfer.sender.inFlightBytes());
  const lasted = pair.nowMs - began;
  t.true(lasted >= 200 && lasted < 400, `${lasted}`);
  t.true(least / 1448 < 180 && least / 1448 > 100, `half of 333: ${least / 1448}`);
  t.is(bbr.state, BbrState.ProbeBwCruise);
});

test('1 % of random loss costs less than a fifth, where CUBIC is left with a twentieth', (t) => {
  const share = (congestion: string): number => {
    const pair = pairOver({ loss: 0.01 });
    const transfer = new BulkTransfer(pair, Infinity, congestion);
    pair.runFor(2000);
    const before = transfer.receivedBytes;
    pair.runFor(6000);
    return ((transfer.receivedBytes - before) * 8) / (6000 * 100_000 * PAYLOAD_SHARE);
  };
  const bbr = share('bbr');
  // The draft's own model (§5.3.3.5.3): in each round with a loss of x % the rate falls by x %, until the next probe
  t.true(bbr > 0.8, `${bbr}`);
  t.true(share('cubic') < 0.08);
});

test('a queue of a fifth of the product does not lose much: probing ends above 2 % (§5.5.10.2)', (t) => {
  const pair = pairOver({ queuePackets: 70 });
  const transfer = new BulkTransfer(pair, Infinity, 'bbr');
  pair.runFor(2000);
  const { rate } = transfer.sender.sent;
  const [delivered, lost] = [rate.deliveredBytes, rate.lostBytes];
  pair.runFor(6000);
  const share = (rate.lostBytes - lost) / (rate.deliveredBytes - delivered);
  t.true(share < 0.01, `${share}`);
  t.true(rate.deliveredBytes - delivered > 0.8 * 6 * 12_500_000 * PAYLOAD_SHARE);
});

test('half the bandwidth is noticed within two cycles', (t) => {
  const pair = pairOver();
  const transfer = new BulkTransfer(pair, Infinity, 'bbr');
  const bbr = bbrOf(transfer);
  pair.runFor(2000);
  pair.forward.options = { ...pair.forward.options, kilobitsPerSecond: 50_000 };
  pair.runFor(8000);
  const mbitPerSecond = (bbr.bandwidthBytesPerMs * 8) / 1000;
  t.true(mbitPerSecond < 55 && mbitPerSecond > 40, `${mbitPerSecond}`);
});

test('an application that sends now and then keeps its rate and its window (§5.4)', (t) => {
  const pair = pairOver();
  const transfer = new BulkTransfer(pair, 10_000_000, 'bbr');
  const bbr = bbrOf(transfer);
  pair.runUntil(() => transfer.receivedBytes === 10_000_000, pair.nowMs + 5000);
  const { cwndBytes } = bbr;
  pair.runFor(3000);
  t.is(bbr.cwndBytes, cwndBytes);
  t.true((bbr.bandwidthBytesPerMs * 8) / 1000 > 90);
});

test('two of them share a link', (t) => {
  const pair = pairOver();
  const first = new BulkTransfer(pair, Infinity, 'bbr', 7);
  pair.runFor(1000);
  const second = new BulkTransfer(pair, Infinity, 'bbr', 8);
  pair.runFor(6000);
  const before = [first.receivedBytes, second.receivedBytes];
  pair.runFor(10_000);
  const got = [first.receivedBytes - before[0]!, second.receivedBytes - before[1]!];
  const total = got[0]! + got[1]!;
  t.true((total * 8) / (10_000 * 100_000 * PAYLOAD_SHARE) > 0.85, `${total}`);
  for (const each of got) t.true(each / total > 0.25, `${got}`);
});

test('a timeout leaves one segment; the window comes back with the ACKs (§5.6.4.4)', (t) => {
  const pair = pairOver();
  const transfer = new BulkTransfer(pair, Infinity, 'bbr');
  const bbr = bbrOf(transfer);
  pair.runFor(1500);
  pair.forward.filter = () => 'drop';
  t.true(
    pair.runUntil(() => transfer.sender.backoff > 0, pair.nowMs + 2000),
    'RTO',
  );
  t.is(bbr.cwndBytes, transfer.sender.mss);
  pair.forward.filter = null;
  pair.runFor(2000);
  const before = transfer.receivedBytes;
  pair.runFor(1000);
  t.true(((transfer.receivedBytes - before) * 8) / 1_000_000 > 60, `${transfer.receivedBytes - before}`);
});
