import test from 'ava';
import { EndpointEvent } from '../endpoint.ts';
import { SeededRandom } from '../random.ts';
import { addressOf } from '../testing/packets.ts';
import { FastOpenCache, FastOpenCookies, MAX_CACHED_COOKIES } from './fast-open.ts';
import { TcpState } from './tcp-state.ts';
import { brief, type SeenSegment, TcpBench } from './testing.ts';

/** The option of RFC 7413 with padding. */
function option(...cookie: number[]): Uint8Array {
  const bytes = [34, cookie.length + 2, ...cookie];
  while (bytes.length % 4 !== 0) bytes.push(1);
  return Uint8Array.from(bytes);
}

const COOKIE = [1, 2, 3, 4, 5, 6, 7, 8];

function cookieOf(seg: SeenSegment | undefined): number[] | null {
  const bytes = seg?.options.cookieBytes ?? -1;
  return bytes < 0 ? null : seg!.cookie;
}

/** A bench whose stack has a cookie of its peer. */
function withCookie(): TcpBench {
  const bench = TcpBench.synSent({ connect: { fastOpen: true } });
  bench.take();
  bench.seg({ flags: 'SA', seq: 0, ack: 1, rawOptions: option(...COOKIE) });
  bench.connection.abort();
  bench.settle();
  bench.take();
  return bench;
}

function open(bench: TcpBench, data: string): SeenSegment {
  bench.connect({ fastOpen: true });
  bench.write(data);
  const [syn] = bench.take();
  return syn!;
}

// [RFC 7413 §4.2.1-1]
test('without a cookie the SYN asks for one and goes at once (RFC 7413 §4.2.1)', (t) => {
  const bench = TcpBench.synSent({ connect: { fastOpen: true } });
  const [syn] = bench.take();
  t.deepEqual(brief([syn!]), ['S 0 ack 0 len 0']);
  t.deepEqual(cookieOf(syn), []);
});

// [RFC 7413 §2-1]
test('off by default: no option', (t) => {
  const [syn] = TcpBench.synSent().take();
  t.is(cookieOf(syn), null);
});

// [RFC 7413 §4.2.2-1] [RFC 7413 §4.1.3-1]
test('with a cookie the SYN waits for the first data and carries it', (t) => {
  const bench = withCookie();
  bench.connect({ fastOpen: true });
  bench.wait(10_000);
  t.deepEqual(bench.take(), []);
  bench.write('hello');
  const [syn] = bench.take();
  t.deepEqual(brief([syn!]), ['S 0 ack 0 len 5']);
  t.deepEqual(cookieOf(syn), COOKIE);
  bench.seg({ flags: 'SA', seq: 0, ack: 6, mss: 1460 });
  t.deepEqual(brief(bench.take()), ['A 6 ack 1 len 0']);
  t.is(bench.connection.state, TcpState.Established);
  t.is(bench.connection.sendRing?.usedBytes, 0);
  t.not(bench.takeEvents() & EndpointEvent.Writable, 0);
  t.is(bench.stack.tcp.counters.fastOpenActive, 1);
});

test('what the SYN-ACK does not acknowledge is sent again at once', (t) => {
  const bench = withCookie();
  open(bench, 'hello');
  bench.seg({ flags: 'SA', seq: 0, ack: 3, mss: 1460 });
  t.deepEqual(brief(bench.take()), ['PA 3 ack 1 len 3']);
  bench.seg({ flags: 'A', seq: 1, ack: 6 });
  t.is(bench.connection.info().unackedBytes, 0);
});

test('a SYN with data that is lost is followed by a plain one, and a late answer to the first is taken', (t) => {
  const bench = withCookie();
  open(bench, 'hello');
  bench.wait(1000);
  const [again] = bench.take();
  t.deepEqual(brief([again!]), ['S 0 ack 0 len 0']);
  t.is(cookieOf(again), null);
  bench.seg({ flags: 'SA', seq: 0, ack: 6, mss: 1460 });
  t.deepEqual(brief(bench.take()), ['A 6 ack 1 len 0']);
});

// [RFC 7413 §4.1.3.1-1]
test('a server that leaves SYN data unacknowledged is not asked again (RFC 7413 §4.1.3.1)', (t) => {
  const bench = withCookie();
  open(bench, 'hello');
  bench.seg({ flags: 'SA', seq: 0, ack: 1, mss: 1460 });
  t.deepEqual(brief(bench.take()), ['PA 1 ack 1 len 5']);
  bench.connection.abort();
  bench.settle();
  bench.take();
  bench.connect({ fastOpen: true });
  t.deepEqual(brief(bench.take()), ['S 0 ack 0 len 0']);
  t.is(bench.stack.tcp.counters.fastOpenAvoided, 1);
  t.is(bench.stack.tcp.counters.fastOpenRefused, 1);
});

// [RFC 7413 §4.1.3.1-2]
test('a path that swallows such SYNs twice is a black hole, avoided for a while', (t) => {
  const bench = withCookie();
  for (let i = 0; i < 2; i++) {
    open(bench, 'hello');
    bench.wait(1500);
    bench.connection.abort();
    bench.take();
  }
  t.is(bench.stack.tcp.counters.fastOpenBlackHoles, 1);
  bench.connect({ fastOpen: true });
  const [plain] = bench.take();
  t.is(cookieOf(plain), null);
  bench.connection.abort();
  bench.wait(60_000);
  bench.take();
  t.deepEqual(cookieOf(open(bench, 'x')), COOKIE);
});

// [RFC 7413 §4.1.1-1] [RFC 7413 §4.1.1-2]
test('illegal cookies are ignored (RFC 7413 §4.1.1)', (t) => {
  for (const length of [1, 3, 5, 18]) {
    const bench = withCookie();
    open(bench, 'hello');
    const cookie = Array.from({ length }, () => 9);
    bench.seg({ flags: 'SA', seq: 0, ack: 6, rawOptions: option(...cookie) });
    bench.connection.abort();
    bench.settle();
    bench.take();
    t.deepEqual(cookieOf(open(bench, 'x')), COOKIE);
  }
});

test('the cache has a limit', (t) => {
  const cache = new FastOpenCache();
  for (let i = 0; i < MAX_CACHED_COOKIES + 10; i++) cache.touch(addressOf(`10.0.${i >> 8}.${i & 255}`));
  t.is(cache.size, MAX_CACHED_COOKIES);
  t.is(cache.find(addressOf('10.0.0.9')), null);
  t.not(cache.find(addressOf('10.0.0.10')), null);
});

// [RFC 7413 §4.1.2-1]
test("cookies are Linux's for the same key (net.ipv4.tcp_fastopen_key)", (t) => {
  const cookies = new FastOpenCookies(new SeededRandom(1));
  cookies.setKey([0xa0bf63f7 | 0, 0xed803d81 | 0, 0xcd641d30 | 0, 0xcebc4a90 | 0]);
  const cookie = cookies.make(addressOf('10.248.0.2'), addressOf('192.168.0.2'));
  t.is(Buffer.from(cookie).toString('hex'), '00abaaabe8e954c2');
});

// ------------------------------------------------------------------ server

function listening(queue = 2): TcpBench {
  const bench = new TcpBench();
  const listener = bench.stack.tcp.listen({ local: null, port: 80, backlog: 8, fastOpenQueue: queue });
  bench.ownPort = 80;
  bench.peerPort = 50_000;
  bench.listener = listener;
  return bench;
}

/** The cookie that the listener gives the peer. */
function getCookie(bench: TcpBench): number[] {
  bench.seg({ flags: 'S', seq: 0, rawOptions: option() });
  const [answer] = bench.take();
  bench.seg({ flags: 'R', seq: 1 });
  return cookieOf(answer) ?? [];
}

test('a request is answered with a cookie, a SYN with it and data begins the connection (RFC 7413 §4.2.2)', (t) => {
  const bench = listening();
  const cookie = getCookie(bench);
  t.is(cookie.length, 8);
  bench.seg({ flags: 'S', seq: 0, data: 'hello', rawOptions: option(...cookie) });
  const [answer] = bench.take();
  t.deepEqual(brief([answer!]), ['SA 0 ack 6 len 0']);
  t.is(cookieOf(answer), null);
  bench.accept(bench.listener);
  t.is(bench.read(), 'hello');
  bench.write('world');
  t.deepEqual(brief(bench.take()), ['PA 1 ack 6 len 5']);
  bench.seg({ flags: 'A', seq: 6, ack: 6 });
  t.is(bench.connection.state, TcpState.Established);
  t.is(bench.connection.info().unackedBytes, 0);
  bench.seg({ flags: 'PA', seq: 6, ack: 6, data: 'more' });
  t.is(bench.read(), 'more');
});

test('the ACK of the SYN-ACK alone leaves the data in flight, which the timer sends again', (t) => {
  const bench = listening();
  const cookie = getCookie(bench);
  bench.seg({ flags: 'S', seq: 0, data: 'hello', rawOptions: option(...cookie) });
  bench.accept(bench.listener);
  bench.write('world');
  bench.take();
  bench.seg({ flags: 'A', seq: 6, ack: 1 });
  t.is(bench.connection.info().unackedBytes, 5);
  bench.wait(2000);
  t.deepEqual(brief(bench.take())[0], 'PA 1 ack 6 len 5');
});

test('a false cookie gets a new one, and its data is not taken', (t) => {
  const bench = listening();
  bench.seg({ flags: 'S', seq: 0, data: 'hello', rawOptions: option(...COOKIE) });
  const [answer] = bench.take();
  t.deepEqual(brief([answer!]), ['SA 0 ack 1 len 0']);
  t.is(cookieOf(answer)?.length, 8);
  t.is(bench.listener.accept(), null);
  t.is(bench.stack.tcp.counters.fastOpenCookiesRefused, 1);
});

test('a cookie of the key before is taken once more, and replaced', (t) => {
  const bench = listening();
  const cookie = getCookie(bench);
  bench.stack.tcp.fastOpenCookies.setKey([1, 2, 3, 4]);
  bench.seg({ flags: 'S', seq: 0, data: 'hello', rawOptions: option(...cookie) });
  const [answer] = bench.take();
  t.deepEqual(brief([answer!]), ['SA 0 ack 6 len 0']);
  t.notDeepEqual(cookieOf(answer), cookie);
  t.is(cookieOf(answer)?.length, 8);
});

// [RFC 7413 §4.2-2]
test('no more unconfirmed connections than asked for; those that were reset count for a minute (RFC 7413 §5.1)', (t) => {
  const bench = listening(2);
  const cookie = getCookie(bench);
  const syn = (port: number): string => {
    bench.peerPort = port;
    bench.seg({ flags: 'S', seq: 0, data: 'hello', rawOptions: option(...cookie) });
    return brief(bench.take())[0]!;
  };
  t.is(syn(1001), 'SA 0 ack 6 len 0');
  bench.seg({ flags: 'R', seq: 6 });
  t.is(syn(1002), 'SA 0 ack 6 len 0');
  t.is(syn(1003), 'SA 0 ack 1 len 0');
  t.is(bench.stack.tcp.counters.fastOpenOverflows, 1);
  bench.peerPort = 1002;
  bench.seg({ flags: 'A', seq: 6, ack: 1 });
  t.is(syn(1004), 'SA 0 ack 6 len 0');
  t.is(syn(1005), 'SA 0 ack 1 len 0');
  bench.wait(60_000);
  bench.take();
  t.is(syn(1006), 'SA 0 ack 6 len 0');
});

// [RFC 7413 §4.2-1]
test('a listener that was not told to knows nothing of cookies', (t) => {
  const bench = listening(0);
  bench.seg({ flags: 'S', seq: 0, data: 'hello', rawOptions: option() });
  const [answer] = bench.take();
  t.deepEqual(brief([answer!]), ['SA 0 ack 1 len 0']);
  t.is(cookieOf(answer), null);
});
