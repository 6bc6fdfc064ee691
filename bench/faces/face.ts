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

/** What this process has in memory, garbage collected where we can. Needs `--expose-gc`. */
export function residentBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}
