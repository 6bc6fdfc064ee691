import { getHeapStatistics } from 'node:v8';
import test from 'ava';
import { IdleCollection } from './idle-collection.ts';

test('garbage goes when the engine has been quiet for two seconds, once', (t) => {
  const collection = new IdleCollection();
  const used = (): number => getHeapStatistics().used_heap_size;
  /** Old objects, as those of connections are: nobody else looks for them soon. */
  const litter = (): number => {
    let kept: object[] | null = Array.from({ length: 400_000 }, (_, i) => ({ i }));
    const bytes = used();
    t.is(kept.length, 400_000);
    kept = null;
    return bytes;
  };
  const before = used();
  const full = litter();
  t.true(full > before + 10_000_000);
  collection.slept(10_000, 1);
  for (let i = 0; i < 3; i++) collection.slept(500, 1);
  t.true(used() > before + 10_000_000, 'not yet quiet');
  collection.slept(500, 1);
  const after = used();
  t.true(after < before + 8_000_000, `${before} ${full} ${after}`);
  litter();
  for (let i = 0; i < 10; i++) collection.slept(500, 1);
  t.true(used() > after + 10_000_000, 'nothing has moved since');
  collection.slept(500, 2);
  for (let i = 0; i < 4; i++) collection.slept(500, 2);
  t.true(used() < after + 8_000_000);
});
