import test from 'ava';
import { searchNames } from './search.ts';

test('a name with enough dots is asked for as it is first, another one last, an absolute one only so', (t) => {
  const search = ['lab.test', 'test'];
  t.deepEqual(searchNames('dut', false, search, 1), ['dut.lab.test', 'dut.test', 'dut']);
  t.deepEqual(searchNames('dut.a', false, search, 1), ['dut.a', 'dut.a.lab.test', 'dut.a.test']);
  t.deepEqual(searchNames('dut.a', false, search, 2), ['dut.a.lab.test', 'dut.a.test', 'dut.a']);
  t.deepEqual(searchNames('dut', true, search, 1), ['dut']);
  t.deepEqual(searchNames('dut', false, [], 1), ['dut']);
});

test('a name that would be too long with a domain is left out', (t) => {
  const long = `${'a'.repeat(60)}.`.repeat(4).slice(0, -1);
  t.deepEqual(searchNames(long, false, ['much.too.long.example'], 9), [long]);
});
