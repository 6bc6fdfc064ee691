import test from 'ava';
import { SystemRandom } from './system-random.ts';

test('no eight bytes come twice, in draws of any length and in numbers between them', (t) => {
  const random = new SystemRandom();
  const seen = new Set<string>();
  let pieces = 0;
  for (let i = 0; i < 5000; i++) {
    const into = new Uint8Array(8 + (i % 90));
    random.fill(into);
    for (let off = 0; off + 8 <= into.length; off += 8) {
      seen.add(Buffer.from(into.subarray(off, off + 8)).toString('hex'));
      pieces++;
    }
    seen.add(`${random.uint32()} ${random.uint32()}`);
    pieces++;
  }
  t.is(seen.size, pieces);
});

test('every byte of a draw is filled, and nothing beside it', (t) => {
  const random = new SystemRandom();
  for (let length = 0; length <= 130; length++) {
    const memory = new Uint8Array(length + 2);
    const or = new Uint8Array(length);
    for (let i = 0; i < 20; i++) {
      random.fill(memory.subarray(1, length + 1));
      for (let at = 0; at < length; at++) or[at] = or[at]! | memory[at + 1]!;
    }
    t.is(or.indexOf(0), -1);
    t.is(memory[0]! + memory[length + 1]!, 0);
  }
});
