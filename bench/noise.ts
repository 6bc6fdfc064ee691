import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Linux shows times to programs in hundredths of a second, whatever it counts in (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** What the machine and some processes have used of the cores until now, in seconds. */
export interface CoreTimes {
  readonly at: number;
  /** Of everybody, stolen time included; without interrupts, which belong to nobody. */
  readonly busy: number;
  readonly own: ReadonlyMap<number, number>;
}

/** Reads the times. @param pids the processes of the benchmark; one that is gone counts nothing */
export function coreTimes(pids: Iterable<number>): CoreTimes {
  const own = new Map<number, number>();
  for (const pid of pids) own.set(pid, processSeconds(pid));
  const [user = 0, nice = 0, system = 0, , , , , steal = 0] = readFileSync('/proc/stat', 'latin1')
    .split('\n', 1)[0]!
    .split(/ +/)
    .slice(1)
    .map(Number);
  return { at: performance.now(), busy: (user + nice + system + steal) / TICKS_PER_SECOND, own };
}

/** User and system time of all threads of a process. */
function processSeconds(pid: number): number {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return 0;
  }
  // proc_pid_stat(5): the name in parentheses can hold anything; utime and stime are fields 14 and 15
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** What share of all cores something else than the processes given has used in between, 0 … 1. */
export function foreignShare(before: CoreTimes, after: CoreTimes): number {
  let own = 0;
  for (const pid of after.own.keys()) own += usedSeconds(before, after, pid);
  const seconds = (after.at - before.at) / 1000;
  return Math.max(0, (after.busy - before.busy - own) / (seconds * availableParallelism()));
}

/** Cores that one process has kept busy in between, e.g. 1.5. */
export function coresUsed(before: CoreTimes, after: CoreTimes, pid: number): number {
  return usedSeconds(before, after, pid) / ((after.at - before.at) / 1000);
}

function usedSeconds(before: CoreTimes, after: CoreTimes, pid: number): number {
  return (after.own.get(pid) ?? 0) - (before.own.get(pid) ?? 0);
}
