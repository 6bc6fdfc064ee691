/**
 * A process of its own, so that its descriptors can be counted: an engine on a device, one thread that writes and one that reads at
 * full speed until the device is gone. Prints `running` when data flows, then one line of JSON, a {@link DeviceLoss}.
 * Argument: JSON of {@link DeviceLossData}.
 */
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { NetError } from '../../stack/errors.ts';
import { type Arena, ArenaWord } from '../arena.ts';
import { EngineClient } from '../client.ts';
import type { EngineOptions } from '../options.ts';
import { startEngineSync } from '../start.ts';
import type { PumpData } from './pump.ts';
import { PumpThread } from './pump-thread.ts';

export interface DeviceLossData {
  readonly options: EngineOptions;
  /** Where the threads write to and read from; `memory` is the engine's. */
  readonly pumps: readonly Omit<PumpData, 'memory'>[];
}

export interface DeviceLoss {
  /** What `tunwire:engine:error` said. */
  readonly told: string;
  readonly outcomes: readonly unknown[];
  readonly state: number;
  readonly failure: string;
  /** What a new call says. */
  readonly refusal: string;
  /** What the descriptors are that were not there before, some time after the engine and the threads have ended. */
  readonly left: readonly string[];
}

const CLOSING_MS = 20_000;

/** What each descriptor of this process is. */
function descriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the folder's own
    }
  });
}

/** What `now` has beyond `before`. */
function beyond(before: readonly string[], now: readonly string[]): string[] {
  const known = [...before];
  return now.filter((link) => {
    const at = known.indexOf(link);
    if (at >= 0) known.splice(at, 1);
    return at < 0;
  });
}

function refusal(arena: Arena): string {
  try {
    EngineClient.of(arena).take();
    return '';
  } catch (error) {
    return String(error);
  }
}

const { options, pumps } = JSON.parse(process.argv[2] ?? '') as DeviceLossData;
// what a process keeps from its first thread on is not the engine's
await once(new Worker('', { eval: true }), 'exit');
const before = descriptors();
const engine = startEngineSync(options);
const { arena } = engine;
const told = new Promise<string>((resolve) => {
  subscribe('tunwire:engine:error', (message) => {
    const { arena: whose, error } = message as { arena: Arena; error: NetError };
    if (whose === arena) resolve(error.tunwireCode);
  });
});
const threads = pumps.map((pump) => new PumpThread({ ...pump, memory: arena.memory }));
await Promise.all(threads.map(({ running }) => running));
process.stdout.write('running\n');
const outcomes = await Promise.all(threads.map(({ outcome }) => outcome));
// an engine keeps no process alive that has nothing else to do
const alive = setInterval(() => {}, CLOSING_MS);
const seen = { told: await told, outcomes, state: arena.load(ArenaWord.State), failure: arena.failure };
clearInterval(alive);
const refused = refusal(arena);
await engine.stop();
await Promise.all(threads.map(({ worker }) => worker.terminate()));
let left = beyond(before, descriptors());
for (
  const end = performance.now() + CLOSING_MS;
  left.length > 0 && performance.now() < end;
  await sleep(20)
) {
  left = beyond(before, descriptors());
}
const loss: DeviceLoss = { ...seen, refusal: refused, left };
process.stdout.write(`${JSON.stringify(loss)}\n`);
