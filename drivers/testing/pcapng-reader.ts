import { readFileSync } from 'node:fs';

export interface ReadBlock {
  readonly type: number;
  readonly body: Buffer;
}

export interface ReadPacket {
  readonly iface: number;
  readonly nanoseconds: bigint;
  readonly data: Buffer;
  readonly direction: number;
  readonly comment: string;
}

/** The blocks of a pcapng file, with their framing checked. */
export function readBlocks(path: string): ReadBlock[] {
  const file = readFileSync(path);
  const blocks: ReadBlock[] = [];
  for (let at = 0; at < file.length; ) {
    const lengthBytes = file.readUInt32LE(at + 4);
    if (lengthBytes % 4 !== 0 || lengthBytes < 12 || at + lengthBytes > file.length) {
      throw new Error(`block at ${at} has length ${lengthBytes}`);
    }
    if (file.readUInt32LE(at + lengthBytes - 4) !== lengthBytes)
      throw new Error(`block at ${at}: lengths differ`);
    blocks.push({ type: file.readUInt32LE(at), body: file.subarray(at + 8, at + lengthBytes - 4) });
    at += lengthBytes;
  }
  return blocks;
}

/** The enhanced packet blocks of a file. */
export function readPackets(path: string): ReadPacket[] {
  return readBlocks(path)
    .filter((block) => block.type === 6)
    .map(({ body }) => {
      const captured = body.readUInt32LE(12);
      const options = readOptions(body, 20 + ((captured + 3) & ~3));
      return {
        iface: body.readUInt32LE(0),
        nanoseconds: (BigInt(body.readUInt32LE(4)) << 32n) | BigInt(body.readUInt32LE(8)),
        data: body.subarray(20, 20 + captured),
        direction: options.get(2)?.readUInt32LE(0) ?? 0,
        comment: options.get(1)?.toString() ?? '',
      };
    });
}

/** Options by code. @param from where they begin in the block's body */
export function readOptions(body: Buffer, from: number): Map<number, Buffer> {
  const options = new Map<number, Buffer>();
  for (let at = from; at + 4 <= body.length; ) {
    const code = body.readUInt16LE(at);
    const lengthBytes = body.readUInt16LE(at + 2);
    if (code === 0) break;
    options.set(code, body.subarray(at + 4, at + 4 + lengthBytes));
    at += 4 + ((lengthBytes + 3) & ~3);
  }
  return options;
}
