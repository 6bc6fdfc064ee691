import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { PROFILES } from '../conformance/script/profile.ts';
import { junit, type ScriptResult, tapEnd, tapLine, totalsOf } from '../conformance/script/report.ts';
import { runScript, type Verdict } from '../conformance/script/runner.ts';
import { ExitCode } from './exit-code.ts';

/** What commander makes of the flags. */
interface ScriptFlags {
  readonly profile: string;
  readonly lenient?: true;
  readonly junit?: string;
  readonly against: string;
  readonly define: readonly string[];
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
      collect,
      [],
    )
    .option('--junit <file>', 'write a JUnit report, too')
    .addOption(
      new Option(
        '--against <what>',
        'run against our stack, or against the kernel with the packetdrill installed',
      )
        .choices(['stack', 'kernel'])
        .default('stack'),
    )
    .action((files: string[], flags: ScriptFlags) => {
      process.exitCode = run(files, flags);
    });
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function run(paths: readonly string[], flags: ScriptFlags): ExitCode {
  const files: string[] = [];
  for (const path of paths) {
    const found = scriptsAt(path);
    if (found === null) {
      console.error(`tunwire: cannot read ${path}`);
      return ExitCode.Usage;
    }
    files.push(...found);
  }
  if (files.length === 0) {
    console.error('tunwire: no scripts (.pkt) there');
    return ExitCode.Usage;
  }
  if (flags.against === 'kernel' && spawnSync('packetdrill', ['--help']).error !== undefined) {
    console.error('tunwire: --against kernel needs the program packetdrill on the PATH');
    return ExitCode.Usage;
  }
  console.log('TAP version 13');
  const results: ScriptResult[] = [];
  for (const file of files) {
    const begin = performance.now();
    const verdict = flags.against === 'kernel' ? runOnKernel(file) : runOnStack(file, flags);
    results.push({ file, verdict, elapsedMs: performance.now() - begin });
    console.log(tapLine(results.at(-1)!, results.length));
  }
  console.log(tapEnd(results));
  if (flags.junit !== undefined) writeFileSync(flags.junit, junit(results));
  return totalsOf(results).failed > 0 ? ExitCode.Failed : ExitCode.Ok;
}

/** @returns null when there is nothing at `path` */
function scriptsAt(path: string): string[] | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (!stat.isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.pkt'))
    .sort()
    .map((name) => join(path, name));
}

function runOnStack(file: string, flags: ScriptFlags): Verdict {
  const { profile, lenient = false, define } = flags;
  return runScript(readFileSync(file, 'utf8'), { profile, lenient, define, name: file });
}

/** Needs root, as packetdrill does: it makes a TUN device of its own. */
function runOnKernel(file: string): Verdict {
  const begin = performance.now();
  const child = spawnSync('packetdrill', [file], { encoding: 'utf8' });
  const seconds = (performance.now() - begin) / 1000;
  if (child.status === 0) return { kind: 'pass', reason: '', line: 0, details: [], seconds };
  const [reason = 'packetdrill failed', ...details] = `${child.stdout}${child.stderr}`.trim().split('\n');
  return { kind: 'fail', reason, line: 0, details, seconds };
}
