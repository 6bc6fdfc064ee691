import type { PortRange } from '../local-ports.ts';
import type { RandomSource } from '../random.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { sipHash } from './siphash.ts';

/** Counters; so many destinations go on independently of each other. */
const COUNTERS = 256;

/**
 * Double-hash port selection (RFC 6056 §3.3.4): ports of one destination follow each other, so that none comes again soon, from
 * an offset that a keyed hash hides; and what one destination sees says nothing of the others.
 */
export class EphemeralPorts {
  readonly #random: RandomSource;
  readonly #keys: readonly [Int32Array, Int32Array] = [new Int32Array(4), new Int32Array(4)];
  readonly #counters: Uint16Array = new Uint16Array(COUNTERS);
  readonly #words: Int32Array = new Int32Array(9);
  readonly #hash: Int32Array = new Int32Array(2);
  #hasKeys = false;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  /**
   * Chooses a port of a range. @param isFree tells whether the four-tuple is unused
   * @returns -1: none is left
   */
  choose(
    range: PortRange,
    local: IpAddress,
    remote: IpAddress,
    remotePort: number,
    isFree: (port: number) => boolean,
  ): number {
    this.#begin();
    this.#fill(local, remote, remotePort);
    const offset = this.#hashed(this.#keys[0]);
    const counter = this.#hashed(this.#keys[1]) % COUNTERS;
    for (let i = 0; i < range.count; i++) {
      const next = this.#counters[counter]!;
      this.#counters[counter] = next + 1;
      const port = range.at(offset + next);
      if (isFree(port)) return port;
    }
    return -1;
  }

  #begin(): void {
    if (this.#hasKeys) return;
    this.#hasKeys = true;
    for (const key of this.#keys) for (let i = 0; i < 4; i++) key[i] = this.#random.uint32();
    for (let i = 0; i < COUNTERS; i++) this.#counters[i] = this.#random.uint32();
  }

  #fill(local: IpAddress, remote: IpAddress, remotePort: number): void {
    const words = this.#words;
    words[0] = local.w0;
    words[1] = local.w1;
    words[2] = local.w2;
    words[3] = local.w3;
    words[4] = remote.w0;
    words[5] = remote.w1;
    words[6] = remote.w2;
    words[7] = remote.w3;
    words[8] = remotePort;
  }

  #hashed(key: Int32Array): number {
    sipHash(key, this.#words, this.#hash);
    return this.#hash[0]! >>> 0;
  }
}
