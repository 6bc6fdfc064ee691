/**
 * `npm test [-- FILE… --match TITLE --verbose]`: runs every `*.test.ts` of the project, or those named as arguments. Tests against real peers are left out where
 * the machine lacks what they need, and that is said; with CI or TUNWIRE_REQUIRE_PEERS set, it is a failure.
 * The last line is `N passed, N failed`.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { missing, requirementsOf } from './requirements.ts';
import { TapReader } from './tap.ts';

const ROOT = resolve(import.meta.dirname, '..');
const LEFT_OUT_FOLDERS = new Set(['node_modules', 'dist', 'coverage']);
const CONCURRENCY = 2;
/** AVA's own limit does not reach a thread that is stuck in a system call. */
const SILENCE_MS: number = 3 * 60_000;

const { values, positionals: named } = parseArgs({
  allowPositionals: true,
  options: { verbose: { type: 'boolean', default: false }, match: { type: 'string', multiple: true } },
});
const { verbose } = values;
/** Titles to run, with `*` for anything. */
const match: string[] = values.match ?? [];
const requirePeers = isSet('CI') || isSet('TUNWIRE_REQUIRE_PEERS');

const files = named.length > 0 ? named.map(fromCaller) : testFiles(ROOT);
const tap = new TapReader(verbose);
const runnable: string[] = [];
const leftOut: string[] = [];
for (const file of files) {
  if (/(^|\/)_/.test(file)) tap.fail(`${file}: AVA ignores names that begin with an underscore; rename it`);
  const reasons = requirementsOf(join(ROOT, file))
    .map(missing)
    .filter((reason) => reason !== '');
  if (reasons.length === 0) runnable.push(file);
  else leftOut.push(`${file}: ${reasons.join(', ')}`);
}

if (runnable.length > 0) await runAva(runnable, tap);
if (leftOut.length > 0) {
  console.log(`\nleft out, for lack of what these files need:\n  ${leftOut.join('\n  ')}`);
  if (requirePeers || named.length > 0) {
    for (const line of leftOut) tap.fail(`must not be left out here: ${line}`);
  }
}
console.log(`\n${tap.passed} passed, ${tap.failed} failed`);
process.exitCode = tap.failed === 0 ? 0 : 1;

function isSet(variable: string): boolean {
  const value = process.env[variable] ?? '';
  return value !== '' && value !== '0' && value !== 'false';
}

/** npm changes to the project's folder and leaves the caller's in INIT_CWD. */
function fromCaller(path: string): string {
  return relative(ROOT, resolve(process.env['INIT_CWD'] ?? process.cwd(), path));
}

function testFiles(folder: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.') || LEFT_OUT_FOLDERS.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...testFiles(path));
    else if (entry.name.endsWith('.test.ts')) found.push(relative(ROOT, path));
  }
  return found.sort();
}

async function runAva(paths: string[], reader: TapReader): Promise<void> {
  const ava = join(ROOT, 'node_modules/ava/entrypoints/cli.js');
  const titles = match.flatMap((title) => ['--match', title]);
  const args = [
    '--import',
    join(ROOT, 'test/ava-timeout.ts'),
    ava,
    '--tap',
    '--concurrency',
    String(CONCURRENCY),
    ...titles,
    ...paths,
  ];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise<number | null>((done) => child.once('close', done));
  const silence = setTimeout(() => {
    reader.fail(`no test has ended for ${SILENCE_MS / 60_000} minutes: AVA is killed`);
    child.kill('SIGKILL');
  }, SILENCE_MS);
  for await (const line of createInterface({ input: child.stdout })) {
    silence.refresh();
    reader.line(line);
  }
  clearTimeout(silence);
  const code = await exited;
  reader.end();
  if (code !== 0 && (reader.failed === 0 || code !== 1))
    reader.fail(`AVA ended with ${code ?? child.signalCode} before all tests had run`);
}
