import test from 'ava';
import { fc } from '../test/properties.ts';
import { TimerEntry, TimerQueue } from './timers.ts';

class Probe {
  readonly entry: TimerEntry = new TimerEntry(this);
  readonly calls: number[] = [];
  action: (now: number) => void = () => {};

  onDeadline(now: number): void {
    this.calls.push(now);
    this.action(now);
  }
}

test('targets are called at their deadline, once, earliest first', (t) => {
  const queue = new TimerQueue();
  const order: string[] = [];
  const a = new Probe();
  const b = new Probe();
  a.action = () => order.push('a');
  b.action = () => order.push('b');
  queue.set(a.entry, 20);
  queue.set(b.entry, 10);
  t.is(queue.next(), 10);
  queue.expire(9.9);
  t.deepEqual(order, []);
  queue.expire(30);
  queue.expire(40);
  t.deepEqual(order, ['b', 'a']);
  t.is(queue.next(), Infinity);
});

test('a deadline moved later is not called early and leaves no wake-up behind', (t) => {
  const queue = new TimerQueue();
  const a = new Probe();
  queue.set(a.entry, 10);
  queue.set(a.entry, 50);
  queue.expire(10);
  t.deepEqual(a.calls, []);
  t.is(queue.next(), 50);
  queue.set(a.entry, 20);
  t.is(queue.next(), 20);
  queue.cancel(a.entry);
  t.is(queue.next(), Infinity);
  t.is(queue.size, 0);
});

test('a target may set itself again and cancel others', (t) => {
  const queue = new TimerQueue();
  const a = new Probe();
  const b = new Probe();
  const c = new Probe();
  a.action = (now) => {
    queue.set(a.entry, now);
    queue.cancel(b.entry);
    queue.set(c.entry, now + 5);
  };
  queue.set(a.entry, 1);
  queue.set(b.entry, 2);
  queue.set(c.entry, 3);
  queue.expire(10);
  t.deepEqual([a.calls, b.calls, c.calls], [[10], [], []]);
  t.is(queue.next(), 10);
  queue.expire(10);
  t.deepEqual(a.calls, [10, 10]);
});

test('removing lets go of the entry', (t) => {
  const queue = new TimerQueue();
  const a = new Probe();
  queue.set(a.entry, 10);
  queue.remove(a.entry);
  t.is(queue.size, 0);
  queue.remove(a.entry);
  queue.set(a.entry, 5);
  t.is(queue.next(), 5);
});

test('any sequence of sets, cancels and times behaves like a plain list', (t) => {
  const step = fc.record({
    op: fc.constantFrom('set', 'set', 'cancel', 'remove', 'time'),
    who: fc.nat(7),
    at: fc.nat(100),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new TimerQueue();
      const probes = Array.from({ length: 8 }, () => new Probe());
      const expected = probes.map(() => ({ deadline: Infinity, calls: 0 }));
      let now = 0;
      for (const { op, who, at } of steps) {
        const probe = probes[who]!;
        const model = expected[who]!;
        if (op === 'set') {
          queue.set(probe.entry, now + at);
          model.deadline = now + at;
        } else if (op === 'time') {
          now += at;
          queue.expire(now);
          for (const m of expected)
            if (m.deadline <= now) {
              m.calls++;
              m.deadline = Infinity;
            }
        } else {
          queue[op](probe.entry);
          model.deadline = Infinity;
        }
        t.is(queue.next(), Math.min(...expected.map((m) => m.deadline)));
        t.deepEqual(
          probes.map((p) => p.calls.length),
          expected.map((m) => m.calls),
        );
      }
    }),
  );
});
