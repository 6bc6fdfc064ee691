import { Slab } from '../stack/wire/slab.ts';
import type { IoRing } from './io-ring.ts';
import * as sys from './syscalls.ts';

/** Packets that are read together at most. */
const MOST_PACKETS = 16;
/** So many were found one by one before several are asked for. */
const ONE_BY_ONE = 2;
/** Packets of this size are read one by one: they stay in the processor's cache when they lie in the same place. */
const LARGE_BYTES = 8192;

/** Reads packets from a descriptor into its own memory: one by one as long as few come, several in one call when more do. */
export class ReadAhead {
  readonly slab: Slab;
  readonly #ring: IoRing | null;
  readonly #firstOff: number;
  readonly #address: number;
  readonly #strideBytes: number;
  readonly #readBytes: number;
  readonly #lengths: Int32Array = new Int32Array(MOST_PACKETS);
  /** How many are asked for at once, as the packets before suggest. */
  #several = 1;
  #inTurn = 0;

  /**
   * @param ring null: always one by one
   * @param alignOff what a packet's place in memory is off a multiple of 16. @param readBytes the most that one can have
   */
  constructor(ring: IoRing | null, alignOff: number, readBytes: number) {
    this.#ring = ring;
    this.#firstOff = alignOff;
    this.#readBytes = readBytes;
    this.#strideBytes = (alignOff + readBytes + 63) & ~63;
    this.slab = Slab.alloc(this.#strideBytes * (ring === null ? 1 : MOST_PACKETS));
    this.#address = sys.addressOf(this.slab.bytes) + alignOff;
  }

  /** Before the first {@link read} of a turn. */
  begin(): void {
    this.#inTurn = 0;
  }

  /**
   * @param most how many are wanted, at least one
   * @returns how many calls were made, see {@link length}. One that failed with EAGAIN found nothing: there was no more then
   */
  read(fd: number, most: number): number {
    const several = Math.min(this.#several, most);
    if (this.#ring === null || several === 1) {
      const lengthBytes = sys.read(fd, this.#address, this.#readBytes);
      this.#lengths[0] = lengthBytes;
      this.#inTurn++;
      if (lengthBytes >= 0 && lengthBytes < LARGE_BYTES && this.#inTurn > ONE_BY_ONE) this.#several = 4;
      return 1;
    }
    for (let i = 0; i < several; i++)
      this.#ring.read(fd, this.#address + i * this.#strideBytes, this.#readBytes);
    this.#ring.submit();
    let bytes = 0;
    let found = 0;
    for (let i = 0; i < several; i++) {
      const lengthBytes = this.#ring.results[i]!;
      // handed in, a packet may have others written
      this.#lengths[i] = lengthBytes;
      if (lengthBytes < 0) continue;
      bytes += lengthBytes;
      found++;
    }
    this.#inTurn += found;
    if (bytes > found * LARGE_BYTES) this.#several = 1;
    else if (found === several) this.#several = Math.min(several * 2, MOST_PACKETS);
    else if (this.#inTurn <= ONE_BY_ONE) this.#several = 1;
    return several;
  }

  /** What read(2) had to say at one of those calls: bytes, or -errno. */
  length(index: number): number {
    return this.#lengths[index]!;
  }

  /** Where what it read begins in {@link slab}. */
  off(index: number): number {
    return this.#firstOff + index * this.#strideBytes;
  }
}
