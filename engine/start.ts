import { getEnvironmentData, setEnvironmentData, Worker } from 'node:worker_threads';
import { errorCodeOf, NetError, Phase } from '../stack/errors.ts';
import { Arena, ArenaWord, EngineState } from './arena.ts';
import { DRAIN_MS, type EngineOptions, engineSizes } from './options.ts';
import type { ThreadData } from './thread.ts';
import { wakeEngine } from './wake.ts';

/** Where workers look for the engine of their process. */
const ENVIRONMENT_KEY = 'tunwire:engine';
/** How long a device may take to open. */
const START_TIMEOUT_MS = 30_000;

/** Engines started by this thread. */
const running = new Set<Arena>();

/** At the thread's end: all engines drain at the same time. */
function stopAll(): void {
  for (const arena of running) requestStop(arena);
  for (const arena of running) waitForState(arena, EngineState.Running, 2 * DRAIN_MS);
}

/** A running engine, as the thread that started it holds it. */
export class EngineHandle {
  readonly arena: Arena;
  readonly #worker: Worker;

  constructor(arena: Arena, worker: Worker) {
    this.arena = arena;
    this.#worker = worker;
    // a thread asleep in poll(2) cannot be terminated: it has to be told before this one ends
    if (running.size === 0) process.on('exit', stopAll);
    running.add(arena);
  }

  /** Stops the engine and waits for it. Sockets still open fail with ENGINE_STOPPED. May be called twice. */
  async stop(): Promise<void> {
    this.#unregister();
    requestStop(this.arena);
    const state = Atomics.waitAsync(this.arena.words, ArenaWord.State, EngineState.Running, 2 * DRAIN_MS);
    const keepAlive = setInterval(() => {}, START_TIMEOUT_MS);
    if (state.async) await state.value;
    clearInterval(keepAlive);
    await this.#worker.terminate();
  }

  /** The same for a thread that may block: returns when the engine has told everybody. */
  stopSync(): void {
    this.#unregister();
    requestStop(this.arena);
    waitForState(this.arena, EngineState.Running, 2 * DRAIN_MS);
    void this.#worker.terminate();
  }

  #unregister(): void {
    running.delete(this.arena);
    if (running.size === 0) process.off('exit', stopAll);
    if (getEnvironmentData(ENVIRONMENT_KEY) === this.arena.memory)
      setEnvironmentData(ENVIRONMENT_KEY, undefined);
  }
}

/**
 * Starts an engine in a thread of its own and waits until it runs.
 * @throws NetError DEVICE_FAILED, ARGUMENT_INVALID …: whatever kept the device or the stack from starting
 * @throws RangeError for sizes out of range
 */
export function startEngineSync(options: EngineOptions): EngineHandle {
  const { arena, worker } = launch(options);
  if (!waitForState(arena, EngineState.Starting, START_TIMEOUT_MS)) {
    requestStop(arena);
    throw new NetError('TIMEOUT', { phase: Phase.None, detail: 'the engine thread did not start' });
  }
  return started(arena, worker);
}

/** {@link startEngineSync} without blocking the event loop. */
export async function startEngine(options: EngineOptions): Promise<EngineHandle> {
  const { arena, worker } = launch(options);
  const state = Atomics.waitAsync(arena.words, ArenaWord.State, EngineState.Starting, START_TIMEOUT_MS);
  const keepAlive = setInterval(() => {}, START_TIMEOUT_MS);
  if (state.async) await state.value;
  clearInterval(keepAlive);
  return started(arena, worker);
}

/** Lets threads started from now on find this engine with {@link sharedEngine}. */
export function publishEngine(arena: Arena): void {
  setEnvironmentData(ENVIRONMENT_KEY, arena.memory);
}

/** The engine that the thread's parent has published; null when there is none. */
export function sharedEngine(): Arena | null {
  const memory = getEnvironmentData(ENVIRONMENT_KEY);
  return memory instanceof SharedArrayBuffer ? new Arena(memory) : null;
}

function launch(options: EngineOptions): { arena: Arena; worker: Worker } {
  const arena = Arena.create(engineSizes(options));
  const data: ThreadData = { memory: arena.memory, options };
  // the published package holds .js, a checkout .ts
  const file = import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js';
  const worker = new Worker(new URL(file, import.meta.url), {
    workerData: data,
    name: 'tunwire engine',
    stdin: false,
    // the process's own flags (--input-type, --eval …) can keep a thread from starting, and it needs none of them
    execArgv: [],
  });
  worker.on('error', (error) => {
    if (arena.load(ArenaWord.State) === EngineState.Starting) {
      arena.setFailure(99, error.stack ?? error.message);
      arena.store(ArenaWord.State, EngineState.Failed);
      Atomics.notify(arena.words, ArenaWord.State);
    }
  });
  worker.unref();
  return { arena, worker };
}

function started(arena: Arena, worker: Worker): EngineHandle {
  const state = arena.load(ArenaWord.State);
  if (state === EngineState.Running) return new EngineHandle(arena, worker);
  void worker.terminate();
  if (state === EngineState.Starting) {
    requestStop(arena);
    throw new NetError('TIMEOUT', { phase: Phase.None, detail: 'the engine thread did not start' });
  }
  throw new NetError(errorCodeOf(arena.load(ArenaWord.ErrorCode)), {
    phase: Phase.None,
    detail: arena.failure,
  });
}

function requestStop(arena: Arena): void {
  arena.store(ArenaWord.StopRequested, 1);
  wakeEngine(arena);
}

/** Blocks while the engine is in `state`. @returns false after the timeout */
function waitForState(arena: Arena, state: number, timeoutMs: number): boolean {
  const deadline = performance.now() + timeoutMs;
  while (arena.load(ArenaWord.State) === state) {
    const left = deadline - performance.now();
    if (left <= 0) return false;
    Atomics.wait(arena.words, ArenaWord.State, state, left);
  }
  return true;
}
