import test from 'ava';
import { Ring } from '../stack/ring.ts';
import { Slab } from '../stack/wire/slab.ts';
import { LatchedRing } from './journal.ts';

/** The application's ring, and the stack's over the same memory. */
function pairOfRings(isSend: boolean): { application: Ring; stack: LatchedRing } {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const application = new Ring(Slab.alloc(16), 0, 16, words, 0, 1);
  return { application, stack: new LatchedRing(application, words, 0, 1, isSend) };
}

test('what the application writes is seen when the stack looks, and not before', (t) => {
  const { application, stack } = pairOfRings(true);
  t.true(stack.latch(), 'a new ring is told');
  t.false(stack.latch());
  application.write(Uint8Array.of(1, 2, 3), 0, 3);
  t.is(stack.usedBytes, 0);
  t.true(stack.latch());
  t.is(stack.usedBytes, 3);
  stack.advanceTail(3);
  t.is(application.freeBytes, 16, 'the stack moves its own end at once');
});

test('what the application takes makes room when the stack looks, and not before', (t) => {
  const { application, stack } = pairOfRings(false);
  stack.write(new Uint8Array(16), 0, 16);
  t.is(application.usedBytes, 16);
  application.read(new Uint8Array(10), 0, 10);
  t.is(stack.freeBytes, 0);
  t.true(stack.latch());
  t.is(stack.freeBytes, 10);
});
