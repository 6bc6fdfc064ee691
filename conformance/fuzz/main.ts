/**
 * `npm run fuzz -- [--inputs N] [--seed N] [--target NAME] [--guided]`: N inputs made by chance, shared among all parsers, or those that
 * NAME is part of the name of. An input that one does not survive is printed. Guided: inputs are led by what code they reach.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { watchCode } from './code-that-ran.ts';
import { fuzz } from './fuzz.ts';
import { fuzzGuided } from './guided.ts';

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    target: { type: 'string', default: '' },
    guided: { type: 'boolean', default: false },
  },
});
const ran = values.guided ? watchCode(`${pathToFileURL(resolve(import.meta.dirname, '../..'))}/`) : null;
// only now: see watchCode
const { fuzzTargets } = await import('./targets.ts');
const targets = fuzzTargets().filter(({ name }) => name.includes(values.target));
const each = Math.ceil(Number(values.inputs) / targets.length);
const seed = Number(values.seed);
for (const target of targets) {
  const begin = process.cpuUsage();
  const guided = ran === null ? null : fuzzGuided(target, each, seed, ran);
  const { failure, heldMost } = guided ?? fuzz(target, each, seed);
  const { user, system } = process.cpuUsage(begin);
  const heapMb = (process.memoryUsage().heapUsed / 2 ** 20).toFixed(0);
  const cpu = ((user + system) / 1e6).toFixed(1);
  const reached = guided === null ? '' : `, ${guided.reached} blocks reached, ${guided.kept} inputs kept`;
  console.log(
    `${target.name}: ${each} inputs, ${cpu} s of CPU, heap ${heapMb} MB, held ${heldMost} at most${reached}`,
  );
  if (failure === null) continue;
  console.log(`failed: ${failure.error}\ninput: ${Buffer.from(failure.input).toString('hex')}`);
  process.exitCode = 1;
}
