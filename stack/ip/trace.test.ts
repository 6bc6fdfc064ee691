import test from 'ava';
import { EndpointEvent } from '../endpoint.ts';
import { NetError } from '../errors.ts';
import { addressOf, icmpMessage, ipPacket } from '../testing/packets.ts';
import { PAIR_ADDRESSES, StackPair } from '../testing/stack-pair.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import { Slab } from '../wire/slab.ts';
import type { Trace, TraceHop, TraceOptions } from './trace.ts';

const { a, b } = PAIR_ADDRESSES;

/** Routers between the two stacks: a packet whose hop limit ends at the n-th is answered by it, 10 ms times n later. */
class Path {
  readonly pair = new StackPair();
  readonly hops: TraceHop[] = [];
  trace!: Trace;
  closedAtMs = NaN;
  readonly #queue: { readonly atMs: number; readonly bytes: Uint8Array }[] = [];

  /** @param routers addresses; '' is a router that says nothing. @param answer type and code for hop `n`, or null */
  constructor(
    family: 'v4' | 'v6',
    routers: readonly string[],
    answer: (hop: number) => readonly [number, number] | null = () => null,
  ) {
    const v4 = family === 'v4';
    this.pair.forward.filter = (bytes) => {
      const ttl = bytes[v4 ? 8 : 7]!;
      const router = routers[ttl - 1];
      if (router === undefined) return 'pass';
      if (router !== '') {
        const [type, code] = answer(ttl) ?? [v4 ? 11 : 3, 0];
        const message = icmpMessage(router, a[family], type, code, 0, bytes.slice(0, 68));
        this.#queue.push({
          atMs: this.pair.nowMs + 10 * ttl,
          bytes: ipPacket({ from: router, to: a[family], protocol: v4 ? 1 : 58 }, message),
        });
      }
      return 'drop';
    };
  }

  run(options: TraceOptions): void {
    const { pair } = this;
    this.trace = pair.a.icmp.trace(options);
    pair.onEvents = (endpoint, events): void => {
      if (endpoint !== this.trace) return;
      for (let hop = this.trace.take(); hop !== null; hop = this.trace.take()) this.hops.push(hop);
      if ((events & EndpointEvent.Closed) !== 0) this.closedAtMs = pair.nowMs;
    };
    for (;;) {
      pair.settle();
      const next = this.#queue[0];
      if (next === undefined) {
        if (!pair.step()) return;
      } else if (!pair.step(next.atMs)) {
        pair.run(next.atMs);
        this.#queue.shift();
        pair.inject('a', next.bytes);
      }
    }
  }

  get lines(): string[] {
    return this.hops.map(
      ({ hop, probes, reached }) =>
        `${hop} ${probes.map((p) => (p.from === null ? '*' : `${p.from} ${p.rttMs}${p.error === null ? '' : ` ${p.error}`}`)).join(', ')}${reached ? ' reached' : ''}`,
    );
  }
}

const ROUTERS = { v4: ['198.51.100.1', '198.51.100.2'], v6: ['2001:db8:1::1', '2001:db8:2::1'] } as const;

for (const family of ['v4', 'v6'] as const) {
  for (const method of ['udp', 'icmp', 'tcp'] as const) {
    const destination = addressOf(b[family]);
    const [first, second] = ROUTERS[family];

    test(`each hop is found, and the destination ends it (${family}, ${method})`, (t) => {
      const path = new Path(family, [first, '', second]);
      path.run({ destination, method, probesPerHop: 2, timeoutMs: 500 });
      t.deepEqual(path.lines, [
        `1 ${first} 10, ${first} 10`,
        '2 *, *',
        `3 ${second} 30, ${second} 30`,
        `4 ${b[family]} 2, ${b[family]} 2 reached`,
      ]);
      t.true(path.trace.reached);
      t.is(path.closedAtMs, 1000 + 20 + 1000 + 60 + 4);
      t.is(path.pair.a.icmp.probes.count, 0);
      t.is(path.pair.a.nextDeadline(), Infinity);
      t.is(path.pair.a.udp.counters.icmpNoSocket, 0);
    });

    test(`a hop that says there is no way on ends it (${family}, ${method})`, (t) => {
      const path = new Path(family, [first, second, second], (hop) =>
        hop === 2 ? (family === 'v4' ? [3, 13] : [1, 1]) : null,
      );
      path.run({ destination, method, probesPerHop: 1 });
      t.deepEqual(path.lines, [`1 ${first} 10`, `2 ${second} 20 prohibited`]);
      t.false(path.trace.reached);
    });

    test(`it ends after the last hop, and begins where it is told (${family}, ${method})`, (t) => {
      const path = new Path(family, ['', first, '', first, first]);
      path.run({ destination, method, probesPerHop: 1, firstHop: 2, maxHops: 4, timeoutMs: 15 });
      // an answer after 20 ms is late, and not taken for the next probe's
      t.deepEqual(path.lines, ['2 *', '3 *', '4 *']);
    });
  }
}

for (const family of ['v4', 'v6'] as const) {
  test(`SYNs: an open port, a closed one, and no connection is left (${family})`, (t) => {
    for (const [port, tcp] of [
      [443, 'open'],
      [444, 'closed'],
    ] as const) {
      const path = new Path(family, [ROUTERS[family][0]]);
      const { pair } = path;
      const listener = pair.b.tcp.listen({ local: null, port: 443, backlog: 1 });
      path.run({ destination: addressOf(b[family]), method: 'tcp', port, probesPerHop: 2 });
      t.deepEqual(
        path.hops.map(({ probes }) => probes.map((probe) => probe.tcp)),
        [
          [null, null],
          [tcp, tcp],
        ],
      );
      // the reset that answers what nobody asked for has ended it
      pair.runFor(100);
      t.is(pair.b.tcp.table.size, 0);
      t.is(pair.a.tcp.counters.resetsOut, tcp === 'open' ? 2 : 0);
      listener.close();
    }
  });
}

test('SYNs: answers to others, or with another number, are none', (t) => {
  const path = new Path('v4', []);
  const { pair } = path;
  pair.backward.filter = (bytes) => {
    if (bytes[9] !== 6) return 'pass';
    // the acknowledgement of a SYN that was not sent
    bytes[31] = bytes[31]! ^ 1;
    bytes[37] = bytes[37]! ^ 1;
    return 'pass';
  };
  path.run({ destination: addressOf(b.v4), method: 'tcp', probesPerHop: 1, maxHops: 1, timeoutMs: 50 });
  t.deepEqual(path.lines, ['1 *']);
});

test('close ends it at once', (t) => {
  const pair = new StackPair();
  pair.forward.filter = () => 'drop';
  const trace = pair.a.icmp.trace({ destination: addressOf(b.v4) });
  pair.runFor(10);
  trace.close();
  trace.close();
  pair.run(Infinity);
  t.is(trace.take(), null);
  t.is(trace.takeEvents(), 0);
  t.is(pair.trace.length, 1);
  t.is(pair.a.nextDeadline(), Infinity);
});

test('arguments', (t) => {
  const pair = new StackPair();
  const destination = addressOf(b.v4);
  for (const wrong of [
    { maxHops: 0 },
    { maxHops: 256 },
    { firstHop: 31 },
    { probesPerHop: 0 },
    { probesPerHop: 11 },
    { timeoutMs: 0 },
    { port: 0 },
    { port: 65_536 },
    { payloadBytes: 65_508 },
  ])
    t.throws(() => pair.a.icmp.trace({ destination, ...wrong }), { instanceOf: NetError, code: 'EINVAL' });
});

test('RFC 4884: what a router tells of labels and its interface comes with its answer', (t) => {
  const { pair, hops } = new Path('v4', []);
  const router = '198.51.100.1';
  let answer: Uint8Array = new Uint8Array();
  pair.forward.filter = (bytes) => {
    // ours is 60 bytes; 128 are quoted, filled up with zeros
    const data = new Uint8Array(128 + 4 + 8 + 8);
    data.set(bytes);
    const { view } = new Slab(data);
    view.setUint8(128, 2 << 4);
    view.setUint32(132, 0x0008_0101);
    view.setUint32(136, (16_001 << 12) | (5 << 9) | 0x100 | 1);
    view.setUint32(140, 0x0008_0208);
    view.setUint32(144, 7);
    view.setUint16(130, foldChecksum(sumSlab(new Slab(data), 128, 20, 0)));
    const message = icmpMessage(router, a.v4, 11, 0, 32 << 16, data);
    answer = ipPacket({ from: router, to: a.v4, protocol: 1 }, message);
    return 'drop';
  };
  const trace = pair.a.icmp.trace({ destination: addressOf(b.v4), maxHops: 1, probesPerHop: 1 });
  pair.settle();
  pair.inject('a', answer);
  for (let hop = trace.take(); hop !== null; hop = trace.take()) hops.push(hop);
  t.is(String(hops[0]?.probes[0]?.from), router);
  t.deepEqual(hops[0]?.probes[0]?.extensions, {
    mpls: [{ label: 16_001, trafficClass: 5, ttl: 1 }],
    interfaces: [{ role: 'incoming', index: 7, address: null, name: null, mtuBytes: null }],
  });
});
