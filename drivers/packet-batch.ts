import type { TxPacket } from '../stack/link.ts';
import { copyBytes } from '../stack/wire/copy.ts';
import { IO_RING_ENTRIES, type IoRing } from './io-ring.ts';
import * as sys from './syscalls.ts';

/** Takes packets of 1500 bytes with what stands before them. Larger ones are worth a call of their own. */
const SLOT_BYTES = 2048;

/**
 * Packets that wait to be written together. They are copies: what they were made of may be used for others meanwhile. perf: copying
 * 1500 bytes takes a twentieth of what a system call costs.
 */
export class PacketBatch {
  readonly #ring: IoRing;
  readonly #prefixBytes: number;
  readonly #slots: Uint8Array = new Uint8Array(new ArrayBuffer(IO_RING_ENTRIES * SLOT_BYTES));
  readonly #address: number = sys.addressOf(this.#slots);
  readonly #lengths: Int32Array = new Int32Array(IO_RING_ENTRIES);
  #count = 0;

  /** @param prefixBytes how much of the room before a packet is written with it */
  constructor(ring: IoRing, prefixBytes: number) {
    this.#ring = ring;
    this.#prefixBytes = prefixBytes;
  }

  get isFull(): boolean {
    return this.#count === IO_RING_ENTRIES;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** @returns false: the packet is too large. There must be room for one. */
  take(packet: TxPacket): boolean {
    const lengthBytes = this.#prefixBytes + packet.lengthBytes;
    if (lengthBytes > SLOT_BYTES) return false;
    const slots = this.#slots;
    const at = this.#count * SLOT_BYTES;
    const headBytes = this.#prefixBytes + packet.headLen;
    if (headBytes > 0) copyBytes(packet.head.bytes, packet.headOff - this.#prefixBytes, slots, at, headBytes);
    const { bodyLen, body2Len } = packet;
    if (bodyLen > 0) copyBytes(packet.body.bytes, packet.bodyOff, slots, at + headBytes, bodyLen);
    if (body2Len > 0)
      copyBytes(packet.body.bytes, packet.body2Off, slots, at + headBytes + bodyLen, body2Len);
    this.#lengths[this.#count++] = lengthBytes;
    return true;
  }

  /** Writes them, in the order in which they were taken. @returns how many there were, see {@link result} */
  write(fd: number): number {
    const count = this.#count;
    this.#count = 0;
    if (count === 1) {
      // alone it is cheaper without the ring
      this.#ring.results[0] = sys.write(fd, this.#address, this.#lengths[0]!);
      return 1;
    }
    for (let i = 0; i < count; i++) this.#ring.write(fd, this.#address + i * SLOT_BYTES, this.#lengths[i]!);
    return count === 0 ? 0 : this.#ring.submit();
  }

  /** What write(2) had to say of one of those just written: bytes, or -errno. */
  result(index: number): number {
    return this.#ring.results[index]!;
  }
}
