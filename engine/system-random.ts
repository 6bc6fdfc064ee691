import { randomFillSync } from 'node:crypto';
import type { RandomSource } from '../stack/random.ts';

/** perf: a call of the system's costs 4 µs, whatever it is asked for. */
const BATCH_BYTES = 1024;
/** More than this is fetched by itself. */
const MOST_OF_BATCH_BYTES = 64;

/** The system's randomness, fetched in batches: a port, an identifier or the random of a ClientHello costs no call of its own. */
export class SystemRandom implements RandomSource {
  readonly isSystem = true;
  readonly #batch = new Uint8Array(BATCH_BYTES);
  readonly #words = new Uint32Array(this.#batch.buffer);
  #next = BATCH_BYTES;

  fill(into: Uint8Array): void {
    const { length } = into;
    if (length > MOST_OF_BATCH_BYTES) {
      randomFillSync(into);
      return;
    }
    const at = this.#take(length);
    for (let i = 0; i < length; i++) into[i] = this.#batch[at + i]!;
    // a value is used once: a later look into memory finds none of it
    this.#batch.fill(0, at, at + length);
  }

  uint32(): number {
    const at = this.#take(4) >>> 2;
    const word = this.#words[at]!;
    this.#words[at] = 0;
    return word;
  }

  /** @returns where so many bytes begin, at a whole word, that nobody has had */
  #take(lengthBytes: number): number {
    if (this.#next + lengthBytes > BATCH_BYTES) {
      randomFillSync(this.#batch);
      this.#next = 0;
    }
    const at = this.#next;
    this.#next = (at + lengthBytes + 3) & ~3;
    return at;
  }
}
