import test from 'ava';
import { fc } from '../test/properties.ts';
import { Pool } from './pool.ts';

test('pieces never overlap, stay inside, and come back', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 10, max: 18 })), { maxLength: 300 }),
      (steps) => {
        const from = 8192;
        const length = 1 << 20;
        const pool = new Pool(from, length);
        const held: { offset: number; size: number }[] = [];
        for (const [take, shift] of steps) {
          const size = 1 << shift;
          if (take) {
            const offset = pool.take(size);
            if (offset < 0) continue;
            t.true(offset >= from && offset + size <= from + length);
            for (const other of held) {
              t.true(offset + size <= other.offset || other.offset + other.size <= offset, 'overlap');
            }
            held.push({ offset, size });
          } else {
            const piece = held.shift();
            if (piece) pool.give(piece.offset, piece.size);
          }
        }
        t.is(
          pool.usedBytes,
          held.reduce((sum, piece) => sum + piece.size, 0),
        );
      },
    ),
  );
});

test('a full pool says so, and larger pieces are split for smaller ones', (t) => {
  const pool = new Pool(0, 64 * 1024);
  const whole = pool.take(64 * 1024);
  t.is(whole, 0);
  t.is(pool.take(1024), -1);
  pool.give(whole, 64 * 1024);
  const pieces = Array.from({ length: 64 }, () => pool.take(1024));
  t.is(new Set(pieces).size, 64);
  t.is(pool.take(1024), -1);
});

test('what comes back is joined again, in whatever order', (t) => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(
        Array.from({ length: 60 }, (_, i) => i),
        { minLength: 60 },
      ),
      (order) => {
        // not a power of two: the largest pieces are 32, 16, 8 and 4 KiB
        const pool = new Pool(4096, 60 * 1024);
        const pieces = Array.from({ length: 60 }, () => pool.take(1024));
        t.is(pool.take(1024), -1);
        for (const i of order) pool.give(pieces[i]!, 1024);
        for (const size of [32, 16, 8, 4]) t.true(pool.take(size * 1024) >= 0, `${size} KiB`);
        t.is(pool.take(1024), -1);
      },
    ),
  );
});
