import { release } from 'node:os';

/**
 * Whether the running Linux is of a version or a later one, for what the kernel has no question for.
 * @param running as `uname -r` tells it
 */
export function kernelIsAtLeast(major: number, minor: number, running: string = release()): boolean {
  const [, runningMajor, runningMinor] = /^(\d+)\.(\d+)/.exec(running) ?? [];
  if (runningMajor === undefined) return false;
  return Number(runningMajor) === major ? Number(runningMinor) >= minor : Number(runningMajor) > major;
}
