import test from 'ava';
import dnsPacket, { type Answer, type Packet } from 'dns-packet';
import { fc } from '../../test/properties.ts';
import { SeededRandom } from '../random.ts';
import { ResolverCounters } from './counters.ts';
import {
  checkReply,
  EDNS_UDP_BYTES,
  encodeQuery,
  mixCase,
  ReplyCheck,
  type SentQuery,
} from './dns-message.ts';
import { type DnsReply, MAX_CHAIN_LINKS, MAX_RECORDS, readReply } from './dns-reply.ts';
import type { DnsType } from './record.ts';

const NAME = 'www.example.com';
const random = new SeededRandom(1);

function query(name = NAME, type: DnsType = 'A', edns = true): SentQuery {
  return encodeQuery(random, name, type, edns);
}

/** A reply to `sent` with its id and question; `flags` holds the RCODE too. */
function reply(sent: SentQuery, parts: Packet, flags = 0): Uint8Array {
  const asked = dnsPacket.decode(Buffer.from(sent.bytes));
  const bytes = dnsPacket.encode({ type: 'response', id: asked.id, questions: asked.questions, ...parts });
  bytes.writeUInt16BE(bytes.readUInt16BE(2) | flags, 2);
  return bytes;
}

function read(sent: SentQuery, bytes: Uint8Array, type: DnsType = 'A'): [DnsReply, ResolverCounters] {
  const counters = new ResolverCounters();
  return [readReply(bytes, 0, bytes.length, sent, NAME, type, counters), counters];
}

const a = (name: string, data: string, ttl = 300): Answer => ({ type: 'A', name, data, ttl });
const cname = (name: string, data: string, ttl = 300): Answer => ({ type: 'CNAME', name, data, ttl });
const soa = (name: string, ttl: number, minimum: number): Answer => ({
  type: 'SOA',
  name,
  ttl,
  data: { mname: `ns.${name}`, rname: `admin.${name}`, minimum },
});

test('a query has a random id, RD, one question and EDNS with 1,232 bytes', (t) => {
  const ids = new Set<number>();
  for (let i = 0; i < 20; i++) {
    const sent = query('wWw.Example.COM', 'AAAA');
    const message = dnsPacket.decode(Buffer.from(sent.bytes));
    ids.add(message.id ?? 0);
    t.true(message.flag_rd);
    t.like(message.questions?.[0], { name: 'wWw.Example.COM', type: 'AAAA', class: 'IN' });
    t.is(sent.questionEnd, 12 + 17 + 4);
    const opt = message.additionals?.[0];
    t.true(opt?.type === 'OPT' && opt.udpPayloadSize === EDNS_UDP_BYTES);
  }
  t.true(ids.size > 15);
  const plain = query(NAME, 'A', false);
  t.is(plain.bytes.length, plain.questionEnd);
});

test('mixed case is the same name, and differs from query to query', (t) => {
  const mixed = new Set<string>();
  for (let i = 0; i < 20; i++) mixed.add(mixCase(random, `${NAME}.${NAME}.${NAME}.0-1_2`));
  t.true(mixed.size > 15);
  for (const each of mixed) t.is(each.toLowerCase(), `${NAME}.${NAME}.${NAME}.0-1_2`);
});

test('only a reply with the same id and exactly the same question is ours', (t) => {
  const sent = query('wWw.example.COM');
  const good = reply(sent, { answers: [a(NAME, '192.0.2.1')] });
  const check = (bytes: Uint8Array, len = bytes.length): ReplyCheck => checkReply(bytes, 0, len, sent);
  const changed = (at: number, value: number): Uint8Array => {
    const copy = Uint8Array.from(good);
    copy[at] = value;
    return copy;
  };
  t.is(check(good), ReplyCheck.Ours);
  t.is(check(sent.bytes), ReplyCheck.OtherId, 'our own query');
  t.is(check(changed(0, good[0]! ^ 1)), ReplyCheck.OtherId);
  t.is(check(changed(1, good[1]! ^ 1)), ReplyCheck.OtherId);
  t.is(check(changed(2, good[2]! | 0x08)), ReplyCheck.OtherId, 'opcode');
  t.is(check(changed(5, 2)), ReplyCheck.OtherQuestion, 'two questions');
  t.is(check(changed(5, 0)), ReplyCheck.OtherQuestion, 'no question');
  t.is(check(changed(13, good[13]! ^ 0x20)), ReplyCheck.OtherCase);
  t.is(check(changed(14, 'x'.charCodeAt(0))), ReplyCheck.OtherQuestion);
  t.is(check(changed(12, good[12]! ^ 0x20)), ReplyCheck.OtherQuestion, 'a label length');
  t.is(check(changed(sent.questionEnd - 3, 28)), ReplyCheck.OtherQuestion, 'type');
  t.is(check(changed(sent.questionEnd - 1, 3)), ReplyCheck.OtherQuestion, 'class');
  t.is(check(changed(sent.questionEnd - 1, 0x21)), ReplyCheck.OtherQuestion, 'class by 0x20');
  for (let len = 0; len < sent.questionEnd; len++) t.not(check(good, len), ReplyCheck.Ours, `cut at ${len}`);
});

test('a bare FORMERR header is an answer to EDNS only', (t) => {
  for (const edns of [true, false]) {
    const sent = query(NAME, 'A', edns);
    const bytes = reply(sent, { questions: [] }, 1);
    t.is(checkReply(bytes, 0, bytes.length, sent), edns ? ReplyCheck.Ours : ReplyCheck.OtherQuestion);
    const full = reply(sent, {}, 1);
    t.is(read(sent, full)[0].kind, edns ? 'edns-refused' : 'failed');
  }
});

test('addresses, duplicates removed, with the smallest TTL of the chain', (t) => {
  const sent = query();
  const answers = [
    cname('WWW.example.com', 'a.example.net', 60),
    cname('a.example.net', 'b.example.net', 30),
    a('B.example.net', '192.0.2.1', 300),
    a('b.example.net', '192.0.2.2', 200),
    a('b.example.net', '192.0.2.1', 300),
  ];
  for (const order of [answers, answers.toReversed()]) {
    const [got] = read(sent, reply(sent, { answers: order }));
    t.is(got.kind, 'addresses');
    if (got.kind !== 'addresses') continue;
    t.deepEqual(got.addresses.map(String).sort(), ['192.0.2.1', '192.0.2.2']);
    t.is(got.ttlSeconds, 30);
  }
});

test('records outside the chain, of another class or type are ignored', (t) => {
  const sent = query();
  const [got, counters] = read(
    sent,
    reply(sent, {
      answers: [
        a('bank.example', '203.0.113.66'),
        { type: 'A', name: NAME, class: 'CH', data: '203.0.113.67', ttl: 1 },
        { type: 'AAAA', name: NAME, data: '2001:db8::1', ttl: 1 },
        a(NAME, '192.0.2.1'),
      ],
      additionals: [a(NAME, '203.0.113.68')],
    }),
  );
  t.like(got, { kind: 'addresses', ttlSeconds: 300 });
  t.deepEqual(got.kind === 'addresses' && got.addresses.map(String), ['192.0.2.1']);
  t.is(counters.recordsIgnored, 1);
});

test('an IPv4-mapped address in an AAAA record is ignored', (t) => {
  const sent = query(NAME, 'AAAA');
  const answers: Answer[] = [
    { type: 'AAAA', name: NAME, data: '::ffff:192.0.2.1' },
    { type: 'AAAA', name: NAME, data: '2001:db8::1', ttl: 5 },
  ];
  const [got, counters] = read(sent, reply(sent, { answers }), 'AAAA');
  t.deepEqual(got.kind === 'addresses' && got.addresses.map(String), ['2001:db8::1']);
  t.is(counters.addressesIgnored, 1);
});

test('CNAME loops and chains over the limit are refused', (t) => {
  const sent = query();
  const self = read(sent, reply(sent, { answers: [cname(NAME, NAME)] }))[0];
  t.is(self.kind, 'bad-chain');
  const loop = read(
    sent,
    reply(sent, { answers: [cname(NAME, 'a.b'), cname('a.b', 'c.d'), cname('c.d', 'A.B')] }),
  )[0];
  t.regex(loop.kind === 'bad-chain' ? loop.reason : '', /loop at "a\.b"/);
  const chain = (links: number): Answer[] => {
    const answers = [cname(NAME, 'n1.x')];
    for (let i = 1; i < links; i++) answers.push(cname(`n${i}.x`, `n${i + 1}.x`));
    return [...answers, a(`n${links}.x`, '192.0.2.1')];
  };
  t.is(read(sent, reply(sent, { answers: chain(MAX_CHAIN_LINKS) }))[0].kind, 'addresses');
  t.is(read(sent, reply(sent, { answers: chain(MAX_CHAIN_LINKS + 1) }))[0].kind, 'bad-chain');
});

test('NODATA and NXDOMAIN take their TTL from the SOA of the name', (t) => {
  const sent = query();
  const authorities = [soa('example.com', 600, 60)];
  t.deepEqual(read(sent, reply(sent, { authorities }))[0], { kind: 'nodata', ttlSeconds: 60 });
  t.deepEqual(read(sent, reply(sent, { authorities }, 3))[0], { kind: 'nxdomain', ttlSeconds: 60 });
  t.deepEqual(read(sent, reply(sent, { authorities: [soa('example.org', 600, 60)] }, 3))[0], {
    kind: 'nxdomain',
    ttlSeconds: 0,
  });
  t.deepEqual(read(sent, reply(sent, {}, 3))[0], { kind: 'nxdomain', ttlSeconds: 0 });
  t.deepEqual(read(sent, reply(sent, { authorities: [soa('example.com', 600, 0x80000001)] }))[0], {
    kind: 'nodata',
    ttlSeconds: 0,
  });
});

test('an alias without its target is to be followed; with a SOA it is NODATA', (t) => {
  const sent = query();
  const answers = [cname(NAME, 'Target.example.net', 7)];
  t.deepEqual(read(sent, reply(sent, { answers }))[0], {
    kind: 'alias',
    target: 'target.example.net',
    links: 1,
    ttlSeconds: 7,
  });
  const authorities = [soa('example.net', 600, 60)];
  t.deepEqual(read(sent, reply(sent, { answers, authorities }))[0], { kind: 'nodata', ttlSeconds: 7 });
});

test('truncation is seen before anything is decoded', (t) => {
  const sent = query();
  const bytes = reply(sent, { answers: [a(NAME, '192.0.2.1')] }, 0x0200);
  t.is(read(sent, bytes.subarray(0, bytes.length - 3))[0].kind, 'truncated');
});

test('other codes, with the EDNS part of the code', (t) => {
  const sent = query();
  t.deepEqual(read(sent, reply(sent, {}, 2))[0], { kind: 'failed', reason: 'SERVFAIL' });
  t.deepEqual(read(sent, reply(sent, {}, 5))[0], { kind: 'failed', reason: 'REFUSED' });
  const opt = (extended: number): Answer => ({
    type: 'OPT',
    name: '.',
    udpPayloadSize: 1232,
    extendedRcode: extended,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  });
  t.is(read(sent, reply(sent, { additionals: [opt(1)] }))[0].kind, 'edns-refused', 'BADVERS');
  t.deepEqual(read(sent, reply(sent, { additionals: [opt(1)] }, 7))[0], {
    kind: 'failed',
    reason: 'RCODE 23',
  });
});

test('truncated at every byte: never an exception, never an address that is not there', (t) => {
  const sent = query();
  const bytes = reply(sent, {
    answers: [cname(NAME, 'x.example.net'), a('x.example.net', '192.0.2.1')],
    authorities: [soa('example.com', 1, 1)],
  });
  for (let len = sent.questionEnd; len < bytes.length; len++) {
    t.is(read(sent, bytes.subarray(0, len))[0].kind, 'malformed', `cut at ${len}`);
  }
});

test('garbage after the question is survived', (t) => {
  const sent = query();
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 600 }),
      fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }),
      (tail, counts) => {
        const bytes = new Uint8Array(sent.questionEnd + tail.length);
        bytes.set(sent.bytes.subarray(0, sent.questionEnd));
        bytes.set(tail, sent.questionEnd);
        bytes[2] = 0x80;
        for (let i = 0; i < 3; i++) bytes[7 + 2 * i] = counts[i]!;
        t.is(checkReply(bytes, 0, bytes.length, sent), ReplyCheck.Ours);
        const [got] = read(sent, bytes);
        t.true(
          ['malformed', 'nodata', 'addresses', 'alias', 'failed', 'bad-chain', 'edns-refused'].includes(
            got.kind,
          ),
        );
      },
    ),
    { numRuns: 2000 },
  );
});

test('the worst message that compression pointers can make takes little time', (t) => {
  const sent = query(NAME, 'A', false);
  const bytes = new Uint8Array(65_535);
  bytes.set(sent.bytes.subarray(0, sent.questionEnd));
  bytes[2] = 0x80;
  const view = new DataView(bytes.buffer);
  // One record of unknown type with 60,000 bytes of pointers, each to the one before, then records named by the last.
  let at = sent.questionEnd;
  const write = (type: number, rdata: number): void => {
    view.setUint16(at, type);
    view.setUint16(at + 2, 1);
    view.setUint16(at + 8, rdata);
    at += 10;
  };
  bytes[at++] = 0;
  write(65_000, 16_000);
  let pointer = 0;
  // Pointers reach the first 16 KB only.
  for (const end = at + 16_000; at < end; at += 2) {
    view.setUint16(at, pointer === 0 ? 0 : 0xc000 | pointer);
    if (at < 0x4000) pointer = at;
  }
  let records = 1;
  while (at + 12 < bytes.length && records < MAX_RECORDS) {
    view.setUint16(at, 0xc000 | pointer);
    at += 2;
    write(65_000, 0);
    records++;
  }
  view.setUint16(6, records);
  const start = performance.now();
  const [got] = read(sent, bytes);
  const elapsed = performance.now() - start;
  t.is(got.kind, 'nodata');
  t.true(elapsed < 1000, `${elapsed} ms`);
  view.setUint16(6, MAX_RECORDS + 1);
  t.is(read(sent, bytes)[0].kind, 'malformed');
});
