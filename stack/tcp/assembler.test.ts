import test from 'ava';
import { fc } from '../../test/properties.ts';
import { Assembler, MAX_REASSEMBLY_RANGES } from './assembler.ts';

const START = 0xffffffe0 | 0;

test('ranges are what a set of bytes would be', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 30 }), fc.boolean()), { maxLength: 60 }),
      (steps) => {
        const assembler = new Assembler();
        const model = new Set<number>();
        let next = 0;
        for (const [ahead, length, take] of steps) {
          const left = next + 1 + ahead;
          if (!assembler.add((START + left) | 0, (START + left + length) | 0)) return false;
          for (let i = left; i < left + length; i++) model.add(i);
          if (take) {
            // The byte at `next` arrives
            next++;
            while (model.has(next)) next++;
            if (assembler.take((START + next) | 0) !== ((START + next) | 0)) {
              // `take` may also be given the byte alone
              return false;
            }
          }
          const noted = new Set<number>();
          for (let i = 0; i < assembler.count; i++) {
            const from = (assembler.left[i]! - START) | 0;
            const to = (assembler.right[i]! - START) | 0;
            if (i > 0 && from <= ((assembler.right[i - 1]! - START) | 0)) return false;
            for (let at = from; at < to; at++) noted.add(at);
          }
          for (const at of model) if (at >= next && !noted.has(at)) return false;
          for (const at of noted) if (!model.has(at)) return false;
        }
        return true;
      },
    ),
  );
  t.pass();
});

test('take jumps over everything that is there', (t) => {
  const assembler = new Assembler();
  assembler.add(10, 20);
  assembler.add(30, 40);
  t.is(assembler.take(5), 5);
  t.is(assembler.take(12), 20);
  t.is(assembler.count, 1);
  t.is(assembler.take(35), 40);
  t.is(assembler.count, 0);
});

test('the list is bounded', (t) => {
  const assembler = new Assembler();
  for (let i = 0; i < MAX_REASSEMBLY_RANGES; i++) t.true(assembler.add(i * 10, i * 10 + 5));
  t.false(assembler.add(99_990, 99_995));
  t.true(assembler.add(5, 10), 'what joins two ranges still fits');
  t.is(assembler.count, MAX_REASSEMBLY_RANGES - 1);
});

test('blocks: the most recent first, each once (RFC 2018 §4)', (t) => {
  const assembler = new Assembler();
  assembler.add(10, 20);
  assembler.add(50, 60);
  assembler.add(30, 40);
  assembler.add(20, 25);
  const view = new DataView(new ArrayBuffer(32));
  t.is(assembler.writeBlocks(view, 0, 2), 2);
  t.deepEqual([view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12)], [10, 25, 30, 40]);
  t.is(assembler.writeBlocks(view, 0, 4), 3);
  t.deepEqual([view.getInt32(16), view.getInt32(20)], [50, 60]);
});
