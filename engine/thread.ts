import { enableCompileCache, flushCompileCache } from 'node:module';
import { workerData } from 'node:worker_threads';
import { ERRORS, NetError } from '../stack/errors.ts';
import { Arena, ArenaWord, EngineState } from './arena.ts';
import type { EngineOptions } from './options.ts';
import type { QueuePlace } from './steering.ts';

/** What {@link startEngine} hands to the engine's thread. */
export interface ThreadData {
  readonly memory: SharedArrayBuffer;
  readonly options: EngineOptions;
  /** Null: the only engine on its device. */
  readonly place: QueuePlace | null;
  /** The starting thread's folder of compiled code; null: it has none. */
  readonly compileCache: string | null;
}

const { memory, options, place, compileCache } = workerData as ThreadData;
const arena = new Arena(memory);
if (compileCache !== null) enableCompileCache(compileCache);
try {
  // loaded here, so that a failure to load is a reason that a blocked starter can read
  const { runEngine } = await import('./run.ts');
  const { loadPacketHook } = await import('./packet-hook-module.ts');
  const { needsEncryptedDns } = await import('./resolver-settings.ts');
  const encryptedDns = needsEncryptedDns(options.resolver ?? {})
    ? (await import('./encrypted-dns.ts')).EncryptedDns
    : null;
  const packetHook = options.packetHook === undefined ? null : await loadPacketHook(options.packetHook);
  // a thread that is ended from outside writes nothing more
  if (compileCache !== null) flushCompileCache();
  // leaves only at the engine's end: the thread never enters its event loop before
  runEngine(arena, options, packetHook, place, encryptedDns);
} catch (error) {
  if (error instanceof NetError) arena.setFailure(ERRORS[error.tunwireCode].number, error.detail);
  else {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    arena.setFailure(ERRORS.INTERNAL.number, detail);
  }
  arena.store(ArenaWord.State, EngineState.Failed);
  Atomics.notify(arena.words, ArenaWord.State);
}
