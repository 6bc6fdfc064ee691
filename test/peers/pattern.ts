import { createHash } from 'node:crypto';

/** Bytes that tell where in a long transfer they belong: 64 KiB that are different in every block. */
export function patternBlock(index: number, lengthBytes: number): Buffer {
  const block = Buffer.alloc(lengthBytes);
  for (let i = 0; i + 4 <= lengthBytes; i += 4)
    block.writeUInt32LE(Math.imul(i + 1, 2654435761 + index) >>> 0, i);
  return block;
}

export const PATTERN_BLOCK_BYTES: number = 64 * 1024;

/** The pattern's first `lengthBytes` bytes, block by block. */
export function* pattern(lengthBytes: number): Generator<Buffer> {
  for (let at = 0, index = 0; at < lengthBytes; at += PATTERN_BLOCK_BYTES, index++) {
    yield patternBlock(index, Math.min(PATTERN_BLOCK_BYTES, lengthBytes - at));
  }
}

/** SHA-256 of the pattern's first `lengthBytes` bytes, in hexadecimal. */
export function patternDigest(lengthBytes: number): string {
  const hash = createHash('sha256');
  for (const block of pattern(lengthBytes)) hash.update(block);
  return hash.digest('hex');
}
