// needs: tun dnsmasq
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import type { BenchReport } from './table.ts';

const BENCH = resolve(import.meta.dirname, 'bench.ts');

test('a short benchmark has figures for everybody, and a chart', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-bench-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [json, svg] = [join(folder, 'a.json'), join(folder, 'a.svg')];
  const args = [BENCH, 'dns', 'udp', '--runs', '1', '--seconds', '0.3', '--json', json, '--svg', svg];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  t.regex(stdout, /^dns: DNS, 64 at once/m);
  const report = JSON.parse(readFileSync(json, 'utf8')) as BenchReport;
  t.is(report.cases.length, 4);
  for (const { title, failure, subjects } of report.cases) {
    t.is(failure, null, title);
    t.is(subjects.length, 3);
    for (const subject of subjects) t.true(subject.value > 0, `${title}: ${subject.title}`);
  }
  t.regex(readFileSync(svg, 'utf8'), /^<svg .*<\/svg>\n$/s);
});
