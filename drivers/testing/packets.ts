import type { Slab } from '../../stack/wire/slab.ts';
import type { PacketInput } from '../device.ts';

/** Keeps copies of the packets it gets, or only their hashes. */
export class Collector implements PacketInput {
  readonly packets: Uint8Array[] = [];
  readonly flags: number[] = [];
  readonly hashes: number[] = [];
  count = 0;
  readonly #hashOnly: boolean;

  constructor(hashOnly = false) {
    this.#hashOnly = hashOnly;
  }

  input(slab: Slab, off: number, len: number, flags: number): void {
    this.count++;
    if (this.#hashOnly) {
      this.hashes.push(Collector.hash(slab.bytes, off, len));
      return;
    }
    this.packets.push(slab.bytes.slice(off, off + len));
    this.flags.push(flags);
  }

  /** FNV-1a over the length and every seventh byte. */
  static hash(bytes: Uint8Array, off: number, len: number): number {
    let h = 0x811c9dc5 ^ len;
    for (let i = off; i < off + len; i += 7) h = Math.imul(h ^ bytes[i]!, 0x01000193);
    return h >>> 0;
  }
}

/** Fills with bytes that depend on the place and on `seed`. */
export function fill(bytes: Uint8Array, off: number, len: number, seed: number): void {
  for (let i = 0; i < len; i++) bytes[off + i] = (i * 31 + seed * 17) ^ (i >>> 8);
}
