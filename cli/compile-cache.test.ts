import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.js');

function cacheOf(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-cache-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Compiled files after `tunwire demo`. */
async function compiledBy(cache: string): Promise<number> {
  const env: NodeJS.ProcessEnv = { ...process.env, XDG_CACHE_HOME: cache };
  delete env['NODE_V8_COVERAGE'];
  delete env['NODE_COMPILE_CACHE'];
  const { stdout } = await promisify(execFile)(process.execPath, [TUNWIRE, 'demo'], { env, cwd: cache });
  if (!stdout.includes('demo.pcapng')) throw new Error(stdout);
  const folder = join(cache, 'tunwire');
  return existsSync(folder) ? readdirSync(folder, { recursive: true }).length : 0;
}

test('compiled code is kept for the next start', async (t) => {
  const cache = cacheOf(t);
  const first = await compiledBy(cache);
  // as many files as the demo is made of
  t.true(first > 150, `${first}`);
  t.true((await compiledBy(cache)) >= first);
});

test('nothing is kept where others can write', async (t) => {
  const cache = cacheOf(t);
  mkdirSync(join(cache, 'tunwire'));
  chmodSync(join(cache, 'tunwire'), 0o777);
  t.is(await compiledBy(cache), 0);
});
