#!/usr/bin/env node
// What npm puts on the path. In a checkout tunwire runs its TypeScript sources, which takes Node 24.12: an older one
// hands over to the Node that `npm ci` has installed. This file itself has to run under old versions.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import module from 'node:module';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
// a checkout has the sources, the published package what was made of them
const source = new URL('./tunwire.ts', import.meta.url);
const main = existsSync(source) ? source : new URL('../dist/cli/tunwire.js', import.meta.url);

if (major > 24 || (major === 24 && minor >= 12)) {
  keepCompiledCode();
  await import(main.href);
} else {
  const own = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));
  if (existsSync(own)) runUnder(own);
  else {
    console.error(
      `tunwire: needs Node 24.12 or later, this is ${process.versions.node}; run 'npm ci' in the project to get it, or install it`,
    );
    process.exitCode = 2;
  }
}

/**
 * The next start takes half the time with what V8 has compiled in this one. It lies where nobody else can write: whoever could would run
 * code as this user. NODE_DISABLE_COMPILE_CACHE and NODE_COMPILE_CACHE are Node's own switches for it.
 */
function keepCompiledCode() {
  const { NODE_COMPILE_CACHE, NODE_V8_COVERAGE, XDG_CACHE_HOME } = process.env;
  if (NODE_COMPILE_CACHE !== undefined || NODE_V8_COVERAGE !== undefined) return;
  try {
    const folder = join(XDG_CACHE_HOME || join(userInfo().homedir, '.cache'), 'tunwire');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(folder);
    if (uid === process.getuid?.() && (mode & 0o022) === 0) module.enableCompileCache(folder);
  } catch {
    // no home, or none that can be written to: it is started as the first time
  }
}

function runUnder(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`tunwire: cannot start ${node}: ${error.message}; run 'npm ci' again`);
    process.exitCode = 2;
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    // end as the child did, so that a shell sees the same
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
