import type { Verdict } from './runner.ts';

/** One file with how it ended. */
export interface ScriptResult {
  readonly file: string;
  readonly verdict: Verdict;
  /** Real time, ms. */
  readonly elapsedMs: number;
}

/** How many scripts ended how. */
export interface ScriptTotals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Known differences of the kernel. */
  readonly differing: number;
  /** Failures that are known. */
  readonly gaps: number;
}

/** Counts verdicts. */
export function totalsOf(results: readonly ScriptResult[]): ScriptTotals {
  const count = (kind: Verdict['kind']): number =>
    results.filter((result) => result.verdict.kind === kind).length;
  return {
    passed: count('pass'),
    failed: count('fail'),
    skipped: count('skip'),
    differing: count('differ'),
    gaps: count('gap'),
  };
}

/** One line of TAP, and for a failure the lines that explain it. @param number counted from 1 */
export function tapLine(result: ScriptResult, number: number): string {
  const { file, verdict } = result;
  const name = file.replaceAll('#', '\\#');
  if (verdict.kind === 'pass') return `ok ${number} - ${name}`;
  if (verdict.kind === 'skip') return `ok ${number} - ${name} # SKIP ${verdict.reason}`;
  if (verdict.kind === 'differ')
    return `not ok ${number} - ${name} # TODO the kernel differs, because ${verdict.reason}`;
  if (verdict.kind === 'gap') return `not ok ${number} - ${name} # TODO a known gap: ${verdict.reason}`;
  const where = verdict.line > 0 ? `${file}:${verdict.line}: ` : '';
  const lines = [`${where}${verdict.reason}`, ...verdict.details];
  return [`not ok ${number} - ${name}`, ...lines.map((line) => `#   ${line}`)].join('\n');
}

/** The end of the TAP output: the plan and the summary. */
export function tapEnd(results: readonly ScriptResult[]): string {
  const { passed, failed, skipped, differing, gaps } = totalsOf(results);
  const known = [
    differing > 0 ? `, ${differing} known differences of the kernel` : '',
    gaps > 0 ? `, ${gaps} known gaps` : '',
  ].join('');
  return `1..${results.length}\n# ${passed} passed, ${failed} failed, ${skipped} skipped${known}`;
}

/** A JUnit report, as CI systems read it. */
export function junit(results: readonly ScriptResult[]): string {
  const { failed, skipped, differing, gaps } = totalsOf(results);
  const elapsedMs = results.reduce((sum, result) => sum + result.elapsedMs, 0);
  const head = `<testsuite name="packet scripts" tests="${results.length}" failures="${failed}" skipped="${skipped + differing + gaps}" time="${(elapsedMs / 1000).toFixed(3)}">`;
  return ['<?xml version="1.0" encoding="UTF-8"?>', head, ...results.map(testCase), '</testsuite>', ''].join(
    '\n',
  );
}

function testCase(result: ScriptResult): string {
  const { file, verdict, elapsedMs } = result;
  const head = `  <testcase name="${escapeXml(file)}" classname="script" time="${(elapsedMs / 1000).toFixed(4)}"`;
  if (verdict.kind === 'pass') return `${head}/>`;
  if (verdict.kind === 'skip' || verdict.kind === 'differ' || verdict.kind === 'gap')
    return `${head}><skipped message="${escapeXml(verdict.reason)}"/></testcase>`;
  const text = [`line ${verdict.line}: ${verdict.reason}`, ...verdict.details].join('\n');
  return `${head}><failure message="${escapeXml(verdict.reason)}">${escapeXml(text)}</failure></testcase>`;
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
