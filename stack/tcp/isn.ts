import { blake2s } from '@noble/hashes/blake2.js';
import type { RandomSource } from '../random.ts';
import type { IpAddress } from '../wire/ip-address.ts';

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
 * (RFC 9293 §3.4.1 [SHLD-1], RFC 6528 §3). The secret is injected with the stack's random source [MUST-9].
 */
export class InitialSequence implements SequenceSource {
  readonly #key: Uint8Array = new Uint8Array(32);
  readonly #message: DataView = new DataView(new ArrayBuffer(36));
  #result: DataView = new DataView(new ArrayBuffer(8));

  constructor(random: RandomSource) {
    random.fill(this.#key);
  }

  /** Hashes one pair of endpoints; `isn` and `timestampOffset` then tell the results. */
  compute(local: IpAddress, localPort: number, remote: IpAddress, remotePort: number): void {
    const message = this.#message;
    writeWords(message, 0, local);
    writeWords(message, 16, remote);
    message.setUint16(32, localPort);
    message.setUint16(34, remotePort);
    const hash = blake2s(new Uint8Array(message.buffer), { key: this.#key, dkLen: 8 });
    this.#result = new DataView(hash.buffer, hash.byteOffset, 8);
  }

  /** @param now ms */
  isn(now: number): number {
    return (this.#result.getInt32(0) + Math.floor(now * TICKS_PER_MS)) | 0;
  }

  /** RFC 7323 §7.1: one offset per pair of endpoints hides the clock and keeps it monotonic for RFC 6191. */
  get timestampOffset(): number {
    return this.#result.getInt32(4);
  }
}

function writeWords(view: DataView, off: number, address: IpAddress): void {
  view.setInt32(off, address.w0);
  view.setInt32(off + 4, address.w1);
  view.setInt32(off + 8, address.w2);
  view.setInt32(off + 12, address.w3);
}
