import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

const ROOT = join(import.meta.dirname, '..');
const rows = readFileSync(join(ROOT, 'docs/inetconnect.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| [A-Z]\d+ \|/.test(line))
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')));

test('the table of InetConnect names code and tests that exist', (t) => {
  t.true(rows.length > 70);
  t.is(new Set(rows.map(([id]) => id)).size, rows.length);
  for (const [id, , code = '', tests = '', done = ''] of rows) {
    t.true(existsSync(join(ROOT, code.replaceAll('`', ''))), `${id}: ${code}`);
    for (const reference of tests.split(' · ')) {
      const [, file = '', title = ''] = /^`([^`]+)`: (.+)$/.exec(reference) ?? [];
      t.true(title !== '' && readFileSync(join(ROOT, file), 'utf8').includes(title), `${id}: ${reference}`);
    }
    t.true(done.startsWith('yes'), `${id}: ${done}`);
  }
});
