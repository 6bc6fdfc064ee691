import { close } from '../drivers/syscalls.ts';
import { ERRORS, Phase } from '../stack/errors.ts';
import { type Arena, ArenaWord, EngineState, isOrphaned, lockWord, unlockWord } from './arena.ts';
import type { EngineClient } from './client.ts';
import { SocketBlock, SocketEvent, SocketStatus, SocketWord } from './socket-block.ts';
import { isThreadAlive } from './thread-id.ts';

const REASON = "the engine's thread was ended from outside";

/**
 * Does what an engine does at its end, for one that could not: every socket fails, everybody who waits wakes, its eventfd is closed.
 * Once, and not as long as the engine's thread lives: that is only slow, and its descriptors are in use.
 */
export function buryEngine(client: EngineClient): void {
  const { arena } = client;
  const { words } = arena;
  if (isBuried(arena) || isThreadAlive(arena.load(ArenaWord.EngineThread))) return;
  // a thread that was ended in the middle of it leaves the rest to the next
  const isLeft = !lockWord(words, ArenaWord.Burial);
  try {
    const { Running, Failed } = EngineState;
    if (Atomics.compareExchange(words, ArenaWord.State, Running, Failed) === Running || isLeft) bury(client);
  } finally {
    unlockWord(words, ArenaWord.Burial);
  }
  // last: event loops that are rung for the last time find all of it
  arena.ringAll();
  Atomics.notify(words, ArenaWord.State);
}

/** Nothing more is told of an engine: it has ended, and so has whoever told of it. */
export function isBuried(arena: Arena): boolean {
  if (arena.load(ArenaWord.State) < EngineState.Stopped) return false;
  const burial = arena.load(ArenaWord.Burial);
  return burial === 0 || isOrphaned(burial);
}

/** Ends a socket of an engine that is no more. @returns false: it had ended before */
export function endSocket(block: SocketBlock, reason: string): boolean {
  const status = block.get(SocketWord.Status);
  if (status !== SocketStatus.Opening && status !== SocketStatus.Open) return false;
  block.setError('ENGINE_STOPPED', Phase.Transfer, reason);
  block.set(SocketWord.Status, SocketStatus.Closed);
  block.wakeReaders();
  block.wakeWriters();
  return true;
}

function bury(client: EngineClient): void {
  const { arena } = client;
  arena.setFailure(ERRORS.ENGINE_STOPPED.number, REASON);
  // from now on nobody wakes it
  arena.store(ArenaWord.Sleeping, 0);
  const wakeFd = Atomics.exchange(arena.words, ArenaWord.EventFd, -1);
  // What others may still write to stays open: its number could be another file's by then. Not by node:fs, which warns in a worker of
  // descriptors that it did not open there
  if (wakeFd >= 0 && arena.load(ArenaWord.EventFdLent) === 0) close(wakeFd);
  const count = Math.min(arena.load(ArenaWord.Fresh), arena.maxSockets);
  for (let index = 0; index < count; index++) {
    const block = new SocketBlock(arena, index);
    if (endSocket(block, REASON)) client.post(block, SocketEvent.Closed);
  }
}
