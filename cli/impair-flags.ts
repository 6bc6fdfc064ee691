import type { Command } from 'commander';
import { type ImpairSettings, isUnimpaired, parseImpairments } from '../drivers/impair-options.ts';

/** The words of `drivers/impair-options.ts` that are flags, with what they take. */
const FLAGS = [
  ['--loss <percent>', 'lose packets: 2%, or in bursts: "gemodel 1% 30%"'],
  ['--delay <time>', 'delay packets: 40ms'],
  ['--jitter <time>', 'vary the delay: 10ms'],
  ['--reorder <percent>', 'let packets overtake delayed ones: 1%'],
  ['--duplicate <percent>', 'send packets twice: 0.5%'],
  ['--corrupt <percent>', 'flip a bit: 0.1%'],
  ['--rate <bitrate>', 'limit the rate: 2mbit'],
  ['--seed <number>', 'what chance is drawn from: the same gives the same (default 1)'],
] as const;

/** What commander makes of the flags. */
export interface ImpairFlags {
  readonly loss?: string;
  readonly delay?: string;
  readonly jitter?: string;
  readonly reorder?: string;
  readonly duplicate?: string;
  readonly corrupt?: string;
  readonly rate?: string;
  readonly seed?: string;
}

/** Adds the flags that disturb the link, in both directions. */
export function addImpairFlags(command: Command): Command {
  for (const [flag, text] of FLAGS) command.option(flag, text);
  return command;
}

/**
 * What was asked for; null: nothing.
 * @throws NetError ARGUMENT_INVALID, naming the flag
 */
export function impairmentsOf(flags: ImpairFlags): ImpairSettings | null {
  const { loss, delay, jitter, reorder, duplicate, corrupt, rate, seed } = flags;
  const settings = parseImpairments({ loss, delay, jitter, reorder, duplicate, corrupt, rate, seed });
  return isUnimpaired(settings) ? null : settings;
}
