/** Smallest piece the pool gives out; everything is a power of two of it. */
const SMALLEST_SHIFT = 10;
/** Pieces up to 1 GiB. */
const CLASSES = 21;
/** No next or previous free piece. */
const NONE = -1;

/**
 * Memory for rings and TLS states: a buddy allocator (Knuth, The Art of Computer Programming 1, §2.5), so that what was split
 * for small rings serves large ones again when they come back. Taking and giving cost the same, however many pieces there
 * are. The engine alone takes and gives, so there is no lock that a dying thread could leave taken.
 */
export class Pool {
  readonly lengthBytes: number;
  readonly #from: number;
  readonly #units: number;
  #usedBytes = 0;
  /** Size class + 1 of the free piece that begins at a unit; 0: none does. */
  readonly #freeClass: Uint8Array;
  /** Free pieces of a class are linked through their first units. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #heads: Int32Array = new Int32Array(CLASSES).fill(NONE);

  /** @param from offset of the pool in the arena @param lengthBytes its size */
  constructor(from: number, lengthBytes: number) {
    this.#from = from;
    this.#units = lengthBytes >>> SMALLEST_SHIFT;
    this.lengthBytes = this.#units << SMALLEST_SHIFT;
    this.#freeClass = new Uint8Array(this.#units);
    this.#next = new Int32Array(this.#units);
    this.#previous = new Int32Array(this.#units);
    // the largest aligned pieces that make up the whole
    let unit = 0;
    while (unit < this.#units) {
      let sizeClass = CLASSES - 1;
      while ((unit & ((1 << sizeClass) - 1)) !== 0 || unit + (1 << sizeClass) > this.#units) sizeClass--;
      this.#link(unit, sizeClass);
      unit += 1 << sizeClass;
    }
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes a piece of a power of two of bytes. @returns its offset, -1 when there is no memory */
  take(sizeBytes: number): number {
    const wanted = classOf(sizeBytes);
    let sizeClass = wanted;
    while (sizeClass < CLASSES && this.#heads[sizeClass] === NONE) sizeClass++;
    if (sizeClass >= CLASSES) return -1;
    const unit = this.#heads[sizeClass]!;
    this.#unlink(unit, sizeClass);
    while (sizeClass > wanted) {
      sizeClass--;
      this.#link(unit + (1 << sizeClass), sizeClass);
    }
    this.#usedBytes += sizeBytes;
    return this.#from + (unit << SMALLEST_SHIFT);
  }

  /** Gives a piece back, and joins it with its free neighbours. */
  give(offset: number, sizeBytes: number): void {
    this.#usedBytes -= sizeBytes;
    let sizeClass = classOf(sizeBytes);
    let unit = (offset - this.#from) >>> SMALLEST_SHIFT;
    for (; sizeClass < CLASSES - 1; sizeClass++) {
      const buddy = unit ^ (1 << sizeClass);
      if (buddy >= this.#units || this.#freeClass[buddy] !== sizeClass + 1) break;
      this.#unlink(buddy, sizeClass);
      unit = Math.min(unit, buddy);
    }
    this.#link(unit, sizeClass);
  }

  #link(unit: number, sizeClass: number): void {
    const head = this.#heads[sizeClass]!;
    this.#freeClass[unit] = sizeClass + 1;
    this.#next[unit] = head;
    this.#previous[unit] = NONE;
    if (head !== NONE) this.#previous[head] = unit;
    this.#heads[sizeClass] = unit;
  }

  #unlink(unit: number, sizeClass: number): void {
    const next = this.#next[unit]!;
    const previous = this.#previous[unit]!;
    this.#freeClass[unit] = 0;
    if (previous === NONE) this.#heads[sizeClass] = next;
    else this.#next[previous] = next;
    if (next !== NONE) this.#previous[next] = previous;
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
