// sends any payload: broken answers of name servers
import { domainToASCII } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { EndpointEvent } from '../endpoint.ts';
import { PAIR_ADDRESSES } from '../testing/stack-pair.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { HostsFile } from './hosts-file.ts';
import type { Lookup } from './lookup.ts';
import { Resolver, type ResolverOptions } from './resolver.ts';
import { TestBench } from './test-bench.ts';
import { type Behaviour, TestNameServer, type TestReply, zone } from './test-name-server.ts';

const FIRST = PAIR_ADDRESSES.b.v4;
const SECOND = PAIR_ADDRESSES.b.v6;
const NAMES = zone({
  'www.example': ['192.0.2.1', '2001:db8::1', '192.0.2.2'],
  'four.example': ['192.0.2.4'],
  'six.example': ['2001:db8::6'],
  'empty.example': [],
  'alias.example': ['other.example'],
  'other.example': ['www.example'],
  'loop.example': ['pool.example'],
  'pool.example': ['loop.example'],
});

interface Setup {
  readonly bench: TestBench;
  readonly server: TestNameServer;
  readonly resolver: Resolver;
}

function setup(behaviour: Behaviour, options: Partial<ResolverOptions> = {}): Setup {
  const bench = new TestBench();
  const server = new TestNameServer(bench.b, behaviour);
  const resolver = new Resolver(bench.a, {
    servers: [{ address: IpAddress.parse(FIRST)!, port: 53 }],
    hosts: null,
    timeoutMs: 1000,
    attempts: 3,
    toAscii: domainToASCII,
    ...options,
  });
  return { bench, server, resolver };
}

/** What a lookup came to: its addresses or its error's code; '' while it waits. */
function result(lookup: Lookup): string {
  if (!lookup.isDone) return '';
  return lookup.error === null ? lookup.addresses.join(' ') : lookup.error.tunwireCode;
}

function resolve({ bench, resolver }: Setup, host: string, family: 0 | 4 | 6 = 0, forMs = 100_000): Lookup {
  const lookup = resolver.lookup(host, family);
  bench.runFor(forMs);
  return lookup;
}

function nothingLeft(t: ExecutionContext, { bench, resolver }: Setup): void {
  t.is(resolver.pending, 0);
  t.is(bench.a.udp.socketCount, 0, 'sockets are closed');
}

test('both families, IPv4 first, in two parallel queries', (t) => {
  const it = setup(NAMES);
  const lookup = resolve(it, 'WWW.Example.');
  t.is(result(lookup), '192.0.2.1 192.0.2.2 2001:db8::1');
  t.deepEqual(it.server.queries.map((query) => query.type).sort(), ['A', 'AAAA']);
  t.is(it.server.queries[0]?.at, it.server.queries[1]?.at);
  t.is(lookup.takeEvents(), 0, 'taken by the bench');
  t.deepEqual(it.bench.eventsOf(lookup), [EndpointEvent.Ready]);
  nothingLeft(t, it);
});

test('one family only', (t) => {
  const it = setup(NAMES);
  t.is(result(resolve(it, 'www.example', 4)), '192.0.2.1 192.0.2.2');
  t.is(result(resolve(it, 'www.example', 6)), '2001:db8::1');
  t.is(result(resolve(it, 'six.example')), '2001:db8::6');
  t.is(result(resolve(it, 'four.example', 6)), 'HOST_NO_ADDRESS');
});

test('each query has its own id, port and letter case, and EDNS', (t) => {
  const it = setup(zone({}, 0, 0));
  for (let i = 0; i < 20; i++) resolve(it, 'some-name-with-letters.example', 4);
  const { queries } = it.server;
  t.is(queries.length, 20);
  const different = <T>(of: (query: (typeof queries)[number]) => T): number => new Set(queries.map(of)).size;
  t.true(different((query) => query.id) > 18);
  t.true(different((query) => query.fromPort) > 18);
  t.true(different((query) => query.name) > 18);
  t.true(queries.every((query) => query.edns));
});

test('IP literals, names that are not valid, localhost: nothing is sent', (t) => {
  const it = setup(NAMES);
  t.is(result(resolve(it, '192.0.2.9')), '192.0.2.9');
  t.is(result(resolve(it, '[2001:db8::9]')), '2001:db8::9');
  t.is(result(resolve(it, '2001:db8::9', 4)), 'HOST_NO_ADDRESS');
  t.is(result(resolve(it, '')), 'HOST_INVALID');
  t.is(result(resolve(it, 'http://www.example/')), 'HOST_INVALID');
  t.is(result(resolve(it, 'localhost')), '127.0.0.1 ::1');
  t.is(result(resolve(it, 'x.LocalHost', 6)), '::1');
  t.is(it.server.queries.length, 0);
});

test('the hosts file comes first, and can be replaced', (t) => {
  const it = setup(NAMES, { hosts: HostsFile.parse('10.9.9.9 www.example\n10.9.9.8 localhost') });
  t.is(result(resolve(it, 'www.example')), '10.9.9.9');
  t.is(result(resolve(it, 'localhost')), '10.9.9.8');
  t.is(result(resolve(it, 'www.example', 6)), 'HOST_NO_ADDRESS', 'found there: DNS is not asked');
  t.is(it.server.queries.length, 0);
  it.resolver.setHosts(HostsFile.parse('10.9.9.7 www.example'));
  t.is(result(resolve(it, 'www.example')), '10.9.9.7');
  it.resolver.setHosts(null);
  t.is(result(resolve(it, 'www.example', 4)), '192.0.2.1 192.0.2.2');
});

test('a zone has to be an interface of the stack', (t) => {
  const hosts = HostsFile.parse('fe80::7%nowhere dut.example\nfe80::8%1 dut.example');
  const it = setup(NAMES, { hosts });
  const { name } = it.bench.a.interfaces[0]!;
  t.is(result(resolve(it, `fe80::9%${name}`)), 'fe80::9%1');
  t.is(result(resolve(it, '[fe80::9%251]')), 'fe80::9%1', 'RFC 6874, by its number');
  const wrong = resolve(it, 'fe80::9%nowhere');
  t.is(result(wrong), 'HOST_INVALID');
  t.regex(wrong.error?.message ?? '', new RegExp(name));
  t.is(result(resolve(it, 'dut.example')), 'fe80::8%1', 'the other line is of another link');
});

test('names outside ASCII are asked for in their ASCII form', (t) => {
  const it = setup(zone({ 'xn--bcher-kva.example': ['192.0.2.5'] }));
  t.is(result(resolve(it, 'Bücher.example')), '192.0.2.5');
});

test('without a name server: an error at once that names the option', (t) => {
  const it = setup(NAMES, { servers: [] });
  const lookup = it.resolver.lookup('www.example', 0);
  t.is(result(lookup), 'DNS_NO_SERVER');
  t.regex(lookup.error?.message ?? '', /--dns/);
  t.is(result(it.resolver.lookup('192.0.2.1', 0)), '192.0.2.1');
});

test('NXDOMAIN and NODATA, kept for as long as the SOA says', (t) => {
  const it = setup(NAMES);
  t.is(result(resolve(it, 'none.example', 0, 1000)), 'HOST_NOT_FOUND');
  t.is(result(resolve(it, 'empty.example', 0, 1000)), 'HOST_NO_ADDRESS');
  const asked = it.server.queries.length;
  t.is(result(it.resolver.lookup('none.example', 6)), 'HOST_NOT_FOUND');
  t.is(result(it.resolver.lookup('empty.example', 0)), 'HOST_NO_ADDRESS');
  t.is(it.resolver.counters.fromNegativeCache, 3);
  t.is(it.server.queries.length, asked);
  it.bench.runFor(60_000);
  resolve(it, 'empty.example');
  t.is(it.server.queries.length, asked + 2);
});

test('answers are kept for their time to live, not longer', (t) => {
  const it = setup(zone({ 'www.example': ['192.0.2.1'] }, 30));
  resolve(it, 'www.example', 4, 10);
  it.bench.runFor(29_000);
  t.is(result(it.resolver.lookup('www.example', 4)), '192.0.2.1');
  t.is(it.server.queries.length, 1);
  it.bench.runFor(1000);
  t.is(result(it.resolver.lookup('www.example', 4)), '');
  it.bench.runFor(10);
  t.is(it.server.queries.length, 2);
});

test('equal questions under way are asked once', (t) => {
  const it = setup(NAMES);
  const lookups = Array.from({ length: 50 }, (_, i) =>
    it.resolver.lookup(i % 2 === 0 ? 'www.example' : 'WWW.example', i % 3 === 0 ? 4 : 0),
  );
  it.bench.runFor(1000);
  t.is(it.server.queries.length, 2);
  for (const lookup of lookups) t.true(result(lookup).startsWith('192.0.2.1 192.0.2.2'));
  for (const lookup of lookups) t.deepEqual(it.bench.eventsOf(lookup), [EndpointEvent.Ready]);
});

test('cancelling ends the question only when nobody else waits', (t) => {
  const it = setup(() => []);
  const one = it.resolver.lookup('www.example', 4);
  const two = it.resolver.lookup('www.example', 4);
  one.cancel();
  t.is(it.resolver.pending, 1);
  it.server.behaviour = NAMES;
  it.bench.runFor(2000);
  t.is(result(two), '192.0.2.1 192.0.2.2');
  const three = it.resolver.lookup('four.example', 0);
  three.cancel();
  it.bench.runFor(2000);
  t.is(result(three), 'CANCELLED');
  t.deepEqual(it.bench.eventsOf(three), []);
  t.deepEqual(it.bench.eventsOf(one), []);
  nothingLeft(t, it);
});

test('a chain of aliases within one reply, and across several', (t) => {
  const it = setup(NAMES);
  t.is(result(resolve(it, 'alias.example', 4)), '192.0.2.1 192.0.2.2');
  // A server that knows each alias only: no target, no SOA
  const links = { 'a.example': 'b.example', 'b.example': 'c.example' } as Record<string, string>;
  const stepwise = setup((query) => {
    const name = query.name.toLowerCase();
    const data = links[name];
    if (data !== undefined) return [{ answers: [{ type: 'CNAME', name, data, ttl: 20 }] }];
    return [{ answers: [{ type: 'A', name, data: '192.0.2.77', ttl: 300 }] }];
  });
  t.is(result(resolve(stepwise, 'a.example', 4, 100)), '192.0.2.77');
  t.is(stepwise.server.queries.length, 3);
  stepwise.bench.runFor(20_000);
  t.is(result(stepwise.resolver.lookup('a.example', 4)), '', 'kept for the smallest TTL of the chain');
});

test('loops of aliases end as an error, within one reply and across several', (t) => {
  t.is(result(resolve(setup(NAMES), 'loop.example', 4)), 'DNS_FAILURE');
  const loop = setup((query) => {
    const name = query.name.toLowerCase();
    const data = name === 'a.example' ? 'b.example' : 'a.example';
    return [{ answers: [{ type: 'CNAME', name, data }] }];
  });
  const lookup = resolve(loop, 'a.example', 4);
  t.is(result(lookup), 'DNS_FAILURE');
  t.regex(lookup.error?.message ?? '', /loop/);
  let n = 0;
  const endless = setup(() => {
    n++;
    const name = n === 1 ? 'x.example' : `n${n - 1}.example`;
    return [{ answers: [{ type: 'CNAME', name, data: `n${n}.example` }] }];
  });
  t.is(result(resolve(endless, 'x.example', 4)), 'DNS_FAILURE');
  t.is(n, 17);
  nothingLeft(t, endless);
});

test('a silent server: tries with doubled waits, then DNS_TIMEOUT that says who was asked', (t) => {
  const it = setup(() => []);
  const lookup = it.resolver.lookup('www.example', 4);
  it.bench.runFor(6999);
  t.is(result(lookup), '');
  t.is(lookup.waitingFor(), 'no answer from name server 192.0.2.2:53 after 3 tries');
  it.bench.runFor(1);
  t.is(result(lookup), 'DNS_TIMEOUT');
  t.regex(lookup.error?.message ?? '', /no answer from name server 192\.0\.2\.2:53 after 3 tries/);
  t.is(lookup.error?.phase, 'resolve');
  const sentAt = it.server.queries.map((query) => query.at - 1001);
  t.deepEqual(sentAt, [0, 1000, 3000]);
  nothingLeft(t, it);
});

test('an answer that comes after the first try is for nobody; the second try has its own', (t) => {
  let first = true;
  const it = setup((query) => {
    const delayMs = first ? 1500 : 0;
    first = false;
    return NAMES(query).map((reply) => ({ ...reply, delayMs }));
  });
  const lookup = resolve(it, 'four.example', 4, 5000);
  t.is(result(lookup), '192.0.2.4');
  t.is(it.server.queries.length, 2);
  nothingLeft(t, it);
});

test('fail-over: the next server after silence, SERVFAIL, REFUSED, garbage and ICMP; the one that answered is first afterwards', (t) => {
  const cases: readonly [string, Behaviour, number][] = [
    ['silent', () => [], 1000],
    ['SERVFAIL', () => [{ flagBits: 2 }], 0],
    ['REFUSED', () => [{ flagBits: 5 }], 0],
    [
      'malformed',
      () => [{ mangle: (bytes) => Uint8Array.from([...bytes.slice(0, 6), 0, 9, ...bytes.slice(8)]) }],
      0,
    ],
  ];
  for (const [name, behaviour, afterMs] of cases) {
    const it = setup(behaviour, {
      servers: [
        { address: IpAddress.parse(FIRST)!, port: 53 },
        { address: IpAddress.parse(SECOND)!, port: 5353 },
      ],
    });
    const second = new TestNameServer(it.bench.b, NAMES, 5353);
    const lookup = it.resolver.lookup('four.example', 4);
    it.bench.runFor(afterMs + 10);
    t.is(result(lookup), '192.0.2.4', name);
    t.is(second.queries.length, 1);
    resolve(it, 'www.example', 4);
    t.is(it.server.queries.length, 1, `${name}: the second server is asked first now`);
    nothingLeft(t, it);
  }
  const it = setup(NAMES, {
    servers: [
      { address: IpAddress.parse(FIRST)!, port: 54 },
      { address: IpAddress.parse(SECOND)!, port: 53 },
    ],
  });
  t.is(result(resolve(it, 'four.example', 4, 10)), '192.0.2.4', 'ICMP port unreachable');
});

test('nobody can answer: DNS_FAILURE with what each server said', (t) => {
  const it = setup(() => [{ flagBits: 2 }], {
    servers: [
      { address: IpAddress.parse(FIRST)!, port: 53 },
      { address: IpAddress.parse(SECOND)!, port: 54 },
      { address: IpAddress.parse('2001:db9::1')!, port: 53 },
    ],
  });
  const lookup = resolve(it, 'www.example', 4, 100);
  t.is(result(lookup), 'DNS_FAILURE');
  t.regex(lookup.error?.message ?? '', /192\.0\.2\.2:53: answered SERVFAIL/);
  t.regex(lookup.error?.message ?? '', /\[2001:db8::2\]:54: .*refused/);
  nothingLeft(t, it);
});

test('forged and foreign messages are ignored and counted; the answer is taken when it comes', (t) => {
  const good = (query: Parameters<Behaviour>[0]): TestReply => ({ ...NAMES(query)[0], delayMs: 50 });
  const forged: TestReply = {
    answers: [{ type: 'A', name: 'four.example', data: '203.0.113.66', ttl: 300 }],
  };
  const it = setup((query) => [
    { ...forged, id: (query.id + 1) & 0xffff },
    { ...forged, questions: [{ type: 'A', name: 'bank.example' }] },
    { ...forged, questions: [] },
    { ...forged, fromPort: 5300 },
    { ...forged, mangle: (bytes) => bytes.slice(0, 11) },
    { ...forged, mangle: () => new Uint8Array(0) },
    { ...forged, mangle: (bytes) => Uint8Array.from(bytes, (byte, i) => (i === 2 ? byte & 0x7f : byte)) },
    good(query),
  ]);
  const lookup = resolve(it, 'four.example', 4, 200);
  t.is(result(lookup), '192.0.2.4');
  t.is(it.server.queries.length, 1);
  t.is(it.resolver.counters.ignoredId, 4);
  t.is(it.resolver.counters.ignoredQuestion, 2);
  t.like(it.bench.a.counters.toJSON()['udp'], { dropNoPort: 1 });
});

test('a record for another name in a good reply is not believed', (t) => {
  const it = setup((query) => {
    const reply = NAMES(query)[0];
    const extra = { type: 'A', name: 'six.example', data: '203.0.113.66', ttl: 300 } as const;
    return [{ ...reply, answers: [...(reply?.answers ?? []), extra], additionals: [extra] }];
  });
  t.is(result(resolve(it, 'four.example', 4, 100)), '192.0.2.4');
  it.server.behaviour = NAMES;
  t.is(result(resolve(it, 'six.example', 4, 100)), 'HOST_NO_ADDRESS');
});

test('FORMERR to EDNS: asked again without, and remembered', (t) => {
  const it = setup((query) => (query.edns ? [{ flagBits: 1, questions: [] }] : NAMES(query)));
  t.is(result(resolve(it, 'four.example', 4, 100)), '192.0.2.4');
  t.deepEqual(
    it.server.queries.map((query) => query.edns),
    [true, false],
  );
  t.is(result(resolve(it, 'www.example', 4, 100)), '192.0.2.1 192.0.2.2');
  t.is(it.server.queries[2]?.edns, false);
});

test('one family is silent: the other is used after one more try time', (t) => {
  const it = setup((query) => (query.type === 'AAAA' ? [] : NAMES(query)));
  const lookup = it.resolver.lookup('www.example', 0);
  it.bench.runFor(990);
  t.is(result(lookup), '');
  it.bench.runFor(20);
  t.is(result(lookup), '192.0.2.1 192.0.2.2');
  nothingLeft(t, it);
});

test('a lookup can be told to take what it has', (t) => {
  const it = setup((query) => (query.type === 'AAAA' ? [] : NAMES(query)));
  const lookup = it.resolver.lookup('www.example', 0);
  lookup.settle();
  t.is(result(lookup), '');
  it.bench.runFor(100);
  lookup.settle();
  t.is(result(lookup), '192.0.2.1 192.0.2.2');
});

test('the same seed asks in the same bytes', (t) => {
  const run = (): unknown => {
    const it = setup(NAMES);
    resolve(it, 'www.example');
    return it.server.queries;
  };
  t.deepEqual(run(), run());
});

test('1,000 names looked up ten times each take 1,000 queries and little time', (t) => {
  const it = setup((query) => [{ answers: [{ type: 'A', name: query.name, data: '192.0.2.1', ttl: 300 }] }]);
  const start = performance.now();
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 1000; i++) it.resolver.lookup(`host${i}.example`, 4);
    it.bench.runFor(10);
  }
  t.is(it.server.queries.length, 1000);
  t.is(it.resolver.counters.fromCache, 9000);
  t.true(performance.now() - start < 4000);
  nothingLeft(t, it);
});

test('10,000 lookups of 1,000 names are at most 1,000 questions, and take less than two seconds', (t) => {
  const names = Array.from({ length: 1000 }, (_, i) => `host${i}.example`);
  const records = Object.fromEntries(names.map((name, i) => [name, [`198.51.${i >> 8}.${i & 255}`]]));
  const it = setup(zone(records));
  it.bench.traceLimit = 0;
  const begin = process.threadCpuUsage();
  const lookups: Lookup[] = [];
  for (let i = 0; i < 10_000; i++) {
    lookups.push(it.resolver.lookup(names[(i * 7) % 1000]!, 4));
    if (i % 100 === 99) it.bench.runFor(20);
  }
  const { user, system } = process.threadCpuUsage(begin);
  const tookMs = (user + system) / 1000;
  t.true(lookups.every((lookup) => lookup.isDone && lookup.error === null));
  t.true(it.server.queries.length <= 1000, `${it.server.queries.length} questions`);
  t.true(tookMs < 2000, `${tookMs} ms of this thread's time`);
  nothingLeft(t, it);
});
