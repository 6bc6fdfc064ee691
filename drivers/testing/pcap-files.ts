/** Capture files written by hand, for tests of the reader. */

export interface FileFrame {
  readonly epochMs: number;
  readonly nanoseconds: number;
  readonly bytes: Uint8Array;
  /** Default: the length of `bytes`. */
  readonly originalLen?: number;
}

class Out {
  readonly #little: boolean;
  #bytes: number[] = [];

  constructor(little: boolean) {
    this.#little = little;
  }

  u16(value: number): this {
    const bytes = [(value >>> 8) & 255, value & 255];
    this.#bytes.push(...(this.#little ? bytes.reverse() : bytes));
    return this;
  }

  u32(value: number): this {
    const bytes = [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
    this.#bytes.push(...(this.#little ? bytes.reverse() : bytes));
    return this;
  }

  u64(value: bigint): this {
    const [high, low] = [Number((value >> 32n) & 0xffffffffn), Number(value & 0xffffffffn)];
    return this.#little ? this.u32(low).u32(high) : this.u32(high).u32(low);
  }

  raw(bytes: ArrayLike<number>): this {
    for (let i = 0; i < bytes.length; i++) this.#bytes.push(bytes[i]!);
    return this;
  }

  pad(): this {
    while (this.#bytes.length % 4 !== 0) this.#bytes.push(0);
    return this;
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** A classic pcap file. */
export function pcapFile(
  linkType: number,
  frames: readonly FileFrame[],
  little = true,
  nanoseconds = false,
): Uint8Array {
  const out = new Out(little)
    .u32(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4)
    .u16(2)
    .u16(4);
  out.u32(0).u32(0).u32(262_144).u32(linkType);
  for (const frame of frames) {
    const seconds = Math.floor(frame.epochMs / 1000);
    const fraction = (frame.epochMs - seconds * 1000) * 1_000_000 + frame.nanoseconds;
    out.u32(seconds).u32(nanoseconds ? fraction : Math.floor(fraction / 1000));
    out
      .u32(frame.bytes.length)
      .u32(frame.originalLen ?? frame.bytes.length)
      .raw(frame.bytes);
  }
  return out.bytes;
}

/** One pcapng block around its body. */
export function block(type: number, little: boolean, write: (out: Out) => void): Uint8Array {
  const body = new Out(little);
  write(body);
  const { bytes } = body.pad();
  const length = bytes.length + 12;
  return new Out(little).u32(type).u32(length).raw(bytes).u32(length).bytes;
}

export function sectionBlock(little = true): Uint8Array {
  return block(0x0a0d0d0a, little, (out) => out.u32(0x1a2b3c4d).u16(1).u16(0).u64(-1n));
}

/** @param resolution if_tsresol; -1: none. @param offsetSeconds if_tsoffset */
export function interfaceBlock(
  linkType: number,
  little = true,
  resolution = -1,
  offsetSeconds = 0n,
  snapBytes = 0,
): Uint8Array {
  return block(1, little, (out) => {
    out.u16(linkType).u16(0).u32(snapBytes);
    out.u16(2).u16(3).raw([0x65, 0x74, 0x68]).pad();
    if (resolution >= 0) out.u16(9).u16(1).raw([resolution]).pad();
    if (offsetSeconds !== 0n) out.u16(14).u16(8).u64(offsetSeconds);
    out.u32(0);
  });
}

/** @param units the time in units of the interface's resolution. @param direction epb_flags; 0: none */
export function enhancedBlock(
  iface: number,
  units: bigint,
  bytes: Uint8Array,
  little = true,
  direction = 0,
): Uint8Array {
  return block(6, little, (out) => {
    out
      .u32(iface)
      .u32(Number(units >> 32n))
      .u32(Number(units & 0xffffffffn));
    out.u32(bytes.length).u32(bytes.length).raw(bytes).pad();
    if (direction !== 0) out.u16(2).u16(4).u32(direction).u32(0);
  });
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
