/** Requirements of RFC 9293 that lie between the files of TCP, and a few that nobody else has a case for. */
import test from 'ava';
import { IcmpError, IcmpErrorKind } from '../context.ts';
import { EndpointEvent } from '../endpoint.ts';
import { addressOf, ipPacket } from '../testing/packets.ts';
import { Slab } from '../wire/slab.ts';
import { DEFAULT_KEEP_ALIVE } from './keepalive.ts';
import { TcpState } from './tcp-state.ts';
import { brief, TcpBench } from './testing.ts';

const HOUR_MS = 3_600_000;

test('every segment has a right checksum, whatever its length and family [MUST-2]', (t) => {
  for (const family of [4, 6] as const) {
    const bench = TcpBench.established({ family, peer: { ts: [1, 0] } });
    bench.connection.setNoDelay(true);
    let seq = 1;
    for (let length = 1; length < 40; length++) {
      bench.write(length);
      // the bench verifies each and throws
      const [segment] = bench.take();
      t.is(segment?.length, length);
      seq += length;
      bench.seg({ flags: 'A', seq: 1, ack: seq, ts: [2, 0] });
    }
    bench.connection.shutdown();
    bench.settle();
    t.is(bench.take().at(-1)?.flags, 'FA');
  }
});

test('keep-alives by default come after two hours, and not before [MUST-28] [MAY-5]', (t) => {
  t.true(DEFAULT_KEEP_ALIVE.idleMs >= 2 * HOUR_MS);
  const bench = TcpBench.established();
  bench.connection.setKeepAlive(DEFAULT_KEEP_ALIVE);
  bench.wait(2 * HOUR_MS - 1);
  t.deepEqual(bench.take(), []);
  bench.wait(1);
  t.deepEqual(brief(bench.take()), ['A 0 ack 1 len 0']);
});

test('a window that shrinks to zero is probed [MUST-35]', (t) => {
  const bench = TcpBench.established();
  bench.write(1000);
  bench.take();
  bench.seg({ flags: 'A', seq: 1, ack: 1001, win: 0 });
  bench.write(500);
  t.deepEqual(bench.take(), []);
  bench.wait(5000);
  const probes = bench.take();
  t.true(probes.length >= 2);
  for (const probe of probes) t.is(probe.length, 1);
});

test('a window that shrinks: what is within it goes again, what is beyond is no reason to give up [SHLD-16] [SHLD-17]', (t) => {
  const bench = TcpBench.established({ peer: { win: 4000 } });
  bench.write(4000);
  bench.take();
  // The edge comes back from 4001 to 2001
  bench.seg({ flags: 'A', seq: 1, ack: 1001, win: 1000 });
  bench.wait(1500);
  t.is(bench.take().find((segment) => segment.seq === 1001)?.seq, 1001);
  bench.seg({ flags: 'A', seq: 1, ack: 2001, win: 0 });
  // Longer than any number of unanswered retransmissions would last
  for (let i = 0; i < 100; i++) {
    bench.wait(60_000);
    if (bench.take().length > 0) bench.seg({ flags: 'A', seq: 1, ack: 2001, win: 0 });
  }
  t.is(bench.connection.state, TcpState.Established);
  bench.seg({ flags: 'A', seq: 1, ack: 2001, win: 4000 });
  bench.wait(120_000);
  t.is(bench.take().find((segment) => segment.seq === 2001)?.seq, 2001);
});

test('a passive open touches no other connection, and a port listens while others are being opened [MUST-41] [MUST-42]', (t) => {
  const bench = new TcpBench();
  const listener = bench.listen(80);
  const clients = [50_001, 50_002, 50_003];
  for (const port of clients) {
    bench.peerPort = port;
    bench.seg({ flags: 'S', seq: 0 });
  }
  t.deepEqual(
    bench.take().map((segment) => [segment.flags, segment.destinationPort]),
    clients.map((port) => ['SA', port]),
  );
  const second = bench.stack.tcp.listen({ local: null, port: 81, backlog: 1 });
  for (const port of clients) {
    bench.peerPort = port;
    bench.seg({ flags: 'PA', seq: 1, ack: 1, data: String(port) });
  }
  for (const port of clients) {
    const connection = bench.accept(listener);
    t.is(connection.remotePort, port);
    t.is(bench.read(), String(port));
  }
  t.is(second.accept(), null);
  // The listener still listens, and closing it leaves what was accepted alone
  bench.peerPort = 50_004;
  bench.seg({ flags: 'S', seq: 0 });
  t.is(bench.take().at(-1)?.flags, 'SA');
  const last = bench.connection;
  listener.close();
  bench.settle();
  t.is(last.state, TcpState.Established);
});

test('an open may name its local address, and keeps it for the life of the connection [MUST-43] [MUST-45]', (t) => {
  const bench = new TcpBench({ moreAddresses: ['192.0.2.7/24'] });
  bench.own = '192.0.2.7';
  const connection = bench.connect({ local: addressOf('192.0.2.7') });
  t.is(String(connection.local), '192.0.2.7');
  bench.seg({ flags: 'SA', seq: 0, ack: 1, mss: 1460 });
  bench.write('x');
  bench.seg({ flags: 'FA', seq: 1, ack: 2 });
  bench.connection.close();
  bench.settle();
  // The bench takes the checksum of each with this source address
  t.deepEqual(
    bench.take().map((segment) => segment.flags),
    ['S', 'A', 'PA', 'A', 'FA'],
  );
});

test('a SYN to a broadcast or multicast address is dropped without a word [MUST-57]', (t) => {
  for (const [own, to] of [
    ['192.0.2.1', '192.0.2.255'],
    ['192.0.2.1', '255.255.255.255'],
    ['192.0.2.1', '224.0.0.1'],
    ['2001:db8::1', 'ff02::1'],
  ] as const) {
    const bench = new TcpBench({ family: own.includes(':') ? 6 : 4 });
    bench.listen(80);
    bench.own = to;
    const packet = ipPacket({ from: bench.peer, to, protocol: 6 }, bench.bytesOf({ flags: 'S', seq: 0 }));
    bench.iface.input(new Slab(packet), 0, packet.length, 0, bench.now);
    bench.settle();
    t.deepEqual(bench.take(), []);
    t.is(bench.stack.tcp.counters.dropMulticast, 1, to);
  }
});

test('data without PSH is delivered at once, and what a small window holds back goes in the end [MUST-60]', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'A', seq: 1, ack: 1, data: 'no push' });
  t.not(bench.takeEvents() & EndpointEvent.Readable, 0);
  t.is(bench.read(), 'no push');
  bench.seg({ flags: 'A', seq: 8, ack: 1, win: 100 });
  bench.write(1000);
  t.deepEqual(
    bench.take().filter((segment) => segment.length > 0),
    [],
  );
  bench.wait(2000);
  t.is(bench.take().find((segment) => segment.length > 0)?.length, 100);
});

test('PSH of several writes is put together in the last segment [SHLD-27]', (t) => {
  const bench = TcpBench.established();
  bench.write('first');
  bench.take();
  for (let i = 0; i < 4; i++) bench.write(500);
  t.deepEqual(
    bench.take().map((segment) => [segment.flags, segment.length]),
    [['A', 1460]],
  );
  bench.seg({ flags: 'A', seq: 1, ack: 1466 });
  t.deepEqual(
    bench.take().map((segment) => [segment.flags, segment.length]),
    [['PA', 540]],
  );
});

test('the third retransmission is told, and the connection goes on [SHLD-9] [SHLD-10]', (t) => {
  const bench = TcpBench.established();
  bench.write('x');
  bench.take();
  const told = (): boolean => (bench.takeEvents() & EndpointEvent.Trouble) !== 0;
  for (let retransmissions = 1; retransmissions <= 2; retransmissions++) {
    bench.wait(bench.stack.nextDeadline() - bench.now);
    t.false(told());
  }
  bench.wait(bench.stack.nextDeadline() - bench.now);
  t.true(told());
  t.is(bench.take().length, 3);
  bench.seg({ flags: 'A', seq: 1, ack: 2 });
  t.is(bench.connection.state, TcpState.Established);
});

test('the same for SYNs', (t) => {
  const bench = TcpBench.synSent();
  bench.wait(6999);
  t.is(bench.takeEvents() & EndpointEvent.Trouble, 0);
  bench.wait(1);
  t.is(bench.takeEvents() & EndpointEvent.Trouble, EndpointEvent.Trouble);
});

function hostUnreachable(bench: TcpBench): void {
  const { connection } = bench;
  const error = new IcmpError();
  error.kind = IcmpErrorKind.UnreachableHost;
  error.protocol = 6;
  for (const i of [0, 1, 2, 3] as const) {
    error[`local${i}`] = connection.local[`w${i}`];
    error[`remote${i}`] = connection.remote[`w${i}`];
  }
  error.localPort = connection.localPort;
  error.remotePort = connection.remotePort;
  error.seq = connection.sndUna;
  error.hasSeq = true;
  bench.stack.tcp.icmpError(error);
  bench.settle();
}

test('a soft error is told while the connection goes on [MUST-47] [SHLD-25], unless nobody wants to know [SHLD-20]', (t) => {
  for (const wanted of [true, false]) {
    const bench = TcpBench.established();
    bench.connection.tellsTrouble = wanted;
    bench.write('x');
    bench.take();
    hostUnreachable(bench);
    t.is((bench.takeEvents() & EndpointEvent.Trouble) !== 0, wanted);
    t.is(bench.connection.softError, 'HOST_UNREACHABLE');
    bench.seg({ flags: 'A', seq: 1, ack: 2 });
    t.is(bench.connection.state, TcpState.Established);
  }
});
