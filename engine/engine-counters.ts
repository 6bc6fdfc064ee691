import { DeviceCounters } from '../drivers/device.ts';
import { systemCalls } from '../drivers/syscalls.ts';

/**
 * What an engine has done since its start, as plain JSON, and what its devices have carried and dropped: a super-segment is one packet
 * there, as the device carries it.
 */
export interface EngineCounters extends Readonly<DeviceCounters> {
  /** Rounds of the engine's loop, and those that had packets or commands to work off together. */
  readonly turns: number;
  readonly rxBatches: number;
  readonly commandBatches: number;
  /** System calls of the engine's thread. */
  readonly systemCalls: number;
  /** Threads that the engine has woken. */
  readonly wakeUps: number;
  /** Times that the engine has slept, and those of them that another thread ended. */
  readonly sleeps: number;
  readonly wokenByThreads: number;
  /** Sockets of threads that were ended and could not close them: the engine has done it. */
  readonly orphanedSockets: number;
  /** Bytes of `memoryBytes` that are in use now, by rings, TLS states and the spare rings that lie ready. */
  readonly memoryUsedBytes: number;
  /** Milliseconds. */
  readonly asleepMs: number;
  readonly workingMs: number;
}

/** Their order in the arena: those of the device, and behind them the engine's own. */
const OWN: readonly (keyof EngineCounters)[] = [
  'turns',
  'rxBatches',
  'commandBatches',
  'systemCalls',
  'wakeUps',
  'sleeps',
  'wokenByThreads',
  'orphanedSockets',
  'memoryUsedBytes',
  'asleepMs',
  'workingMs',
];
const OF_DEVICE = Object.keys(new DeviceCounters()) as (keyof DeviceCounters)[];
const NAMES: readonly (keyof EngineCounters)[] = [...OF_DEVICE, ...OWN];
const FIRST_OWN: number = OF_DEVICE.length;

/** The engine's own account. Published before every sleep, and between two when it does not come to that. */
export class EngineAccount {
  turns = 0;
  rxBatches = 0;
  commandBatches = 0;
  wakeUps = 0;
  sleeps = 0;
  wokenByThreads = 0;
  orphanedSockets = 0;
  memoryUsedBytes = 0;
  asleepMs = 0;
  readonly #startedAt: number;
  readonly #into: Float64Array;
  readonly #devices: readonly DeviceCounters[];

  /** @param into where other threads read it: arena.counters */
  constructor(into: Float64Array, devices: readonly DeviceCounters[], now: number) {
    this.#into = into;
    this.#devices = devices;
    this.#startedAt = now;
  }

  publish(now: number): void {
    const into = this.#into;
    const devices = this.#devices;
    for (let i = 0; i < OF_DEVICE.length; i++) {
      let sum = 0;
      for (let k = 0; k < devices.length; k++) sum += devices[k]![OF_DEVICE[i]!];
      into[i] = sum;
    }
    into[FIRST_OWN] = this.turns;
    into[FIRST_OWN + 1] = this.rxBatches;
    into[FIRST_OWN + 2] = this.commandBatches;
    into[FIRST_OWN + 3] = systemCalls.count;
    into[FIRST_OWN + 4] = this.wakeUps;
    into[FIRST_OWN + 5] = this.sleeps;
    into[FIRST_OWN + 6] = this.wokenByThreads;
    into[FIRST_OWN + 7] = this.orphanedSockets;
    into[FIRST_OWN + 8] = this.memoryUsedBytes;
    into[FIRST_OWN + 9] = this.asleepMs;
    into[FIRST_OWN + 10] = now - this.#startedAt - this.asleepMs;
  }
}

/** Changes at least twice a second while the engine lives. @param from arena.counters */
export function heartbeat(from: Float64Array): number {
  return from[FIRST_OWN] ?? 0;
}

/** @param from arena.counters */
export function readCounters(from: Float64Array): EngineCounters {
  const entries = NAMES.map((name, at) => [name, from[at] ?? 0] as const);
  return Object.fromEntries(entries) as unknown as EngineCounters;
}

/** The counters of several engines together: times add up, too. */
export function sumOf(counters: readonly EngineCounters[]): EngineCounters {
  const entries = NAMES.map((name) => [name, counters.reduce((sum, each) => sum + each[name], 0)] as const);
  return Object.fromEntries(entries) as unknown as EngineCounters;
}
