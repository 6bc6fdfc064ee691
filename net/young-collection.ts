import { setFlagsFromString } from 'node:v8';
import { collectGarbage } from '../engine/garbage.ts';

/**
 * Between two looks. After a collection that an idle program's memory reducer has asked for, V8 leaves 9 MB until it marks all of the heap, with
 * memory outside of it counted.
 */
const INTERVAL_BYTES = 4 * 1024 * 1024;

let sinceBytes = 0;

/**
 * To be told of memory that was taken for received data, in bytes; now and then it has V8 look through its young generation.
 *
 * perf: a chunk is an object of some words with 64 KiB outside of the heap, so a fast receiver fills no young generation, and V8 meets its
 * limit for memory outside by marking the whole heap, again and again: 23 µs of CPU for each chunk in a program with a heap of 13 MB, 88 µs with
 * 100 MB. The chunks are dead long before; a look through the young generation finds that in 70 µs, for 64 chunks. Their memory is freed in
 * the same breath: V8 would leave that to another thread, which must be woken, comes too late for the limit, and on busy cores holds up the next
 * look for milliseconds (15 GB/s of chunks against 3.5).
 */
export function youngBytes(bytes: number): void {
  sinceBytes += bytes;
  if (sinceBytes < INTERVAL_BYTES) return;
  sinceBytes = 0;
  setFlagsFromString('--no-concurrent-array-buffer-sweeping');
  collectGarbage({ type: 'minor' });
  setFlagsFromString('--concurrent-array-buffer-sweeping');
}
