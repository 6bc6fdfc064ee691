import test from 'ava';
import { DEFERRED_ACK_MS } from './deferred-ack.ts';
import { brief, TcpBench } from './testing.ts';

/** The peer's SYN-ACK has just come. */
function handshake(): TcpBench {
  const bench = new TcpBench();
  bench.stack.tcp.settings.deferHandshakeAck = true;
  bench.connect();
  bench.take();
  bench.seg({ flags: 'SA', seq: 0, ack: 1, win: 65_535, mss: 1460 });
  return bench;
}

test('the first data takes the ACK of the SYN-ACK along', (t) => {
  const bench = handshake();
  t.deepEqual(bench.take(), []);
  bench.write('hello');
  t.deepEqual(brief(bench.take()), ['PA 1 ack 1 len 5']);
  t.false(bench.stack.tcp.deferredAcks.send());
  bench.wait(DEFERRED_ACK_MS);
  t.deepEqual(bench.take(), []);
});

test('so does a FIN', (t) => {
  const bench = handshake();
  bench.connection.shutdown();
  bench.settle();
  t.deepEqual(brief(bench.take()), ['FA 1 ack 1 len 0']);
  bench.wait(DEFERRED_ACK_MS);
  t.deepEqual(bench.take(), []);
});

test('without either it leaves when the driver has nothing else to do', (t) => {
  const bench = handshake();
  t.true(bench.stack.tcp.deferredAcks.send());
  bench.settle();
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0']);
  bench.wait(DEFERRED_ACK_MS);
  t.deepEqual(bench.take(), []);
  t.false(bench.stack.tcp.deferredAcks.send());
});

test('[MUST-40] … or soon, when the driver is busy', (t) => {
  const bench = handshake();
  bench.wait(DEFERRED_ACK_MS - 0.1);
  t.deepEqual(bench.take(), []);
  bench.wait(0.1);
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0']);
});

test('data of the peer is acknowledged as always meanwhile', (t) => {
  const bench = handshake();
  bench.batch({ flags: 'A', seq: 1, ack: 1, data: 1460 }, { flags: 'A', seq: 1461, ack: 1, data: 1460 });
  t.deepEqual(brief(bench.take()), ['A 1 ack 2921 len 0']);
  t.false(bench.stack.tcp.deferredAcks.send());
});

test('a connection that has ended meanwhile sends its reset only', (t) => {
  const bench = handshake();
  bench.connection.abort();
  bench.settle();
  t.deepEqual(
    bench.take().map(({ flags }) => flags),
    ['RA'],
  );
  t.false(bench.stack.tcp.deferredAcks.send());
  bench.settle();
  t.deepEqual(bench.take(), []);
});

test('by default the ACK leaves at once, and so it does when the SYN-ACK brings a FIN', (t) => {
  const bench = TcpBench.synSent();
  bench.take();
  bench.seg({ flags: 'SA', seq: 0, ack: 1, win: 65_535, mss: 1460 });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0']);
  const other = new TcpBench();
  other.stack.tcp.settings.deferHandshakeAck = true;
  other.connect();
  other.take();
  other.seg({ flags: 'SAF', seq: 0, ack: 1, win: 65_535, mss: 1460 });
  t.deepEqual(brief(other.take()), ['A 1 ack 2 len 0']);
});
