import type { DeviceCounters } from '../drivers/device.ts';
import { systemCalls } from '../drivers/syscalls.ts';

/** What an engine has done since its start, as plain JSON. */
export interface EngineCounters {
  /** IP packets from and to the device, as it carries them: a super-segment is one. */
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
  /** Sends that found the device full; the packets went out later. */
  readonly txFull: number;
  /** Packets lost at the device, in either direction: interface down, refused, damaged link header. */
  readonly deviceDrops: number;
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
  /** Milliseconds. */
  readonly asleepMs: number;
  readonly workingMs: number;
}

/** Their order in the arena. */
const NAMES: readonly (keyof EngineCounters)[] = [
  'rxPackets',
  'rxBytes',
  'txPackets',
  'txBytes',
  'txFull',
  'deviceDrops',
  'turns',
  'rxBatches',
  'commandBatches',
  'systemCalls',
  'wakeUps',
  'sleeps',
  'wokenByThreads',
  'asleepMs',
  'workingMs',
];

/** The engine's own account. Published before every sleep, and between two when it does not come to that. */
export class EngineAccount {
  turns = 0;
  rxBatches = 0;
  commandBatches = 0;
  wakeUps = 0;
  sleeps = 0;
  wokenByThreads = 0;
  asleepMs = 0;
  readonly #startedAt: number;
  readonly #into: Float64Array;
  readonly #device: DeviceCounters;

  /** @param into where other threads read it: arena.counters */
  constructor(into: Float64Array, device: DeviceCounters, now: number) {
    this.#into = into;
    this.#device = device;
    this.#startedAt = now;
  }

  publish(now: number): void {
    const { rxPackets, rxBytes, txPackets, txBytes, txFull } = this.#device;
    const { txDroppedDown, txDroppedError, rxDroppedHeader } = this.#device;
    const into = this.#into;
    into[0] = rxPackets;
    into[1] = rxBytes;
    into[2] = txPackets;
    into[3] = txBytes;
    into[4] = txFull;
    into[5] = txDroppedDown + txDroppedError + rxDroppedHeader;
    into[6] = this.turns;
    into[7] = this.rxBatches;
    into[8] = this.commandBatches;
    into[9] = systemCalls.count;
    into[10] = this.wakeUps;
    into[11] = this.sleeps;
    into[12] = this.wokenByThreads;
    into[13] = this.asleepMs;
    into[14] = now - this.#startedAt - this.asleepMs;
  }
}

/** Changes at least twice a second while the engine lives. @param from arena.counters */
export function heartbeat(from: Float64Array): number {
  return from[6] ?? 0;
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
