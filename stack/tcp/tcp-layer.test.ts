import test from 'ava';
import { IcmpError, IcmpErrorKind } from '../context.ts';
import { EndpointEvent } from '../endpoint.ts';
import { NetError } from '../errors.ts';
import { addressOf, ipPacket } from '../testing/packets.ts';
import { Slab } from '../wire/slab.ts';
import { MAX_SYN_BACKLOG } from './listener.ts';
import { TcpState } from './tcp-state.ts';
import { brief, TcpBench } from './testing.ts';

function codeOf(call: () => unknown): string {
  try {
    call();
    return 'none';
  } catch (error) {
    return error instanceof NetError ? error.tunwireCode : String(error);
  }
}

// ------------------------------------------------------------------ handshake

test('SYN: all options, an unscaled window, the source address of the route [MUST-44] [MUST-67] [SHLD-5]', (t) => {
  const bench = TcpBench.synSent({ recvRingBytes: 1 << 20 });
  const [syn] = bench.take();
  t.is(syn?.options.mssBytes, 1460);
  t.is(syn?.options.windowShift, 7);
  t.true(syn?.options.sackPermitted);
  t.true(syn?.options.hasTimestamps);
  t.is(syn?.win, 65_535);
  t.true(bench.connection.local.equals(addressOf(bench.own)));
});

test('SYN is sent again for more than three minutes [MUST-22] [MUST-23]', (t) => {
  const bench = TcpBench.synSent();
  const started = bench.now;
  while (bench.connection.state === TcpState.SynSent) bench.wait(bench.stack.nextDeadline() - bench.now);
  const seen = bench.take();
  t.deepEqual(
    seen.map((seg) => seg.atMs - started),
    [0, 1, 3, 7, 15, 31, 63, 127].map((s) => s * 1000),
  );
  t.is(seen[2]?.comment, 'retransmission 2 after RTO');
  t.is(bench.now - started, 247_000);
  t.is(bench.connection.error, 'TIMEOUT');
  t.is(bench.takeEvents(), EndpointEvent.Trouble | EndpointEvent.Closed);
  t.is(bench.rings.openCount, 0);
});

test('data written before the connection is established follows the handshake', (t) => {
  const bench = TcpBench.synSent();
  bench.write('early');
  bench.connection.shutdown();
  t.deepEqual(brief(bench.take()), ['S 0 ack 0 len 0']);
  bench.seg({ flags: 'SA', seq: 0, ack: 1, mss: 1460 });
  t.deepEqual(brief(bench.take()), ['FPA 1 ack 1 len 5']);
  t.is(bench.connection.state, TcpState.FinWait1);
});

test('no memory: connect fails, a passive open is reset', (t) => {
  const bench = new TcpBench();
  bench.rings.limit = 0;
  t.is(
    codeOf(() => bench.connect()),
    'NO_BUFFERS',
  );
  t.is(bench.stack.tcp.table.size, 0);
  bench.listen(80);
  bench.seg({ flags: 'S', seq: 0 });
  bench.take();
  bench.seg({ flags: 'A', seq: 1, ack: 1 });
  t.deepEqual(brief(bench.take()), ['RA 1 ack 1 len 0']);
  t.is(bench.stack.tcp.counters.acceptedWithoutMemory, 1);
});

// ------------------------------------------------------------------ addresses and ports

test('no connection to what is no host [MUST-46]', (t) => {
  const bench = new TcpBench();
  for (const remote of ['224.0.0.1', '255.255.255.255', '192.0.2.255', '0.0.0.0', 'ff02::1', '::']) {
    t.is(
      codeOf(() => bench.connect({ remote: addressOf(remote) })),
      'NETWORK_UNREACHABLE',
      remote,
    );
  }
  t.is(
    codeOf(() => bench.connect({ remote: addressOf('198.51.100.1') })),
    'NETWORK_UNREACHABLE',
  );
  t.is(
    codeOf(() => bench.connect({ local: addressOf('192.0.2.77') })),
    'ADDRESS_NOT_AVAILABLE',
  );
});

test('local ports: ephemeral, given, reserved, in use', (t) => {
  const bench = new TcpBench();
  const ports = new Set<number>();
  for (let i = 0; i < 50; i++) ports.add(bench.connect().localPort);
  t.is(ports.size, 50);
  for (const port of ports) t.true(port >= 32_768 && port <= 65_535);
  t.is(bench.connect({ localPort: 5000 }).localPort, 5000);
  t.is(
    codeOf(() => bench.connect({ localPort: 5000 })),
    'ADDRESS_IN_USE',
  );
  t.is(bench.connect({ localPort: 5000, remotePort: 81 }).localPort, 5000, 'another four-tuple');
  t.is(bench.connect({ localPort: -1 }).localPort, 1023);
  t.is(bench.connect({ localPort: -1 }).localPort, 1022);
  bench.listen(1021);
  t.is(bench.connect({ localPort: -1 }).localPort, 1020);
});

test('a clash names the place; a listener, and an old connection in TIME-WAIT, hold their port, too', (t) => {
  const bench = new TcpBench();
  bench.connect({ localPort: 5000 });
  const clash = t.throws(() => bench.connect({ localPort: 5000 }), { instanceOf: NetError });
  t.like(clash, { tunwireCode: 'ADDRESS_IN_USE', code: 'EADDRINUSE', phase: 'route', port: 5000 });
  bench.listen(6000);
  t.is(
    codeOf(() => bench.connect({ localPort: 6000 })),
    'ADDRESS_IN_USE',
  );
  t.is(
    codeOf(() => bench.connect({ local: addressOf('192.0.2.77') })),
    'ADDRESS_NOT_AVAILABLE',
  );
  bench.peerPort = 80;
  bench.connect({ localPort: 7000 });
  bench.seg({ flags: 'SA', seq: 0, ack: 1 });
  bench.connection.close();
  bench.settle();
  bench.seg({ flags: 'FA', seq: 1, ack: 2 });
  t.is(bench.stack.tcp.timeWaits.size, 1);
  t.is(
    codeOf(() => bench.connect({ localPort: 7000 })),
    'ADDRESS_IN_USE',
  );
  bench.wait(60_000);
  t.is(bench.connect({ localPort: 7000 }).localPort, 7000);
});

test('all ephemeral ports in use', (t) => {
  const bench = new TcpBench();
  const one = bench.connect();
  const { table } = bench.stack.tcp;
  const find = table.find.bind(table);
  // As if there were a connection from every port: 32,768 of them take too long
  table.usesOfPort = () => 1;
  table.find = (...args) => find(...args) ?? one;
  t.is(
    codeOf(() => bench.connect()),
    'ADDRESS_NOT_AVAILABLE',
  );
});

test('all reserved ports in use', (t) => {
  const bench = new TcpBench({ sendRingBytes: 1024, recvRingBytes: 1024 });
  for (let i = 0; i < 1023; i++) bench.connect({ localPort: -1 });
  t.is(
    codeOf(() => bench.connect({ localPort: -1 })),
    'ADDRESS_NOT_AVAILABLE',
  );
});

test('one listener per port and address', (t) => {
  const bench = new TcpBench();
  const all = bench.listen(80);
  t.is(
    codeOf(() => bench.listen(80)),
    'ADDRESS_IN_USE',
  );
  const one = bench.stack.tcp.listen({ local: addressOf(bench.own), port: 80, backlog: 1 });
  bench.seg({ flags: 'S', seq: 0 });
  bench.seg({ flags: 'A', seq: 1, ack: 1 });
  t.is(all.accept(), null);
  t.not(one.accept(), null);
  all.close();
  t.notThrows(() => bench.listen(80));
  t.true(bench.stack.tcp.listen({ local: null, port: 0, backlog: 1 }).localPort >= 32_768);
});

// ------------------------------------------------------------------ listeners

test('the backlog is bounded: no SYN is answered while it is full', (t) => {
  const bench = new TcpBench();
  const listener = bench.listen(80, 2);
  const open = (port: number): void => {
    bench.peerPort = port;
    bench.seg({ flags: 'S', seq: 0 });
    bench.seg({ flags: 'A', seq: 1, ack: 1 });
  };
  open(1001);
  open(1002);
  bench.take();
  open(1003);
  t.deepEqual(brief(bench.take()), ['R 1 ack 0 len 0'], 'only the stray ACK is answered');
  t.is(bench.stack.tcp.counters.listenOverflows, 1);
  t.is(listener.accept()?.remotePort, 1001);
  open(1004);
  t.is(listener.accept()?.remotePort, 1002);
  t.is(listener.accept()?.remotePort, 1004);
  t.is(listener.accept(), null);
});

test('half-open connections are bounded and end by themselves', (t) => {
  const bench = new TcpBench();
  bench.listen(80);
  for (let i = 0; i < MAX_SYN_BACKLOG + 5; i++) {
    bench.peerPort = 1000 + i;
    bench.seg({ flags: 'S', seq: 0 });
  }
  t.is(bench.stack.tcp.table.size, MAX_SYN_BACKLOG);
  t.is(bench.stack.tcp.counters.synBacklogOverflows, 5);
  bench.wait(64_000);
  t.is(bench.stack.tcp.table.size, 0);
  t.is(bench.stack.nextDeadline(), Infinity);
});

test('what is not accepted when a listener closes is reset; what died before is never seen', (t) => {
  const bench = new TcpBench();
  const listener = bench.listen(80);
  for (const port of [1001, 1002]) {
    bench.peerPort = port;
    bench.seg({ flags: 'S', seq: 0 });
    bench.seg({ flags: 'A', seq: 1, ack: 1 });
  }
  bench.seg({ flags: 'R', seq: 1 });
  bench.take();
  listener.close();
  bench.settle();
  t.deepEqual(
    bench.take().map((seg) => [seg.flags, seg.destinationPort]),
    [['RA', 1001]],
  );
  t.is(bench.rings.openCount, 0);
  bench.seg({ flags: 'S', seq: 0 });
  t.is(bench.take()[0]?.flags, 'RA');
});

test('the listener tells of connections; they tell their own story when accepted', (t) => {
  const bench = new TcpBench();
  const listener = bench.listen(80);
  bench.seg({ flags: 'S', seq: 0 });
  bench.stack.pollEvent();
  t.is(listener.events, 0);
  bench.arrive({ flags: 'A', seq: 1, ack: 1 });
  t.is(listener.events, EndpointEvent.Incoming);
  bench.seg({ flags: 'FA', seq: 1, ack: 1, data: 'x' });
  bench.accept(listener);
  t.is(bench.takeEvents(), EndpointEvent.Ready | EndpointEvent.Readable | EndpointEvent.PeerFinished);
});

// ------------------------------------------------------------------ damaged and unwelcome packets

test('damaged segments are dropped and counted [MUST-3]', (t) => {
  const bench = TcpBench.established();
  const { counters } = bench.stack.tcp;
  const send = (segment: Uint8Array, from = bench.peer): void => {
    const packet = ipPacket({ from, to: bench.own, protocol: 6 }, segment);
    bench.iface.input(new Slab(packet), 0, packet.length, 0, bench.now);
    bench.settle();
  };
  const good = bench.bytesOf({ flags: 'PA', seq: 1, ack: 1, data: 'hello' });
  for (let bit = 0; bit < good.length * 8; bit += 7) {
    const bad = good.slice();
    bad[bit >> 3]! ^= 1 << (bit & 7);
    send(bad);
  }
  t.is(counters.dropChecksum, Math.ceil((good.length * 8) / 7));
  for (let length = 0; length < 20; length++) send(good.slice(0, length));
  t.is(counters.dropTooShort, 20);
  t.is(bench.connection.recvRing?.usedBytes, 0);
  t.deepEqual(bench.take(), []);
  send(good);
  t.is(bench.read(), 'hello');
});

test('a SYN from what is no host is dropped [MUST-63]', (t) => {
  const bench = new TcpBench();
  bench.listen(80);
  const segment = bench.bytesOf({ flags: 'S', seq: 0 });
  for (const from of ['224.0.0.1', '192.0.2.255', '255.255.255.255']) {
    const packet = ipPacket({ from, to: bench.own, protocol: 6 }, segment);
    bench.iface.input(new Slab(packet), 0, packet.length, 1, bench.now);
    bench.settle();
  }
  t.deepEqual(bench.take(), []);
});

// ------------------------------------------------------------------ ICMP (RFC 5927)

function icmp(bench: TcpBench, kind: IcmpErrorKind, seq: number, mtuBytes = 0): void {
  const error = new IcmpError();
  const { connection } = bench;
  error.kind = kind;
  error.mtuBytes = mtuBytes;
  error.protocol = 6;
  error.local0 = connection.local.w0;
  error.local1 = connection.local.w1;
  error.local2 = connection.local.w2;
  error.local3 = connection.local.w3;
  error.remote0 = connection.remote.w0;
  error.remote1 = connection.remote.w1;
  error.remote2 = connection.remote.w2;
  error.remote3 = connection.remote.w3;
  error.localPort = connection.localPort;
  error.remotePort = connection.remotePort;
  error.seq = (connection.iss + seq) | 0;
  error.hasSeq = true;
  bench.stack.tcp.icmpError(error);
  bench.settle();
}

test('ICMP: hard errors end an attempt, never a connection [MUST-54] [SHLD-26]', (t) => {
  const attempt = TcpBench.synSent();
  icmp(attempt, IcmpErrorKind.UnreachablePort, 5);
  t.is(attempt.connection.state, TcpState.SynSent, 'quotes what was not sent');
  icmp(attempt, IcmpErrorKind.UnreachablePort, 0);
  t.is(attempt.connection.error, 'CONNECT_REFUSED');

  const bench = TcpBench.established();
  bench.write('x');
  icmp(bench, IcmpErrorKind.UnreachablePort, 1);
  t.is(bench.connection.state, TcpState.Established);
});

test('ICMP: soft errors become the reason only when time runs out [MUST-56] [SHLD-25]', (t) => {
  const bench = TcpBench.synSent();
  icmp(bench, IcmpErrorKind.UnreachableHost, 0);
  t.is(bench.connection.state, TcpState.SynSent);
  bench.wait(300_000);
  t.is(bench.connection.error, 'HOST_UNREACHABLE');
});

// [RFC 8201 §5.4-1] [RFC 8201 §5.2-2] [RFC 8201 §4-3]
// [RFC 7323 §5.7-1]
test('ICMP: a smaller path MTU makes smaller segments, and what was in flight goes again', (t) => {
  const bench = TcpBench.established();
  bench.write(4380);
  bench.take();
  icmp(bench, IcmpErrorKind.TooBig, 50_000, 1000);
  t.deepEqual(bench.take(), [], 'quotes what was not sent');
  icmp(bench, IcmpErrorKind.TooBig, 1, 1000);
  t.deepEqual(
    bench.take().map((seg) => seg.length),
    [960, 500, 960, 500, 960, 500],
  );
  bench.seg({ flags: 'A', seq: 1, ack: 4381 });
  bench.write(960);
  t.is(bench.take()[0]?.length, 960);
});

// ------------------------------------------------------------------ keep-alive

test('keep-alive: off by default; when on, probes after silence and gives up after `count` [MUST-24] [MUST-25] [MUST-27] [MUST-29] [SHLD-12]', (t) => {
  const off = TcpBench.established();
  off.wait(100_000_000);
  t.deepEqual(off.take(), []);

  const keepAlive = { idleMs: 10_000, intervalMs: 1000, count: 3 };
  const bench = TcpBench.established({ connect: { keepAlive } });
  bench.wait(9999);
  t.deepEqual(bench.take(), []);
  bench.wait(1);
  const [probe] = bench.take();
  t.deepEqual(brief([probe!]), ['A 0 ack 1 len 0']);
  t.is(probe?.comment, 'keepalive');
  bench.seg({ flags: 'A', seq: 1, ack: 1 });
  bench.wait(9999);
  t.deepEqual(bench.take(), [], 'an answer starts it anew');
  bench.wait(2001);
  t.is(bench.take().length, 3);
  bench.wait(1000);
  t.is(bench.connection.error, 'TIMEOUT');
});

test('keep-alive: not while data is unacknowledged [MUST-26]', (t) => {
  const bench = TcpBench.established({ connect: { keepAlive: { idleMs: 500, intervalMs: 100, count: 1 } } });
  bench.write('x');
  bench.take();
  bench.wait(3000);
  for (const seg of bench.take()) t.is(seg.length, 1);
  t.is(bench.connection.error, null);
});

test('a keep-alive probe is answered', (t) => {
  const bench = TcpBench.established();
  bench.seg({ flags: 'A', seq: 0, ack: 1 });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0']);
  bench.seg({ flags: 'A', seq: 0, ack: 1, data: 'g' });
  t.deepEqual(brief(bench.take()), ['A 1 ack 1 len 0'], '[MAY-6]: with one octet of garbage');
});

test('info() tells what is going on', (t) => {
  const bench = TcpBench.established({ peer: { windowShift: 2, sackPermitted: true } });
  bench.write(3000);
  const info = bench.connection.info();
  t.is(info.state, 'ESTABLISHED');
  t.is(info.congestion, 'cubic');
  t.is(info.inFlightBytes, 2920);
  t.is(info.mssBytes, 1460);
  t.is(info.ssthreshBytes, -1);
  t.true(info.sack);
  t.notThrows(() => JSON.stringify(info));
});
