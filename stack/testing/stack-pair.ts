import type { RingSource } from '../context.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Interface } from '../ip/interface.ts';
import { type LinkCapabilities, type PacketSink, RxFlag, type TxPacket } from '../link.ts';
import { SeededRandom } from '../random.ts';
import { Stack } from '../stack.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import { Ipv4 } from '../wire/ipv4.ts';
import { Slab } from '../wire/slab.ts';
import { HeapRings } from './heap-rings.ts';

/** What the virtual link does to the packets of one direction. Chances are 0 … 1. */
export interface LinkOptions {
  /** Time a packet is under way. */
  readonly latencyMs: number;
  /** Bits per millisecond the link takes; Infinity: no limit. */
  readonly kilobitsPerSecond: number;
  /** Packets that wait for a link with a limited rate; more are dropped, or refused when `refuses` is set. */
  readonly queuePackets: number;
  /** The device says that it is full, instead of dropping. */
  readonly refuses: boolean;
  readonly loss: number;
  readonly duplicate: number;
  /** A packet takes up to twice `latencyMs` more, and others overtake it. */
  readonly reorder: number;
  /** One bit of the packet is turned over. */
  readonly corrupt: number;
  /** A packet that is ECN-capable gets the mark for congestion (RFC 3168 §5). */
  readonly mark: number;
}

export interface PairOptions {
  readonly seed: number;
  readonly mtuBytes: number;
  /** False: without the IPv6 addresses, so that the MTU may be as small as 68. */
  readonly ipv6: boolean;
  /** Checksums are left to the devices; a packet on the link has only its pseudo-header's sum, and arrives as valid. */
  readonly txChecksum: boolean;
  /** Super-segments up to this size are sent, and arrive, in one piece; 0: none. */
  readonly txSegmentBytes: number;
  readonly sendRingBytes: number;
  readonly recvRingBytes: number;
  /** Where the stacks get their rings, when not from the heap in one size. */
  readonly aSource: RingSource;
  readonly bSource: RingSource;
  /** What the clock shows first. */
  readonly startMs: number;
  /** Gateways of the first stack; none by default. */
  readonly aGateways: readonly string[];
  readonly forward: Partial<LinkOptions>;
  readonly backward: Partial<LinkOptions>;
}

/** A packet that a stack has sent, as it went onto the link. */
export interface TracedPacket {
  readonly from: 'a' | 'b';
  readonly sentAtMs: number;
  readonly bytes: Uint8Array;
  /** What became of it. */
  fate: 'under way' | 'lost' | 'corrupted' | 'delivered';
}

interface Arrival {
  readonly atMs: number;
  /** Breaks ties: packets of one instant arrive in the order they were sent. */
  readonly order: number;
  readonly to: Interface;
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly traced: TracedPacket;
}

/** Addresses of the two ends. */
export const PAIR_ADDRESSES = {
  a: { v4: '192.0.2.1', v6: '2001:db8::1' },
  b: { v4: '192.0.2.2', v6: '2001:db8::2' },
} as const;

/** Beyond these a test is stuck. */
const MAX_ROUNDS = 1000;
const MAX_STEPS_AT_INSTANT = 10_000;

const LINK_DEFAULTS: LinkOptions = {
  latencyMs: 1,
  kilobitsPerSecond: Infinity,
  queuePackets: 1000,
  refuses: false,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  corrupt: 0,
  mark: 0,
};

/**
 * Two stacks joined by a virtual link, in virtual time: nothing waits, everything is repeatable by its seed. `a` has
 * 192.0.2.1 and 2001:db8::1, `b` has 192.0.2.2 and 2001:db8::2.
 */
export class StackPair {
  readonly a: Stack;
  readonly b: Stack;
  readonly aInterface: Interface;
  readonly bInterface: Interface;
  readonly aRings: HeapRings;
  readonly bRings: HeapRings;
  readonly forward: VirtualLink;
  readonly backward: VirtualLink;
  /** The packets sent, in order; the first `traceLimit` of them. */
  readonly trace: TracedPacket[] = [];
  traceLimit = 20_000;
  /** Gets every endpoint with events that has no observer; the events are taken. */
  onEvents: (endpoint: Endpoint, events: number) => void = () => {};
  nowMs: number;
  /** A binary heap, the first to arrive on top. */
  readonly #arrivals: Arrival[] = [];
  #order = 0;
  #stepsAtInstant = 0;

  constructor(options: Partial<PairOptions> = {}) {
    const seed = options.seed ?? 1;
    this.nowMs = options.startMs ?? 1000;
    const capabilities: LinkCapabilities = {
      mtuBytes: options.mtuBytes ?? 1500,
      txChecksum: options.txChecksum ?? false,
      txSegmentBytes: options.txSegmentBytes ?? 0,
    };
    const rings = (): HeapRings =>
      new HeapRings(options.sendRingBytes ?? 65_536, options.recvRingBytes ?? 65_536);
    this.aRings = rings();
    this.bRings = rings();
    const now = this.nowMs;
    this.a = new Stack({ random: new SeededRandom(seed), rings: options.aSource ?? this.aRings, now });
    const bRandom = new SeededRandom(seed + 1_000_003);
    this.b = new Stack({ random: bRandom, rings: options.bSource ?? this.bRings, now });
    this.forward = new VirtualLink(this, 'a', seed * 2 + 1, options.forward ?? {});
    this.backward = new VirtualLink(this, 'b', seed * 2 + 2, options.backward ?? {});
    const end = (
      stack: Stack,
      sink: PacketSink,
      own: { v4: string; v6: string },
      gateways: readonly string[],
    ): Interface =>
      stack.addInterface({
        name: 'link0',
        sink,
        capabilities,
        addresses: options.ipv6 === false ? [`${own.v4}/24`] : [`${own.v4}/24`, `${own.v6}/64`],
        gateways,
      });
    this.aInterface = end(this.a, this.forward, PAIR_ADDRESSES.a, options.aGateways ?? []);
    this.bInterface = end(this.b, this.backward, PAIR_ADDRESSES.b, []);
  }

  /** Lets both stacks deliver their events and send, until neither has anything to do at this instant. */
  settle(): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.a.transmit(this.nowMs);
      this.b.transmit(this.nowMs);
      const aBusy = this.#drain(this.a);
      const bBusy = this.#drain(this.b);
      if (!aBusy && !bBusy) return;
    }
    throw new Error('events without end at one instant');
  }

  /** When something happens next; Infinity: never, unless an application acts. */
  nextEventMs(): number {
    let at = Math.min(this.a.nextDeadline(), this.b.nextDeadline());
    at = Math.min(at, this.#arrivals[0]?.atMs ?? Infinity);
    return Math.min(at, this.forward.readyAtMs(), this.backward.readyAtMs());
  }

  /** Goes to the next event and handles all of that instant. @returns false when there is none until `limitMs` */
  step(limitMs: number = Infinity): boolean {
    this.settle();
    const at = this.nextEventMs();
    if (at === Infinity || at > limitMs) return false;
    if (at > this.nowMs) {
      this.nowMs = at;
      this.#stepsAtInstant = 0;
    } else if (++this.#stepsAtInstant > MAX_STEPS_AT_INSTANT) {
      throw new Error(`time stands still at ${this.nowMs} ms: a deadline is set to now again and again`);
    }
    this.forward.tick();
    this.backward.tick();
    for (let next = this.#takeArrival(); next !== null; next = this.#takeArrival()) {
      const slab = new Slab(next.bytes.slice());
      if (next.traced.fate === 'under way') next.traced.fate = 'delivered';
      next.to.input(slab, 0, slab.lengthBytes, next.flags, this.nowMs);
      // Nothing of a packet may be used after the call.
      slab.bytes.fill(0xdb);
    }
    this.a.advance(this.nowMs);
    this.b.advance(this.nowMs);
    this.settle();
    return true;
  }

  /** Runs until the clock shows `untilMs`. */
  run(untilMs: number): void {
    while (this.step(untilMs)) {}
    if (untilMs !== Infinity) {
      if (untilMs > this.nowMs) this.#stepsAtInstant = 0;
      this.nowMs = Math.max(this.nowMs, untilMs);
      this.a.advance(this.nowMs);
      this.b.advance(this.nowMs);
      this.settle();
    }
  }

  /** Runs for `ms` milliseconds. */
  runFor(ms: number): void {
    this.run(this.nowMs + ms);
  }

  /** Runs until the condition holds. @returns false when it did not before `limitMs` */
  runUntil(condition: () => boolean, limitMs: number): boolean {
    this.settle();
    while (!condition()) if (!this.step(limitMs)) return condition();
    return true;
  }

  /** Packets under way. */
  get underWay(): number {
    return this.#arrivals.length;
  }

  /** Puts a packet into a stack as if it had come from the link. */
  inject(to: 'a' | 'b', bytes: Uint8Array, flags = 0): void {
    const iface = to === 'a' ? this.aInterface : this.bInterface;
    iface.input(new Slab(bytes), 0, bytes.length, flags, this.nowMs);
  }

  /** For {@link VirtualLink}: a packet will arrive. */
  schedule(traced: TracedPacket, bytes: Uint8Array, atMs: number, flags: number): void {
    const to = traced.from === 'a' ? this.bInterface : this.aInterface;
    const arrival = { atMs, order: this.#order++, to, bytes, flags, traced };
    const heap = this.#arrivals;
    let place = heap.length;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!isBefore(arrival, heap[above]!)) break;
      heap[place] = heap[above]!;
      place = above;
    }
    heap[place] = arrival;
  }

  #takeArrival(): Arrival | null {
    const heap = this.#arrivals;
    const first = heap[0];
    if (first === undefined || first.atMs > this.nowMs) return null;
    const last = heap.pop()!;
    if (last !== first) {
      let place = 0;
      for (;;) {
        let below = 2 * place + 1;
        if (below >= heap.length) break;
        if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++;
        if (!isBefore(heap[below]!, last)) break;
        heap[place] = heap[below]!;
        place = below;
      }
      heap[place] = last;
    }
    return first;
  }

  #drain(stack: Stack): boolean {
    let busy = false;
    for (let endpoint = stack.pollEvent(); endpoint !== null; endpoint = stack.pollEvent()) {
      busy = true;
      this.onEvents(endpoint, endpoint.takeEvents());
    }
    return busy;
  }
}

function isBefore(one: Arrival, other: Arrival): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** One direction of the link. */
export class VirtualLink implements PacketSink {
  /** May be changed at any time. */
  options: LinkOptions;
  /** Set: decides what happens to a packet, in place of chance. */
  filter: ((bytes: Uint8Array) => 'pass' | 'drop') | null = null;
  readonly #pair: StackPair;
  readonly #from: 'a' | 'b';
  readonly #random: SeededRandom;
  /** When the last packet accepted leaves the sender. */
  #freeAtMs = 0;
  #refused = false;

  constructor(pair: StackPair, from: 'a' | 'b', seed: number, options: Partial<LinkOptions>) {
    this.#pair = pair;
    this.#from = from;
    this.#random = new SeededRandom(seed);
    this.options = { ...LINK_DEFAULTS, ...options };
  }

  send(packet: TxPacket): boolean {
    const pair = this.#pair;
    const { latencyMs, kilobitsPerSecond, queuePackets, refuses, loss, duplicate, reorder, corrupt, mark } =
      this.options;
    const bytes = new Uint8Array(packet.lengthBytes);
    packet.gather(bytes, 0);
    const sendMs = kilobitsPerSecond === Infinity ? 0 : (bytes.length * 8) / kilobitsPerSecond;
    const now = pair.nowMs;
    const full = sendMs > 0 && this.#freeAtMs - now > queuePackets * sendMs;
    if (full && refuses) {
      this.#refused = true;
      return false;
    }
    const traced: TracedPacket = { from: this.#from, sentAtMs: now, bytes, fate: 'under way' };
    if (pair.trace.length < pair.traceLimit) pair.trace.push(traced);
    if (full || this.filter?.(bytes) === 'drop' || this.#happens(loss)) {
      traced.fate = 'lost';
      return true;
    }
    this.#freeAtMs = Math.max(this.#freeAtMs, now) + sendMs;
    let at = this.#freeAtMs + latencyMs;
    if (this.#happens(reorder)) at += 2 * latencyMs * (this.#random.uint32() / 0x100000000);
    let flags = packet.csumStart >= 0 ? RxFlag.ChecksumValid : 0;
    let arriving = bytes;
    if (this.#happens(mark)) arriving = marked(bytes);
    if (this.#happens(corrupt)) {
      traced.fate = 'corrupted';
      // A device that verifies checksums would see the damage; here the stack must.
      if (flags !== 0) arriving = new Uint8Array(0);
      else {
        arriving = arriving.slice();
        const bit = this.#random.uint32() % (bytes.length * 8);
        arriving[bit >>> 3] = (arriving[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      }
      flags = 0;
    }
    pair.schedule(traced, arriving, at, flags);
    if (this.#happens(duplicate)) pair.schedule(traced, arriving, at + latencyMs / 2, flags);
    return true;
  }

  /** When a sender that was refused may try again. */
  readyAtMs(): number {
    return this.#refused ? Math.max(this.#freeAtMs, this.#pair.nowMs) : Infinity;
  }

  /** The clock has moved. */
  tick(): void {
    if (this.#pair.nowMs >= this.#freeAtMs) this.#refused = false;
  }

  #happens(chance: number): boolean {
    return chance > 0 && this.#random.uint32() / 0x100000000 < chance;
  }
}

/** A copy with CE in the ECN field, or the packet itself when its sender does not know ECN. */
function marked(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  const slab = new Slab(copy);
  const { view } = slab;
  if (bytes[0]! >>> 4 === 6) {
    const word = view.getUint32(0);
    if (((word >>> 20) & 3) === 0) return bytes;
    view.setUint32(0, word | (3 << 20));
    return copy;
  }
  if ((bytes[1]! & 3) === 0) return bytes;
  view.setUint8(1, bytes[1]! | 3);
  view.setUint16(Ipv4.Checksum, 0);
  view.setUint16(Ipv4.Checksum, foldChecksum(sumSlab(slab, 0, (bytes[0]! & 15) * 4, 0)));
  return copy;
}
