import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPacketdrill, runOnKernel } from '../conformance/script/kernel.ts';
import { KnownGaps } from '../conformance/script/known-gaps.ts';
import { junit, type ScriptResult, tapEnd, tapLine, totalsOf } from '../conformance/script/report.ts';
import { runScript, type Verdict } from '../conformance/script/runner.ts';
import { ExitCode } from './exit-code.ts';
import type { ScriptFlags } from './verbs/script.ts';

/** Runs the scripts and reports. @returns the exit code */
export async function script(paths: readonly string[], flags: ScriptFlags): Promise<ExitCode> {
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
  const packetdrill = flags.against === 'stack' ? '' : findPacketdrill(flags.packetdrill);
  if (packetdrill === null) {
    console.error(
      `tunwire: --against ${flags.against} needs the program packetdrill (https://github.com/google/packetdrill): ` +
        'build it and put it on the PATH, or name it with --packetdrill or PACKETDRILL',
    );
    return ExitCode.Usage;
  }
  const gaps = gapsOf(flags.knownGaps);
  if (gaps === undefined) return ExitCode.Usage;
  console.log('TAP version 13');
  const results: ScriptResult[] = [];
  const add = (result: ScriptResult): void => {
    results.push(result);
    console.log(tapLine(result, results.length));
  };
  if (flags.against !== 'kernel')
    for (const file of files) add(timed(file, () => known(gaps, file, runOnStack(file, flags))));
  if (flags.against !== 'stack') {
    const isBoth = flags.against === 'both';
    await runAllOnKernel(files, packetdrill, flags, (result) =>
      add(isBoth ? { ...result, file: `${result.file} (kernel)` } : result),
    );
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
  const { profile, lenient = false, define, seed } = flags;
  return runScript(readFileSync(file, 'utf8'), {
    profile,
    lenient,
    define,
    name: file,
    ...(seed === undefined ? {} : { seed }),
  });
}

/** @returns undefined after saying what is wrong with the file; null: there is none */
function gapsOf(file: string | undefined): KnownGaps | null | undefined {
  if (file === undefined) return null;
  try {
    return new KnownGaps(readFileSync(file, 'utf8'));
  } catch (error) {
    console.error(`tunwire: --known-gaps ${file}: ${(error as Error).message}`);
    return undefined;
  }
}

/** A failure whose reason is known is none; a gap that is closed has to leave the list. */
function known(gaps: KnownGaps | null, file: string, verdict: Verdict): Verdict {
  const reason = gaps?.reasonFor(file) ?? null;
  if (reason === null || verdict.kind === 'skip') return verdict;
  if (verdict.kind === 'fail') return { ...verdict, kind: 'gap', reason };
  return { ...verdict, kind: 'fail', reason: `passes, but the known gaps say that it fails: ${reason}` };
}

function timed(file: string, judge: () => Verdict): ScriptResult {
  const begin = performance.now();
  const verdict = judge();
  return { file, verdict, elapsedMs: performance.now() - begin };
}

/** Some at a time, reported in the order of the files. */
async function runAllOnKernel(
  files: readonly string[],
  packetdrill: string,
  flags: ScriptFlags,
  add: (result: ScriptResult) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-packetdrill-'));
  const done: (ScriptResult | undefined)[] = [];
  let next = 0;
  let reported = 0;
  const worker = async (): Promise<void> => {
    while (next < files.length) {
      const index = next++;
      const file = files[index]!;
      const begin = performance.now();
      const verdict = await runOnKernel(file, folder, { packetdrill, define: flags.define });
      done[index] = { file, verdict, elapsedMs: performance.now() - begin };
      for (let result = done[reported]; result !== undefined; result = done[++reported]) add(result);
    }
  };
  try {
    const jobs = Math.max(1, Math.trunc(Number(flags.jobs)) || 1);
    await Promise.all(Array.from({ length: Math.min(jobs, files.length) }, worker));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
