import test from 'ava';
import { drawSecret, SeededRandom } from '../random.ts';
import { addressOf } from '../testing/packets.ts';
import { InitialSequence } from './isn.ts';

const local = addressOf('192.0.2.1');
const remote = addressOf('192.0.2.2');

function isnOf(source: InitialSequence, port: number, now: number): number {
  source.compute(local, port, remote, 80);
  return source.isn(now);
}

test('the clock adds 250 per millisecond [MUST-8]', (t) => {
  const source = new InitialSequence(drawSecret(new SeededRandom(1)));
  t.is((isnOf(source, 5000, 2000) - isnOf(source, 5000, 1000)) | 0, 250_000);
});

// [RFC 6528 §3-1] [RFC 6528 §3-2]
test('ports and secret change it [MUST-9] [SHLD-1]', (t) => {
  const source = new InitialSequence(drawSecret(new SeededRandom(1)));
  const seen = new Set<number>();
  for (let port = 0; port < 100; port++) seen.add(isnOf(source, port, 0));
  for (let seed = 2; seed < 100; seed++)
    seen.add(isnOf(new InitialSequence(drawSecret(new SeededRandom(seed))), 0, 0));
  t.true(seen.size > 196);
});

// [RFC 6528 §4-1] [RFC 7323 §7.1-1]
test('the key is 128 bits of the random source; from it every pair of endpoints has its own timestamps', (t) => {
  const asked: number[] = [];
  const source = new InitialSequence(
    drawSecret({
      fill: (into) => {
        asked.push(into.length);
        into.fill(asked.length);
      },
      uint32: () => 0,
    }),
  );
  t.deepEqual(asked, [16]);
  const offsets = new Set<number>();
  for (let port = 0; port < 100; port++) {
    source.compute(local, port, remote, 80);
    offsets.add(source.timestampOffset);
  }
  t.is(offsets.size, 100);
});
