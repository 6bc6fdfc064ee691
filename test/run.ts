/**
 * `npm test [-- FILE… --match TITLE --verbose]`: runs every `*.test.ts` of the project, or those named as arguments. Tests against real peers are left out where
 * the machine lacks what they need, and that is said; with CI or TUNWIRE_REQUIRE_PEERS set, it is a failure.
 * Afterwards tshark and tcpdump look at what the stacks of all these tests have sent (witness/), which counts as one test.
 * The last line is `N passed, N failed`.
 */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { missing, requirementsOf } from './requirements.ts';
import { TapReader } from './tap.ts';
import { checkFrames } from './witness/check.ts';
import { FOLDER } from './witness/names.ts';

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

// tests run programs as other users, too
const frames = mkdtempSync(join(tmpdir(), 'tunwire-frames-'));
chmodSync(frames, 0o1777);
if (runnable.length > 0) await runAva(runnable, tap);
askWitnesses(tap);
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

function askWitnesses(reader: TapReader): void {
  const lacking = ['tshark', 'tcpdump'].map(missing).filter((reason) => reason !== '');
  if (lacking.length > 0) {
    const what = `nobody looked at the frames that were sent: ${lacking.join(', ')}`;
    if (requirePeers) reader.fail(what);
    else console.log(what);
    rmSync(frames, { recursive: true });
    return;
  }
  const begin = performance.now();
  const { frames: count, testFiles: files, exempt, wrong } = checkFrames(frames);
  for (const line of wrong) reader.fail(line);
  if (wrong.length > 0) {
    console.log(`the frames are in ${frames}`);
    return;
  }
  if (count > 0) {
    reader.passed++;
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    console.log(
      `tshark and tcpdump find nothing wrong in ${count} frames of ${files} test files (${exempt.length} broken on purpose): ${seconds} s`,
    );
  }
  rmSync(frames, { recursive: true });
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
  const preload = `--import ${pathToFileURL(join(ROOT, 'test/witness/preload.ts')).href}`;
  const options = `${process.env['NODE_OPTIONS'] ?? ''} ${preload}`.trim();
  const env = { ...process.env, NODE_OPTIONS: options, [FOLDER]: frames };
  const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] });
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
