// needs: tun
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import type { LossRow } from './loss.ts';

const LOSS = resolve(import.meta.dirname, 'loss.ts');

test('the kernel and the stack meet the same losses, and both get everything through', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-loss-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const json = join(folder, 'a.json');
  const args = [LOSS, '--seeds', '1', '--losses', '0.02', '--bytes', '300000', '--json', json];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  t.regex(stdout, /^\| 2 % \| 0\.3 \| \d+ \| \d+ \|/m);
  const rows = JSON.parse(readFileSync(json, 'utf8')) as LossRow[];
  t.deepEqual(rows.map((row) => row.sender).sort(), ['kernel', 'tunwire']);
  for (const { sender, result } of rows) {
    t.true(result.tookMs > 100, sender);
    t.true(result.packets > 207, sender);
    t.true(result.lost > 0, sender);
  }
});
