/** Smallest piece the pool gives out; everything is a power of two of it. */
const SMALLEST_SHIFT = 10;
const CLASSES = 21;

/**
 * Memory for rings and TLS states: power-of-two pieces, split from the fresh end and kept in a free list per size.
 * The engine alone takes and gives, so there is no lock that a dying thread could leave taken.
 */
export class Pool {
  readonly #limit: number;
  #fresh = 0;
  #usedBytes = 0;
  readonly #free: number[][] = Array.from({ length: CLASSES }, () => []);

  /** @param from offset of the pool in the arena @param lengthBytes its size */
  constructor(from: number, lengthBytes: number) {
    this.#fresh = from;
    this.#limit = from + lengthBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes a piece of a power of two of bytes. @returns its offset, -1 when there is no memory */
  take(sizeBytes: number): number {
    const sizeClass = classOf(sizeBytes);
    const free = this.#free[sizeClass];
    if (free === undefined) return -1;
    let offset = free.pop();
    if (offset === undefined) {
      if (this.#fresh + sizeBytes <= this.#limit) {
        offset = this.#fresh;
        this.#fresh += sizeBytes;
      } else {
        offset = this.#split(sizeClass);
        if (offset < 0) return -1;
      }
    }
    this.#usedBytes += sizeBytes;
    return offset;
  }

  give(offset: number, sizeBytes: number): void {
    this.#free[classOf(sizeBytes)]?.push(offset);
    this.#usedBytes -= sizeBytes;
  }

  /** Halves the next larger free piece until the wanted size is there. */
  #split(sizeClass: number): number {
    for (let larger = sizeClass + 1; larger < CLASSES; larger++) {
      const offset = this.#free[larger]?.pop();
      if (offset === undefined) continue;
      for (let half = larger - 1; half >= sizeClass; half--) {
        this.#free[half]?.push(offset + (1 << (half + SMALLEST_SHIFT)));
      }
      return offset;
    }
    return -1;
  }
}

function classOf(sizeBytes: number): number {
  if (sizeBytes < 1 << SMALLEST_SHIFT || (sizeBytes & (sizeBytes - 1)) !== 0) {
    throw new RangeError(
      `pieces are powers of two from ${1 << SMALLEST_SHIFT} bytes, asked for ${sizeBytes}`,
    );
  }
  return 31 - Math.clz32(sizeBytes) - SMALLEST_SHIFT;
}
