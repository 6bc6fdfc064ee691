import { existsSync, readlinkSync } from 'node:fs';

/** Linux, PID_MAX_LIMIT: no thread has a larger number than 2^22. */
const UNKNOWN_THREAD = (1 << 22) + 1;

/**
 * The calling thread as Linux numbers it, 1 … 2^22: what it leaves in shared memory to say that something is its own. Unlike a number
 * of our own, everybody can look whether the thread still lives. Where nothing says it: one more than any thread has, which
 * counts as alive for ever.
 */
export const OWN_THREAD: number = ownThread();

/** @param thread what {@link OWN_THREAD} was there. A number that the kernel has given to a new thread of the process counts as alive */
export function isThreadAlive(thread: number): boolean {
  return thread >= UNKNOWN_THREAD || existsSync(`/proc/self/task/${thread}`);
}

function ownThread(): number {
  try {
    // proc(5): "/proc/thread-self" is a link to /proc/self/task/TID
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1)) || UNKNOWN_THREAD;
  } catch {
    return UNKNOWN_THREAD;
  }
}
