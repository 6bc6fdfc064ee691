import { signalEvent } from '../drivers/syscalls.ts';
import { type Arena, ArenaWord } from './arena.ts';

/** Wakes the engine if it sleeps. For threads that have just given it something to do. */
export function wakeEngine(arena: Arena): void {
  if (arena.load(ArenaWord.Sleeping) === 0) return;
  if (Atomics.exchange(arena.words, ArenaWord.Sleeping, 0) === 0) return;
  const fd = arena.load(ArenaWord.EventFd);
  if (fd >= 0) signalEvent(fd);
}
