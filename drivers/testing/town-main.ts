/**
 * `npm run town -- [--hosts N] [--minutes N] [--seed N]`: the town of impair-random.test.ts as large as one likes, twice, which must be the same
 * to the bit; nothing may leak.
 */
import { parseArgs } from 'node:util';
import { Town } from './town.ts';

const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '50' },
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
  },
});
const hashes = new Set<string>();
for (let turn = 0; turn < 2; turn++) {
  const begin = process.cpuUsage();
  const town = new Town(Number(values.seed), Number(values.hosts), Number(values.minutes));
  town.run();
  const { trace, streams, pings, datagrams, whole, faults } = town;
  const counters = JSON.stringify(town.hosts.map((host) => host.stack.counters.toJSON()));
  hashes.add(`${trace.hash >>> 0} ${trace.packets} ${counters}`);
  const { user, system } = process.cpuUsage(begin);
  console.log(
    `${trace.packets} packets (hash ${(trace.hash >>> 0).toString(16)}), ${streams.length} streams, ${whole} whole, ` +
      `${pings.length} pings, ${datagrams} datagrams, ${((user + system) / 1e6).toFixed(1)} s of CPU`,
  );
  for (const fault of faults) console.log(`fault: ${fault}`);
  if (faults.length > 0) process.exitCode = 1;
}
console.log(hashes.size === 1 ? 'both runs are the same' : 'the runs differ');
if (hashes.size !== 1) process.exitCode = 1;
