import { ERRORS, Phase } from '../stack/errors.ts';
import { ArenaWord, EngineState } from './arena.ts';
import type { EngineClient } from './client.ts';
import { SocketBlock, SocketEvent, SocketStatus, SocketWord } from './socket-block.ts';

const REASON = "the engine's thread was ended from outside";

/** Does what an engine does at its end, for one that could not: every socket fails, everybody who waits wakes. Once. */
export function buryEngine(client: EngineClient): void {
  const { arena } = client;
  const { Running, Failed } = EngineState;
  if (Atomics.compareExchange(arena.words, ArenaWord.State, Running, Failed) !== Running) return;
  arena.setFailure(ERRORS.ENGINE_STOPPED.number, REASON);
  arena.store(ArenaWord.EventFd, -1);
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
