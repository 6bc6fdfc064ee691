import test from 'ava';
import { PAIR_ADDRESSES } from '../testing/stack-pair.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { STREAM_IDLE_MS } from './dns-stream.ts';
import type { Lookup } from './lookup.ts';
import { Resolver } from './resolver.ts';
import { TestBench } from './test-bench.ts';
import { type Behaviour, TestNameServer, zone } from './test-name-server.ts';

const TRUNCATED = 0x0200;
const MANY = Array.from({ length: 60 }, (_, i) => `192.0.2.${i + 1}`);
const NAMES = zone({ 'many.example': MANY, 'one.example': ['192.0.2.1'] });

/** Truncated over UDP, whole over TCP. */
const truncating: Behaviour = (query) => (query.tcp ? NAMES(query) : [{ flagBits: TRUNCATED }]);

interface Setup {
  readonly bench: TestBench;
  readonly server: TestNameServer;
  readonly resolver: Resolver;
}

function setup(behaviour: Behaviour, listens = true): Setup {
  const bench = new TestBench();
  const server = new TestNameServer(bench.b, behaviour);
  if (listens) server.listen();
  const resolver = new Resolver(bench.a, {
    servers: [{ address: IpAddress.parse(PAIR_ADDRESSES.b.v4)!, port: 53 }],
    hosts: null,
    timeoutMs: 1000,
    attempts: 2,
    toAscii: null,
  });
  return { bench, server, resolver };
}

function resolve({ bench, resolver }: Setup, name: string, forMs = 100_000): Lookup {
  const lookup = resolver.lookup(name, 4);
  bench.runFor(forMs);
  return lookup;
}

test('a truncated reply is asked for again over TCP, at once', (t) => {
  const it = setup(truncating);
  const lookup = resolve(it, 'many.example', 20);
  t.deepEqual(lookup.addresses.map(String), MANY);
  t.deepEqual(
    it.server.queries.map((query) => query.tcp),
    [false, true],
  );
  t.is(it.resolver.counters.truncated, 1);
  it.bench.runFor(300_000);
  t.is(it.bench.aRings.openCount, 0, 'no connection is left');
  t.is(it.bench.a.udp.socketCount, 0);
});

test('a server without TCP refuses: DNS_FAILURE says so', (t) => {
  const it = setup(truncating, false);
  const lookup = resolve(it, 'many.example', 100);
  t.is(lookup.error?.tunwireCode, 'DNS_FAILURE');
  t.regex(lookup.error?.message ?? '', /TCP/);
});

test('a server that is silent over TCP, or closes, or says something else', (t) => {
  const silent = setup((query) => (query.tcp ? [] : [{ flagBits: TRUNCATED }]));
  t.is(resolve(silent, 'many.example').error?.tunwireCode, 'DNS_TIMEOUT');
  t.is(silent.bench.aRings.openCount, 0);

  const other = setup((query) => {
    if (!query.tcp) return [{ flagBits: TRUNCATED }];
    return [{ id: query.id ^ 1, answers: [{ type: 'A', name: 'many.example', data: '203.0.113.66' }] }];
  });
  t.is(resolve(other, 'many.example').error?.tunwireCode, 'DNS_TIMEOUT');
  t.is(other.resolver.counters.ignoredId, 2);

  const again = setup(() => [{ flagBits: TRUNCATED }]);
  const lookup = resolve(again, 'many.example', 100);
  t.is(lookup.error?.tunwireCode, 'DNS_FAILURE');
  t.regex(lookup.error?.message ?? '', /truncated a reply over TCP/);
});

test('a question that comes back in lower case is asked again over TCP', (t) => {
  const lower: Behaviour = (query) =>
    NAMES(query).map((reply) => ({ ...reply, questions: [{ type: 'A', name: query.name.toLowerCase() }] }));
  const it = setup(lower);
  t.is(String(resolve(it, 'one.example', 20).addresses), '192.0.2.1');
  t.is(it.resolver.counters.otherCase, 1);
  t.true(it.server.queries[1]?.tcp);
  // Without TCP the next try goes without mixed case
  const noTcp = setup(lower, false);
  t.is(String(resolve(noTcp, 'one.example', 20).addresses), '192.0.2.1');
  t.is(noTcp.server.queries.length, 2);
  t.is(noTcp.server.queries[1]?.name, 'one.example');
});

test('cancelled while TCP is under way', (t) => {
  const it = setup((query) => (query.tcp ? [] : [{ flagBits: TRUNCATED }]));
  const lookup = it.resolver.lookup('many.example', 4);
  it.bench.runFor(10);
  t.is(it.bench.aRings.openCount, 1);
  lookup.cancel();
  it.bench.runFor(300_000);
  t.is(it.bench.aRings.openCount, 0);
  t.is(lookup.error?.tunwireCode, 'CANCELLED');
});

test('questions share a connection, under way at once, with answers in any order', (t) => {
  const names = zone({ 'a.example': ['192.0.2.1'], 'b.example': ['192.0.2.2'], 'c.example': ['192.0.2.3'] });
  const ports = new Set<number>();
  const it = setup((query) => {
    if (!query.tcp) return [{ flagBits: TRUNCATED }];
    ports.add(query.fromPort);
    // The first is answered last
    return names(query).map((reply) => ({ ...reply, delayMs: query.name === 'a.example' ? 300 : 50 }));
  });
  const lookups = ['a.example', 'b.example', 'c.example'].map((name) => it.resolver.lookup(name, 4));
  it.bench.runFor(200);
  t.deepEqual(
    lookups.map((lookup) => String(lookup.addresses)),
    ['', '192.0.2.2', '192.0.2.3'],
  );
  it.bench.runFor(200);
  t.is(String(lookups[0]?.addresses), '192.0.2.1');
  t.is(ports.size, 1);
  t.is(it.bench.aRings.openCount, 1, 'kept for the next question');
  it.bench.runFor(STREAM_IDLE_MS);
  t.is(it.bench.aRings.openCount, 0, 'and closed when there is none');
});

test('a question that meets the close of an idle connection is asked over a new one', (t) => {
  const closing: Set<number> = new Set();
  const it = setup((query) => {
    if (!query.tcp) return [{ flagBits: TRUNCATED }];
    // Every connection answers one question only
    if (closing.has(query.fromPort)) return [];
    closing.add(query.fromPort);
    return NAMES(query);
  });
  t.is(resolve(it, 'one.example', 100).addresses.length, 1);
  const next = it.resolver.lookup('many.example', 4);
  it.bench.runFor(100);
  t.false(next.isDone, 'the server is silent on the old connection');
  it.bench.runFor(20_000);
  t.is(next.addresses.length, 60, 'a silent connection is given up after one try');
  t.is(closing.size, 2);
});
