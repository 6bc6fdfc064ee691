import { workerData } from 'node:worker_threads';
import { Arena } from './arena.ts';
import type { EngineOptions } from './options.ts';
import { runEngine } from './run.ts';

/** What {@link startEngine} hands to the engine's thread. */
export interface ThreadData {
  readonly memory: SharedArrayBuffer;
  readonly options: EngineOptions;
}

// The thread does nothing else: it leaves runEngine only at the engine's end, and never enters its event loop before.
const { memory, options } = workerData as ThreadData;
runEngine(new Arena(memory), options);
