#!/usr/bin/env node
// What npm puts on the path. In a checkout tunwire runs its TypeScript sources, which takes Node 24.12: an older one
// hands over to the Node that `npm ci` has installed. This file itself has to run under old versions.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
// a checkout has the sources, the published package what was made of them
const source = new URL('./tunwire.ts', import.meta.url);
const main = existsSync(source) ? source : new URL('../dist/cli/tunwire.js', import.meta.url);

if (major > 24 || (major === 24 && minor >= 12)) {
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

function runUnder(node) {
  const child = spawn(node, [fileURLToPath(main), ...process.argv.slice(2)], { stdio: 'inherit' });
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
