import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';
import { OWN_SESSIONS, recordOwn } from '../pcap-fixtures/own-sessions.ts';

const ROOT = resolve(import.meta.dirname, '..');

function tunwire(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['cli/tunwire.ts', 'replay', ...args], { cwd: ROOT, encoding: 'utf8' });
}

test('replay: one line a session, a summary, exit code 0', (t) => {
  const { status, stdout } = tunwire('pcap-fixtures/kernel-refused.pcap', 'pcap-fixtures/kernel-dns.pcap');
  t.is(status, 0);
  t.regex(
    stdout,
    /^TAP version 13\nok 1 - .*refused.*\nok 2 - .*dns.*\n1\.\.2\n# 2 passed, 0 failed, 0 skipped\n$/,
  );
});

test('replay: a difference is exit code 1', (t) => {
  const { status, stdout } = tunwire('--exact', 'pcap-fixtures/kernel-refused.pcap');
  t.is(status, 1);
  t.regex(stdout, /^not ok 1 .*\n {2}# packet 1, /m);
});

test('replay: a file that is no capture is named, exit code 2', (t) => {
  const { status, stderr } = tunwire('package.json');
  t.is(status, 2);
  t.regex(stderr, /^tunwire: .*package\.json.*pcap/);
  t.is(tunwire('nothing.pcap').status, 2);
});

test('replay: --exact takes the seed from the capture', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-replay-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'now.pcapng');
  recordOwn(OWN_SESSIONS.find(({ name }) => name === 'own-upload-loss')!, file);
  const { status, stdout } = tunwire('--exact', file);
  t.is(status, 0, stdout);
  t.is(tunwire('--exact', '--seed', '1', file).status, 1);
});

test('replay: --json', (t) => {
  const { status, stdout } = tunwire('--json', '--strict', 'pcap-fixtures/kernel-refused.pcap');
  t.is(status, 0);
  const { passed, sessions } = JSON.parse(stdout);
  t.is(passed, 1);
  t.like(sessions[0], { result: 'passed', protocol: 'tcp', packets: 2, differences: [] });
});

test('replay: lines of a difference fit into 80 columns', (t) => {
  const { stdout } = tunwire(
    '--strict',
    'pcap-fixtures/kernel-download-reorder.pcap',
    '--window-tolerance',
    '10',
  );
  const lines = stdout.split('\n').filter((line) => line.startsWith('  # '));
  t.true(lines.length >= 4);
  t.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  );
});

test('replay: a session that cannot be replayed has not passed', (t) => {
  const { status, stderr } = tunwire('--connection', '2', 'pcap-fixtures/kernel-refused.pcap');
  t.is(status, 2);
  t.regex(stderr, /1 TCP or UDP sessions in it, none to replay/);
});
