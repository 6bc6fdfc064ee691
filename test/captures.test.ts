import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';

const FIXTURES = resolve(import.meta.dirname, '../pcap-fixtures');

function captures(...folders: string[]): { status: number | null; stdout: string } {
  const { NODE_V8_COVERAGE: _, ...env } = process.env;
  const script = join(import.meta.dirname, 'captures.ts');
  return spawnSync(process.execPath, [script, ...folders], { encoding: 'utf8', env });
}

test('every capture of a folder is fed to everything that reads captures, and counted', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [fixture] = readdirSync(FIXTURES, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.pcapng'))
    .sort();
  copyFileSync(join(FIXTURES, fixture!), join(folder, 'good.pcapng'));
  writeFileSync(join(folder, 'damaged.pcap'), 'no capture');
  const { status, stdout } = captures(folder);
  t.is(status, 0, stdout);
  const [, frames, packets] = /^2 captures, (\d+) frames, (\d+) IP packets/.exec(stdout) ?? [];
  t.true(Number(frames) > 5);
  t.is(packets, frames);
  t.regex(stdout, /1 refused or broken off; 0 failed/);
});

test('a folder without captures is no success', (t) => {
  t.is(captures(import.meta.dirname).status, 1);
});
