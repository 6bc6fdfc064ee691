import { HEADROOM_BYTES, TxPacket } from '../stack/link.ts';
import { Slab } from '../stack/wire/slab.ts';

/** Most packets fit in this. */
const SMALL_BYTES: number = 2048;
const LARGE_BYTES: number = HEADROOM_BYTES + 65_535 + 40;

/** A packet under way: its own memory, with room before it for what a device puts in front. */
export class HeldPacket {
  readonly tx: TxPacket;
  /** RxFlag bits. */
  flags = 0;
  dueMs = 0;
  /** Packets due at one time leave in this order. */
  order = 0;
  /** What was done to it, for a capture, when somebody wants to know. */
  story = '';
  isLost = false;

  constructor(sizeBytes: number) {
    this.tx = new TxPacket(Slab.alloc(sizeBytes));
  }

  get slab(): Slab {
    return this.tx.head;
  }

  get off(): number {
    return HEADROOM_BYTES;
  }

  get lengthBytes(): number {
    return this.tx.headLen;
  }

  set lengthBytes(lengthBytes: number) {
    this.tx.headLen = lengthBytes;
  }
}

/** Packets under way, the one due first on top (a binary heap), and the memory of those that have left. */
export class HeldPackets {
  readonly #heap: HeldPacket[] = [];
  readonly #freeSmall: HeldPacket[] = [];
  readonly #freeLarge: HeldPacket[] = [];
  #order = 0;

  get count(): number {
    return this.#heap.length;
  }

  /** When the first packet is due; Infinity: there is none. */
  nextMs(): number {
    return this.#heap[0]?.dueMs ?? Infinity;
  }

  /** Memory for a packet of `lengthBytes` bytes, which the caller fills and then gives to {@link add} or {@link release}. */
  take(lengthBytes: number): HeldPacket {
    const small = HEADROOM_BYTES + lengthBytes <= SMALL_BYTES;
    const free = small ? this.#freeSmall : this.#freeLarge;
    const held = free.pop() ?? new HeldPacket(small ? SMALL_BYTES : LARGE_BYTES);
    held.tx.reset();
    held.flags = 0;
    held.story = '';
    held.isLost = false;
    held.lengthBytes = lengthBytes;
    return held;
  }

  release(held: HeldPacket): void {
    (held.slab.lengthBytes === SMALL_BYTES ? this.#freeSmall : this.#freeLarge).push(held);
  }

  add(held: HeldPacket, dueMs: number): void {
    held.dueMs = dueMs;
    held.order = this.#order++;
    const heap = this.#heap;
    let place = heap.length;
    heap.push(held);
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (isBefore(heap[above]!, held)) break;
      heap[place] = heap[above]!;
      place = above;
    }
    heap[place] = held;
  }

  /** The packet due first, if it is due. It stays. */
  due(now: number): HeldPacket | null {
    const first = this.#heap[0];
    return first !== undefined && first.dueMs <= now ? first : null;
  }

  /** Takes out the first packet; the caller releases it. */
  shift(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++;
      if (isBefore(last, heap[below]!)) break;
      heap[place] = heap[below]!;
      place = below;
    }
    heap[place] = last;
  }

  clear(): void {
    this.#heap.length = 0;
    this.#freeSmall.length = 0;
    this.#freeLarge.length = 0;
  }
}

function isBefore(a: HeldPacket, b: HeldPacket): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

/** The packets that wait for a link of limited rate, as when each of them has left and how long it is. */
export class RateQueue {
  readonly #bitsPerMs: number;
  readonly #leaveMs: number[] = [];
  readonly #lengths: number[] = [];
  #first = 0;
  /** Bytes in the queue, the packet that is being sent included. */
  bytes = 0;

  constructor(bitsPerSecond: number) {
    this.#bitsPerMs = bitsPerSecond / 1000;
  }

  /** Packets in the queue, the one that is being sent included. */
  get packets(): number {
    return this.#leaveMs.length - this.#first;
  }

  /** Forgets what has left by `now`. */
  expire(now: number): void {
    const leave = this.#leaveMs;
    while (this.#first < leave.length && leave[this.#first]! <= now)
      this.bytes -= this.#lengths[this.#first++]!;
    // the dead part is cut off when it is the larger one: constant work for each packet
    if (this.#first * 2 > leave.length) {
      leave.splice(0, this.#first);
      this.#lengths.splice(0, this.#first);
      this.#first = 0;
    }
  }

  /** Adds a packet. @returns when its last bit has left */
  add(lengthBytes: number, now: number): number {
    const free = Math.max(this.#leaveMs.at(-1) ?? now, now);
    const leaveMs = free + (lengthBytes * 8) / this.#bitsPerMs;
    this.#leaveMs.push(leaveMs);
    this.#lengths.push(lengthBytes);
    this.bytes += lengthBytes;
    return leaveMs;
  }
}
