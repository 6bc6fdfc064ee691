import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunRequest, RunResult } from '../job.ts';

/** One way to do a job. Made once per process, run several times. */
export interface Face {
  run(request: RunRequest): Promise<RunResult>;
  close(): Promise<void>;
}

/** @param bytes transferred @param milliseconds that it took */
export function gigabits(bytes: number, milliseconds: number): number {
  return (bytes * 8) / milliseconds / 1e6;
}

/** Bytes in use. */
export interface Memory {
  /** By this process. */
  readonly resident: number;
  /** By the kernel, for everybody: its sockets are in it. */
  readonly kernel: number;
}

/** An engine has folded up what is idle by then, and collected what that leaves. */
const SETTLE_MS = 4000;

/** Connections that come first and go: what they load and compile is not a cost per connection. */
export const WARM_UP = 100;

/** Waits until everything is idle, and collects garbage in the calling thread. Needs `--expose-gc`. */
export async function idleMemoryNow(): Promise<Memory> {
  await sleep(SETTLE_MS);
  globalThis.gc?.();
  const slab = /^Slab: +(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1];
  return { resident: process.memoryUsage.rss(), kernel: Number(slab ?? 0) * 1024 };
}

/** What the connections between two looks have cost. Over a TUN device the kernel has one end of them, else both. */
export function memoryPerConnection(before: Memory, after: Memory, connections: number): RunResult {
  return {
    value: (after.resident - before.resident) / connections,
    details: { 'kernel bytes': (after.kernel - before.kernel) / connections },
  };
}

/** How many of the connections resumed a session: what was measured is what was meant. */
export function resumedShare(resumed: number, connected: number): Record<string, number> {
  return { '% resumed': (100 * resumed) / Math.max(connected, 1) };
}
