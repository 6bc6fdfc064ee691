import test from 'ava';
import {
  ATTEMPT_DELAY_MS,
  type ConnectAttempt,
  Connector,
  type ConnectRequest,
  RESOLUTION_DELAY_MS,
} from './connector.ts';
import { EndpointEvent } from './endpoint.ts';
import { Phase } from './errors.ts';
import { HostsFile } from './resolver/hosts-file.ts';
import { Resolver } from './resolver/resolver.ts';
import { TestBench } from './resolver/test-bench.ts';
import { type Behaviour, TestNameServer, zone } from './resolver/test-name-server.ts';
import { PAIR_ADDRESSES } from './testing/stack-pair.ts';
import { IpAddress } from './wire/ip-address.ts';

const A = PAIR_ADDRESSES.a;
const B = PAIR_ADDRESSES.b;
/** On the link, but nobody has it: packets to it are lost. */
const SILENT = '192.0.2.77';
const SILENT_TOO = '192.0.2.78';

const NAMES = zone({
  'both.example': [B.v4, B.v6],
  'four.example': [B.v4],
  'six.example': [B.v6],
  'silent.example': [SILENT],
  'silent-then-good.example': [SILENT, SILENT_TOO, B.v4],
  'far.example': ['198.51.100.1'],
  'far-and-near.example': ['198.51.100.1', B.v6],
});

interface Setup {
  readonly bench: TestBench;
  readonly server: TestNameServer;
  readonly resolver: Resolver;
  readonly connector: Connector;
  connect(request: Partial<ConnectRequest>): ConnectAttempt;
}

function setup(behaviour: Behaviour = NAMES, bench: TestBench = new TestBench({ startMs: 0 })): Setup {
  const server = new TestNameServer(bench.b, behaviour);
  const resolver = new Resolver(bench.a, {
    servers: [{ address: IpAddress.parse(B.v4)!, port: 53 }],
    hosts: null,
    timeoutMs: 2000,
    attempts: 3,
    toAscii: null,
  });
  const connector = new Connector(bench.a, resolver);
  const connect = (request: Partial<ConnectRequest>): ConnectAttempt =>
    connector.connect({
      host: 'both.example',
      port: 443,
      protocol: 6,
      preferIpv6: false,
      deadline: Infinity,
      localAddress: null,
      localPort: 0,
      noDelay: false,
      keepAlive: null,
      broadcast: false,
      dontRoute: false,
      owner: 7,
      ...request,
    });
  return { bench, server, resolver, connector, connect };
}

function listen(it: Setup, address: string | null = null, port = 443): void {
  it.bench.b.tcp.listen({ local: address === null ? null : IpAddress.parse(address), port, backlog: 8 });
}

const code = (attempt: ConnectAttempt): string => attempt.error?.tunwireCode ?? '';
const message = (attempt: ConnectAttempt): string => attempt.error?.message ?? '';

test('TCP by name: Ready once, the connection is handed over with its owner', (t) => {
  const it = setup();
  listen(it);
  const attempt = it.connect({});
  t.is(attempt.phase, Phase.Resolve);
  t.is(attempt.owner, 7);
  it.bench.runFor(3);
  t.is(attempt.phase, Phase.Connect);
  t.is(attempt.resolvedAt, 2);
  it.bench.runFor(100);
  t.is(attempt.phase, Phase.Transfer);
  const { connection } = attempt;
  t.is(String(connection?.remote), B.v4);
  t.is(connection?.owner, 7);
  t.is(connection?.observer, null);
  t.is(attempt.error, null);
  t.deepEqual(it.bench.eventsOf(attempt), [EndpointEvent.Ready]);
});

test('what the peer sends with its first segments is not lost: the events follow on the connection', (t) => {
  const it = setup();
  const listener = it.bench.b.tcp.listen({ local: null, port: 443, backlog: 8 });
  listener.observer = {
    endpointEvents: () => {
      const connection = listener.accept();
      if (connection === null) return;
      connection.sendRing?.write(new Uint8Array([1, 2, 3]), 0, 3);
      connection.appWrote();
      connection.shutdown();
    },
  };
  const attempt = it.connect({});
  it.bench.runFor(100);
  const { connection } = attempt;
  t.is(connection?.recvRing?.usedBytes, 3);
  const events = it.bench.eventsOf(connection!).reduce((all, each) => all | each, 0);
  t.is(events & EndpointEvent.Readable, EndpointEvent.Readable);
  t.is(events & EndpointEvent.PeerFinished, EndpointEvent.PeerFinished);
  t.is(events & EndpointEvent.Ready, 0, 'Ready was told by the attempt');
});

test('IPv4 first unless asked otherwise; names of one family always connect', (t) => {
  const to = (request: Partial<ConnectRequest>): string => {
    const it = setup();
    listen(it);
    const attempt = it.connect(request);
    it.bench.runFor(100);
    return String(attempt.connection?.remote);
  };
  t.is(to({}), B.v4);
  t.is(to({ preferIpv6: true }), B.v6);
  t.is(to({ host: 'six.example' }), B.v6);
  t.is(to({ host: 'four.example', preferIpv6: true }), B.v4);
  t.is(to({ host: `[${B.v6}]` }), B.v6);
  t.is(to({ localAddress: IpAddress.parse(A.v6) }), B.v6, 'only the family of the local address');
});

test('the congestion control is the one that was asked for', (t) => {
  const it = setup();
  listen(it);
  const attempts = [it.connect({}), it.connect({ congestion: 'bbr' }), it.connect({ congestion: 'none' })];
  it.bench.runFor(100);
  t.deepEqual(
    attempts.map((attempt) => attempt.connection?.cc.name),
    ['cubic', 'bbr', 'none'],
  );
});

// [RFC 1122 §3.1-2]
test('a refusal moves on at once; the rings of the failed connection are closed by then', (t) => {
  const it = setup();
  listen(it, B.v6);
  const attempt = it.connect({});
  it.bench.runFor(20);
  t.is(String(attempt.connection?.remote), B.v6);
  t.is(it.bench.aRings.openCount, 1);
  t.deepEqual(it.bench.eventsOf(attempt), [EndpointEvent.Ready]);
});

test('all refuse: the error has the code and the place of the first, and names them all', (t) => {
  const it = setup();
  const attempt = it.connect({});
  it.bench.runFor(20);
  t.is(code(attempt), 'CONNECT_REFUSED');
  t.like(attempt.error, { address: B.v4, port: 443, phase: 'connect', code: 'ECONNREFUSED' });
  t.true(message(attempt).includes(`${B.v4}:443`) && message(attempt).includes(`[${B.v6}]:443`));
  t.like(attempt.error?.cause, { name: 'AggregateError' });
  t.deepEqual(it.bench.eventsOf(attempt), [EndpointEvent.Closed]);
  t.is(it.bench.aRings.openCount, 0);
});

test('one address refuses: its own error', (t) => {
  const it = setup();
  const attempt = it.connect({ host: 'four.example', port: 81 });
  it.bench.runFor(20);
  t.is(code(attempt), 'CONNECT_REFUSED');
  t.regex(message(attempt), /192\.0\.2\.2:81/);
});

test('a silent address has its share of the time, then the next one its turn', (t) => {
  const it = setup();
  listen(it);
  const attempt = it.connect({ host: 'silent-then-good.example', deadline: 9002 });
  it.bench.runFor(2 + 5990);
  t.is(attempt.connection, null);
  it.bench.runFor(30);
  t.is(String(attempt.connection?.remote), B.v4);
  t.is(it.bench.aRings.openCount, 1);
  const late = setup();
  const failed = late.connect({ host: 'silent-then-good.example', deadline: 9002, port: 81 });
  late.bench.runFor(6020);
  t.is(code(failed), 'TIMEOUT', 'the code of the first address');
  t.regex(message(failed), /192\.0\.2\.77:81 in 3 s.*192\.0\.2\.78:81 in 3 s.*192\.0\.2\.2:81/);
});

test('with little time each address has a second as long as there is one', (t) => {
  const it = setup();
  listen(it);
  const attempt = it.connect({ host: 'silent-then-good.example', deadline: 1502 });
  it.bench.run(1501);
  t.is(attempt.error, null);
  it.bench.run(1502);
  t.is(code(attempt), 'TIMEOUT');
  t.regex(
    message(attempt),
    /no answer to SYN from 192\.0\.2\.78:443; before that: .*192\.0\.2\.77:443 in 1 s/,
  );
});

test('the deadline while resolving', (t) => {
  const it = setup(() => []);
  const attempt = it.connect({ deadline: 3000 });
  it.bench.run(2999.999);
  t.is(attempt.error, null);
  it.bench.run(3000);
  t.is(code(attempt), 'TIMEOUT');
  t.is(attempt.error?.phase, 'resolve');
  t.regex(message(attempt), /both\.example: no answer from name server 192\.0\.2\.2:53 after 2 tries/);
  t.deepEqual(it.bench.eventsOf(attempt), [EndpointEvent.Closed]);
  t.is(it.resolver.pending, 0);
  t.is(it.bench.a.udp.socketCount, 0);
});

test('a long deadline while resolving: no more tries than usual, but the last one listens until then', (t) => {
  const it = setup(() => []);
  const attempt = it.connect({ deadline: 20_000 });
  it.bench.run(19_999.999);
  t.is(attempt.error, null);
  it.bench.run(20_000);
  t.is(code(attempt), 'TIMEOUT');
  t.is(attempt.error?.phase, 'resolve');
  t.regex(message(attempt), /no answer from name server 192\.0\.2\.2:53 after 3 tries/);
  t.is(it.resolver.pending, 0);
  t.is(it.bench.a.udp.socketCount, 0);
});

test('two attempts with the same question: each has its own deadline', (t) => {
  const it = setup(() => []);
  const short = it.connect({ deadline: 15_000 });
  it.bench.run(10_000);
  const long = it.connect({ deadline: 30_000 });
  it.bench.run(15_000);
  t.is(code(short), 'TIMEOUT');
  it.bench.run(29_999);
  t.is(long.error, null);
  it.bench.run(30_000);
  t.is(code(long), 'TIMEOUT');
  t.is(it.bench.a.udp.socketCount, 0);
});

test('DNS_TIMEOUT when the resolver gives up and there is no deadline', (t) => {
  const it = setup(() => []);
  const attempt = it.connect({ deadline: Infinity });
  it.bench.run(20_000);
  t.is(code(attempt), 'DNS_TIMEOUT');
  t.is(attempt.phase, Phase.Resolve);
});

test('the deadline while connecting', (t) => {
  const it = setup();
  const attempt = it.connect({ host: 'silent.example', deadline: 5000 });
  it.bench.run(4999.999);
  t.is(attempt.error, null);
  it.bench.run(5000);
  t.is(code(attempt), 'TIMEOUT');
  t.like(attempt.error, { phase: 'connect', address: SILENT, port: 443 });
  t.regex(message(attempt), /no answer to SYN from 192\.0\.2\.77:443$/);
  t.is(it.bench.aRings.openCount, 0);
});

// [RFC 1122 §3.3.1.1-2]
test('without gateways only what is directly connected is reached', (t) => {
  const bench = new TestBench({ startMs: 0, aGateways: ['192.0.2.2'] });
  const it = setup(NAMES, bench);
  const attempt = it.connect({ host: 'far.example', dontRoute: true });
  it.bench.runFor(100);
  t.is(code(attempt), 'NETWORK_UNREACHABLE');
  t.regex(message(attempt), /198\.51\.100\.1 is behind the gateway 192\.0\.2\.2/);
  listen(it);
  const near = it.connect({ host: 'four.example', dontRoute: true });
  it.bench.runFor(100);
  t.is(String(near.connection?.remote), B.v4);
});

test('a deadline that has passed already', (t) => {
  const it = setup();
  const attempt = it.connect({ deadline: 0 });
  it.bench.runFor(0);
  t.is(code(attempt), 'TIMEOUT');
});

test('without a deadline TCP itself gives up', (t) => {
  const it = setup();
  const attempt = it.connect({ host: SILENT });
  it.bench.runFor(60_000);
  t.is(attempt.error, null);
  it.bench.runFor(3_600_000);
  t.is(code(attempt), 'TIMEOUT');
  t.regex(message(attempt), /192\.0\.2\.77:443/);
});

test('one family does not resolve: at half time what is known is used', (t) => {
  const it = setup((query) => (query.type === 'AAAA' ? [] : NAMES(query)));
  listen(it);
  const attempt = it.connect({ deadline: 1000 });
  it.bench.run(499);
  t.is(attempt.connection, null);
  it.bench.run(510);
  t.is(String(attempt.connection?.remote), B.v4);
});

test('addresses without a route are left out, and told when nothing else is left', (t) => {
  const it = setup();
  listen(it);
  const attempt = it.connect({ host: 'far-and-near.example' });
  it.bench.runFor(20);
  t.is(String(attempt.connection?.remote), B.v6);
  const far = it.connect({ host: 'far.example' });
  it.bench.runFor(20);
  t.is(code(far), 'NETWORK_UNREACHABLE');
  t.is(far.error?.phase, 'route');
  t.regex(message(far), /198\.51\.100\.1:443/);
});

test('names that do not resolve, arguments that are not valid: nothing is tried', (t) => {
  const it = setup();
  const fails = (request: Partial<ConnectRequest>): string => {
    const attempt = it.connect(request);
    it.bench.runFor(100);
    t.deepEqual(it.bench.eventsOf(attempt), [EndpointEvent.Closed]);
    return code(attempt);
  };
  t.is(fails({ host: 'none.example' }), 'HOST_NOT_FOUND');
  t.is(fails({ host: '' }), 'HOST_INVALID');
  t.is(fails({ host: 'https://both.example' }), 'HOST_INVALID');
  t.is(fails({ port: 0 }), 'PORT_INVALID');
  t.is(fails({ port: 65_536 }), 'PORT_INVALID');
  t.is(fails({ host: 'four.example', localAddress: IpAddress.parse(A.v6) }), 'HOST_NO_ADDRESS');
  t.is(fails({ localAddress: IpAddress.parse('192.0.2.99') }), 'ADDRESS_NOT_AVAILABLE');
});

test('UDP: a socket with its peer, nothing is sent', (t) => {
  const it = setup();
  it.resolver.setHosts(HostsFile.parse(`${B.v4} device`));
  const attempt = it.connect({ host: 'device', protocol: 17, port: 4000 });
  it.bench.runFor(20);
  t.is(it.bench.trace.length, 0);
  t.is(attempt.connection, null);
  t.is(String(attempt.socket?.remote), B.v4);
  t.is(attempt.socket?.remotePort, 4000);
  t.is(attempt.socket?.owner, 7);
  t.deepEqual(it.bench.eventsOf(attempt), [EndpointEvent.Ready]);
});

test('UDP to a broadcast address needs its option', (t) => {
  const it = setup();
  const attempt = it.connect({ host: '192.0.2.255', protocol: 17 });
  t.is(code(attempt), 'ACCESS_DENIED');
  t.not(it.connect({ host: '192.0.2.255', protocol: 17, broadcast: true }).socket, null);
});

test('cancelled in each phase: nothing is signalled, nothing is left', (t) => {
  for (const afterMs of [0, 1, 3, 1000]) {
    const it = setup();
    const attempt = it.connect({ host: 'silent.example' });
    it.bench.runFor(afterMs);
    attempt.cancel();
    it.bench.runFor(10_000);
    t.deepEqual(it.bench.eventsOf(attempt), []);
    t.is(code(attempt), 'CANCELLED');
    t.is(it.resolver.pending, 0);
    t.is(it.bench.aRings.openCount, 0);
    t.is(it.bench.a.udp.socketCount, 0);
  }
});

test('racing: IPv6 first, and the next address after a quarter of a second beside the silent one', (t) => {
  const it = setup(zone({ 'dual.example': [B.v4, '2001:db8::77'] }));
  listen(it);
  const attempt = it.connect({ host: 'dual.example', racing: true });
  it.bench.runFor(3);
  t.is(attempt.phase, Phase.Connect);
  t.is(attempt.connection, null);
  it.bench.runFor(ATTEMPT_DELAY_MS - 2);
  t.is(attempt.connection, null);
  it.bench.runFor(4);
  t.is(String(attempt.connection?.remote), B.v4);
  it.bench.runFor(60_000);
  t.is(it.bench.aRings.openCount, 1, 'the other attempt is gone');
});

test('racing: the slower address may still win, and the other attempt ends', (t) => {
  const it = setup(
    zone({ 'dual.example': [SILENT, B.v6] }),
    new TestBench({ startMs: 0, forward: { latencyMs: 300 } }),
  );
  listen(it);
  const attempt = it.connect({ host: 'dual.example', racing: true });
  it.bench.runFor(310);
  t.is(attempt.phase, Phase.Connect, 'both names are known after one round trip');
  it.bench.runFor(ATTEMPT_DELAY_MS + 10);
  t.is(attempt.connection, null, 'two attempts are under way now');
  it.bench.runFor(200);
  t.is(String(attempt.connection?.remote), B.v6, 'the first attempt, answered after the second began');
});

test('racing: IPv4 waits a moment for IPv6, and no longer', (t) => {
  const behaviour =
    (ipv6Ms: number): Behaviour =>
    (query) =>
      NAMES(query).map((reply) => ({ ...reply, ...(query.type === 'AAAA' ? { delayMs: ipv6Ms } : {}) }));
  const soon = setup(behaviour(RESOLUTION_DELAY_MS - 10));
  listen(soon);
  const first = soon.connect({ racing: true });
  soon.bench.runFor(200);
  t.is(first.connection?.remote.family, 6);
  const late = setup(behaviour(1000));
  listen(late);
  const second = late.connect({ racing: true });
  late.bench.runFor(RESOLUTION_DELAY_MS + 10);
  t.is(second.connection?.remote.family, 4);
  t.is(Math.round(second.resolvedAt), 2 + RESOLUTION_DELAY_MS);
});

test('racing: one that refuses gives way at once; when all have failed, all are told', (t) => {
  const it = setup();
  listen(it, B.v4);
  const attempt = it.connect({ racing: true });
  it.bench.runFor(20);
  t.is(attempt.connection?.remote.family, 4, 'IPv6 refused');
  const refused = it.connect({ racing: true, port: 444 });
  it.bench.runFor(20);
  t.is(code(refused), 'CONNECT_REFUSED');
  t.regex(message(refused), /all 2 addresses failed/);
  const nowhere = it.connect({ racing: true, host: 'no.example' });
  it.bench.runFor(20);
  t.is(code(nowhere), 'HOST_NOT_FOUND');
  const four = it.connect({ racing: true, host: 'four.example' });
  it.bench.runFor(20);
  t.is(four.connection?.remote.family, 4);
});

test('racing: the deadline ends all attempts', (t) => {
  const it = setup(zone({ 'dual.example': [SILENT, '2001:db8::77'] }));
  const attempt = it.connect({ host: 'dual.example', racing: true, deadline: 3000 });
  it.bench.runFor(2999);
  t.is(code(attempt), '');
  it.bench.runFor(2);
  t.is(code(attempt), 'TIMEOUT');
  t.regex(message(attempt), /2001:db8::77.*192\.0\.2\.77/);
  it.bench.runFor(60_000);
  t.is(it.bench.aRings.openCount, 0);
});
