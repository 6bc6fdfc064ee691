import test from 'ava';
import { TcpState } from './tcp-state.ts';
import { brief, TcpBench } from './testing.ts';

test('Nagle: a short segment waits while anything is unacknowledged [SHLD-7]', (t) => {
  const bench = TcpBench.established();
  bench.write('a');
  bench.write('b');
  bench.write('c');
  t.deepEqual(brief(bench.take()), ['PA 1 ack 1 len 1']);
  bench.seg({ flags: 'A', seq: 1, ack: 2 });
  t.deepEqual(brief(bench.take()), ['PA 2 ack 1 len 2']);
  bench.write(1460);
  t.deepEqual(brief(bench.take()), ['PA 4 ack 1 len 1460']);
});

test('without Nagle every write goes at once [MUST-17]', (t) => {
  const bench = TcpBench.established({ connect: { noDelay: true } });
  bench.write('a');
  bench.write('b');
  t.deepEqual(brief(bench.take()), ['PA 1 ack 1 len 1', 'PA 2 ack 1 len 1']);
});

test('PSH marks the last segment of what is queued [MUST-61] [SHLD-28]', (t) => {
  const bench = TcpBench.established();
  bench.write(3000);
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 1460', 'A 1461 ack 1 len 1460']);
  bench.connection.shutdown();
  bench.settle();
  t.deepEqual(brief(bench.take()), ['FPA 2921 ack 1 len 80']);
});

test('the effective MSS is the least of peer, path and options [MUST-14] [MUST-15] [MUST-16]', (t) => {
  for (const [peer, family, length] of [
    [{ mss: 1000 }, 4, 1000],
    [{ mss: 9000 }, 4, 1460],
    [{ mss: undefined }, 4, 536],
    [{ mss: undefined }, 6, 1220],
    [{ mss: 1460, ts: [1, 0] }, 4, 1448],
    [{ mss: 0 }, 4, 48],
  ] as const) {
    const { mss, ...rest } = peer as { mss?: number; ts?: [number, number] };
    const bench = TcpBench.established({
      family,
      peer: mss === undefined ? { rawOptions: new Uint8Array(0) } : { mss, ...rest },
    });
    bench.write(5000);
    t.is(bench.take()[0]?.length, length);
  }
});

test('the initial window is ten segments (RFC 6928)', (t) => {
  const bench = TcpBench.established();
  bench.write(40_000);
  t.is(bench.take().length, 10);
});

test('super-segments: one packet, cut by the device into full segments', (t) => {
  const bench = TcpBench.established({ txSegmentBytes: 65_535 });
  bench.write(40_000);
  const seen = bench.take();
  t.deepEqual(brief(seen), ['A 1 ack 1 len 14600']);
  t.is(seen[0]?.gsoBytes, 1460);
  bench.seg({ flags: 'A', seq: 1, ack: 14_601 });
  t.deepEqual(brief(bench.take()), ['PA 14601 ack 1 len 25400']);
});

test('a payload that wraps around the ring goes out in one packet', (t) => {
  const bench = TcpBench.established({ sendRingBytes: 4096 });
  let at = 1;
  for (let i = 0; i < 9; i++) {
    const text = String.fromCharCode(97 + i).repeat(1000);
    bench.write(text);
    const [seen] = bench.take();
    t.is(seen?.text, text);
    at += 1000;
    bench.seg({ flags: 'A', seq: 1, ack: at });
  }
});

// [RFC 7323 §2.4-4]
test('the window is not overrun, and opens with updates', (t) => {
  const bench = TcpBench.established({ peer: { win: 3000 } });
  bench.write(10_000);
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 1460', 'A 1461 ack 1 len 1460'], 'no silly rest of 80');
  bench.seg({ flags: 'A', seq: 1, ack: 2921, win: 1460 });
  t.deepEqual(brief(bench.take()), ['A 2921 ack 1 len 1460']);
});

test('a window of half the largest is used, a smaller one is not until the override [MUST-38]', (t) => {
  const bench = TcpBench.established({ peer: { win: 1000 } });
  bench.write(2000);
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 1000']);
  bench.seg({ flags: 'A', seq: 1, ack: 1001, win: 500 });
  t.deepEqual(brief(bench.take()), ['A 1001 ack 1 len 500']);
  bench.seg({ flags: 'A', seq: 1, ack: 1501, win: 499 });
  t.deepEqual(bench.take(), []);
  bench.wait(300);
  t.deepEqual(brief(bench.take()), ['A 1501 ack 1 len 499']);
});

test('zero window: probes of one octet, backing off, as long as they are answered [MUST-36] [MUST-37] [SHLD-29] [SHLD-30]', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'A', seq: 1, ack: 1, win: 0 });
  bench.write('xyz');
  t.deepEqual(bench.take(), []);
  let last = bench.now;
  const gaps: number[] = [];
  for (let i = 0; i < 12; i++) {
    while (bench.stack.nextDeadline() !== Infinity) {
      bench.wait(bench.stack.nextDeadline() - bench.now);
      const [probe] = bench.take();
      if (probe === undefined) continue;
      t.deepEqual(brief([probe]), ['A 1 ack 1 len 1']);
      t.is(probe.comment, 'zero-window probe');
      gaps.push(probe.atMs - last);
      last = probe.atMs;
      break;
    }
    bench.seg({ flags: 'A', seq: 1, ack: 1, win: 0 });
  }
  t.is(gaps[0], 200);
  for (let i = 1; i < gaps.length; i++) t.is(gaps[i], Math.min(gaps[i - 1]! * 2, 120_000));
  bench.seg({ flags: 'A', seq: 1, ack: 1, win: 1000 });
  t.deepEqual(brief(bench.take()), ['PA 1 ack 1 len 3']);
});

test('a probe that is taken counts', (t) => {
  const bench = TcpBench.established({ peer: { win: 0 } });
  bench.write('xyz');
  bench.wait(200);
  t.is(bench.take().length, 1);
  bench.seg({ flags: 'A', seq: 1, ack: 2, win: 0 });
  bench.wait(200);
  t.deepEqual(brief(bench.take()), ['A 2 ack 1 len 1']);
  bench.seg({ flags: 'A', seq: 1, ack: 3, win: 100 });
  t.deepEqual(brief(bench.take()), ['PA 3 ack 1 len 1']);
  bench.seg({ flags: 'A', seq: 1, ack: 4, win: 100 });
  t.is(bench.connection.info().bytesOut, 3);
});

test('unanswered probes end the connection', (t) => {
  const bench = TcpBench.established({ peer: { win: 0 } });
  bench.write('xyz');
  bench.wait(3_600_000);
  t.is(bench.connection.error, 'TIMEOUT');
  t.is(bench.stack.nextDeadline(), Infinity);
});

test('a peer that keeps its window closed cannot keep a closed socket for ever', (t) => {
  const bench = TcpBench.established({ peer: { win: 0 } });
  bench.write('xyz');
  bench.connection.close();
  for (let i = 0; i < 100 && bench.connection.state !== TcpState.Closed; i++) {
    bench.wait(60_000);
    bench.seg({ flags: 'A', seq: 1, ack: 1, win: 0 });
  }
  t.is(bench.connection.error, 'TIMEOUT');
});

test('a FIN alone gets through a closed window', (t) => {
  const bench = TcpBench.established({ peer: { win: 0 } });
  bench.connection.shutdown();
  bench.settle();
  t.deepEqual(bench.take(), []);
  bench.wait(200);
  t.deepEqual(brief(bench.take()), ['FA 1 ack 1 len 0']);
  bench.seg({ flags: 'A', seq: 1, ack: 2, win: 0 });
  t.is(bench.connection.state, TcpState.FinWait2);
});

test('a window that shrinks holds new data back and is survived [MUST-34] [SHLD-15]', (t) => {
  const bench = TcpBench.established();
  bench.write(20_000);
  t.is(bench.take().length, 10);
  bench.seg({ flags: 'A', seq: 1, ack: 1461, win: 2000 });
  t.deepEqual(bench.take(), []);
  bench.seg({ flags: 'A', seq: 1, ack: 14_601, win: 2000 });
  t.deepEqual(brief(bench.take()), ['A 14601 ack 1 len 1460']);
});

test('the window field is unsigned and scaled [MUST-1]', (t) => {
  const bench = TcpBench.established({ peer: { windowShift: 3, sackPermitted: true } });
  bench.seg({ flags: 'A', seq: 1, ack: 1, win: 0xf000 });
  t.is(bench.connection.sndWnd, 0xf000 * 8);
});

test('a device that is full gets everything later', (t) => {
  const bench = TcpBench.established();
  bench.room = 1;
  bench.write(5000);
  t.is(bench.take().length, 1);
  bench.room = Infinity;
  bench.settle();
  t.deepEqual(brief(bench.take()), ['A 1461 ack 1 len 1460', 'A 2921 ack 1 len 1460']);
});

// [RFC 5681 §4.1-1]
test('after an idle time sending begins with the initial window again (RFC 5681 §4.1)', (t) => {
  const bench = TcpBench.established({ sendRingBytes: 131_072, peer: { windowShift: 7 } });
  let ack = 1;
  bench.write(100_000);
  for (let seen = bench.take(); seen.length > 0; seen = bench.take()) {
    for (const seg of seen) ack = Math.max(ack, seg.seq + seg.length);
    bench.seg({ flags: 'A', seq: 1, ack, win: 2000 });
  }
  t.true(bench.connection.cc.cwndBytes > 50_000);
  bench.wait(10_000);
  bench.write(100_000);
  t.is(bench.take().length, 10);
});

// [RFC 7661 §4.4-3]
// [RFC 2861 §3-3]
test('slow start goes on while half of cwnd is in use (RFC 7661 §4.1), and not with less', (t) => {
  for (const [segments, grows] of [
    [10, true],
    [6, true],
    [4, false],
  ] as const) {
    const bench = TcpBench.established();
    const before = bench.connection.cc.cwndBytes;
    bench.write(segments * 1460);
    bench.seg({ flags: 'A', seq: 1, ack: 1 + 2 * 1460 });
    t.is(bench.connection.cc.cwndBytes > before, grows, `${segments} segments`);
  }
});
