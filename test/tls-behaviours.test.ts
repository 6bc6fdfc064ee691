import { readFileSync } from 'node:fs';
import test from 'ava';

const root = new URL('../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
/** `| behaviour | [file](../file): `piece` |` */
const ROW = /^\| (?<behaviour>[^|]+) \| \[(?<file>[^\]]+)\]\(\.\.\/(?<link>[^)]+)\): `(?<piece>.+)` \|$/;

for (const [document, sectionCount] of [
  ['docs/tls-behaviours.md', 14],
  ['docs/tls-features.md', 10],
] as const) {
  const table = read(document);
  const lines = table
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| (behaviour|feature) \|/.test(line));

  test(`${document}: every line names a test that is there`, (t) => {
    t.true(lines.length > 80);
    for (const line of lines) {
      const row = ROW.exec(line)?.groups;
      if (row === undefined) {
        t.fail(`not a row: ${line}`);
        continue;
      }
      const { behaviour = '', file = '', link, piece = '' } = row;
      t.is(file, link ?? '');
      t.regex(file, /^(tls|net|inet|cli|drivers|conformance)\/.+\.test\.ts$/);
      t.true(read(file).includes(piece), `${behaviour}: ${file} has no "${piece}"`);
    }
  });

  test(`${document}: nothing stands twice, and no section is empty`, (t) => {
    const behaviours = lines.map((line) => line.split(' | ')[0]);
    t.is(new Set(behaviours).size, behaviours.length);
    const sections = table.split(/^## (?=\d)/m).slice(1);
    t.is(sections.length, sectionCount);
    for (const section of sections) t.regex(section, /^\| .+ \| \[/m, section.split('\n')[0]);
  });
}
