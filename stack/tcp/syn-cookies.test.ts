import test from 'ava';
import { MAX_SYN_BACKLOG } from './listener.ts';
import { TcpState } from './tcp-state.ts';
import { brief, type SeenSegment, type SegmentFields, TcpBench } from './testing.ts';

const SYN: SegmentFields = {
  flags: 'S',
  seq: 0,
  mss: 1440,
  windowShift: 5,
  sackPermitted: true,
  ts: [1000, 0],
};

/** A listener that keeps nothing of any SYN. */
function bench(backlog = 8): TcpBench {
  const made = new TcpBench();
  made.stack.tcp.settings.synCookies = 'always';
  made.listener = made.listen(80, backlog);
  return made;
}

function synAck(b: TcpBench, fields: SegmentFields = SYN): SeenSegment {
  b.seg(fields);
  const sent = b.take();
  if (sent.length !== 1) throw new Error(`${sent.length} answers`);
  return sent[0]!;
}

test('the ACK of the handshake brings the connection back, with all that was agreed on', (t) => {
  const b = bench();
  const answer = synAck(b);
  t.is(answer.flags, 'SA');
  t.is(answer.ack, 1);
  t.is(b.stack.tcp.table.size, 0, 'nothing is kept');
  b.wait(100);
  b.seg({
    flags: 'PA',
    seq: 1,
    ack: answer.seq + 1,
    win: 100,
    data: 'hello',
    ts: [1001, answer.options.tsVal],
  });
  const connection = b.accept(b.listener);
  t.is(connection.state, TcpState.Established);
  t.is(b.read(), 'hello');
  t.is(connection.peerMss, 1440);
  t.is(connection.sndShift, 5);
  t.is(connection.sndWnd, 100 << 5);
  t.true(connection.sackOk);
  t.true(connection.tsOk);
  b.write('world');
  const [data] = b.take().filter((segment) => segment.length > 0);
  t.is(data?.seq, answer.seq + 1);
  t.is(data?.ack, 6);
  t.is(data?.options.tsEcr, 1001);
  t.like(b.stack.tcp.counters, { synCookiesSent: 1, synCookiesTaken: 1, synCookiesFailed: 0 });
});

test('without timestamps there is no place for window scale and SACK: they are not offered', (t) => {
  const b = bench();
  const answer = synAck(b, { flags: 'S', seq: 0, mss: 1000, windowShift: 5, sackPermitted: true });
  t.is(answer.options.windowShift, -1);
  t.false(answer.options.sackPermitted);
  b.seg({ flags: 'A', seq: 1, ack: answer.seq + 1 });
  const connection = b.accept(b.listener);
  t.is(connection.peerMss, 536, 'rounded down');
  t.false(connection.scaleOk || connection.sackOk || connection.tsOk);
});

test('an MSS is never rounded up', (t) => {
  for (const [mss, expected] of [
    [64, 64],
    [535, 64],
    [536, 536],
    [1459, 1440],
    [1460, 1460],
    [9000, 8960],
  ] as const) {
    const b = bench();
    const answer = synAck(b, { flags: 'S', seq: 0, mss });
    b.seg({ flags: 'A', seq: 1, ack: answer.seq + 1 });
    t.is(b.accept(b.listener).peerMss, expected);
  }
});

test('an ACK that was not invited is reset: a wrong cookie, another port, another sequence number', (t) => {
  const b = bench();
  const answer = synAck(b);
  const ack = answer.seq + 1;
  b.seg({ flags: 'A', seq: 1, ack: ack ^ 0x10 });
  b.seg({ flags: 'A', seq: 2, ack });
  b.peerPort++;
  b.seg({ flags: 'A', seq: 1, ack });
  t.deepEqual(
    b.take().map((segment) => segment.flags),
    ['R', 'R', 'R'],
  );
  t.is(b.listener.accept(), null);
  t.is(b.stack.tcp.counters.synCookiesFailed, 3);
  t.is(b.stack.tcp.table.size, 0);
});

test('a cookie grows old', (t) => {
  const b = bench();
  const answer = synAck(b);
  b.wait(129_000);
  synAck(b);
  b.seg({ flags: 'A', seq: 1, ack: answer.seq + 1 });
  t.deepEqual(
    brief(b.take()).map((line) => line[0]),
    ['R'],
  );
});

test('nothing is sent again: one answer for each SYN', (t) => {
  const b = bench();
  synAck(b);
  b.wait(300_000);
  t.deepEqual(b.take(), []);
});

test('a full accept queue drops the ACK, and the data that follows is taken when there is room', (t) => {
  const b = bench(1);
  const answers = [50_001, 50_002].map((port) => {
    b.peerPort = port;
    return synAck(b);
  });
  for (const [i, answer] of answers.entries()) {
    b.peerPort = 50_001 + i;
    b.seg({ flags: 'A', seq: 1, ack: answer.seq + 1, ts: [1001, answer.options.tsVal] });
  }
  t.deepEqual(b.take(), []);
  t.is(b.stack.tcp.counters.listenOverflows, 1);
  t.not(b.listener.accept(), null);
  t.is(b.listener.accept(), null);
  const ts = [1002, answers[1]!.options.tsVal] as const;
  b.seg({ flags: 'PA', seq: 1, ack: answers[1]!.seq + 1, data: 'late', ts });
  b.accept(b.listener);
  t.is(b.read(), 'late');
});

test('a flood of SYNs fills the queue, and others are served all the same; none is answered more than a few times', (t) => {
  const b = new TcpBench();
  b.listener = b.listen(80);
  for (let i = 0; i < MAX_SYN_BACKLOG; i++) {
    b.peerPort = 1000 + i;
    b.seg(SYN);
  }
  t.is(b.stack.tcp.counters.synCookiesSent, 0);
  t.is(b.take().length, MAX_SYN_BACKLOG);
  b.peerPort = 40_000;
  const answer = synAck(b);
  t.is(b.stack.tcp.counters.synBacklogOverflows, 1);
  b.seg({ flags: 'A', seq: 1, ack: answer.seq + 1, ts: [1001, answer.options.tsVal] });
  t.is(b.accept(b.listener).state, TcpState.Established);
  b.take();
  b.wait(600_000);
  t.is(b.take().length, 5 * MAX_SYN_BACKLOG, 'five repetitions of each SYN-ACK that was kept');
  t.is(b.stack.tcp.table.size, 1);
});

test("'never': a full queue drops SYNs", (t) => {
  const b = new TcpBench();
  b.stack.tcp.settings.synCookies = 'never';
  b.listener = b.listen(80);
  for (let i = 0; i <= MAX_SYN_BACKLOG; i++) {
    b.peerPort = 1000 + i;
    b.seg(SYN);
  }
  t.is(b.take().length, MAX_SYN_BACKLOG);
});
