import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { getEnvironmentData, setEnvironmentData, Worker } from 'node:worker_threads';
import { errorCodeOf, NetError, Phase } from '../stack/errors.ts';
import { checkSendOptions } from '../stack/tcp/send-policy.ts';
import { Arena, ArenaWord, EngineState } from './arena.ts';
import { ENGINE_CHANNELS } from './channels.ts';
import { type EngineNotice, hearNotice } from './notices.ts';
import { DRAIN_MS, type EngineOptions, engineSizes } from './options.ts';
import { enginePlaces, partOf } from './several-engines.ts';
import type { QueuePlace } from './steering.ts';
import type { ThreadData } from './thread.ts';
import { wakeEngine } from './wake.ts';

/** Where workers look for the engine of their process. */
const ENVIRONMENT_KEY = 'tunwire:engine';
/** How long a device may take to open: more than what is waited for address configuration, which has an error of its own. */
const START_TIMEOUT_MS = 60_000;

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
    ENGINE_CHANNELS.start.publish({ arena });
    worker.once('exit', () => {
      if (running.has(arena)) ENGINE_CHANNELS.error.publish({ arena, error: failureOf(arena) });
    });
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
    if (running.delete(this.arena)) ENGINE_CHANNELS.stop.publish({ arena: this.arena });
    if (running.size === 0) process.off('exit', stopAll);
    const published = getEnvironmentData(ENVIRONMENT_KEY);
    if (Array.isArray(published) && published.includes(this.arena.memory))
      setEnvironmentData(ENVIRONMENT_KEY, undefined);
  }
}

/**
 * Starts an engine in a thread of its own and waits until it runs.
 * @throws NetError DEVICE_FAILED, ARGUMENT_INVALID …: whatever kept the device or the stack from starting
 * @throws RangeError for sizes out of range
 */
export function startEngineSync(options: EngineOptions): EngineHandle {
  if (enginePlaces(options).length > 1) {
    throw new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: 'several engines are for createStack: a handle of the blocking calls knows one',
    });
  }
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
  await hasStarted(arena);
  return started(arena, worker);
}

/** Waits until the engine runs, or cannot. */
async function hasStarted(arena: Arena): Promise<void> {
  const state = Atomics.waitAsync(arena.words, ArenaWord.State, EngineState.Starting, START_TIMEOUT_MS);
  const keepAlive = setInterval(() => {}, START_TIMEOUT_MS);
  if (state.async) await state.value;
  clearInterval(keepAlive);
}

/**
 * Starts all engines of one stack, each on a queue of the device; the first one is the one for what cannot be shared.
 * @throws NetError what {@link startEngine} does, RangeError for a number that cannot be; then none is left running
 */
export async function startEngines(options: EngineOptions): Promise<EngineHandle[]> {
  const places = enginePlaces(options);
  if (places.length === 1) return [await startEngine(options)];
  // all at once: a thread gets the network namespace that its starter has now
  const launched = places.map((place) => launch(partOf(options, place), place));
  await Promise.all(launched.map(({ arena }) => hasStarted(arena)));
  const handles: EngineHandle[] = [];
  const errors: unknown[] = [];
  for (const { arena, worker } of launched) {
    try {
      handles.push(started(arena, worker));
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length === 0) return handles;
  await Promise.all(handles.map((handle) => handle.stop()));
  throw errors[0];
}

/** Lets threads started from now on find these engines of one stack with {@link sharedEngines}. */
export function publishEngine(arena: Arena, others: readonly Arena[] = []): void {
  setEnvironmentData(
    ENVIRONMENT_KEY,
    [arena, ...others].map(({ memory }) => memory),
  );
}

/** The engines of the stack that the thread's parent has published; empty when there is none. */
export function sharedEngines(): Arena[] {
  const memories = getEnvironmentData(ENVIRONMENT_KEY);
  return Array.isArray(memories) ? memories.map((memory: SharedArrayBuffer) => new Arena(memory)) : [];
}

function launch(options: EngineOptions, place: QueuePlace | null = null): { arena: Arena; worker: Worker } {
  // what cannot be is refused before a device is opened
  checkSendOptions(options);
  const arena = Arena.create(engineSizes(options));
  const data: ThreadData = { memory: arena.memory, options, place, compileCache: compileCacheFolder() };
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
  worker.on('message', (notice: EngineNotice) => hearNotice(arena, notice));
  worker.unref();
  return { arena, worker };
}

/** Where this process keeps compiled code; null: nowhere. A thread has to be told, and in which folder Node makes one for its version. */
function compileCacheFolder(): string | null {
  const folder = getCompileCacheDir();
  return folder === undefined ? null : dirname(folder);
}

function started(arena: Arena, worker: Worker): EngineHandle {
  const state = arena.load(ArenaWord.State);
  if (state === EngineState.Running) return new EngineHandle(arena, worker);
  void worker.terminate();
  if (state === EngineState.Starting) requestStop(arena);
  const error =
    state === EngineState.Starting
      ? new NetError('TIMEOUT', { phase: Phase.None, detail: 'the engine thread did not start' })
      : failureOf(arena);
  ENGINE_CHANNELS.error.publish({ arena, error });
  throw error;
}

/** Why an engine has ended. */
function failureOf(arena: Arena): NetError {
  const number = arena.load(ArenaWord.ErrorCode);
  return new NetError(number === 0 ? 'ENGINE_STOPPED' : errorCodeOf(number), {
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
