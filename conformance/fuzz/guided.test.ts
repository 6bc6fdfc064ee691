import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { fuzz } from './fuzz.ts';
import { fuzzGuided } from './guided.ts';

test('what only comes behind three checks in a row is found, where inputs without a guide do not come', (t) => {
  const ran = new Set<string>();
  const target = {
    name: 'deep',
    good: [new Uint8Array(16)],
    run: (input: Uint8Array): void => {
      let depth = 0;
      for (const letter of [0x74, 0x75, 0x6e]) {
        if (input[depth] !== letter) return;
        ran.add(`depth ${++depth}`);
      }
      throw new Error('seen');
    },
  };
  const take = (): string[] => {
    const taken = [...ran];
    ran.clear();
    return taken;
  };
  const INPUTS = 100_000;
  t.is(fuzz(target, INPUTS, 1).failure, null);
  ran.clear();
  const { failure, kept } = fuzzGuided(target, INPUTS, 1, take);
  t.deepEqual([...(failure?.input.subarray(0, 3) ?? [])], [0x74, 0x75, 0x6e]);
  t.is(kept, 2);
});

test('the code of a parser that runs is told, and leads to more of it', (t) => {
  // a process of its own: asking V8 what ran takes it away from whoever else asks
  const { NODE_V8_COVERAGE: _, ...env } = process.env;
  const args = ['--guided', '--target', 'DHCP reply', '--inputs', '5000'];
  const told = execFileSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    encoding: 'utf8',
    env,
  });
  const [, blocks, kept] = /(\d+) blocks reached, (\d+) inputs kept/.exec(told) ?? [];
  t.true(Number(blocks) > 50);
  t.true(Number(kept) > 3);
});
