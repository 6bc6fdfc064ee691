import { readFileSync } from 'node:fs';
import test from 'ava';
import { RFC9293 } from './rfc9293.ts';
import { collectMarks, isShown, marksIn, readGaps, renderTable, TABLE_FILE } from './table.ts';

const MARKS = collectMarks();

test('appendix B: 69 MUST, 31 SHLD, 18 MAY, one REC', (t) => {
  const count = (prefix: string): number => RFC9293.filter(({ id }) => id.startsWith(prefix)).length;
  t.deepEqual([count('MUST'), count('SHLD'), count('MAY'), count('REC')], [69, 31, 18, 1]);
});

test('marks name requirements that exist', (t) => {
  const known = new Set(RFC9293.map(({ id }) => id));
  t.deepEqual(
    MARKS.filter(({ id }) => !known.has(id)),
    [],
  );
});

test('a MUST without a case is a known gap with a reason; a known gap has no case', (t) => {
  const gaps = readGaps();
  const open = RFC9293.filter(
    (requirement) =>
      requirement.id.startsWith('MUST') && requirement.outside === undefined && !isShown(requirement, MARKS),
  ).map(({ id }) => id);
  t.deepEqual(Object.keys(gaps).sort(), open.sort(), 'conformance/known-gaps.json lists the open MUSTs');
  for (const [id, reason] of Object.entries(gaps)) t.true(reason.length > 10, id);
});

test('docs/rfc9293.md is as the marks are now (node conformance/requirements/generate.ts)', (t) => {
  t.is(readFileSync(TABLE_FILE, 'utf8'), renderTable(MARKS, readGaps()));
});

test('marks are found in both forms, once for a file', (t) => {
  const marks = marksIn('a.ts', 'x [RFC 9293 MUST-13]\n[MUST-1] [MUST-13]\nMUST-2 [RFC 1122 MUST-3]', false);
  t.deepEqual(
    marks.map(({ id, line }) => [id, line]),
    [
      ['MUST-13', 1],
      ['MUST-1', 2],
    ],
  );
});
