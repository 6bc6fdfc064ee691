import test from 'ava';
import { TcpConnection } from './connection.ts';
import { DELAYED_ACK_MS } from './delayed-ack.ts';
import { brief, TcpBench } from './testing.ts';

test('delayed ACK: one segment waits, the second is acknowledged [SHLD-18] [SHLD-19] [MUST-40]', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'A', seq: 1, ack: 1, data: 1460 });
  t.deepEqual(bench.take(), []);
  bench.wait(DELAYED_ACK_MS);
  t.deepEqual(brief(bench.take()), ['A 1 ack 1461 len 0']);
  bench.seg({ flags: 'A', seq: 1461, ack: 1, data: 1460 });
  t.deepEqual(bench.take(), []);
  bench.seg({ flags: 'A', seq: 2921, ack: 1, data: 1460 });
  t.deepEqual(brief(bench.take()), ['A 1 ack 4381 len 0']);
  bench.wait(1000);
  t.deepEqual(bench.take(), [], 'the timer was stopped');
});

test('one ACK answers a batch [MUST-58] [MUST-59]', (t) => {
  const bench = TcpBench.established();
  bench.batch(
    { flags: 'A', seq: 1, ack: 1, data: 1460 },
    { flags: 'A', seq: 1461, ack: 1, data: 1460 },
    { flags: 'A', seq: 2921, ack: 1, data: 1460 },
    { flags: 'A', seq: 4381, ack: 1, data: 1460 },
  );
  t.deepEqual(brief(bench.take()), ['A 1 ack 5841 len 0']);
});

test('a coalesced packet counts as the segments it was', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'A', seq: 1, ack: 1, data: 8000 });
  t.deepEqual(brief(bench.take()), ['A 1 ack 8001 len 0']);
});

test('data takes the ACK along', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'question' });
  bench.write('answer');
  t.deepEqual(brief(bench.take()), ['PA 1 ack 9 len 6']);
  bench.wait(100);
  t.deepEqual(bench.take(), []);
});

test('a gap is acknowledged at once, with SACK, and filled from what was kept [SHLD-31] [MAY-13]', (t) => {
  const bench = TcpBench.established({ peer: { sackPermitted: true } });
  bench.seg({ flags: 'A', seq: 4, ack: 1, data: 'def' });
  bench.seg({ flags: 'A', seq: 10, ack: 1, data: 'jkl' });
  const seen = bench.take();
  t.deepEqual(brief(seen), ['A 1 ack 1 len 0', 'A 1 ack 1 len 0']);
  t.deepEqual(seen[1]?.sack, [
    [10, 13],
    [4, 7],
  ]);
  bench.seg({ flags: 'A', seq: 1, ack: 1, data: 'abc' });
  const [filled] = bench.take();
  t.is(filled?.ack, 7);
  t.deepEqual(filled?.sack, [[10, 13]]);
  bench.seg({ flags: 'A', seq: 7, ack: 1, data: 'ghi' });
  t.deepEqual(brief(bench.take()), ['A 1 ack 13 len 0']);
  t.is(bench.read(), 'abcdefghijkl');
});

test('without SACK every segment out of order gets its duplicate ACK, in a batch too (RFC 5681 §4.2)', (t) => {
  const bench = TcpBench.established();
  bench.batch(
    { flags: 'A', seq: 11, ack: 1, data: 10 },
    { flags: 'A', seq: 21, ack: 1, data: 10 },
    { flags: 'A', seq: 31, ack: 1, data: 10 },
  );
  t.deepEqual(brief(bench.take()), Array(3).fill('A 1 ack 1 len 0'));
});

test('a duplicate is reported first (RFC 2883)', (t) => {
  const bench = TcpBench.established({ peer: { sackPermitted: true } });
  bench.seg({ flags: 'A', seq: 1, ack: 1, data: 10 });
  bench.seg({ flags: 'A', seq: 21, ack: 1, data: 10 });
  bench.take();
  bench.seg({ flags: 'A', seq: 1, ack: 1, data: 10 });
  t.deepEqual(bench.take()[0]?.sack, [
    [1, 11],
    [21, 31],
  ]);
  bench.seg({ flags: 'A', seq: 21, ack: 1, data: 10 });
  t.deepEqual(bench.take()[0]?.sack, [
    [21, 31],
    [21, 31],
  ]);
});

test('the window closes as the ring fills, never shrinks, and is told when it opens [SHLD-14] [MUST-39]', (t) => {
  const bench = TcpBench.established({ recvRingBytes: 8192 });
  const edge = (): number => bench.connection.rcvAdv;
  let before = edge();
  let seq = 1;
  for (let i = 0; i < 5; i++) {
    bench.seg({ flags: 'A', seq, ack: 1, data: 1460 });
    seq += 1460;
    t.true(((edge() - before) | 0) >= 0);
    before = edge();
  }
  bench.wait(100);
  const [closed] = bench.take().slice(-1);
  t.true(closed!.win < 1460);
  bench.read(100);
  t.deepEqual(bench.take(), [], 'a hundred bytes are not worth a segment');
  bench.read();
  const [opened] = bench.take();
  t.true(opened!.win > 6000);
});

test('a limit lowered after our SYN takes nothing back of what the SYN has offered [SHLD-14]', (t) => {
  const bench = TcpBench.synSent({ peer: { windowShift: 0 } });
  const [syn] = bench.take();
  const offered = syn!.win;
  bench.connection.recvLimitBytes = 2000;
  bench.seg({ flags: 'SA', seq: 0, ack: 1, mss: 1460 });
  const [ack] = bench.take();
  t.is(brief([ack!])[0], 'A 1 ack 1 len 0');
  t.is(ack!.win, offered);
  // The edge stays, the window goes with what arrives
  bench.seg({ flags: 'A', seq: 1, ack: 1, data: 1460 });
  bench.seg({ flags: 'A', seq: 1461, ack: 1, data: 1460 });
  t.is(bench.take().at(-1)!.win, offered - 2920);
});

test('… nor what an earlier SYN-ACK has, nor a SYN that crossed the other one', (t) => {
  const passive = new TcpBench();
  passive.listen(80);
  passive.seg({ flags: 'S', seq: 0, mss: 1460 });
  const [first] = passive.take();
  for (const flow of passive.stack.tcp.table) if (flow instanceof TcpConnection) flow.recvLimitBytes = 2000;
  passive.wait(1100);
  const [again] = passive.take();
  t.is(again!.flags, 'SA');
  t.is(again!.win, first!.win);

  const crossed = TcpBench.synSent();
  const [syn] = crossed.take();
  crossed.connection.recvLimitBytes = 2000;
  crossed.seg({ flags: 'S', seq: 0, mss: 1460 });
  const [answer] = crossed.take();
  t.is(answer!.flags, 'SA');
  t.is(answer!.win, syn!.win);
});

test('at a window of zero text is refused, but ACK and RST count [MUST-66]', (t) => {
  const bench = TcpBench.established({ recvRingBytes: 2048, peer: { windowShift: 0 } });
  bench.write(100);
  let seq = 1;
  while (bench.connection.recvRing!.freeBytes > 127) {
    const length = Math.min(1000, bench.connection.recvRing!.freeBytes - 127);
    bench.seg({ flags: 'A', seq, ack: 1, data: length });
    seq += length;
  }
  bench.wait(100);
  t.is(bench.take().at(-1)?.win, 0);
  const free = bench.connection.recvRing!.freeBytes;
  bench.seg({ flags: 'A', seq, ack: 101, data: 200 });
  t.is(bench.connection.sndUna, bench.connection.sndNxt, 'the ACK was taken');
  t.true(bench.connection.recvRing!.freeBytes >= 0 && free - bench.connection.recvRing!.freeBytes <= 127);
  t.is(bench.take().at(-1)?.win, 0);
});

test('text that wraps around the ring is put together', (t) => {
  const bench = TcpBench.established({ recvRingBytes: 4096 });
  let seq = 1;
  for (let i = 0; i < 12; i++) {
    const text = String.fromCharCode(97 + i).repeat(700);
    bench.seg({ flags: 'A', seq: seq + 350, ack: 1, data: text.slice(350) });
    bench.seg({ flags: 'A', seq, ack: 1, data: text.slice(0, 350) });
    seq += 700;
    t.is(bench.read(), text);
  }
});

test('reassembly is bounded', (t) => {
  const bench = TcpBench.established({ peer: { sackPermitted: true } });
  for (let i = 0; i < 200; i++) bench.seg({ flags: 'A', seq: 3 + 2 * i, ack: 1, data: 'x' });
  t.is(bench.connection.assembler.count, 128);
  t.is(bench.stack.tcp.counters.reassemblyOverflows, 72);
});

test('the first arrivals of data are acknowledged at once, the later ones as ever', (t) => {
  const bench = TcpBench.established({ quickAcks: 3 });
  const acks: number[] = [];
  for (let i = 0; i < 5; i++) {
    bench.seg({ flags: 'A', seq: 1 + 100 * i, ack: 1, data: 100 });
    for (const seg of bench.take()) acks.push(seg.ack);
  }
  t.deepEqual(acks, [101, 201, 301]);
  bench.wait(40);
  t.deepEqual(
    bench.take().map((seg) => seg.ack),
    [501],
  );
});

test('quick ACKs end when the application answers: its data takes the ACKs along', (t) => {
  const bench = TcpBench.established({ quickAcks: 16 });
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'one' });
  t.deepEqual(brief(bench.take()), ['A 1 ack 4 len 0']);
  bench.write('answer');
  bench.take();
  bench.seg({ flags: 'PA', seq: 4, ack: 7, data: 'two' });
  t.deepEqual(bench.take(), []);
  bench.write('answer');
  t.deepEqual(brief(bench.take()), ['PA 7 ack 7 len 6']);
});
