import test from 'ava';
import { TapReader } from './tap.ts';

function read(text: string, verbose = false): { passed: number; failed: number; printed: string[] } {
  const printed: string[] = [];
  const reader = new TapReader(verbose, (line) => printed.push(line));
  for (const line of text.split('\n')) reader.line(line);
  return { passed: reader.passed, failed: reader.failed, printed };
}

const OUTPUT = `TAP version 13
ok 1 - a › works
not ok 2 - a › breaks
  ---
    name: AssertionError
  ...
not ok 3 - b.test.ts exited with a non-zero exit code: 1
ok 4 - a › later

1..4
# tests 4
# pass 2
# fail 2
`;

test('results are counted and failures shown with their details', (t) => {
  t.deepEqual(read(OUTPUT), {
    passed: 2,
    failed: 2,
    printed: [
      '✘ a › breaks',
      '      ---',
      '        name: AssertionError',
      '      ...',
      '✘ b.test.ts exited with a non-zero exit code: 1',
    ],
  });
});

test('verbose shows what passed', (t) => {
  t.true(read(OUTPUT, true).printed.includes('✔ a › later'));
});

test('a skipped test is a failure', (t) => {
  const { passed, failed } = read('ok 1 - a › gap # SKIP\nnot ok 2 - a › plan # TODO');
  t.deepEqual([passed, failed], [0, 2]);
});

test('what AVA says between results is shown', (t) => {
  t.deepEqual(read('ok 1 - a\n# Exited because no new tests completed').printed, [
    '# Exited because no new tests completed',
  ]);
});
