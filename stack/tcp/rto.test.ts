import test from 'ava';
import { MAX_RTO_MS, RttEstimator } from './rto.ts';

// [RFC 6298 §2-2] [RFC 6298 §2-3] [RFC 6298 §2-4] [RFC 6298 §2-5]
test('the first measurement and the next follow RFC 6298 §2', (t) => {
  const rtt = new RttEstimator();
  t.is(rtt.rtoMs, 1000);
  rtt.sample(400);
  t.is(rtt.srttMs, 400);
  t.is(rtt.rttvarMs, 200);
  t.is(rtt.rtoMs, 1200);
  rtt.sample(800);
  t.is(rtt.rttvarMs, 250);
  t.is(rtt.srttMs, 450);
  t.is(rtt.rtoMs, 1450);
  t.is(rtt.minRttMs, 400);
});

// [RFC 6298 §4-1]
test('a steady path keeps 200 ms of reserve', (t) => {
  const rtt = new RttEstimator();
  for (let i = 0; i < 100; i++) rtt.sample(10);
  t.true(Math.abs(rtt.rtoMs - 210) < 0.01);
});

// [RFC 6298 §5-6] [RFC 6298 §2-7]
test('backing off doubles up to the limit', (t) => {
  const rtt = new RttEstimator();
  t.is(rtt.backedOffMs(3), 8000);
  t.is(rtt.backedOffMs(30), MAX_RTO_MS);
});
