import type { Channel } from '../engine/channel.ts';
import { youngBytes } from './young-collection.ts';

/** Four of TLS's largest records, with what their protection adds: they are decrypted where they will be read. */
const CHUNK_BYTES: number = 64 * 1024 + 128;
/** A chunk with less left is given up: small pieces cost more calls than memory is worth. */
const LEAST_PIECE_BYTES = 8 * 1024;

let chunk: Buffer = Buffer.alloc(0);
let usedBytes = 0;

/** The bytes that {@link readPooled} has read last. */
export let lastRead: Buffer = chunk;

/**
 * Reads what a channel has, up to a little more than 64 KiB, into a piece of pooled memory that nobody else will touch: `lastRead`.
 * @returns what the channel returns
 * @throws what the channel throws
 */
export function readPooled(channel: Channel): number {
  if (chunk.length - usedBytes < LEAST_PIECE_BYTES) {
    chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    usedBytes = 0;
    youngBytes(CHUNK_BYTES);
  }
  const bytes = channel.read(chunk, usedBytes, chunk.length - usedBytes);
  if (bytes > 0) {
    lastRead = chunk.subarray(usedBytes, usedBytes + bytes);
    // aligned, as Node's own pool is
    usedBytes += (bytes + 7) & ~7;
  }
  return bytes;
}
