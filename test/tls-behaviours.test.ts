import { readFileSync } from 'node:fs';
import test from 'ava';

const root = new URL('../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const table = read('docs/tls-behaviours.md');
/** `| behaviour | [file](../file): `piece` |` */
const ROW = /^\| (?<behaviour>[^|]+) \| \[(?<file>[^\]]+)\]\(\.\.\/(?<link>[^)]+)\): `(?<piece>.+)` \|$/;
const lines = table.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| behaviour'));

test('every behaviour names a test that is there', (t) => {
  t.true(lines.length > 100);
  for (const line of lines) {
    const row = ROW.exec(line)?.groups;
    if (row === undefined) {
      t.fail(`not a row: ${line}`);
      continue;
    }
    const { behaviour = '', file = '', link, piece = '' } = row;
    t.is(file, link ?? '');
    t.regex(file, /^(tls|net|inet)\/.+\.test\.ts$/);
    t.true(read(file).includes(piece), `${behaviour}: ${file} has no "${piece}"`);
  }
});

test('no behaviour stands twice, and no section is empty', (t) => {
  const behaviours = lines.map((line) => line.split(' | ')[0]);
  t.is(new Set(behaviours).size, behaviours.length);
  const sections = table.split(/^## (?=\d)/m).slice(1);
  t.is(sections.length, 14);
  for (const section of sections) t.regex(section, /^\| .+ \| \[/m, section.split('\n')[0]);
});
