import test, { type ExecutionContext } from 'ava';
import { fc } from '../../test/properties.ts';
import type { Endpoint } from '../endpoint.ts';
import { ElasticHeapRings } from '../testing/elastic-heap-rings.ts';
import { addressOf } from '../testing/packets.ts';
import { type LinkOptions, PAIR_ADDRESSES, StackPair } from '../testing/stack-pair.ts';
import type { TcpConnection } from './connection.ts';
import { TcpListener } from './listener.ts';
import { RING_IDLE_MS } from './ring-keeper.ts';

const PORT = 7;

/** Byte `i` of every stream. */
function byteAt(i: number): number {
  return (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff;
}

/** One end of a connection and what its application does. */
class End {
  readonly rings: ElasticHeapRings;
  connection: TcpConnection | null = null;
  toSend: number;
  written = 0;
  received = 0;
  /** Bytes it takes per call; 0: it does not read now. */
  readsAtOnce: number = Infinity;
  wrong = -1;
  peerFinished = false;
  readonly #buffer: Uint8Array = new Uint8Array(65_536);

  constructor(rings: ElasticHeapRings, toSend: number) {
    this.rings = rings;
    this.toSend = toSend;
  }

  write(atMost: number, byItself: boolean): void {
    const { connection } = this;
    if (connection === null) return;
    let left = Math.min(atMost, this.toSend - this.written);
    while (left > 0) {
      const length = Math.min(left, this.#buffer.length);
      for (let i = 0; i < length; i++) this.#buffer[i] = byteAt(this.written + i);
      const taken = this.rings.write(connection, this.#buffer, 0, length, byItself);
      if (taken === 0) return;
      this.written += taken;
      left -= taken;
    }
  }

  read(): void {
    const ring = this.connection?.recvRing ?? null;
    if (ring === null) return;
    let left = this.readsAtOnce;
    while (left > 0 && ring.usedBytes > 0) {
      const length = ring.read(this.#buffer, 0, Math.min(this.#buffer.length, left));
      for (let i = 0; i < length && this.wrong < 0; i++) {
        if (this.#buffer[i] !== byteAt(this.received + i)) this.wrong = this.received + i;
      }
      this.received += length;
      left -= length;
    }
    this.connection!.appRead();
  }
}

interface Session {
  readonly pair: StackPair;
  readonly a: End;
  readonly b: End;
}

function open(
  options: { seed?: number; aSends?: number; bSends?: number; txSegmentBytes?: number } = {},
  link: Partial<LinkOptions> = {},
): Session {
  const a = new End(new ElasticHeapRings(), options.aSends ?? 0);
  const b = new End(new ElasticHeapRings(), options.bSends ?? 0);
  const pair = new StackPair({
    seed: options.seed ?? 1,
    aSource: a.rings,
    bSource: b.rings,
    txSegmentBytes: options.txSegmentBytes ?? 0,
    txChecksum: (options.txSegmentBytes ?? 0) > 0,
    forward: link,
    backward: link,
  });
  pair.traceLimit = 0;
  pair.onEvents = (endpoint: Endpoint): void => {
    if (endpoint instanceof TcpListener) b.connection = endpoint.accept();
    const end = endpoint === a.connection ? a : b;
    end.read();
    end.write(Infinity, true);
  };
  pair.b.tcp.listen({ local: null, port: PORT, backlog: 1 });
  a.connection = connect(pair);
  return { pair, a, b };
}

function connect(pair: StackPair): TcpConnection {
  return pair.a.tcp.connect({
    remote: addressOf(PAIR_ADDRESSES.b.v4),
    remotePort: PORT,
    local: null,
    localPort: 0,
    noDelay: false,
    keepAlive: null,
  });
}

function established(t: ExecutionContext, session: Session): void {
  t.true(
    session.pair.runUntil(
      () => session.b.connection !== null && session.a.connection!.isSynchronized,
      session.pair.nowMs + 10_000,
    ),
  );
}

test('an idle connection has no rings; they come with data and go when nothing has moved for a while', (t) => {
  const session = open();
  const { pair, a, b } = session;
  established(t, session);
  pair.runFor(100);
  t.is(a.rings.usedBytes + b.rings.usedBytes, 0);
  for (let round = 1; round <= 3; round++) {
    a.toSend += 3000;
    a.write(3000, round !== 2);
    // without a ring of its own choice it is told of the one it gets
    pair.runFor(50);
    t.is(b.received, 3000 * round);
    t.true(a.rings.usedBytes > 0 && b.rings.usedBytes > 0);
    t.is(b.rings.usedBytes, 4096);
    pair.runFor(3 * RING_IDLE_MS);
    t.is(a.connection!.sendRing, null);
    t.is(b.connection!.recvRing, null);
    t.is(a.rings.usedBytes + b.rings.usedBytes, 0);
    t.is(pair.a.tcp.ringKeeper.size + pair.b.tcp.ringKeeper.size, 0);
  }
  t.is(b.wrong, -1);
  // and no timer goes on for what is not there
  t.is(pair.nextEventMs(), Infinity);
});

test('round trips keep their rings', (t) => {
  const session = open();
  const { pair, a, b } = session;
  established(t, session);
  const rings = new Set<unknown>();
  for (let i = 0; i < 40; i++) {
    a.toSend += 100;
    a.write(100, true);
    pair.runFor(RING_IDLE_MS / 3);
    rings.add(a.connection!.sendRing).add(b.connection!.recvRing);
  }
  t.is(b.received, 4000);
  t.is(rings.size, 2);
});

test('a large ring goes after its burst, also when a trickle follows', (t) => {
  const session = open({ aSends: 4_000_000 }, { latencyMs: 20, kilobitsPerSecond: 200_000 });
  const { pair, a, b } = session;
  t.true(pair.runUntil(() => b.received === 4_000_000, pair.nowMs + 20_000));
  t.true(a.connection!.sendRing!.capacityBytes > 65_536);
  for (let i = 0; i < 40; i++) {
    a.toSend += 100;
    a.write(100, true);
    pair.runFor(100);
  }
  t.is(b.received, 4_004_000);
  t.true(a.rings.usedBytes <= 65_536, `${a.rings.usedBytes}`);
  t.true(b.rings.usedBytes <= 65_536, `${b.rings.usedBytes}`);
  t.is(b.wrong, -1);
});

for (const [name, kilobitsPerSecond, latencyMs, bytes, txSegmentBytes] of [
  ['100 Mbit/s, 40 ms', 100_000, 20, 20_000_000, 0],
  ['1 Gbit/s, 100 ms', 1_000_000, 50, 300_000_000, 65_536],
] as const) {
  test(`${name}: buffers grow until the link is full`, (t) => {
    // no queue overflows: what keeps the rate down can only be the buffers
    const link = { kilobitsPerSecond, latencyMs, queuePackets: 12_000 };
    const session = open({ aSends: bytes, txSegmentBytes }, link);
    const { pair, a, b } = session;
    // 15 round trips of slow start and growth, then ten at full speed
    pair.runFor(30 * latencyMs);
    const received = b.received;
    pair.runFor(20 * latencyMs);
    const rate = ((b.received - received) * 8) / (20 * latencyMs);
    t.true(pair.runUntil(() => b.received === bytes, pair.nowMs + 60_000));
    // headers take 52 of 1500 bytes
    t.true(rate > 0.96 * kilobitsPerSecond, `${rate} kbit/s, ${JSON.stringify(a.connection!.info())}`);
    t.is(b.wrong, -1);
    t.true(b.connection!.recvBufferBytes >= (kilobitsPerSecond * 2 * latencyMs) / 8);
    // the reader keeps up: what is promised need not be there
    t.true(b.rings.peakBytes <= 1 << 20, `${b.rings.peakBytes}`);
  });
}

test('a slow reader makes nothing grow', (t) => {
  const session = open({ aSends: 3_000_000 }, { kilobitsPerSecond: 100_000, latencyMs: 20 });
  const { pair, b } = session;
  b.readsAtOnce = 0;
  established(t, session);
  for (let i = 0; i < 100; i++) {
    b.readsAtOnce = 5000;
    b.read();
    b.readsAtOnce = 0;
    pair.runFor(40);
  }
  t.is(b.connection!.recvBufferBytes, 65_536);
  t.true(b.rings.peakBytes <= 2 * 65_536);
  t.true(b.received >= 490_000);
});

test('sizes that were set do not change', (t) => {
  const session = open({ aSends: 2_000_000 }, { kilobitsPerSecond: 100_000, latencyMs: 20 });
  const { pair, a, b } = session;
  for (const stack of [pair.a, pair.b]) {
    stack.tcp.settings.maxReceiveBufferBytes = 65_536;
    stack.tcp.settings.maxSendBufferBytes = 65_536;
  }
  t.true(pair.runUntil(() => b.received === 2_000_000, pair.nowMs + 20_000));
  t.is(b.connection!.recvBufferBytes, 65_536);
  t.is(a.rings.peakBytes, 65_536);
});

test('without memory data is refused and sent again, a writer waits, and nothing is lost', (t) => {
  const session = open({}, { latencyMs: 5 });
  const { pair, a, b } = session;
  established(t, session);
  b.rings.limitBytes = 0;
  a.toSend = 20_000;
  a.write(20_000, true);
  pair.runFor(2000);
  t.is(b.received, 0);
  t.true(pair.b.tcp.counters.dropNoMemory > 0);
  b.rings.limitBytes = 65_536;
  t.true(pair.runUntil(() => b.received === 20_000, pair.nowMs + 10_000));
  a.rings.limitBytes = 0;
  pair.runFor(10 * RING_IDLE_MS);
  a.toSend += 1000;
  a.write(1000, true);
  pair.runFor(5000);
  t.is(a.written, 20_000);
  t.is(pair.a.tcp.counters.writersWithoutMemory > 0, true);
  a.rings.limitBytes = 131_072;
  t.true(pair.runUntil(() => b.received === 21_000, pair.nowMs + 1000));
  t.is(b.wrong, -1);
});

test('while memory is scarce windows close instead of opening, and open again', (t) => {
  const session = open({ aSends: 2_000_000 }, { latencyMs: 5, kilobitsPerSecond: 50_000 });
  const { pair, b } = session;
  b.readsAtOnce = 0;
  established(t, session);
  b.rings.isScarce = true;
  pair.runFor(1000);
  // what was promised before is kept
  t.true(b.connection!.recvRing!.usedBytes <= 65_536);
  b.readsAtOnce = Infinity;
  b.read();
  pair.runFor(200);
  t.true(b.connection!.recvBufferBytes === 65_536);
  b.rings.isScarce = false;
  t.true(pair.runUntil(() => b.received === 2_000_000, pair.nowMs + 10_000));
  t.is(b.wrong, -1);
});

test('empty rings of others are taken back for whoever needs memory', (t) => {
  const session = open({}, { latencyMs: 1 });
  const { pair, a, b } = session;
  established(t, session);
  b.readsAtOnce = 0;
  a.toSend = 40_000;
  a.write(40_000, true);
  pair.runFor(50);
  t.is(b.rings.usedBytes, 65_536);
  b.readsAtOnce = Infinity;
  b.read();
  b.rings.limitBytes = 98_304;
  // the other direction wants the send ring's size, which is only there without the receive ring
  b.toSend = 50_000;
  b.write(50_000, false);
  t.true(pair.runUntil(() => a.received === 50_000, pair.nowMs + 1000));
  t.is(pair.b.tcp.counters.ringsReclaimed, 1);
});

test('streams at random over a bad link with little memory: every byte arrives in order, no window shrinks', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000 }), (seed) => {
      randomSession(t, seed);
    }),
    { numRuns: 100 },
  );
});

/** Reads and writes of any size, rings that grow, go, and are refused, over a link that loses and reorders. */
function randomSession(t: ExecutionContext, seed: number): void {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
  const session = open(
    { seed, aSends: random(400_000), bSends: random(400_000) },
    {
      latencyMs: 1 + random(20),
      kilobitsPerSecond: 5000 + random(100_000),
      loss: random(4) / 100,
      reorder: random(4) / 100,
      duplicate: random(2) / 100,
    },
  );
  const { pair, a, b } = session;
  const ends = [a, b];
  for (const end of ends) {
    end.rings.isWriting = () => random(3) === 0;
    end.rings.limitBytes = 131_072 + random(4) * 65_536;
  }
  let ringsGone = 0;
  const edge = { a: Number.NEGATIVE_INFINITY, b: Number.NEGATIVE_INFINITY };
  pair.onEvents = (endpoint): void => {
    if (endpoint instanceof TcpListener) b.connection = endpoint.accept();
  };
  for (let step = 0; step < 5000 && (b.received < a.toSend || a.received < b.toSend); step++) {
    for (const end of ends) {
      end.rings.isScarce = random(10) === 0;
      end.readsAtOnce = random(3) === 0 ? 0 : random(60_000);
      end.read();
      if (random(2) === 0) end.write(random(80_000), random(2) === 0);
      if (end.connection !== null && end.connection.recvRing === null) ringsGone++;
    }
    for (const [name, end] of [['a', a] as const, ['b', b] as const]) {
      const c = end.connection;
      if (c === null || !c.isSynchronized) continue;
      // [SHLD-14]: the right edge of the window never moves back
      const right = (c.rcvAdv - c.irs) | 0;
      t.true(right >= edge[name], `seed ${seed}: the window of ${name} shrank`);
      edge[name] = right;
    }
    pair.runFor(random(20) === 0 ? 3000 : random(60));
  }
  t.is(b.received, a.toSend, `seed ${seed}: a to b`);
  t.is(a.received, b.toSend, `seed ${seed}: b to a`);
  t.is(a.wrong, -1, `seed ${seed}`);
  t.is(b.wrong, -1, `seed ${seed}`);
  t.true(ringsGone > 0);
  for (const end of ends) end.rings.isWriting = () => false;
  pair.runFor(20_000);
  t.is(a.rings.usedBytes + b.rings.usedBytes, 0, `seed ${seed}: memory left`);
}

test('of two writers with memory for one ring, each has its turn', (t) => {
  const session = open();
  established(t, session);
  const { pair, a, b } = session;
  const first = a.connection!;
  pair.onEvents = (endpoint: Endpoint): void => {
    if (endpoint instanceof TcpListener) endpoint.accept();
  };
  const second = connect(pair);
  pair.runFor(10);
  for (const end of [a, b]) end.rings.limitBytes = 98_304;
  const begun = pair.a.now;
  const written = [0, 0];
  const byte = new Uint8Array(1);
  // each asks, and writes when it is told that it can
  pair.onEvents = (endpoint: Endpoint): void => {
    const which = [first, second].indexOf(endpoint as TcpConnection);
    if (which >= 0 && written[which] === 0) {
      written[which] = a.rings.write(endpoint as TcpConnection, byte, 0, 1, false);
    }
  };
  for (const c of [first, second]) t.is(a.rings.write(c, byte, 0, 1, false), 0);
  pair.runFor(10_000);
  t.deepEqual(written, [1, 1]);
  t.true(pair.a.now - begun >= 10_000);
});
