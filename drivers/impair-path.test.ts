import test from 'ava';
import { ImpairedPath, MAX_HELD_BYTES } from './impair-path.ts';

test('what is under way is limited in bytes; what is beyond is lost and counted, and room is used again', (t) => {
  const path = new ImpairedPath({ delayMs: 10 }, 1, [], 0, 0, { refuse: () => t.fail() });
  const lengthBytes = 65_000;
  const fits = Math.floor(MAX_HELD_BYTES / lengthBytes);
  for (let i = 0; i < fits + 3; i++) path.arrive(path.held.take(lengthBytes), 0);
  t.is(path.held.count, fits);
  t.like(path.counters, { packets: fits + 3, lostNoMemory: 3, passed: 0 });
  path.passed(path.held.due(10)!);
  path.arrive(path.held.take(lengthBytes), 10);
  path.arrive(path.held.take(lengthBytes), 10);
  t.is(path.held.count, fits);
  t.like(path.counters, { lostNoMemory: 4, passed: 1 });
});
