import test from 'ava';
import { initialWindowBytes } from './congestion-control.ts';
import { Cubic } from './cubic.ts';
import { NewReno } from './newreno.ts';

const MSS = 1000;

// [RFC 6928 §2-1]
test('the initial window (RFC 6928 §2)', (t) => {
  t.deepEqual([1460, 1448, 9000, 536].map(initialWindowBytes), [14_600, 14_480, 18_000, 5360]);
});

for (const make of [() => new NewReno(), () => new Cubic()]) {
  const { name } = make();

  test(`${name}: slow start doubles per round trip, and only when the window is used`, (t) => {
    const cc = make();
    cc.start(MSS);
    for (let i = 0; i < 10; i++) cc.acked(MSS, 100, true, i);
    t.is(cc.cwndBytes, 20 * MSS);
    for (let i = 0; i < 10; i++) cc.acked(MSS, 100, false, i);
    t.is(cc.cwndBytes, 20 * MSS);
  });

  test(`${name}: a timeout leaves one segment, repeated ones keep ssthresh`, (t) => {
    const cc = make();
    cc.start(MSS);
    cc.timeout(10 * MSS, false, 0);
    t.is(cc.cwndBytes, MSS);
    const { ssthreshBytes } = cc;
    t.true(ssthreshBytes >= 5 * MSS && ssthreshBytes < 10 * MSS);
    cc.timeout(MSS, true, 100);
    t.is(cc.ssthreshBytes, ssthreshBytes);
  });

  test(`${name}: never less than two segments after congestion, one after an MSS change`, (t) => {
    const cc = make();
    cc.start(MSS);
    cc.congestion(100, false, 0);
    t.is(cc.cwndBytes, 2 * MSS);
    cc.timeout(100, false, 0);
    cc.setMss(3 * MSS);
    t.is(cc.cwndBytes, 3 * MSS);
  });
}

// [RFC 4821 §4-5] [RFC 4821 §4-6] [RFC 5681 §3.1-5]
test('another segment size makes cwnd larger neither in octets nor in segments', (t) => {
  for (const cc of [new NewReno(), new Cubic()]) {
    cc.start(MSS);
    cc.setMss(2 * MSS);
    t.is(cc.cwndBytes, 10 * MSS);
    cc.setMss(MSS / 2);
    t.is(cc.cwndBytes, 2.5 * MSS);
  }
});

// [RFC 9438 §4.7-1]
test('cubic: a second loss below the last maximum leaves room for others: W_max is 0.85 of cwnd (RFC 9438 §4.7)', (t) => {
  const cc = new Cubic();
  cc.start(MSS);
  cc.cwndBytes = 1000 * MSS;
  for (const before of [1000, 700]) {
    cc.congestion(before * MSS, false, 0);
    cc.recovered(0);
  }
  t.is(Math.round(cc.cwndBytes), 490 * MSS);
  // K = cbrt((595 - 490) / 0.4) = 6.4 s
  for (let now = 0; now <= 6400; now += 100) {
    const window = cc.cwndBytes;
    for (let acked = 0; acked < window; acked += 10 * MSS) cc.acked(10 * MSS, 100, true, now);
  }
  t.true(Math.abs(cc.cwndBytes / MSS - 595) < 5, `${cc.cwndBytes / MSS}`);
});

test('hystart: a train of ACKs that fills half a round trip ends slow start; paced, a whole one', (t) => {
  for (const [isPaced, trainMs] of [
    [false, 20],
    [true, 40],
  ] as const) {
    const cc = new Cubic();
    cc.start(MSS);
    cc.roundTrip(40, true, isPaced, 1000);
    let now = 1000;
    while (cc.ssthreshBytes === Infinity && now < 2000) cc.roundTrip(40, false, isPaced, ++now);
    t.is(now, 1000 + trainMs + 1);
  }
  const cc = new Cubic();
  cc.start(MSS);
  cc.roundTrip(40, true, false, 1000);
  for (let now = 1003; now < 1100; now += 3) cc.roundTrip(40, false, false, now);
  t.is(cc.ssthreshBytes, Infinity, 'ACKs with gaps are no train');
  const near = new Cubic();
  near.start(MSS);
  near.roundTrip(1, true, false, 1000);
  for (let now = 1001; now < 1050; now++) near.roundTrip(1, false, false, now);
  t.is(near.ssthreshBytes, Infinity, 'short round trips are left alone');
});

// [RFC 9438 §4.2-1]
test('cubic: time in which the application was the limit does not count (RFC 9438 §5.8)', (t) => {
  const grown = (idleMs: number): number => {
    const cc = new Cubic();
    cc.start(MSS);
    cc.cwndBytes = 100 * MSS;
    cc.congestion(100 * MSS, false, 0);
    for (let now = 0; now < 1000; now += 10) cc.acked(20 * MSS, 50, true, now);
    for (let now = 0; now < idleMs; now += 10) cc.acked(MSS, 50, false, 1000 + now);
    for (let now = 0; now < 1000; now += 10) cc.acked(20 * MSS, 50, true, 1000 + idleMs + now);
    return cc.cwndBytes;
  };
  t.true(Math.abs(grown(10_000) / grown(0) - 1) < 0.02, `${grown(10_000)} ${grown(0)}`);
});

// [RFC 5681 §3.1-8] [RFC 5681 §3.1-9]
test('newreno: halves, then one segment per round trip (RFC 5681 §3.1)', (t) => {
  const cc = new NewReno();
  cc.start(MSS);
  cc.congestion(20 * MSS, false, 0);
  cc.recovered(0);
  t.is(cc.cwndBytes, 10 * MSS);
  for (let i = 0; i < 10; i++) cc.acked(MSS, 100, true, i);
  t.is(cc.cwndBytes, 11 * MSS);
});

// [RFC 9438 §4.4-1] [RFC 9438 §4.5-1] [RFC 9438 §4.6-1] [RFC 9438 §4.6-2] [RFC 9438 §5.1-1]
test('cubic: to 0.7, back to W_max after K seconds, slow around it, faster beyond (RFC 9438 §4.2)', (t) => {
  const cc = new Cubic();
  const rttMs = 100;
  cc.start(MSS);
  cc.cwndBytes = 1000 * MSS;
  cc.congestion(1000 * MSS, false, 0);
  cc.recovered(0);
  t.is(cc.cwndBytes, 700 * MSS);
  // K = cbrt(W_max * (1 - 0.7) / 0.4) = 9.09 s
  const at = new Map<number, number>();
  for (let now = 0; now <= 16_000; now += rttMs) {
    const window = cc.cwndBytes;
    for (let acked = 0; acked < window; acked += 10 * MSS) cc.acked(10 * MSS, rttMs, true, now);
    at.set(now, cc.cwndBytes / MSS);
  }
  t.true(Math.abs((at.get(9000) ?? 0) - 1000) < 5, `${at.get(9000)}`);
  t.true((at.get(4000) ?? 0) > 930 && (at.get(4000) ?? 0) < 970, `${at.get(4000)}`);
  t.true((at.get(15_000) ?? 0) > 1070, `${at.get(15_000)}`);
});

// [RFC 9438 §4.3-1]
test('cubic: on short paths it is at least as fast as Reno (RFC 9438 §4.3)', (t) => {
  const cc = new Cubic();
  cc.start(MSS);
  cc.cwndBytes = 20 * MSS;
  cc.congestion(20 * MSS, false, 0);
  for (let now = 0; now < 100; now += 1) {
    const window = cc.cwndBytes;
    for (let acked = 0; acked < window; acked += MSS) cc.acked(MSS, 1, true, now);
  }
  t.true(cc.cwndBytes > 60 * MSS, `${cc.cwndBytes}`);
});

// [RFC 9406 §4.2-2] [RFC 9406 §4.2-3] [RFC 9406 §4.2-5] [RFC 9406 §4.3-1]
// [RFC 9438 §4.10-1] [RFC 9438 §4.10-2]
test('hystart++: longer round trips slow slow start down and then end it (RFC 9406 §4.2)', (t) => {
  const cc = new Cubic();
  cc.start(MSS);
  const round = (rttMs: number): void => {
    for (let i = 0; i < 10; i++) {
      cc.roundTrip(rttMs, i === 0, false, 0);
      cc.acked(MSS, rttMs, true, 0);
    }
  };
  round(100);
  round(100);
  t.is(cc.cwndBytes, 30 * MSS);
  // 100 / 8 more is the threshold; it shows with the eighth sample
  round(113);
  t.is(cc.cwndBytes, 30 * MSS + 7 * MSS + (3 * MSS) / 4);
  t.is(cc.ssthreshBytes, Infinity);
  for (let i = 0; i < 4; i++) round(120);
  t.is(cc.ssthreshBytes, Infinity);
  round(120);
  t.true(cc.ssthreshBytes < 50 * MSS);
});

// [RFC 9406 §4.2-4]
test('hystart++: goes back to slow start when the round trips were longer by accident', (t) => {
  const cc = new Cubic();
  cc.start(MSS);
  const round = (rttMs: number): void => {
    for (let i = 0; i < 10; i++) {
      cc.roundTrip(rttMs, i === 0, false, 0);
      cc.acked(MSS, rttMs, true, 0);
    }
  };
  round(100);
  round(120);
  round(100);
  const before = cc.cwndBytes;
  for (let i = 0; i < 8; i++) round(100);
  t.is(cc.cwndBytes, before + 80 * MSS);
  t.is(cc.ssthreshBytes, Infinity);
});

for (const make of [() => new NewReno(), () => new Cubic()]) {
  test(`${make().name}: a reduction that was a mistake is taken back (RFC 4015)`, (t) => {
    const cc = make();
    cc.start(MSS);
    cc.congestion(10 * MSS, false, 0);
    cc.undo();
    t.is(cc.cwndBytes, 10 * MSS);
    t.is(cc.ssthreshBytes, Infinity);
    cc.timeout(10 * MSS, false, 0);
    cc.timeout(10 * MSS, true, 0);
    cc.undo();
    t.is(cc.cwndBytes, 10 * MSS);
    t.is(cc.ssthreshBytes, Infinity);
  });
}

/** CUBIC on a path so short that the estimate for Reno is ahead: how much cwnd grows in each of so many round trips, in segments. */
function growthPerRound(cc: Cubic, rounds: number, from: number): number[] {
  const growth: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = cc.cwndBytes;
    const segments = Math.round(before / MSS);
    for (let i = 0; i < segments; i++) cc.acked(MSS, 1, true, from + round + i / segments);
    growth.push((cc.cwndBytes - before) / MSS);
  }
  return growth;
}

// [RFC 9438 §4.3-2]
test('cubic: the estimate for Reno grows by 0.53 of a segment per round trip, from the last cwnd on by one (RFC 9438 §4.3)', (t) => {
  const cc = new Cubic();
  cc.start(MSS);
  cc.cwndBytes = 40 * MSS;
  cc.congestion(40 * MSS, false, 0);
  cc.recovered(0);
  const growth = growthPerRound(cc, 60, 1);
  const early = growth.slice(2, 12);
  const late = growth.slice(40, 50);
  for (const one of early) t.true(Math.abs(one - 0.53) < 0.1, `${early}`);
  for (const one of late) t.true(Math.abs(one - 1) < 0.1, `${late}`);
});

// [RFC 9438 §4.8-1]
test('cubic: after a timeout the estimate for Reno begins at cwnd, when slow start is over (RFC 9438 §4.8)', (t) => {
  const cc = new Cubic();
  cc.start(MSS);
  cc.cwndBytes = 40 * MSS;
  cc.congestion(40 * MSS, false, 0);
  cc.recovered(0);
  growthPerRound(cc, 20, 1);
  cc.timeout(cc.cwndBytes, false, 30);
  while (cc.cwndBytes < cc.ssthreshBytes) cc.acked(MSS, 1, true, 31);
  const from = cc.cwndBytes;
  const [first = 0] = growthPerRound(cc, 1, 32);
  t.true(first > 0.3 && first < 0.7, `${first} segments from ${from} octets`);
});
