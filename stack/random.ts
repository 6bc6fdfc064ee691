/**
 * Randomness is injected: sequence numbers, ports, identifiers and keys all come from one source per stack, so that
 * the same seed gives the same bytes on the wire.
 */
export interface RandomSource {
  /** Fills the whole of `into`. */
  fill(into: Uint8Array): void;
  /** A uniformly distributed integer in 0 … 2^32 - 1. */
  uint32(): number;
  /**
   * true: nothing is repeated with it, so that whoever needs a key may let the operating system's source draw it. Default: every
   * byte comes from here.
   */
  readonly isSystem?: boolean;
}

const SECRET_BYTES = 16;

/** Draws a key for SipHash: four words. */
export function drawSecret(random: RandomSource): Int32Array {
  const bytes = new Uint8Array(SECRET_BYTES);
  random.fill(bytes);
  const view = new DataView(bytes.buffer);
  // by view: the same on machines of either byte order
  return Int32Array.from({ length: SECRET_BYTES / 4 }, (_, i) => view.getInt32(4 * i, true));
}

/**
 * A repeatable source for tests and for runs that must be the same every time (xoshiro128**, D. Blackman and
 * S. Vigna 2018). Not for secrets.
 */
export class SeededRandom implements RandomSource {
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

  constructor(seed: number) {
    // splitmix32 spreads a small seed over the 128 bits of state
    let x = seed | 0;
    const next = (): number => {
      x = (x + 0x9e3779b9) | 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  uint32(): number {
    const five = Math.imul(this.#b, 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9);
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  fill(into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.uint32() >>> 24;
  }
}
