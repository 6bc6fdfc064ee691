import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { runScript } from './script/runner.ts';

const FOLDER = join(import.meta.dirname, 'scripts');
const FILES = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.pkt'))
  .sort();

for (const file of FILES) {
  test(file, (t) => {
    const verdict = runScript(readFileSync(join(FOLDER, file), 'utf8'));
    t.is(verdict.kind, 'pass', [`line ${verdict.line}: ${verdict.reason}`, ...verdict.details].join('\n'));
  });
}

test('every script names the clause it shows', (t) => {
  const nameless = FILES.filter(
    (file) => !/^\/\/ .*RFC \d+ (§[A-Z\d]|appendix)/m.test(readFileSync(join(FOLDER, file), 'utf8')),
  );
  t.deepEqual(nameless, []);
  t.true(FILES.length >= 250);
});
