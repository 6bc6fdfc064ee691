import test from 'ava';
import dnsPacket, { type Answer } from 'dns-packet';
import { PAIR_ADDRESSES } from '../testing/stack-pair.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { HostsFile } from './hosts-file.ts';
import { canonicalType } from './record.ts';
import type { RecordLookup } from './record-lookup.ts';
import { Resolver, type ResolverOptions } from './resolver.ts';
import { TestBench } from './test-bench.ts';
import {
  type Behaviour,
  cookieRecord,
  type SeenQuery,
  TestNameServer,
  type TestReply,
  zone,
} from './test-name-server.ts';

interface Setup {
  readonly bench: TestBench;
  readonly server: TestNameServer;
  readonly resolver: Resolver;
}

function setup(behaviour: Behaviour, options: Partial<ResolverOptions> = {}): Setup {
  const bench = new TestBench();
  const server = new TestNameServer(bench.b, behaviour);
  server.listen();
  const resolver = new Resolver(bench.a, {
    servers: [{ address: IpAddress.parse(PAIR_ADDRESSES.b.v4)!, port: 53 }],
    hosts: null,
    timeoutMs: 1000,
    attempts: 2,
    toAscii: null,
    ...options,
  });
  return { bench, server, resolver };
}

function resolve({ bench, resolver }: Setup, name: string, type: string, forMs = 60_000): RecordLookup {
  const lookup = resolver.resolve(name, type);
  bench.runFor(forMs);
  return lookup;
}

/** Answers every question of a type with these. */
const answering =
  (...answers: Answer[]): Behaviour =>
  (query) => [{ answers: answers.filter((answer) => answer.type === query.type || answer.type === 'CNAME') }];

test('records of any type, as plain data', (t) => {
  const name = 'example.test';
  const it = setup(
    answering(
      { type: 'MX', name, ttl: 6000, data: { preference: 10, exchange: 'mail.example.test' } },
      { type: 'TXT', name, ttl: 6000, data: [Buffer.from('v=spf1'), Buffer.from(' -all')] },
      { type: 'SRV', name, ttl: 6000, data: { priority: 1, weight: 2, port: 5060, target: 'sip.test' } },
      { type: 'NS', name, ttl: 6000, data: 'ns.example.test' },
      {
        type: 'DS',
        name,
        ttl: 6000,
        data: { keyTag: 1, algorithm: 13, digestType: 2, digest: Buffer.from('ab') },
      },
      { type: 'AAAA', name, ttl: 6000, data: '2001:db8::1' },
    ),
  );
  const data = (type: string): unknown =>
    resolve(it, 'Example.Test.', type).records.map((record) => record.data);
  t.deepEqual(data('mx'), [{ preference: 10, exchange: 'mail.example.test' }]);
  t.deepEqual(data('TXT'), [['v=spf1', ' -all']]);
  t.deepEqual(data('SRV'), [{ priority: 1, weight: 2, port: 5060, target: 'sip.test' }]);
  t.deepEqual(data('NS'), ['ns.example.test']);
  t.deepEqual(data('DS'), [{ keyTag: 1, algorithm: 13, digestType: 2, digest: '6162' }]);
  t.deepEqual(data('AAAA'), ['2001:db8::1']);
  t.like(resolve(it, 'example.test', 'MX').records[0], { name, type: 'MX', ttlSeconds: 6000 });
  t.is(it.server.queries.length, 6, 'the last one came from the cache');
});

test('an alias is followed for any type, and can itself be asked for', (t) => {
  const cname: Answer = { type: 'CNAME', name: 'www.test', ttl: 60, data: 'host.test' };
  const it = setup(answering(cname, { type: 'TXT', name: 'host.test', ttl: 60, data: 'there' }));
  t.deepEqual(
    resolve(it, 'www.test', 'TXT').records.map((record) => [record.name, record.data]),
    [['host.test', ['there']]],
  );
  t.deepEqual(
    resolve(it, 'www.test', 'CNAME').records.map((record) => record.data),
    ['host.test'],
  );
});

test('HTTPS records are read, also when asked for by their number', (t) => {
  const data = Buffer.from('00010000010003026832', 'hex');
  const raw = { type: 'UNKNOWN_65', name: 'www.test', ttl: 60, data } as unknown as Answer;
  const it = setup(answering(raw));
  const expected = { priority: 1, target: '.', alpn: ['h2'] };
  t.deepEqual(
    resolve(it, 'www.test', 'HTTPS').records.map((record) => record.data),
    [expected],
  );
  t.deepEqual(
    resolve(it, 'www.test', 'type65').records.map((record) => record.type),
    ['HTTPS'],
  );
});

test('a type without a reader gives its bytes; no such type is an error at once', (t) => {
  const raw = {
    type: 'UNKNOWN_65280',
    name: 'x.test',
    ttl: 60,
    data: Buffer.from('0102', 'hex'),
  } as unknown as Answer;
  const it = setup(answering(raw));
  t.deepEqual(
    resolve(it, 'x.test', 'TYPE65280').records.map((record) => [record.type, record.data]),
    [['TYPE65280', '0102']],
  );
  t.is(resolve(it, 'x.test', 'BANANA').error?.tunwireCode, 'ARGUMENT_INVALID');
  t.is(canonicalType('TYPE41'), null, 'OPT is no data');
  t.is(canonicalType('TYPE0'), null);
  t.is(canonicalType('TYPE65536'), null);
  t.is(canonicalType('type252'), null, 'AXFR');
});

test('names of records are freer than those of hosts', (t) => {
  const it = setup(
    answering({ type: 'SRV', name: '_sip._udp.test', ttl: 1, data: { port: 1, target: 'x' } }),
  );
  t.is(resolve(it, '_sip._udp.test', 'SRV').records.length, 1);
  t.is(resolve(it, 'a b.test', 'A').error?.tunwireCode, 'HOST_INVALID');
  t.is(resolve(it, 'a..test', 'A').error?.tunwireCode, 'HOST_INVALID');
});

test('no name and no record of the type are different errors', (t) => {
  const it = setup(zone({ 'a.test': ['192.0.2.1'] }));
  t.is(resolve(it, 'a.test', 'MX').error?.tunwireCode, 'HOST_NO_ADDRESS');
  t.regex(resolve(it, 'a.test', 'MX').error?.message ?? '', /a\.test has no MX record/);
  t.is(resolve(it, 'b.test', 'MX').error?.tunwireCode, 'HOST_NOT_FOUND');
});

test('the names of an address: the hosts file, then PTR records', (t) => {
  const asked: SeenQuery[] = [];
  const it = setup(
    (query) => {
      asked.push(query);
      return [{ answers: [{ type: 'PTR', name: query.name, ttl: 60, data: 'host.test' }] }];
    },
    { hosts: HostsFile.parse('192.0.2.1 known.test other') },
  );
  const names = (address: string): unknown => {
    const lookup = it.resolver.reverse(IpAddress.parse(address)!);
    it.bench.runFor(1000);
    return lookup.records.map((record) => record.data);
  };
  t.deepEqual(names('192.0.2.1'), ['known.test', 'other']);
  t.deepEqual(names('192.0.2.200'), ['host.test']);
  t.deepEqual(names('2001:db8::567:89ab'), ['host.test']);
  t.deepEqual(
    asked.map((query) => query.name.toLowerCase()),
    // RFC 3596 §2.5 has this form of example
    ['200.2.0.192.in-addr.arpa', 'b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa'],
  );
});

test('a cookie goes along, comes back, and an answer with another one is not looked at', (t) => {
  const NAMES = zone({ 'a.test': ['192.0.2.1'], 'b.test': ['192.0.2.2'] });
  let forged = false;
  const it = setup((query) => {
    const client = (query.cookie ?? '').slice(0, 16);
    const good = NAMES(query).map((reply) => ({
      ...reply,
      additionals: [cookieRecord(`${client}1122334455667788`)],
    }));
    if (!forged) return good;
    const other: TestReply = {
      answers: [{ type: 'A', name: 'b.test', ttl: 9, data: '203.0.113.66' }],
      additionals: [cookieRecord('00000000000000001122334455667788')],
    };
    return [other, ...good.map((reply) => ({ ...reply, delayMs: 50 }))];
  });
  t.is(resolve(it, 'a.test', 'A').records[0]?.data, '192.0.2.1');
  t.is(it.server.queries[0]?.cookie?.length, 16, 'RFC 7873 §5.1: the client part alone at first');
  forged = true;
  t.is(resolve(it, 'b.test', 'A').records[0]?.data, '192.0.2.2');
  t.is(it.server.queries[1]?.cookie, `${it.server.queries[0]?.cookie}1122334455667788`);
  t.is(it.resolver.counters.ignoredCookie, 1);
});

test('BADCOOKIE is asked again with the new cookie, and over TCP when that does not help', (t) => {
  const NAMES = zone({ 'a.test': ['192.0.2.1'], 'b.test': ['192.0.2.2'] });
  let helps = true;
  const it = setup((query) => {
    if (query.tcp) return NAMES(query);
    const cookie = query.cookie ?? '';
    const fresh = `${cookie.slice(0, 16)}aaaaaaaaaaaaaaaa`;
    if (cookie === fresh && helps)
      return NAMES(query).map((reply) => ({ ...reply, additionals: [cookieRecord(fresh)] }));
    return [{ flagBits: 7, additionals: [cookieRecord(fresh, 1)] }];
  });
  t.is(resolve(it, 'a.test', 'A').records[0]?.data, '192.0.2.1');
  t.is(it.resolver.counters.badCookies, 1);
  helps = false;
  t.is(resolve(it, 'b.test', 'A').records[0]?.data, '192.0.2.2');
  t.is(it.resolver.counters.badCookies, 3);
  t.is(it.resolver.counters.tcpQueries, 1);
});

test('an answer without a cookie from a server that had given one is asked for again over TCP', (t) => {
  const NAMES = zone({ 'a.test': ['192.0.2.1'], 'b.test': ['192.0.2.2'] });
  const it = setup((query) => {
    if (query.tcp) return NAMES(query);
    if (query.name.toLowerCase() === 'b.test') {
      return [{ answers: [{ type: 'A', name: 'b.test', ttl: 9, data: '203.0.113.66' }] }];
    }
    const cookie = cookieRecord(`${query.cookie?.slice(0, 16)}1122334455667788`);
    return NAMES(query).map((reply) => ({ ...reply, additionals: [cookie] }));
  });
  t.is(resolve(it, 'a.test', 'A').records[0]?.data, '192.0.2.1');
  t.is(resolve(it, 'b.test', 'A').records[0]?.data, '192.0.2.2');
  t.is(it.resolver.counters.cookiesMissing, 1);
});

test('search domains: in order, until a name has addresses', (t) => {
  const it = setup(zone({ 'dut.lab.test': [], 'dut.test': ['192.0.2.7'], 'x.y': ['192.0.2.8'] }), {
    search: ['lab.test', 'test'],
  });
  const asked = (host: string): string => {
    it.server.queries.length = 0;
    const lookup = it.resolver.lookup(host, 4);
    it.bench.runFor(60_000);
    const names = it.server.queries.map((query) => query.name.toLowerCase());
    return `${names.join(' ')}: ${lookup.error?.tunwireCode ?? lookup.addresses.join(' ')}`;
  };
  t.is(asked('dut'), 'dut.lab.test dut.test: 192.0.2.7');
  t.is(asked('x.y'), 'x.y: 192.0.2.8');
  t.is(asked('dut.'), 'dut: HOST_NOT_FOUND', 'the dot at its end: as it is');
  t.is(asked('no.such'), 'no.such no.such.lab.test no.such.test: HOST_NOT_FOUND');
});

test('rotate: each question begins at another server', (t) => {
  const where = (text: string): { address: IpAddress; port: number } => ({
    address: IpAddress.parse(text)!,
    port: 53,
  });
  const servers = [where(PAIR_ADDRESSES.b.v4), where(PAIR_ADDRESSES.b.v6)];
  const first = (rotate: boolean): number => {
    const it = setup(zone({}), { servers, rotate });
    for (let i = 0; i < 6; i++) resolve(it, `n${i}.test`, 'A');
    return new Set(it.server.queries.map((query) => query.from.family)).size;
  };
  t.is(first(false), 1);
  t.is(first(true), 2);
});

test('too old is better than nothing, when that was asked for', (t) => {
  let silent = false;
  const names = zone({ 'a.test': ['192.0.2.1'] }, 10);
  const it = setup((query) => (silent ? [] : names(query)), { staleMs: 3_600_000 });
  const lookup = (): string => {
    const one = it.resolver.lookup('a.test', 4);
    it.bench.runFor(1900);
    return one.isDone ? (one.error?.tunwireCode ?? one.addresses.join(' ')) : 'waits';
  };
  t.is(lookup(), '192.0.2.1');
  it.bench.runFor(20_000);
  silent = true;
  t.is(lookup(), '192.0.2.1', 'RFC 8767 §5: after 1.8 s');
  t.is(it.resolver.counters.fromStale, 1);
  it.bench.runFor(30_000);
  silent = false;
  t.is(lookup(), '192.0.2.1');
  t.is(it.resolver.counters.fromStale, 1, 'a server that answers is believed again');
  const strict = setup((query) => (silent ? [] : names(query)));
  const fresh = strict.resolver.lookup('a.test', 4);
  strict.bench.runFor(20_000);
  silent = true;
  const late = strict.resolver.lookup('a.test', 4);
  strict.bench.runFor(60_000);
  t.is(fresh.error, null);
  t.is(late.error?.tunwireCode, 'DNS_TIMEOUT', 'not by default');
});

test('names below local: asked of the servers, refused, or asked by multicast, as chosen', (t) => {
  const names = zone({ 'printer.local': ['192.0.2.9'] });
  const dns = setup(names);
  const refused = setup(names, { multicastNames: 'refuse' });
  const result = (it: Setup): string => {
    const lookup = it.resolver.lookup('printer.local', 4);
    it.bench.runFor(60_000);
    return lookup.error?.tunwireCode ?? lookup.addresses.join(' ');
  };
  t.is(result(dns), '192.0.2.9');
  t.is(result(refused), 'HOST_NOT_FOUND');
  t.is(refused.server.queries.length, 0);
});

test('a name below local, asked by multicast, is answered by whoever has it', (t) => {
  const { bench, server, resolver } = setup(zone({}), { multicastNames: 'multicast' });
  const lookup = resolver.lookup('printer.local', 4);
  bench.runFor(10);
  t.is(server.queries.length, 0);
  const packet = Buffer.from(bench.trace[0]?.bytes ?? []);
  t.deepEqual([...packet.subarray(16, 20)], [224, 0, 0, 251]);
  t.is(packet.readUInt16BE(22), 5353);
  const query = dnsPacket.decode(packet.subarray(28));
  t.like(query.questions?.[0], { name: 'printer.local', type: 'A' });
  t.is(query.additionals?.length, 0, 'no EDNS');
  const answers: Answer[] = [{ type: 'A', name: 'printer.local', ttl: 10, data: '192.0.2.9' }];
  const bytes = dnsPacket.encode({ type: 'response', id: query.id, questions: query.questions, answers });
  const answer = (port: number): void => {
    const settings = { local: null, localPort: port, remote: null, remotePort: 0, broadcast: false };
    bench.b.udp
      .open(settings)
      .sendTo(bytes, 0, bytes.length, IpAddress.parse(PAIR_ADDRESSES.a.v4), packet.readUInt16BE(20));
    bench.runFor(10);
  };
  answer(5354);
  t.false(lookup.isDone, 'RFC 6762 §6: answers come from port 5353');
  answer(5353);
  t.is(String(lookup.addresses), '192.0.2.9');
});
