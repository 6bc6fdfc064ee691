import { type IpAddress, writeAddressWords } from '../wire/ip-address.ts';
import { sipHash } from './siphash.ts';

/** RFC 9293 §3.4.1 [MUST-8]: the clock of initial sequence numbers ticks about every 4 µs. */
const TICKS_PER_MS = 250;

/** Where initial sequence numbers come from: `compute` for a pair of endpoints, then `isn` and `timestampOffset`. */
export interface SequenceSource {
  compute(local: IpAddress, localPort: number, remote: IpAddress, remotePort: number): void;
  isn(now: number): number;
  readonly timestampOffset: number;
}

/**
 * Initial sequence numbers and timestamp offsets: `ISN = M + F(local, remote, secret)` with a keyed hash
 * (RFC 9293 §3.4.1 [SHLD-1], RFC 6528 §3). The secret is injected with the stack's random source [MUST-9]. F is SipHash, as in
 * Linux (net/core/secure_seq.c): RFC 6528 §3 wants a pseudorandom function whose key cannot be found from its results.
 */
export class InitialSequence implements SequenceSource {
  readonly #key: Int32Array;
  readonly #message: Int32Array = new Int32Array(9);
  readonly #result: Int32Array = new Int32Array(2);

  /** @param key four words; whoever else hashes with it has messages of other lengths */
  constructor(key: Int32Array) {
    this.#key = key;
  }

  /** Hashes one pair of endpoints; `isn` and `timestampOffset` then tell the results. */
  compute(local: IpAddress, localPort: number, remote: IpAddress, remotePort: number): void {
    writeAddressWords(this.#message, 0, local);
    writeAddressWords(this.#message, 4, remote);
    this.#message[8] = (localPort << 16) | remotePort;
    sipHash(this.#key, this.#message, this.#result);
  }

  /** @param now ms */
  isn(now: number): number {
    return (this.#result[0]! + Math.floor(now * TICKS_PER_MS)) | 0;
  }

  /** RFC 7323 §7.1: one offset per pair of endpoints hides the clock and keeps it monotonic for RFC 6191. */
  get timestampOffset(): number {
    return this.#result[1]!;
  }
}
