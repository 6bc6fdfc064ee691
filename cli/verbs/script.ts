import { type Command, Option } from 'commander';
import { PROFILES } from '../../conformance/script/profile.ts';
import { whole } from '../flags.ts';

/** What commander makes of the flags. */
export interface ScriptFlags {
  readonly profile: string;
  readonly lenient?: true;
  readonly junit?: string;
  readonly against: string;
  readonly packetdrill?: string;
  readonly jobs: string;
  readonly define: readonly string[];
  readonly seed?: number;
  readonly knownGaps?: string;
}

/** Adds the verb `script`. */
export function addScriptCommand(program: Command): void {
  program
    .command('script')
    .summary('run packet scripts against the stack')
    .description(
      "Runs scripts in packetdrill's language against the stack, in virtual time, and reports in TAP. A folder stands for " +
        'all .pkt files in it. A script that needs what the stack does not offer is skipped and says why. ' +
        'The command ends with 1 when a script failed.',
    )
    .argument('<file...>', 'scripts, or folders with scripts')
    .addOption(
      new Option('--profile <name>', 'what the scripts assume of the system')
        .choices([...PROFILES.keys()])
        .default('default'),
    )
    .option('--lenient', 'compare TCP options as a set, and neither PSH nor windows')
    .option(
      '--define <symbol>',
      'define a symbol for #ifdef, or NAME=VALUE for words; repeatable',
      repeat,
      [],
    )
    .option('--junit <file>', 'write a JUnit report, too')
    .addOption(
      new Option(
        '--against <what>',
        "run against our stack, or against this system's kernel with the packetdrill installed, in a network namespace (root), or both",
      )
        .choices(['stack', 'kernel', 'both'])
        .default('stack'),
    )
    .option(
      '--packetdrill <path>',
      'where packetdrill is; else the environment variable PACKETDRILL, else the PATH',
    )
    .option(
      '--jobs <number>',
      'so many scripts at a time on the kernel, where most of the time is waiting',
      '4',
    )
    .option('--seed <number>', 'what the stack draws its chance from', whole)
    .option(
      '--known-gaps <file>',
      'scripts that fail for a reason that is known, as conformance/*-gaps.json list them: no failures, but those that pass are',
    )
    .action(async (files: string[], flags: ScriptFlags) => {
      const { script } = await import('../script.ts');
      process.exitCode = await script(files, flags);
    });
}

function repeat(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
