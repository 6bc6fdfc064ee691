import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';

const COMMAND = join(import.meta.dirname, 'tunwire.ts');
const PASSES = '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 close(3) = 0\n';
const FAILS = '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 listen(3, 1) = -1 EINVAL (Invalid argument)\n';
const SKIPS = '0 `modprobe sctp`\n+0 close(3) = 0\n';

test('tunwire script: TAP, JUnit and the exit code', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-script-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = (name: string): string => join(folder, name);
  const script = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [COMMAND, 'script', ...args], { encoding: 'utf8' });
  writeFileSync(file('a.pkt'), PASSES);
  writeFileSync(file('b.pkt'), SKIPS);
  const good = script(folder, '--junit', file('report.xml'));
  t.is(good.status, 0);
  t.deepEqual(good.stdout.trim().split('\n'), [
    'TAP version 13',
    `ok 1 - ${file('a.pkt')}`,
    `ok 2 - ${file('b.pkt')} # SKIP command: modprobe sctp`,
    '1..2',
    '# 1 passed, 0 failed, 1 skipped',
  ]);
  t.regex(readFileSync(file('report.xml'), 'utf8'), /tests="2" failures="0" skipped="1"/);
  writeFileSync(file('c.pkt'), FAILS);
  const bad = script(file('c.pkt'));
  t.is(bad.status, 1);
  t.regex(bad.stdout, /^not ok 1 - .*c\.pkt\n# {3}.*c\.pkt:2: listen returned something else$/m);
  t.is(script(file('missing.pkt')).status, 2);
  t.is(script(file('a.pkt'), '--profile', 'plan9').status, 2);
});
