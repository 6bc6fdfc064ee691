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

/** Fails for a file that has the word FAIL in it, and keeps what it was called with. */
const FAKE_PACKETDRILL = `#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
for file; do :; done
grep -q FAIL "$file" || exit 0
echo "$file:7: error handling packet: live packet field tcp_ack_seq: expected: 1 vs actual: 2"
exit 1
`;

test('tunwire script --against kernel: verdicts of packetdrill, known differences, stale claims, no program', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-script-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = (name: string): string => join(folder, name);
  // what makes the namespace is not to be had without root
  writeFileSync(file('unshare'), '#!/bin/sh\nshift 6\nexec "$@"\n', { mode: 0o755 });
  writeFileSync(file('packetdrill'), FAKE_PACKETDRILL, { mode: 0o755 });
  const because = (kind: string): string => `// kernel: ${kind}, because it is another kernel\n`;
  writeFileSync(file('a.pkt'), PASSES);
  writeFileSync(file('b.pkt'), `// FAIL\n${PASSES}`);
  writeFileSync(file('c.pkt'), `// FAIL\n${because('differs')}${PASSES}`);
  writeFileSync(file('d.pkt'), `${because('differs')}${PASSES}`);
  writeFileSync(file('e.pkt'), `${because('not run')}${PASSES}`);
  const script = (env: Record<string, string>): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [COMMAND, 'script', folder, '--against', 'kernel', '--define', 'A=1'], {
      encoding: 'utf8',
      env,
    });
  const run = script({ PATH: `${folder}:${process.env['PATH']}` });
  t.is(run.status, 1, run.stderr);
  t.deepEqual(run.stdout.trim().split('\n'), [
    'TAP version 13',
    `ok 1 - ${file('a.pkt')}`,
    `not ok 2 - ${file('b.pkt')}`,
    `#   ${file('b.pkt')}:7: error handling packet: live packet field tcp_ack_seq: expected: 1 vs actual: 2`,
    `not ok 3 - ${file('c.pkt')} # TODO the kernel differs, because it is another kernel`,
    `not ok 4 - ${file('d.pkt')}`,
    `#   the script says that the kernel differs, and the kernel passes it`,
    `ok 5 - ${file('e.pkt')} # SKIP not run on the kernel, because it is another kernel`,
    '1..5',
    '# 1 passed, 2 failed, 1 skipped, 1 known differences of the kernel',
  ]);
  const calls = readFileSync(file('calls'), 'utf8').trim().split('\n');
  t.is(calls.length, 4);
  t.true(calls.every((call) => call.startsWith('--define A=1 ')));
  const none = script({ PATH: '/nowhere' });
  t.is(none.status, 2);
  t.regex(none.stderr, /needs the program packetdrill .*github\.com\/google\/packetdrill/);
});

test('tunwire script --known-gaps: a known failure is none, one that passes is', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-script-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = (name: string): string => join(folder, name);
  writeFileSync(file('a.pkt'), PASSES);
  writeFileSync(file('c.pkt'), FAILS);
  const script = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [COMMAND, 'script', folder, ...args], { encoding: 'utf8' });
  const gaps = (...scripts: string[]): string => {
    writeFileSync(
      file('gaps.json'),
      JSON.stringify({ gaps: [{ scripts, verdict: 'fail', reason: 'so it is' }] }),
    );
    return file('gaps.json');
  };
  const known = script('--known-gaps', gaps('c*'));
  t.is(known.status, 0, known.stdout);
  t.regex(known.stdout, /^not ok 2 - .*c\.pkt # TODO a known gap: so it is$/m);
  t.regex(known.stdout, /^# 1 passed, 0 failed, 0 skipped, 1 known gaps$/m);
  const closed = script('--known-gaps', gaps('?.pkt'), '--seed', '7');
  t.is(closed.status, 1);
  t.regex(
    closed.stdout,
    /^not ok 1 - .*a\.pkt\n# {3}.*passes, but the known gaps say that it fails: so it is$/m,
  );
  writeFileSync(file('gaps.json'), '{"a.pkt": "why"}');
  t.deepEqual(
    [script('--known-gaps', file('gaps.json')).status, script('--known-gaps', file('none')).status],
    [2, 2],
  );
});

test('tunwire script --against both: a line for the stack and one for the kernel', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-script-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = (name: string): string => join(folder, name);
  writeFileSync(file('unshare'), '#!/bin/sh\nshift 6\nexec "$@"\n', { mode: 0o755 });
  writeFileSync(file('packetdrill'), FAKE_PACKETDRILL, { mode: 0o755 });
  writeFileSync(file('a.pkt'), PASSES);
  writeFileSync(file('b.pkt'), `// FAIL\n${PASSES}`);
  writeFileSync(file('c.pkt'), FAILS);
  const run = spawnSync(process.execPath, [COMMAND, 'script', folder, '--against', 'both'], {
    encoding: 'utf8',
    env: { PATH: `${folder}:${process.env['PATH']}` },
  });
  t.is(run.status, 1, run.stderr);
  t.deepEqual(
    run.stdout.split('\n').filter((line) => /^(not )?ok|^# \d/.test(line)),
    [
      `ok 1 - ${file('a.pkt')}`,
      `ok 2 - ${file('b.pkt')}`,
      `not ok 3 - ${file('c.pkt')}`,
      `ok 4 - ${file('a.pkt')} (kernel)`,
      `not ok 5 - ${file('b.pkt')} (kernel)`,
      `ok 6 - ${file('c.pkt')} (kernel)`,
      '# 4 passed, 2 failed, 0 skipped',
    ],
  );
});
