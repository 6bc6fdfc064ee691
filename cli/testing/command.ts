import { resolve } from 'node:path';
import {
  type Lab,
  type LabProcess,
  OWN_V4,
  OWN_V6,
  type RunOptions,
  type RunResult,
} from '../../test/netns.ts';

const TUNWIRE: string = resolve(import.meta.dirname, '../tunwire.ts');

/** The arguments of Node that run a verb on the lab's TUN device. */
export function commandLine(lab: Lab, verb: string, args: readonly string[]): string[] {
  return [TUNWIRE, verb, ...args, '--tun', lab.tun, '--addr', `${OWN_V4}/24`, '--addr', `${OWN_V6}/64`];
}

/** Runs a verb on the lab's TUN device to its end. */
export function tunwire(
  lab: Lab,
  verb: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  return lab.run(process.execPath, commandLine(lab, verb, args), options);
}

/** Starts a verb on the lab's TUN device. */
export function startTunwire(lab: Lab, verb: string, args: readonly string[]): LabProcess {
  return lab.start(process.execPath, commandLine(lab, verb, args));
}

/** The last line of JSON on standard output. */
export function jsonOf(result: RunResult): Record<string, unknown> {
  return JSON.parse(result.stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
}
