// sends any payload: broken answers of name servers
import test from 'ava';
import type { Answer } from 'dns-packet';
import { SeededRandom } from '../random.ts';
import { PAIR_ADDRESSES } from '../testing/stack-pair.ts';
import { IpAddress } from '../wire/ip-address.ts';
import type { Lookup } from './lookup.ts';
import { Resolver } from './resolver.ts';
import { TestBench } from './test-bench.ts';
import { type Behaviour, type SeenQuery, TestNameServer, type TestReply, zone } from './test-name-server.ts';

/** What every forgery says. */
const FORGED = '203.0.113.66';
const NAMES: readonly string[] = Array.from({ length: 40 }, (_, i) => `host${i}.example`);
const TRUE_ANSWERS: Behaviour = zone(
  Object.fromEntries(NAMES.map((name, i) => [name, [`192.0.2.${i + 1}`]])),
);
const QUERY_MS = 1000;
const ATTEMPTS = 3;

function forged(name: string): Answer {
  return { type: 'A', name, data: FORGED, ttl: 86_400 };
}

/** Each of them once in a while; what is forged comes before what is true, if that comes at all. */
const TRICKS: Readonly<Record<string, (query: SeenQuery, random: () => number) => readonly TestReply[]>> = {
  silent: () => [],
  late: (query) => TRUE_ANSWERS(query).map((reply) => ({ ...reply, delayMs: 20_000 })),
  'another id': (query) => [{ id: query.id ^ 1, answers: [forged(query.name)] }, ...TRUE_ANSWERS(query)],
  'another question': (query) => [
    { questions: [{ type: 'A', name: 'host0.example' }], answers: [forged('host0.example')] },
    ...TRUE_ANSWERS(query),
  ],
  'another letter case': (query) => [
    {
      questions: [{ type: 'A', name: query.name.toLowerCase() }],
      answers: [forged(query.name.toLowerCase())],
    },
    ...TRUE_ANSWERS(query),
  ],
  'another port': (query) => [{ fromPort: 5353, answers: [forged(query.name)] }, ...TRUE_ANSWERS(query)],
  'other names': (query) =>
    TRUE_ANSWERS(query).map((reply) => ({
      ...reply,
      answers: [
        ...NAMES.map(forged).filter(({ name }) => name !== query.name.toLowerCase()),
        ...(reply.answers ?? []),
      ],
    })),
  looping: (query) => [
    {
      answers: [
        { type: 'CNAME', name: query.name, data: 'a.loop.example' },
        { type: 'CNAME', name: 'a.loop.example', data: 'b.loop.example' },
        { type: 'CNAME', name: 'b.loop.example', data: 'a.loop.example' },
      ],
    },
  ],
  truncated: (query) =>
    TRUE_ANSWERS(query).map((reply) => ({ ...reply, ...(query.tcp ? {} : { flagBits: 0x0200 }) })),
  'cut off': (query, random) =>
    TRUE_ANSWERS(query).map((reply) => ({
      ...reply,
      mangle: (bytes) => bytes.slice(0, Math.floor(random() * bytes.length)),
    })),
  // of another name, whatever else it is
  garbage: (query, random) =>
    TRUE_ANSWERS(query).map((reply) => ({
      ...reply,
      mangle: (bytes) =>
        bytes.map((byte, i) => {
          if (i === 13) return byte ^ 1;
          return i < 12 || random() < 0.7 ? byte : Math.floor(random() * 256);
        }),
    })),
  // more than any resolver asks for, in fragments of IP
  oversized: (query) => [
    {
      answers: Array.from({ length: 600 }, (_, i) => ({
        type: 'TXT',
        name: `x${i}.example`,
        data: 'y'.repeat(60),
      })),
      ...(query.tcp ? {} : { flagBits: 0x0200 }),
    },
  ],
  'many at once': (query) =>
    Array.from({ length: 50 }, (_, i) => ({
      id: (query.id + i + 1) & 0xffff,
      answers: [forged(query.name)],
    })),
  failing: () => [{ flagBits: 2 }],
  refusing: () => [{ flagBits: 5 }],
};

/** Those that somebody else plays, who guesses at the query. */
const FORGERIES: ReadonlySet<string> = new Set([
  'another id',
  'another question',
  'another letter case',
  'another port',
  'many at once',
]);

for (const seed of [1, 2, 3]) {
  test(`a hostile server causes no wrong answer, no leak and no hang: seed ${seed}`, (t) => {
    const bench = new TestBench({ seed });
    bench.traceLimit = 0;
    const chance = new SeededRandom(seed);
    const draw = (): number => (chance.uint32() >>> 0) / 2 ** 32;
    const used = new Set<string>();
    const tricks = Object.entries(TRICKS);
    const server = new TestNameServer(bench.b, (query) => {
      const [name, trick] = tricks[Math.floor(draw() * tricks.length)]!;
      used.add(name);
      // it does tell the truth, too; and over TCP nobody is there but the server itself
      const isTrue =
        draw() < 0.3 || (query.tcp && FORGERIES.has(name)) || query.name === query.name.toLowerCase();
      return isTrue ? TRUE_ANSWERS(query) : trick(query, draw);
    });
    server.listen();
    const resolver = new Resolver(bench.a, {
      servers: [{ address: IpAddress.parse(PAIR_ADDRESSES.b.v4)!, port: 53 }],
      hosts: null,
      timeoutMs: QUERY_MS,
      attempts: ATTEMPTS,
      toAscii: (name) => name,
    });
    let [right, failed] = [0, 0];
    for (let round = 0; round < 60; round++) {
      const lookups = new Map<string, Lookup>();
      for (const name of NAMES) lookups.set(name, resolver.lookup(name, 4));
      // every try, doubled each time, over UDP and then TCP
      bench.runFor(2 * QUERY_MS * (2 ** ATTEMPTS - 1));
      for (const [name, lookup] of lookups) {
        t.true(lookup.isDone, name);
        const expected = `192.0.2.${NAMES.indexOf(name) + 1}`;
        if (lookup.error === null) t.is(lookup.addresses.join(' '), expected, name);
        if (lookup.error === null) right++;
        else failed++;
      }
      // what was kept has ended: all are asked for again
      if (round % 3 === 2) bench.runFor(400_000);
    }
    bench.runFor(60_000);
    t.true(right > 1000 && failed > 10, `${right} right, ${failed} failed`);
    t.is(used.size, tricks.length);
    t.is(resolver.pending, 0);
    t.is(bench.a.udp.socketCount, 0, 'sockets are closed');
    t.is(bench.a.tcp.table.size, 0, 'connections are closed');
  });
}
