// sends broken frames: errors about packets by chance quote what was wrong with them
import test from 'ava';
import { fuzz } from './fuzz.ts';
import { fuzzTargets } from './targets.ts';

const INPUTS = 3000;
/** Far below what an attack without limits would reach, and above what all limits together allow. */
const MOST_HELD = 20_000;

for (const target of fuzzTargets()) {
  test(`${target.name}: ${INPUTS} inputs made by chance are survived`, (t) => {
    const { failure, heldMost } = fuzz(target, INPUTS, 1);
    if (failure !== null) t.log(Buffer.from(failure.input).toString('hex'));
    t.is(failure?.error, undefined);
    t.true(heldMost < MOST_HELD);
  });
}

test('what a target does not survive is found, and told with its input', (t) => {
  const careless = {
    name: 'careless',
    good: [Uint8Array.of(1, 2, 3, 4)],
    run: (input: Uint8Array): void => {
      if (input[0] === 255) throw new Error('seen');
    },
  };
  const { failure } = fuzz(careless, 10_000, 1);
  t.is(failure?.input[0], 255);
  t.regex(failure?.error ?? '', /seen/);
});
