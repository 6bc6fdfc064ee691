import test from 'ava';
import { junit, type ScriptResult, tapEnd, tapLine, totalsOf } from './report.ts';

const RESULTS: readonly ScriptResult[] = [
  { file: 'a.pkt', verdict: { kind: 'pass', reason: '', line: 0, details: [], seconds: 1 }, elapsedMs: 2 },
  { file: 'b.pkt', verdict: { kind: 'skip', reason: 'ECN', line: 0, details: [], seconds: 0 }, elapsedMs: 1 },
  {
    file: 'c.pkt',
    verdict: { kind: 'fail', reason: 'differs in <ack>', line: 7, details: ['expected: 1'], seconds: 0 },
    elapsedMs: 1,
  },
];

test('TAP', (t) => {
  t.deepEqual(
    RESULTS.map((result, i) => tapLine(result, i + 1)),
    [
      'ok 1 - a.pkt',
      'ok 2 - b.pkt # SKIP ECN',
      'not ok 3 - c.pkt\n#   c.pkt:7: differs in <ack>\n#   expected: 1',
    ],
  );
  t.is(tapEnd(RESULTS), '1..3\n# 1 passed, 1 failed, 1 skipped');
  t.deepEqual(totalsOf(RESULTS), { passed: 1, failed: 1, skipped: 1, differing: 0, gaps: 0 });
});

test('a known difference of the kernel is a TODO of TAP and no failure', (t) => {
  const verdict = { kind: 'differ', reason: 'it waits longer', line: 0, details: [], seconds: 1 } as const;
  const result = { file: 'd.pkt', verdict, elapsedMs: 1 };
  t.is(tapLine(result, 1), 'not ok 1 - d.pkt # TODO the kernel differs, because it waits longer');
  t.is(tapEnd([result]), '1..1\n# 0 passed, 0 failed, 0 skipped, 1 known differences of the kernel');
  t.regex(junit([result]), /failures="0" skipped="1"/);
});

test('JUnit', (t) => {
  const xml = junit(RESULTS);
  t.regex(xml, /tests="3" failures="1" skipped="1"/);
  t.regex(xml, /<testcase name="a\.pkt"[^>]*\/>/);
  t.regex(xml, /<skipped message="ECN"\/>/);
  t.regex(xml, /<failure message="differs in &lt;ack&gt;">line 7: differs in &lt;ack&gt;\nexpected: 1</);
});
