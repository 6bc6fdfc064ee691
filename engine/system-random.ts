import { randomFillSync } from 'node:crypto';
import type { RandomSource } from '../stack/random.ts';

/** The system's randomness, fetched in batches: a port or an identifier costs no call of its own. */
export class SystemRandom implements RandomSource {
  readonly isSystem = true;
  readonly #words = new Uint32Array(256);
  #next = 256;

  fill(into: Uint8Array): void {
    randomFillSync(into);
  }

  uint32(): number {
    if (this.#next === this.#words.length) {
      randomFillSync(this.#words);
      this.#next = 0;
    }
    const at = this.#next++;
    const word = this.#words[at] ?? 0;
    // a value is used once: a later look into memory finds none of it
    this.#words[at] = 0;
    return word;
  }
}
