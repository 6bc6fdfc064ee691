import { copyBytes } from './copy.ts';

/**
 * A block of memory with its two accessors, made once. Packets are read and written in place inside slabs by
 * numeric offset, so that nothing is allocated per packet (a new DataView per packet costs ten times a header parse).
 */
export class Slab {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** A slab over fresh memory of its own. */
  static alloc(sizeBytes: number): Slab {
    return new Slab(new Uint8Array(sizeBytes));
  }

  get lengthBytes(): number {
    return this.bytes.length;
  }
}

/** Copies `lengthBytes` bytes between slabs. */
export function copySlab(
  from: Slab,
  fromOff: number,
  into: Slab,
  intoOff: number,
  lengthBytes: number,
): void {
  copyBytes(from.bytes, fromOff, into.bytes, intoOff, lengthBytes);
}
