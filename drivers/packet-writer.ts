import type { TxPacket } from '../stack/link.ts';
import type { Slab } from '../stack/wire/slab.ts';
import * as sys from './syscalls.ts';

/** Writes packets to a descriptor, one call for each, with what the device has put into the room before them. */
export class PacketWriter {
  readonly #prefixBytes: number;
  readonly #pieces = new sys.IoVector(3);
  /** A stack has one slab for heads and mostly one for bodies: the last ones, with where they lie. */
  #head: Slab | null = null;
  #headAddress = 0;
  #body: Slab | null = null;
  #bodyAddress = 0;

  /** @param prefixBytes how much of the room before a packet is written with it */
  constructor(prefixBytes: number) {
    this.#prefixBytes = prefixBytes;
  }

  /** @returns what write(2) or writev(2) returns, or -errno */
  write(fd: number, packet: TxPacket): number {
    if (packet.head !== this.#head) {
      this.#head = packet.head;
      this.#headAddress = sys.addressOf(packet.head.bytes);
    }
    const address = this.#headAddress + packet.headOff - this.#prefixBytes;
    const len = packet.headLen + this.#prefixBytes;
    return packet.bodyLen === 0 ? sys.write(fd, address, len) : this.#gather(fd, packet, address, len);
  }

  #gather(fd: number, packet: TxPacket, address: number, len: number): number {
    if (packet.body !== this.#body) {
      this.#body = packet.body;
      this.#bodyAddress = sys.addressOf(packet.body.bytes);
    }
    const pieces = this.#pieces;
    pieces.set(0, address, len);
    pieces.set(1, this.#bodyAddress + packet.bodyOff, packet.bodyLen);
    if (packet.body2Len === 0) return sys.writev(fd, pieces.address, 2);
    pieces.set(2, this.#bodyAddress + packet.body2Off, packet.body2Len);
    return sys.writev(fd, pieces.address, 3);
  }
}
