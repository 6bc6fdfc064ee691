import { collectGarbage } from '../engine/garbage.ts';

/** What V8 lets grow outside of its heap before it marks all of the heap to find what can go is 64 MiB. */
const INTERVAL_BYTES = 8 * 1024 * 1024;

let sinceBytes = 0;

/**
 * To be told of memory that was taken for received data, in bytes; now and then it has V8 look through its young generation.
 *
 * perf: a chunk is an object of some words with 64 KiB outside of the heap, so a fast receiver fills no young generation, and V8 meets its
 * limit for memory outside by marking the whole heap, again and again: 23 µs of CPU for each chunk in a program with a heap of 13 MB, 88 µs with
 * 100 MB. The chunks are dead long before; a look through the young generation finds that, and costs 8 µs and 9 µs.
 */
export function youngBytes(bytes: number): void {
  sinceBytes += bytes;
  if (sinceBytes < INTERVAL_BYTES) return;
  sinceBytes = 0;
  collectGarbage({ type: 'minor' });
}
