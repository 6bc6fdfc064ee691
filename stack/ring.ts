import { copyBytes } from './wire/copy.ts';
import { Slab } from './wire/slab.ts';

/**
 * A byte ring with one producer and one consumer, which may be in different threads: the bytes and the two positions
 * can lie in shared memory. Positions run freely modulo 2^32 (TCP maps them to sequence numbers by a constant), the
 * capacity is a power of two.
 */
export class Ring {
  readonly slab: Slab;
  /** Offset of the ring's memory in the slab. */
  base: number;
  capacityBytes: number;
  mask: number;
  readonly #positions: Int32Array;
  readonly #headIndex: number;
  readonly #tailIndex: number;

  /**
   * @param slab memory of which `capacityBytes` bytes from `base` belong to the ring
   * @param capacityBytes a power of two
   * @param positions words that hold the two positions, at `headIndex` and `tailIndex`
   */
  constructor(
    slab: Slab,
    base: number,
    capacityBytes: number,
    positions: Int32Array,
    headIndex: number,
    tailIndex: number,
  ) {
    if (capacityBytes <= 0 || (capacityBytes & (capacityBytes - 1)) !== 0) {
      throw new RangeError(`ring capacity must be a power of two, got ${capacityBytes}`);
    }
    this.slab = slab;
    this.base = base;
    this.capacityBytes = capacityBytes;
    this.mask = capacityBytes - 1;
    this.#positions = positions;
    this.#headIndex = headIndex;
    this.#tailIndex = tailIndex;
  }

  /** A ring over memory of its own. */
  static alloc(capacityBytes: number): Ring {
    return new Ring(Slab.alloc(capacityBytes), 0, capacityBytes, new Int32Array(2), 0, 1);
  }

  /** Where the producer writes next (int32, wraps). */
  get head(): number {
    return Atomics.load(this.#positions, this.#headIndex);
  }

  /** Where the consumer reads next (int32, wraps). */
  get tail(): number {
    return Atomics.load(this.#positions, this.#tailIndex);
  }

  /** Goes on in other memory of the same slab, whose bytes are in place already. @param capacityBytes a power of two */
  moveTo(base: number, capacityBytes: number): void {
    this.base = base;
    this.capacityBytes = capacityBytes;
    this.mask = capacityBytes - 1;
  }

  /** Copies `lengthBytes` bytes from `position` to where they lie in a ring of `capacityBytes` at `base`. */
  copyTo(base: number, capacityBytes: number, position: number, lengthBytes: number): void {
    const { bytes } = this.slab;
    for (let done = 0; done < lengthBytes; ) {
      const at = (position + done) | 0;
      const into = at & (capacityBytes - 1);
      const piece = Math.min(this.contiguous(at, lengthBytes - done), capacityBytes - into);
      const from = this.offsetOf(at);
      bytes.copyWithin(base + into, from, from + piece);
      done += piece;
    }
  }

  /** Bytes between tail and head: 0 … capacity. */
  get usedBytes(): number {
    return (this.head - this.tail) | 0;
  }

  get freeBytes(): number {
    return this.capacityBytes - this.usedBytes;
  }

  /** Offset in the slab of the byte at `position`. */
  offsetOf(position: number): number {
    return this.base + (position & this.mask);
  }

  /** How many of `lengthBytes` bytes from `position` lie in one piece before the ring wraps. */
  contiguous(position: number, lengthBytes: number): number {
    const room = this.capacityBytes - (position & this.mask);
    return Math.min(lengthBytes, room);
  }

  /** Producer: makes `lengthBytes` more bytes visible to the consumer. */
  advanceHead(lengthBytes: number): void {
    Atomics.store(this.#positions, this.#headIndex, (this.head + lengthBytes) | 0);
  }

  /** Consumer: gives `lengthBytes` bytes back to the producer. */
  advanceTail(lengthBytes: number): void {
    Atomics.store(this.#positions, this.#tailIndex, (this.tail + lengthBytes) | 0);
  }

  /** Producer: copies bytes to `position`, which may lie beyond head (out-of-order data), without moving head. */
  copyIn(position: number, from: Uint8Array, fromOff: number, lengthBytes: number): void {
    const first = this.contiguous(position, lengthBytes);
    copyBytes(from, fromOff, this.slab.bytes, this.offsetOf(position), first);
    if (first < lengthBytes) {
      copyBytes(from, fromOff + first, this.slab.bytes, this.base, lengthBytes - first);
    }
  }

  /** Copies bytes from `position` out, without moving tail. */
  copyOut(position: number, into: Uint8Array, intoOff: number, lengthBytes: number): void {
    const first = this.contiguous(position, lengthBytes);
    copyBytes(this.slab.bytes, this.offsetOf(position), into, intoOff, first);
    if (first < lengthBytes) {
      copyBytes(this.slab.bytes, this.base, into, intoOff + first, lengthBytes - first);
    }
  }

  /** Producer: appends as much as fits. @returns bytes taken, 0 … `lengthBytes` */
  write(from: Uint8Array, fromOff: number, lengthBytes: number): number {
    const free = this.freeBytes;
    const taken = Math.min(lengthBytes, free);
    if (taken > 0) {
      this.copyIn(this.head, from, fromOff, taken);
      this.advanceHead(taken);
    }
    return taken;
  }

  /** Consumer: takes out what there is. @returns bytes copied, 0 … `lengthBytes` */
  read(into: Uint8Array, intoOff: number, lengthBytes: number): number {
    const used = this.usedBytes;
    const given = Math.min(lengthBytes, used);
    if (given > 0) {
      this.copyOut(this.tail, into, intoOff, given);
      this.advanceTail(given);
    }
    return given;
  }
}
