import { close } from '../drivers/syscalls.ts';
import { ERRORS, Phase } from '../stack/errors.ts';
import { ArenaWord, EngineState } from './arena.ts';
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
  if (isThreadAlive(arena.load(ArenaWord.EngineThread))) return;
  const { Running, Failed } = EngineState;
  if (Atomics.compareExchange(arena.words, ArenaWord.State, Running, Failed) !== Running) return;
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
    const status = block.get(SocketWord.Status);
    if (status !== SocketStatus.Opening && status !== SocketStatus.Open) continue;
    block.setError('ENGINE_STOPPED', Phase.Transfer, REASON);
    block.set(SocketWord.Status, SocketStatus.Closed);
    block.wakeReaders();
    block.wakeWriters();
    client.post(block, SocketEvent.Closed);
  }
  Atomics.notify(arena.words, ArenaWord.State);
}
