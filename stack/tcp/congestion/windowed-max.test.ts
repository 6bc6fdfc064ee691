import test from 'ava';
import { fc } from '../../../test/properties.ts';
import { WindowedMax } from './windowed-max.ts';

test('the largest of the window: never more than it was in it, never less than the newest value', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.record({ value: fc.nat(1000), step: fc.nat(3) }), { maxLength: 200 }),
      (length, updates) => {
        const max = new WindowedMax();
        const seen: { value: number; time: number }[] = [];
        let time = 0;
        for (const { value, step } of updates) {
          time += step;
          max.update(value, time, length);
          seen.push({ value, time });
          const within = seen.filter((each) => time - each.time <= length).map((each) => each.value);
          if (max.value < value || max.value > Math.max(...within)) return false;
        }
        return true;
      },
    ),
  );
  t.pass();
});

test('a maximum is forgotten when its window is over', (t) => {
  const max = new WindowedMax();
  max.update(100, 0, 10);
  for (let time = 1; time <= 10; time++) max.update(50, time, 10);
  t.is(max.value, 100);
  max.update(50, 11, 10);
  t.is(max.value, 50);
});
