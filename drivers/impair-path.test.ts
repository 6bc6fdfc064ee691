import test from 'ava';
import { ImpairedPath, MAX_HELD_BYTES, MAX_HELD_PACKETS, type PathEvents } from './impair-path.ts';

const NO_EVENTS: PathEvents = {
  refuse: () => {
    throw new Error('refused');
  },
  lost: () => {
    throw new Error('told');
  },
};

test('what is under way is limited in bytes; what is beyond is lost and counted, and room is used again', (t) => {
  const path = new ImpairedPath({ delayMs: 10 }, 1, 0, false, NO_EVENTS);
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

test('what is under way is limited in packets, however small', (t) => {
  const path = new ImpairedPath({ delayMs: 10 }, 1, 0, false, NO_EVENTS);
  for (let i = 0; i < MAX_HELD_PACKETS + 2; i++) path.arrive(path.held.take(1), 0);
  t.is(path.held.count, MAX_HELD_PACKETS);
  t.like(path.counters, { packets: MAX_HELD_PACKETS + 2, lostNoMemory: 2 });
  path.passed(path.held.due(10)!);
  path.arrive(path.held.take(1), 10);
  t.is(path.held.count, MAX_HELD_PACKETS);
  t.is(path.counters.lostNoMemory, 2);
});

test('what the link itself says is limited, too', (t) => {
  const path = new ImpairedPath({ delayMs: 10 }, 1, 0, false, NO_EVENTS);
  for (let i = 0; i < MAX_HELD_PACKETS; i++) path.insert(path.held.take(1), 0);
  t.is(path.held.count, MAX_HELD_PACKETS);
  path.insert(path.held.take(1), 0);
  t.is(path.counters.lostNoMemory, 1);
  t.is(path.held.count, MAX_HELD_PACKETS);
});

test('every packet and every copy has passed, is under way, or is counted as lost', (t) => {
  const lengthBytes = 65_000;
  const fits = Math.floor(MAX_HELD_BYTES / lengthBytes);
  const path = new ImpairedPath({ duplicate: 1, delayMs: 10 }, 1, 0, false, NO_EVENTS);
  for (let i = 0; i < fits; i++) path.arrive(path.held.take(lengthBytes), 0);
  for (let i = 0; i < 5; i++) path.passed(path.held.due(10)!);
  t.like(path.counters, { packets: fits, duplicated: fits, passed: 5, lostNoMemory: fits });
  t.is(path.held.count, fits - 5);
});
