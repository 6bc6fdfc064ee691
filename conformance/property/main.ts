/**
 * `npm run property -- [--seeds N] [--first N] [--describe]`: two stacks through N scenarios, each made by chance from its seed. A seed that
 * fails is named with the command that runs it alone, and leaves a capture.
 */
import { parseArgs } from 'node:util';
import { checkSeeds } from './check.ts';
import { scenarioOf } from './scenario.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10000' },
    first: { type: 'string', default: '1' },
    describe: { type: 'boolean', default: false },
  },
});
const first = Number(values.first);
const count = Number(values.seeds);
if (values.describe) console.log(JSON.stringify(scenarioOf(first), null, 2));
const begin = performance.now();
const { complete, failed, packets, virtualMs, failures } = checkSeeds(first, count, console.log);
const tookSeconds = ((performance.now() - begin) / 1000).toFixed(1);
console.log(
  `${count - failures.length} of ${count} seeds passed in ${tookSeconds} s: ${complete} connections complete, ` +
    `${failed} failed and said so, ${packets} packets, ${(virtualMs / 3_600_000).toFixed(0)} hours of virtual time`,
);
process.exitCode = failures.length === 0 ? 0 : 1;
