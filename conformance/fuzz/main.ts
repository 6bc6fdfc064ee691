/**
 * `npm run fuzz -- [--inputs N] [--seed N] [--target NAME]`: N inputs made by chance, shared among all parsers. An input that one does not survive
 * is printed.
 */
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';
import { fuzzTargets } from './targets.ts';

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    target: { type: 'string', default: '' },
  },
});
const targets = fuzzTargets().filter(({ name }) => name.includes(values.target));
const each = Math.ceil(Number(values.inputs) / targets.length);
for (const target of targets) {
  const begin = process.cpuUsage();
  const { failure, heldMost } = fuzz(target, each, Number(values.seed));
  const { user, system } = process.cpuUsage(begin);
  const heapMb = (process.memoryUsage().heapUsed / 2 ** 20).toFixed(0);
  const cpu = ((user + system) / 1e6).toFixed(1);
  console.log(`${target.name}: ${each} inputs, ${cpu} s of CPU, heap ${heapMb} MB, held ${heldMost} at most`);
  if (failure === null) continue;
  console.log(`failed: ${failure.error}\ninput: ${Buffer.from(failure.input).toString('hex')}`);
  process.exitCode = 1;
}
