/** A thread that starts an engine, posts its memory, and lives on until it is terminated. */
import { parentPort, workerData } from 'node:worker_threads';
import type { EngineOptions } from '../options.ts';
import { startEngineSync } from '../start.ts';

const { arena } = startEngineSync(workerData as EngineOptions);
parentPort?.postMessage(arena.memory);
setInterval(() => {}, 1000);
