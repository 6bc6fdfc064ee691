import test from 'ava';
import { EndpointEvent } from '../endpoint.ts';
import { NetError } from '../errors.ts';
import { addressOf, icmpMessage, ipPacket } from '../testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from '../testing/stack-pair.ts';
import { MAX_PING_RESULTS, type Ping, type PingOptions, type PingResult } from './ping.ts';
import { MAX_PROBERS } from './probes.ts';

const { a, b } = PAIR_ADDRESSES;
const FAMILIES = ['v4', 'v6'] as const;

interface Run {
  readonly ping: Ping;
  readonly results: PingResult[];
  closedAtMs: number;
}

function start(pair: StackPair, options: PingOptions): Run {
  const ping = pair.a.icmp.ping(options);
  const run: Run = { ping, results: [], closedAtMs: NaN };
  pair.onEvents = (endpoint, events): void => {
    if (endpoint !== ping) return;
    for (let result = ping.take(); result !== null; result = ping.take()) run.results.push(result);
    if ((events & EndpointEvent.Closed) !== 0) run.closedAtMs = pair.nowMs;
  };
  return run;
}

for (const family of FAMILIES) {
  const destination = addressOf(b[family]);

  // [RFC 1122 §3.2.2.6-2] [RFC 1122 §3.2.2.6-6]
  test(`requests are sent at their interval, and replies have their times (${family})`, (t) => {
    const pair = new StackPair({ forward: { latencyMs: 15 }, backward: { latencyMs: 5 } });
    const run = start(pair, { destination, count: 3, intervalMs: 100, payloadBytes: 100 });
    pair.run(Infinity);
    t.deepEqual(
      run.results.map((r) => [r.number, r.outcome, r.rttMs, r.ttl, r.from?.toString(), r.error]),
      [1, 2, 3].map((n) => [n, 'reply', 20, 64, b[family], null]),
    );
    t.deepEqual(
      pair.trace.filter((p) => p.from === 'a').map((p) => [p.sentAtMs, p.bytes.length]),
      [1000, 1100, 1200].map((at) => [at, 108 + (family === 'v4' ? 20 : 40)]),
    );
    t.is(run.closedAtMs, 1220);
    t.like(run.ping.summary, { sent: 3, received: 3, minMs: 20, meanMs: 20, maxMs: 20, deviationMs: 0 });
    t.is(pair.a.icmp.probes.count, 0);
    t.is(pair.a.nextDeadline(), Infinity);
  });

  test(`what is lost times out, and what comes later is no reply (${family})`, (t) => {
    const pair = new StackPair();
    let number = 0;
    pair.forward.filter = () => (++number === 2 ? 'drop' : 'pass');
    pair.backward.options = { ...pair.backward.options, latencyMs: 349 };
    const run = start(pair, { destination, count: 3, intervalMs: 100, timeoutMs: 300 });
    pair.runFor(345);
    pair.backward.options = { ...pair.backward.options, latencyMs: 1 };
    pair.run(Infinity);
    t.deepEqual(
      run.results.map((r) => [r.number, r.outcome, r.from]),
      [1, 2, 3].map((n) => [n, 'timeout', null]),
    );
    t.is(run.closedAtMs, 1500);
    t.like(run.ping.summary, { sent: 3, received: 0, timeouts: 3, late: 1 });
    t.is(pair.a.icmp.counters.dropEchoReplyUnexpected, 2);
    t.is(run.ping.summary.minMs, NaN);
  });

  test(`duplicates, damaged and strangers' replies are counted and not taken (${family})`, (t) => {
    const pair = new StackPair({ backward: { latencyMs: 50 } });
    const run = start(pair, { destination, count: 2, intervalMs: 500, payloadBytes: 16 });
    pair.settle();
    const request = pair.trace[0]!.bytes;
    const header = family === 'v4' ? 20 : 40;
    const rest = new DataView(request.buffer).getInt32(header + 4);
    const data = request.slice(header + 8);
    const reply = (from: string, word: number, payload: Uint8Array): void => {
      const type = family === 'v4' ? 0 : 129;
      const message = icmpMessage(from, a[family], type, 0, word, payload);
      pair.inject(
        'a',
        ipPacket({ from, to: a[family], protocol: family === 'v4' ? 1 : 58, ttl: 9 }, message),
      );
    };
    reply(b[family], rest, data.slice(1));
    reply(
      b[family],
      rest,
      data.map((byte) => byte ^ 1),
    );
    reply(family === 'v4' ? '192.0.2.77' : '2001:db8::77', rest, data);
    reply(b[family], rest ^ 0x10000, data);
    t.like(run.ping.summary, { received: 0, damaged: 2 });
    t.is(pair.a.icmp.counters.dropEchoReplyUnexpected, 4);
    reply(b[family], rest, data);
    reply(b[family], rest, data);
    t.like(run.ping.summary, { received: 1, duplicates: 1 });
    pair.run(Infinity);
    // b's own reply to the first request came too
    t.like(run.ping.summary, { sent: 2, received: 2, duplicates: 2, late: 0 });
    t.is(run.results[0]?.ttl, 9);
  });

  test(`errors are results, with who reported them (${family})`, (t) => {
    const pair = new StackPair();
    pair.forward.filter = () => 'drop';
    const run = start(pair, { destination, count: 2, intervalMs: 100, ttl: 3 });
    pair.settle();
    const router = family === 'v4' ? '198.51.100.1' : '2001:db8:1::1';
    const protocol = family === 'v4' ? 1 : 58;
    const error = (quoted: Uint8Array): void => {
      const message = icmpMessage(router, a[family], family === 'v4' ? 11 : 3, 0, 0, quoted);
      pair.inject('a', ipPacket({ from: router, to: a[family], protocol }, message));
    };
    const request = pair.trace[0]!.bytes;
    const header = family === 'v4' ? 20 : 40;
    t.is(request[family === 'v4' ? 8 : 7], 3);
    const otherIdentifier = request.slice();
    otherIdentifier[header + 4] = (otherIdentifier[header + 4] ?? 0) ^ 1;
    error(otherIdentifier);
    // an echo reply of ours with the same numbers is none of its requests
    const echoReply = request.slice();
    echoReply[header] = family === 'v4' ? 0 : 129;
    error(echoReply);
    t.is(run.ping.summary.errors, 0);
    pair.runFor(7);
    error(request);
    error(request);
    pair.run(Infinity);
    t.deepEqual(
      run.results.map((r) => [r.number, r.outcome, r.rttMs, r.error, r.from?.toString()]),
      [
        [1, 'error', 7, 'time-exceeded', router],
        [2, 'timeout', NaN, null, undefined],
      ],
    );
    t.like(run.ping.summary, { errors: 1, timeouts: 1 });
  });

  test(`large requests go in fragments and come back whole (${family})`, (t) => {
    const pair = new StackPair();
    const run = start(pair, { destination, count: 1, payloadBytes: family === 'v4' ? 65_507 : 65_527 });
    pair.run(Infinity);
    t.is(run.results[0]?.outcome, 'reply');
    t.true(pair.trace.length > 80);
  });

  test(`too big: the path MTU shrinks for the next request (${family})`, (t) => {
    const pair = new StackPair();
    const run = start(pair, { destination, count: 2, intervalMs: 100, payloadBytes: 1400 });
    pair.forward.filter = (bytes) => (bytes.length > 1300 ? 'drop' : 'pass');
    pair.settle();
    const request = pair.trace[0]!.bytes;
    const v4 = family === 'v4';
    const message = icmpMessage(b[family], a[family], v4 ? 3 : 2, v4 ? 4 : 0, 1300, request.slice(0, 200));
    pair.inject('a', ipPacket({ from: b[family], to: a[family], protocol: v4 ? 1 : 58 }, message));
    pair.run(Infinity);
    t.deepEqual(
      run.results.map((r) => [r.outcome, r.error]),
      [
        ['error', 'too-big'],
        ['reply', null],
      ],
    );
  });
}

test('a full device delays a request, and the interval counts from when it was sent', (t) => {
  const pair = new StackPair({
    forward: { kilobitsPerSecond: 8.4, refuses: true, queuePackets: 0, latencyMs: 0 },
    backward: { latencyMs: 0 },
  });
  // 84 bytes take 80 ms, so that the request of every 50 ms finds the device full
  const run = start(pair, { destination: addressOf(b.v4), count: 3, intervalMs: 50 });
  pair.run(Infinity);
  t.deepEqual(
    pair.trace.filter((p) => p.from === 'a').map((p) => p.sentAtMs),
    [1000, 1080, 1160],
  );
  t.is(run.ping.summary.received, 3);
});

test('endless pings, results nobody takes, close and the limit of pings', (t) => {
  const pair = new StackPair();
  const destination = addressOf(b.v4);
  const ping = pair.a.icmp.ping({ destination, count: Infinity, intervalMs: 1, timeoutMs: 10 });
  pair.runFor(MAX_PING_RESULTS + 100);
  const { untaken, received } = ping.summary;
  t.true(received > MAX_PING_RESULTS + 90);
  t.is(untaken, received - MAX_PING_RESULTS);
  ping.close();
  ping.close();
  pair.run(Infinity);
  t.is(pair.a.nextDeadline(), Infinity);
  const more = Array.from({ length: MAX_PROBERS }, () => pair.a.icmp.ping({ destination }));
  t.throws(() => pair.a.icmp.ping({ destination }), { instanceOf: NetError, code: 'ENOBUFS' });
  t.is(new Set(more.map((one) => one.identifier)).size, MAX_PROBERS);
  for (const one of more) one.close();
  t.is(pair.a.icmp.probes.count, 0);
});

test('sequence numbers wrap', (t) => {
  const pair = new StackPair({ forward: { latencyMs: 0.1 }, backward: { latencyMs: 0.1 } });
  pair.traceLimit = 0;
  const ping = pair.a.icmp.ping({
    destination: addressOf(b.v4),
    count: 65_600,
    intervalMs: 1,
    timeoutMs: 2,
    payloadBytes: 0,
  });
  pair.onEvents = () => {
    while (ping.take() !== null) {}
  };
  pair.run(Infinity);
  t.like(ping.summary, { sent: 65_600, received: 65_600, timeouts: 0, untaken: 0 });
});

test('arguments', (t) => {
  const pair = new StackPair();
  const destination = addressOf(b.v4);
  for (const wrong of [
    { count: 0 },
    { count: 1.5 },
    { intervalMs: 0 },
    { intervalMs: NaN },
    { timeoutMs: 0 },
    { timeoutMs: 20_000, intervalMs: 1 },
    { ttl: 0 },
    { ttl: 256 },
    { payloadBytes: 65_508 },
    { payloadBytes: -1 },
    { trafficClass: 256 },
  ]) {
    t.throws(
      () => pair.a.icmp.ping({ destination, ...wrong }),
      { instanceOf: NetError, code: 'EINVAL' },
      JSON.stringify(wrong),
    );
  }
  t.throws(() => pair.a.icmp.ping({ destination: addressOf('192.0.2.255') }), { code: 'EACCES' });
  t.throws(() => pair.a.icmp.ping({ destination: addressOf('203.0.113.1') }), { code: 'ENETUNREACH' });
  t.throws(() => pair.a.icmp.ping({ destination, source: addressOf('192.0.2.9') }), {
    code: 'EADDRNOTAVAIL',
  });
  t.is(pair.a.icmp.probes.count, 0);
});
