import { writeSync } from 'node:fs';
import { type Arena, ArenaWord } from './arena.ts';

/** What adds 1 to an eventfd. */
const one = new Uint8Array(new BigUint64Array([1n]).buffer);

/**
 * Wakes the engine if it sleeps. For threads that have just given it something to do.
 *
 * Through node:fs and not drivers/syscalls.ts: a thread that is terminated inside a native addon takes the process with it.
 */
export function wakeEngine(arena: Arena): void {
  if (arena.load(ArenaWord.Sleeping) === 0) return;
  if (Atomics.exchange(arena.words, ArenaWord.Sleeping, 0) === 0) return;
  const fd = arena.load(ArenaWord.EventFd);
  if (fd < 0) return;
  try {
    writeSync(fd, one);
  } catch {
    // the engine has closed it meanwhile: it has ended, and told everybody
  }
}
