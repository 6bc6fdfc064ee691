import type { RandomSource } from '../random.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { IpCounters } from './counters.ts';

/** RFC 6864 §2, RFC 1122 §3.3.2: how long a datagram may be on its way. */
export const MAX_DATAGRAM_LIFETIME_MS = 120_000;
/** Pairs of addresses whose numbers are remembered. The oldest is forgotten, and would begin anywhere. */
export const IDENTIFIED_PAIRS = 1024;
/** When numbers were given is noted for so many at a time. */
const BLOCK_SHIFT = 12;
const BLOCKS = 0x10000 >>> BLOCK_SHIFT;

/**
 * The identifications of what goes from one address to another: they count up from anywhere, so that none comes again too soon, and
 * others learn nothing of how much is sent (RFC 7739 §5.1). All protocols share them.
 */
export class Identification {
  #next: number;
  /** Until when the numbers of each block may still be on their way. */
  readonly #usedUntil: Float64Array = new Float64Array(BLOCKS).fill(-Infinity);
  /** The same of the block that numbers are taken from, before they were. */
  #before: number = -Infinity;

  constructor(first: number) {
    this.#next = first | 0;
  }

  /** True when the next number of 16 bits was given to another datagram that may still be on its way (RFC 6864 §4.3). */
  isUsedUp(now: number): boolean {
    return this.#isBegin() ? this.#usedUntil[this.#block()]! > now : this.#before > now;
  }

  /** The next number of 32 bits, as RFC 8200 §4.5 wants it; IPv4 takes the lower 16 (RFC 791 §3.1). */
  take(now: number): number {
    const id = this.#next;
    const block = this.#block();
    if (this.#isBegin()) this.#before = this.#usedUntil[block]!;
    this.#usedUntil[block] = now + MAX_DATAGRAM_LIFETIME_MS;
    this.#next = (id + 1) | 0;
    return id >>> 0;
  }

  #block(): number {
    return (this.#next & 0xffff) >>> BLOCK_SHIFT;
  }

  #isBegin(): boolean {
    return (this.#next & ((1 << BLOCK_SHIFT) - 1)) === 0;
  }

  /** True when none of its numbers can be on its way any more. */
  isQuiet(now: number): boolean {
    return this.#usedUntil.every((until) => until <= now);
  }
}

/** The {@link Identification} of each pair of addresses. */
export class Identifications {
  readonly #random: RandomSource;
  readonly #counters: IpCounters;
  readonly #pairs = new Map<string, Identification>();

  constructor(random: RandomSource, counters: IpCounters) {
    this.#random = random;
    this.#counters = counters;
  }

  of(source: IpAddress, destination: IpAddress, now: number): Identification {
    const key = `${source} ${destination}`;
    const known = this.#pairs.get(key);
    if (known !== undefined) return known;
    if (this.#pairs.size >= IDENTIFIED_PAIRS) this.#forgetOldest(now);
    const made = new Identification(this.#random.uint32());
    this.#pairs.set(key, made);
    return made;
  }

  #forgetOldest(now: number): void {
    for (const [key, oldest] of this.#pairs) {
      this.#pairs.delete(key);
      if (!oldest.isQuiet(now)) this.#counters.identificationsForgotten++;
      return;
    }
  }
}
