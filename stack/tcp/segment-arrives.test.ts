import test from 'ava';
import { EndpointEvent } from '../endpoint.ts';
import { TcpState } from './tcp-state.ts';
import { brief, TcpBench } from './testing.ts';

// ------------------------------------------------------------------ CLOSED (RFC 9293 §3.10.7.1)

test('CLOSED: a segment without ACK gets <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>', (t) => {
  const bench = new TcpBench({ iss: 0 });
  bench.ownPort = 9;
  bench.seg({ flags: 'S', seq: 0, data: 'abc' });
  t.deepEqual(brief(bench.take()), ['RA 0 ack 4 len 0']);
});

test('CLOSED: a segment with ACK gets <SEQ=SEG.ACK><CTL=RST>', (t) => {
  const bench = new TcpBench({ iss: 0 });
  bench.ownPort = 9;
  bench.seg({ flags: 'A', seq: 10, ack: 77 });
  t.deepEqual(brief(bench.take()), ['R 77 ack 0 len 0']);
});

test('CLOSED: a reset is not answered', (t) => {
  const bench = new TcpBench();
  bench.ownPort = 9;
  bench.seg({ flags: 'R', seq: 10 });
  bench.seg({ flags: 'RA', seq: 10, ack: 1 });
  t.deepEqual(bench.take(), []);
});

// ------------------------------------------------------------------ LISTEN (RFC 9293 §3.10.7.2)

test('LISTEN: RST is ignored, ACK is reset, SYN is answered, anything else is dropped', (t) => {
  const bench = new TcpBench();
  const listener = bench.listen(80);
  bench.seg({ flags: 'R', seq: 0 });
  bench.seg({ flags: '', seq: 0, data: 'x' });
  t.deepEqual(bench.take(), []);
  bench.seg({ flags: 'A', seq: 5, ack: 9 });
  t.deepEqual(brief(bench.take()), ['R 9 ack 0 len 0']);
  bench.seg({ flags: 'S', seq: 0, mss: 1000, windowShift: 2, sackPermitted: true, ts: [5, 0] });
  const [synAck] = bench.take();
  t.deepEqual(brief([synAck!]), ['SA 0 ack 1 len 0']);
  t.is(synAck?.options.mssBytes, 1460);
  t.true(synAck?.options.sackPermitted);
  t.is(synAck?.options.tsEcr, 5);
  t.true((synAck?.options.windowShift ?? -1) >= 0);
  t.is(listener.accept(), null);
});

test('LISTEN: options that were not offered are not answered', (t) => {
  const bench = new TcpBench();
  bench.listen(80);
  bench.seg({ flags: 'S', seq: 0 });
  const [synAck] = bench.take();
  t.is(synAck?.options.windowShift, -1);
  t.false(synAck?.options.sackPermitted);
  t.false(synAck?.options.hasTimestamps);
});

// ------------------------------------------------------------------ SYN-SENT (RFC 9293 §3.10.7.3)

test('SYN-SENT: an unacceptable ACK is reset, unless it is a reset', (t) => {
  const bench = TcpBench.synSent();
  bench.take();
  for (const ack of [0, 2, -5]) {
    bench.seg({ flags: 'SA', seq: 0, ack });
    t.deepEqual(brief(bench.take()), [`R ${ack} ack 0 len 0`]);
    bench.seg({ flags: 'RA', seq: 0, ack });
    t.deepEqual(bench.take(), []);
  }
  t.is(bench.connection.state, TcpState.SynSent);
});

test('SYN-SENT: RST with the right ACK refuses the connection, one without ACK does nothing', (t) => {
  const bench = TcpBench.synSent();
  bench.take();
  bench.seg({ flags: 'R', seq: 0 });
  t.is(bench.connection.state, TcpState.SynSent);
  bench.seg({ flags: 'RA', seq: 0, ack: 1 });
  t.is(bench.connection.state, TcpState.Closed);
  t.is(bench.connection.error, 'CONNECT_REFUSED');
  t.is(bench.takeEvents(), EndpointEvent.Closed);
  t.is(bench.rings.openCount, 0);
  t.deepEqual(bench.take(), []);
});

test('SYN-SENT: SYN-ACK establishes and is acknowledged', (t) => {
  const bench = TcpBench.synSent();
  t.deepEqual(brief(bench.take()), ['S 0 ack 0 len 0']);
  bench.seg({ flags: 'SA', seq: 0, ack: 1, mss: 1460, windowShift: 7, sackPermitted: true, ts: [1, 0] });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0']);
  t.is(bench.connection.state, TcpState.Established);
  t.is(bench.takeEvents(), EndpointEvent.Ready);
});

test('SYN-SENT: text and FIN of a SYN-ACK count', (t) => {
  const bench = TcpBench.synSent();
  bench.take();
  bench.seg({ flags: 'SFA', seq: 0, ack: 1, data: 'hello' });
  t.is(bench.connection.state, TcpState.CloseWait);
  t.deepEqual(brief(bench.take()), ['A 1 ack 7 len 0']);
  t.is(bench.read(), 'hello');
});

test('SYN-SENT: neither SYN nor RST is dropped', (t) => {
  const bench = TcpBench.synSent();
  bench.take();
  bench.seg({ flags: 'A', seq: 0, ack: 1, data: 'x' });
  t.deepEqual(bench.take(), []);
  t.is(bench.connection.state, TcpState.SynSent);
});

test('simultaneous open: SYN gets SYN-ACK, the ACK establishes [MUST-10]', (t) => {
  const bench = TcpBench.synSent();
  bench.take();
  bench.seg({ flags: 'S', seq: 0, mss: 1460 });
  t.is(bench.connection.state, TcpState.SynReceived);
  t.deepEqual(brief(bench.take()), ['SA 0 ack 1 len 0']);
  // The peer's own SYN-ACK is not acceptable there, and gets the ACK that establishes it
  bench.seg({ flags: 'SA', seq: 0, ack: 1 });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0']);
  bench.seg({ flags: 'A', seq: 1, ack: 1 });
  t.is(bench.connection.state, TcpState.Established);
  t.is(bench.takeEvents(), EndpointEvent.Ready);
});

// [RFC 7323 §2.2-5]
test('simultaneous open: the window of the SYN-ACK is not scaled (RFC 7323 §2.2)', (t) => {
  const bench = TcpBench.synSent();
  bench.seg({ flags: 'S', seq: 0, mss: 1460, win: 2000, windowShift: 9 });
  bench.seg({ flags: 'SA', seq: 0, ack: 1, mss: 1460, win: 2100, windowShift: 9 });
  t.is(bench.connection.state, TcpState.Established);
  t.is(bench.connection.sndWnd, 2100);
  bench.seg({ flags: 'A', seq: 1, ack: 1, win: 10 });
  t.is(bench.connection.sndWnd, 5120);
});

// ------------------------------------------------------------------ SYN-RECEIVED

test('SYN-RECEIVED: a reset sends a passive open back to LISTEN, an active one is refused [MUST-11]', (t) => {
  const bench = new TcpBench();
  const listener = bench.listen(80);
  bench.seg({ flags: 'S', seq: 0 });
  bench.take();
  bench.seg({ flags: 'R', seq: 1 });
  t.is(bench.stack.tcp.table.size, 0);
  bench.seg({ flags: 'S', seq: 0 });
  t.deepEqual(brief(bench.take()), ['SA 0 ack 1 len 0']);
  t.is(listener.accept(), null);

  const active = TcpBench.synSent();
  active.seg({ flags: 'S', seq: 0 });
  active.seg({ flags: 'R', seq: 1 });
  t.is(active.connection.error, 'CONNECT_REFUSED');
});

test('SYN-RECEIVED: an unacceptable ACK is reset', (t) => {
  const bench = new TcpBench();
  bench.listen(80);
  bench.seg({ flags: 'S', seq: 0 });
  bench.take();
  bench.seg({ flags: 'A', seq: 1, ack: 2 });
  t.deepEqual(brief(bench.take()), ['R 2 ack 0 len 0']);
});

test('SYN-RECEIVED: a repeated SYN gets the SYN-ACK again', (t) => {
  const bench = new TcpBench();
  bench.listen(80);
  bench.seg({ flags: 'S', seq: 0 });
  bench.take();
  bench.seg({ flags: 'S', seq: 0 });
  t.deepEqual(brief(bench.take()), ['SA 0 ack 1 len 0']);
});

test('SYN-RECEIVED: the ACK may bring text', (t) => {
  const bench = new TcpBench();
  const listener = bench.listen(80);
  bench.seg({ flags: 'S', seq: 0 });
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'early' });
  bench.accept(listener);
  t.is(bench.takeEvents(), EndpointEvent.Ready | EndpointEvent.Readable);
  t.is(bench.read(), 'early');
});

// ------------------------------------------------------------------ synchronized states: sequence, RST, SYN, ACK

test('what lies outside of the window is answered with an ACK and dropped', (t) => {
  const bench = TcpBench.established();
  for (const seq of [-4, 70_000, -100_000]) {
    bench.seg({ flags: 'PA', seq, ack: 1, data: 'xy' });
    t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0'], `${seq}`);
  }
  t.is(bench.connection.recvRing?.usedBytes, 0);
});

test('what lies partly in the window is trimmed to it', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'abcdef' });
  bench.seg({ flags: 'PA', seq: 4, ack: 1, data: 'defghi' });
  t.is(bench.read(), 'abcdefghi');
});

test('RST: exact resets, in the window asks, outside is dropped (RFC 5961 §3.2)', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'R', seq: 0 });
  bench.seg({ flags: 'R', seq: 70_000 });
  t.deepEqual(bench.take(), []);
  bench.seg({ flags: 'R', seq: 100 });
  const [challenge] = bench.take();
  t.deepEqual(brief([challenge!]), ['A 1 ack 1 len 0']);
  t.is(challenge?.comment, 'challenge ACK');
  t.is(bench.connection.state, TcpState.Established);
  bench.seg({ flags: 'R', seq: 1, data: 'because' });
  t.is(bench.connection.error, 'RESET', '[SHLD-2]: text in a reset does not matter');
  t.is(bench.takeEvents(), EndpointEvent.Closed);
  t.deepEqual(bench.take(), []);
});

test('SYN in a synchronized state gets a challenge ACK, wherever it is (RFC 5961 §4.2)', (t) => {
  const bench = TcpBench.established();
  for (const seq of [0, 1, 500, 900_000]) {
    bench.seg({ flags: 'S', seq });
    t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0'], `${seq}`);
  }
  t.is(bench.connection.state, TcpState.Established);
});

// [RFC 5961 §7-1]
test('challenge ACKs are limited: ten in five seconds (RFC 5961 §7)', (t) => {
  const bench = TcpBench.established();
  for (let i = 0; i < 30; i++) bench.seg({ flags: 'S', seq: 5 });
  t.is(bench.take().length, 10);
  t.is(bench.stack.tcp.counters.challengeAcksSuppressed, 20);
  bench.wait(5000);
  bench.seg({ flags: 'S', seq: 5 });
  t.is(bench.take().length, 1);
});

test('a segment without ACK is dropped', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: '', seq: 1, data: 'x' });
  t.is(bench.connection.recvRing?.usedBytes, 0);
  t.is(bench.stack.tcp.counters.dropNoAck, 1);
});

// [RFC 5961 §5.2-2]
test('an ACK of what was never sent, or of long ago, is challenged and its text dropped (RFC 5961 §5.2)', (t) => {
  const bench = TcpBench.established();
  for (const ack of [2, 1000, -70_000]) {
    bench.seg({ flags: 'PA', seq: 1, ack, data: 'x' });
    t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0'], `${ack}`);
  }
  t.is(bench.connection.recvRing?.usedBytes, 0);
  bench.seg({ flags: 'PA', seq: 1, ack: -100, data: 'x' });
  t.is(bench.read(), 'x', 'an old one may have been overtaken');
});

// ------------------------------------------------------------------ closing

test('active close: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, and the end after 2 MSL [MUST-13]', (t) => {
  const bench = TcpBench.established();
  bench.connection.shutdown();
  bench.settle();
  t.deepEqual(brief(bench.take()), ['FA 1 ack 1 len 0']);
  t.is(bench.connection.state, TcpState.FinWait1);
  bench.seg({ flags: 'A', seq: 1, ack: 2 });
  t.is(bench.connection.state, TcpState.FinWait2);
  bench.seg({ flags: 'PA', seq: 1, ack: 2, data: 'rest' });
  t.is(bench.read(), 'rest');
  bench.take();
  bench.seg({ flags: 'FA', seq: 5, ack: 2 });
  t.deepEqual(brief(bench.take()), ['A 2 ack 6 len 0']);
  t.is(bench.connection.state, TcpState.TimeWait);
  t.true(bench.isClosed);
  t.is(bench.connection.error, null);
  t.is(bench.rings.openCount, 0);
  bench.wait(40_000);
  bench.seg({ flags: 'FA', seq: 5, ack: 2 });
  t.deepEqual(brief(bench.take()), ['A 2 ack 6 len 0'], 'a repeated FIN is acknowledged');
  bench.wait(59_999);
  t.is(bench.stack.tcp.table.size, 1, 'and starts the wait anew');
  bench.wait(1);
  t.is(bench.stack.tcp.table.size, 0);
});

test('FIN and the ACK of ours in one segment lead to TIME-WAIT', (t) => {
  const bench = TcpBench.established();
  bench.connection.shutdown();
  bench.settle();
  bench.take();
  bench.seg({ flags: 'FA', seq: 1, ack: 2 });
  t.is(bench.connection.state, TcpState.TimeWait);
  t.deepEqual(brief(bench.take()), ['A 2 ack 2 len 0']);
});

test('simultaneous close: CLOSING, then TIME-WAIT', (t) => {
  const bench = TcpBench.established();
  bench.connection.shutdown();
  bench.settle();
  bench.take();
  bench.seg({ flags: 'FA', seq: 1, ack: 1 });
  t.is(bench.connection.state, TcpState.Closing);
  t.deepEqual(brief(bench.take()), ['A 2 ack 2 len 0']);
  bench.seg({ flags: 'A', seq: 2, ack: 2 });
  t.is(bench.connection.state, TcpState.TimeWait);
});

test('passive close: CLOSE-WAIT, LAST-ACK, CLOSED', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'FA', seq: 1, ack: 1, data: 'bye' });
  t.is(bench.connection.state, TcpState.CloseWait);
  t.is(bench.takeEvents(), EndpointEvent.Readable | EndpointEvent.PeerFinished);
  t.deepEqual(brief(bench.take()), ['A 1 ack 5 len 0']);
  bench.write('thanks');
  t.is(bench.read(), 'bye');
  bench.connection.close();
  bench.settle();
  t.deepEqual(brief(bench.take()), ['PA 1 ack 5 len 6', 'FA 7 ack 5 len 0']);
  t.is(bench.connection.state, TcpState.LastAck);
  bench.seg({ flags: 'A', seq: 5, ack: 8 });
  t.is(bench.connection.state, TcpState.Closed);
  t.is(bench.connection.error, null);
  t.is(bench.stack.tcp.table.size, 0);
  t.is(bench.stack.nextDeadline(), Infinity);
});

test('a FIN before missing text waits for it', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'FA', seq: 4, ack: 1, data: 'def' });
  t.is(bench.connection.state, TcpState.Established);
  bench.seg({ flags: 'A', seq: 1, ack: 1, data: 'abc' });
  t.is(bench.connection.state, TcpState.CloseWait);
  t.is(bench.read(), 'abcdef');
  t.is(bench.take().at(-1)?.ack, 8);
});

test('close() with unread data resets [SHLD-3]', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'unread' });
  bench.take();
  bench.connection.close();
  bench.settle();
  t.deepEqual(brief(bench.take()), ['RA 1 ack 7 len 0']);
  t.true(bench.isClosed);
});

test('text after close() resets', (t) => {
  const bench = TcpBench.established();
  bench.connection.close();
  bench.settle();
  bench.take();
  bench.seg({ flags: 'PA', seq: 1, ack: 2, data: 'late' });
  t.deepEqual(brief(bench.take()).length, 1);
  t.is(bench.connection.state, TcpState.Closed);
});

test('FIN-WAIT-2 of a closed socket ends after a minute; of a half-open one it does not', (t) => {
  const closed = TcpBench.established();
  closed.connection.close();
  closed.settle();
  closed.seg({ flags: 'A', seq: 1, ack: 2 });
  closed.wait(61_000);
  t.is(closed.connection.state, TcpState.Closed);
  const half = TcpBench.established();
  half.connection.shutdown();
  half.settle();
  half.seg({ flags: 'A', seq: 1, ack: 2 });
  half.wait(1_000_000);
  t.is(half.connection.state, TcpState.FinWait2);
});

test('abort() resets and tells the application [MUST-12]', (t) => {
  const bench = TcpBench.established();
  bench.write('in flight');
  bench.take();
  bench.connection.abort();
  bench.settle();
  t.deepEqual(brief(bench.take()), ['RA 10 ack 1 len 0']);
  t.is(bench.connection.error, 'ABORTED');
  t.true(bench.isClosed);
  t.is(bench.stack.nextDeadline(), Infinity);
});

test('close() in SYN-SENT sends nothing more', (t) => {
  const bench = TcpBench.synSent();
  bench.take();
  bench.connection.close();
  bench.wait(10_000);
  t.deepEqual(bench.take(), []);
  t.is(bench.rings.openCount, 0);
});

// ------------------------------------------------------------------ TIME-WAIT

test('TIME-WAIT: a new SYN opens a new connection where somebody listens [MAY-2]', (t) => {
  const bench = TcpBench.accepted();
  bench.connection.close();
  bench.settle();
  bench.seg({ flags: 'FA', seq: 1, ack: 2 });
  bench.take();
  t.is(bench.connection.state, TcpState.TimeWait);
  bench.seg({ flags: 'S', seq: 1 });
  t.deepEqual(brief(bench.take()), ['A 2 ack 2 len 0'], 'an old SYN is not new');
  bench.seg({ flags: 'S', seq: 5000 });
  const [synAck] = bench.take();
  t.is(synAck?.flags, 'SA');
  t.is(synAck?.ack, 5001);
  t.true((synAck?.seq ?? 0) > 2, 'its sequence numbers begin after the old ones');
});

test('TIME-WAIT: no RST ends it (RFC 1337 §3)', (t) => {
  const bench = TcpBench.established();
  bench.connection.shutdown();
  bench.settle();
  bench.seg({ flags: 'FA', seq: 1, ack: 2 });
  bench.take();
  bench.seg({ flags: 'R', seq: 1 });
  bench.seg({ flags: 'R', seq: 2 });
  t.is(bench.stack.tcp.table.size, 1);
  t.deepEqual(bench.take(), []);
});

// ------------------------------------------------------------------ timestamps (RFC 7323)

test('PAWS: an old timestamp is dropped and acknowledged; without timestamps too, silently', (t) => {
  const bench = TcpBench.established({ peer: { ts: [1000, 0] } });
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'old', ts: [999, 0] });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0']);
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'none' });
  t.deepEqual(bench.take(), []);
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'new', ts: [1001, 0] });
  t.is(bench.read(), 'new');
  t.is(bench.stack.tcp.counters.dropPaws, 1);
});

test('timestamps: TSecr is that of the segment the last ACK asked for (RFC 7323 §4.3)', (t) => {
  const bench = TcpBench.established({ peer: { ts: [100, 0] } });
  bench.seg({ flags: 'A', seq: 1, ack: 1, data: 10, ts: [101, 0] });
  bench.seg({ flags: 'A', seq: 21, ack: 1, data: 10, ts: [103, 0] });
  t.is(bench.take().at(-1)?.options.tsEcr, 101);
  bench.seg({ flags: 'A', seq: 11, ack: 1, data: 10, ts: [102, 0] });
  t.is(bench.take().at(-1)?.options.tsEcr, 102);
});

test('a segment with an illegal option length is survived [MUST-7]', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'ok', rawOptions: Uint8Array.of(1, 1, 254, 0) });
  t.is(bench.read(), 'ok');
  t.is(bench.stack.tcp.counters.optionErrors, 1);
});

for (const family of [4, 6] as const) {
  test(`IPv${family}: handshake, text, close`, (t) => {
    const bench = TcpBench.established({ family, peer: { mss: 9000 } });
    bench.write(3000);
    const seen = bench.take();
    t.deepEqual(
      seen.map((seg) => seg.length),
      family === 4 ? [1460, 1460] : [1440, 1440],
    );
    bench.seg({ flags: 'R', seq: 1 });
    t.is(bench.connection.error, 'RESET');
  });
}

test('simultaneous open: text and FIN that came with the SYN are worked off when the connection is established', (t) => {
  for (const again of ['A', 'SA', 'SFA']) {
    const bench = TcpBench.synSent();
    bench.take();
    bench.seg({ flags: 'SF', seq: 0, data: 'bye' });
    t.is(bench.connection.state, TcpState.SynReceived);
    t.deepEqual(brief(bench.take()), ['SA 0 ack 1 len 0']);
    if (again === 'A') bench.seg({ flags: 'A', seq: 5, ack: 1 });
    else if (again === 'SA') bench.seg({ flags: 'SA', seq: 0, ack: 1 });
    else bench.seg({ flags: 'SFA', seq: 0, ack: 1, data: 'bye' });
    t.is(bench.connection.state, TcpState.CloseWait, again);
    t.is(bench.read(), 'bye');
    t.is(brief(bench.take()).at(-1), 'A 1 ack 5 len 0');
  }
});

test('a segment with an impossible ACK leaves TS.Recent alone: what follows is not dropped by PAWS', (t) => {
  for (const forged of ['A', 'FA']) {
    const bench = TcpBench.established({ peer: { ts: [100, 0] } });
    bench.seg({ flags: forged, seq: 1, ack: 9999, ts: [200_000, 0] });
    bench.seg({ flags: 'PA', seq: 1, ack: 1, data: 'x', ts: [201, 0] });
    t.is(bench.read(), 'x');
    t.is(bench.connection.tsRecent, 201);
  }
});

test('resets carry timestamps where they are agreed on (RFC 7323 §3.2)', (t) => {
  const bench = TcpBench.established({ peer: { ts: [100, 0] } });
  bench.connection.abort();
  bench.settle();
  const [reset] = bench.take();
  t.is(reset?.flags, 'RA');
  t.is(reset?.options.tsEcr, 100);
});

test('both sides probe a closed window, and both octets are taken: the ACK an octet before the window counts', (t) => {
  const bench = TcpBench.established({ peer: { win: 0 } });
  bench.write('ab');
  bench.wait(2000);
  t.deepEqual(new Set(brief(bench.take())), new Set(['A 1 ack 1 len 1']));
  // The peer's probe crosses ours
  bench.seg({ flags: 'A', seq: 1, ack: 1, win: 0, data: 1 });
  bench.take();
  // It has taken our octet, and does not know yet that we have taken its one
  bench.seg({ flags: 'A', seq: 1, ack: 2, win: 5000 });
  t.true(brief(bench.take()).includes('PA 2 ack 2 len 1'));
  t.is(bench.connection.sndWnd, 5000);
});
