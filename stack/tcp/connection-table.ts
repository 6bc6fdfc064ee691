import type { IcmpError, RxPacket } from '../context.ts';
import type { RandomSource } from '../random.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { TcpConnection } from './connection.ts';
import type { ParkedConnection } from './parked-connection.ts';
import type { TimeWait } from './time-wait.ts';

/** What both ends of a connection's four-tuple tell. */
interface FourTuple {
  readonly local: IpAddress;
  readonly remote: IpAddress;
  readonly localPort: number;
  readonly remotePort: number;
  /** Maintained by the table. */
  hash: number;
  nextInBucket: Flow | null;
}

/** Whoever gets the segments of one four-tuple. */
export type Flow = FourTuple & (TcpConnection | TimeWait | ParkedConnection);

/**
 * All connections by addresses and ports: a hash table with chains through its members, so that a look-up allocates
 * nothing. The hash is keyed, for a peer chooses what goes in.
 */
export class ConnectionTable {
  #buckets: (Flow | null)[] = new Array<Flow | null>(64).fill(null);
  readonly #key0: number;
  readonly #key1: number;
  /** By port. perf: a Map of tens of thousands of ports costs a miss of the caches for every step through it. */
  readonly #usesOfPort: Int32Array = new Int32Array(65_536);
  /** The flow found last: packets come in trains. */
  #last: Flow | null = null;
  size = 0;

  constructor(random: RandomSource) {
    this.#key0 = random.uint32() | 0;
    this.#key1 = random.uint32() | 0;
  }

  /** The flow that a received packet belongs to. */
  findByPacket(rx: RxPacket, localPort: number, remotePort: number): Flow | null {
    return this.#find(
      rx.src0,
      rx.src1,
      rx.src2,
      rx.src3,
      rx.dst0,
      rx.dst1,
      rx.dst2,
      rx.dst3,
      localPort,
      remotePort,
      rx.senderZone,
    );
  }

  findByError(e: IcmpError): Flow | null {
    return this.#find(
      e.remote0,
      e.remote1,
      e.remote2,
      e.remote3,
      e.local0,
      e.local1,
      e.local2,
      e.local3,
      e.localPort,
      e.remotePort,
      e.remoteZone,
    );
  }

  find(local: IpAddress, localPort: number, remote: IpAddress, remotePort: number): Flow | null {
    return this.#find(
      remote.w0,
      remote.w1,
      remote.w2,
      remote.w3,
      local.w0,
      local.w1,
      local.w2,
      local.w3,
      localPort,
      remotePort,
      remote.zone,
    );
  }

  #find(
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    localPort: number,
    remotePort: number,
    zone: number,
  ): Flow | null {
    const last = this.#last;
    if (last !== null && matches(last, r0, r1, r2, r3, l0, l1, l2, l3, localPort, remotePort, zone))
      return last;
    const hash = this.#hash(r0, r1, r2, r3, l0, l1, l2, l3, localPort, remotePort);
    let flow: Flow | null = this.#buckets[hash & (this.#buckets.length - 1)]!;
    while (flow !== null) {
      if (flow.hash === hash && matches(flow, r0, r1, r2, r3, l0, l1, l2, l3, localPort, remotePort, zone)) {
        this.#last = flow;
        return flow;
      }
      flow = flow.nextInBucket;
    }
    return null;
  }

  add(flow: Flow): void {
    const { local, remote } = flow;
    if (this.size >= this.#buckets.length) this.#grow();
    flow.hash = this.#hash(
      remote.w0,
      remote.w1,
      remote.w2,
      remote.w3,
      local.w0,
      local.w1,
      local.w2,
      local.w3,
      flow.localPort,
      flow.remotePort,
    );
    this.#link(flow);
    this.size++;
    this.#usesOfPort[flow.localPort]!++;
  }

  /** Takes a flow out; nothing happens when it is not in. */
  remove(flow: Flow): void {
    const index = flow.hash & (this.#buckets.length - 1);
    let before: Flow | null = null;
    let at: Flow | null = this.#buckets[index]!;
    while (at !== null && at !== flow) {
      before = at;
      at = at.nextInBucket;
    }
    if (at === null) return;
    if (before === null) this.#buckets[index] = flow.nextInBucket;
    else before.nextInBucket = flow.nextInBucket;
    flow.nextInBucket = null;
    if (this.#last === flow) this.#last = null;
    this.size--;
    this.#usesOfPort[flow.localPort]!--;
  }

  /** Puts `by` in the place of a flow with the same four-tuple. */
  replace(flow: Flow, by: Flow): void {
    const index = flow.hash & (this.#buckets.length - 1);
    by.hash = flow.hash;
    by.nextInBucket = flow.nextInBucket;
    flow.nextInBucket = null;
    if (this.#last === flow) this.#last = by;
    let at = this.#buckets[index] ?? null;
    if (at === flow) {
      this.#buckets[index] = by;
      return;
    }
    while (at !== null && at.nextInBucket !== flow) at = at.nextInBucket;
    if (at !== null) at.nextInBucket = by;
  }

  /** How many flows have this local port. */
  usesOfPort(port: number): number {
    return this.#usesOfPort[port]!;
  }

  *[Symbol.iterator](): Generator<Flow> {
    for (const head of this.#buckets) {
      for (let flow = head; flow !== null; flow = flow.nextInBucket) yield flow;
    }
  }

  #link(flow: Flow): void {
    const index = flow.hash & (this.#buckets.length - 1);
    flow.nextInBucket = this.#buckets[index]!;
    this.#buckets[index] = flow;
  }

  #grow(): void {
    const flows = [...this];
    this.#buckets = new Array<Flow | null>(this.#buckets.length * 2).fill(null);
    for (const flow of flows) this.#link(flow);
  }

  /** Multiply and rotate over the nine words (the mixing of MurmurHash3), begun with the key. */
  #hash(
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    localPort: number,
    remotePort: number,
  ): number {
    let h = mix(this.#key0, r3);
    h = mix(h, l3);
    h = mix(h, (localPort << 16) | remotePort);
    h = mix(h, r2);
    h = mix(h, r1 ^ this.#key1);
    h = mix(h, r0);
    h = mix(h, l2);
    h = mix(h, l1);
    h = mix(h, l0);
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return h ^ (h >>> 16);
  }
}

function mix(h: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const x = h ^ k;
  return (Math.imul((x << 13) | (x >>> 19), 5) + 0xe6546b64) | 0;
}

function matches(
  flow: Flow,
  r0: number,
  r1: number,
  r2: number,
  r3: number,
  l0: number,
  l1: number,
  l2: number,
  l3: number,
  localPort: number,
  remotePort: number,
  zone: number,
): boolean {
  const { local, remote } = flow;
  return (
    flow.remotePort === remotePort &&
    flow.localPort === localPort &&
    remote.w3 === r3 &&
    local.w3 === l3 &&
    remote.w2 === r2 &&
    local.w2 === l2 &&
    remote.w1 === r1 &&
    local.w1 === l1 &&
    remote.w0 === r0 &&
    local.w0 === l0 &&
    // RFC 4007 §6: fe80::1 on two links is two hosts; whoever connected to it without a zone did not say which
    (remote.zone === zone || remote.zone === 0 || zone === 0)
  );
}
