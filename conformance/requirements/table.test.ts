import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RFC9293 } from './rfc9293.ts';
import { specification } from './specification.ts';
import { SPECIFICATIONS } from './specifications.ts';
import { collectMarks, marksIn, openRows, readGaps, renderTables, TABLES_FOLDER } from './table.ts';

const MARKS = collectMarks();

test('RFC 9293, appendix B: 69 MUST, 31 SHLD, 18 MAY, one REC', (t) => {
  const count = (prefix: string): number =>
    RFC9293.requirements.filter(({ id }) => id.startsWith(prefix)).length;
  t.deepEqual([count('MUST'), count('SHLD'), count('MAY'), count('REC')], [69, 31, 18, 1]);
});

test('RFC 1122, §4.2.5: 101 rows, and what they are in RFC 9293 exists', (t) => {
  const all = SPECIFICATIONS.find(({ name }) => name === 'RFC 1122')!.requirements;
  const rows = all.filter(({ id }) => id.startsWith('§4.2'));
  t.is(rows.length, 101);
  const known = new Set(RFC9293.requirements.map(({ id }) => id));
  t.deepEqual(
    rows.filter(({ is }) => is !== undefined && !known.has(is)).map(({ id }) => id),
    [],
  );
});

test('marks name requirements that exist, and no identifier is there twice', (t) => {
  const known = new Set<string>();
  for (const { name, requirements } of SPECIFICATIONS) {
    for (const { id } of requirements) {
      t.false(known.has(`${name} ${id}`), `${name} ${id}`);
      known.add(`${name} ${id}`);
    }
  }
  t.deepEqual(
    MARKS.filter((mark) => !known.has(`${mark.specification} ${mark.id}`)),
    [],
  );
});

test('what has no case is a known gap with a reason; a known gap has no case', (t) => {
  const gaps = readGaps();
  for (const text of SPECIFICATIONS) {
    const reasons = gaps[text.key] ?? {};
    const open = openRows(text, MARKS);
    t.deepEqual(Object.keys(reasons).sort(), open.sort(), `conformance/known-gaps.json: ${text.name}`);
    for (const [id, reason] of Object.entries(reasons)) t.true(reason.length > 10, `${text.name} ${id}`);
  }
  const keys = new Set(SPECIFICATIONS.map(({ key }) => key));
  t.deepEqual(
    Object.keys(gaps).filter((key) => !keys.has(key)),
    [],
  );
});

test('docs/requirements/ is as the marks are now (node conformance/requirements/generate.ts)', (t) => {
  const tables = renderTables(MARKS, readGaps());
  t.deepEqual(readdirSync(TABLES_FOLDER).sort(), [...tables.keys()].sort());
  for (const [name, text] of tables) t.is(readFileSync(join(TABLES_FOLDER, name), 'utf8'), text, name);
});

test('marks are found in all forms, once for a file', (t) => {
  const text =
    'x [RFC 9293 MUST-13]\n[MUST-1] [MUST-13]\nMUST-2 [RFC 1122 MUST-3] [RFC 7323 §3.2-1] [BBR §5.1-1]';
  t.deepEqual(
    marksIn('a.ts', text, false).map(({ specification: name, id, line }) => [name, id, line]),
    [
      ['RFC 9293', 'MUST-13', 1],
      ['RFC 9293', 'MUST-1', 2],
      ['RFC 7323', '§3.2-1', 3],
      ['BBR', '§5.1-1', 3],
    ],
  );
});

test('the lines of a table: level, text, what is no part, what is elsewhere now', (t) => {
  const table = '\n§1-1 MUST a\n§2.1-3 SHOULD b | outside: about routers\n§A.1-1 RULE c | is MUST-4\n';
  t.deepEqual(specification('RFC 1', 'One', table).requirements, [
    { id: '§1-1', level: 'MUST', text: 'a' },
    { id: '§2.1-3', level: 'SHOULD', text: 'b', outside: 'about routers' },
    { id: '§A.1-1', level: 'RULE', text: 'c', is: 'MUST-4' },
  ]);
  t.throws(() => specification('RFC 1', 'One', '§1 MUST a'), { message: 'RFC 1: §1 MUST a' });
});
