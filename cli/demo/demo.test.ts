import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { summarize } from './capture-summary.ts';

const DEMO = join(import.meta.dirname, 'demo.ts');
const TIMEOUT_MS = 30_000;

function runDemo(cwd: string): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [DEMO], {
    cwd,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  return { status, stdout, stderr };
}

test('the demo runs anywhere, says what it did in 80 columns, and leaves its capture', (t) => {
  const cwd = mkdtempSync(join(tmpdir(), 'tunwire-demo-test-'));
  t.teardown(() => rmSync(cwd, { recursive: true, force: true }));
  const { status, stdout, stderr } = runDemo(cwd);
  t.is(stderr, '');
  t.is(status, 0);
  t.regex(stdout, /All as expected/);
  t.is(stdout.match(/handshake {2}TLS 1\.3, TLS_\w+, certificate valid/g)?.length, 2);
  t.is(stdout.match(/body as expected/g)?.length, 4);
  for (const row of stdout.split('\n')) t.true(row.length <= 80, row);
  const { packets, decryptable } = summarize(join(cwd, 'demo.pcapng'));
  t.true(packets > 1000);
  t.is(decryptable, 2);
});

test('what goes wrong ends the demo with 1 and a reason', (t) => {
  const cwd = mkdtempSync(join(tmpdir(), 'tunwire-demo-test-'));
  // the capture cannot be written where a folder has its name
  mkdirSync(join(cwd, 'demo.pcapng'));
  t.teardown(() => rmSync(cwd, { recursive: true, force: true }));
  const { status, stderr } = runDemo(cwd);
  t.is(status, 1);
  t.regex(stderr, /FAILED {2}InetInitialize: .*demo\.pcapng/);
});
