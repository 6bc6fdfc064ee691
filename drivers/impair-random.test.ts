import test from 'ava';
import { Town } from './testing/town.ts';

/** What this town does not do to its links. */
const UNUSED: ReadonlySet<string> = new Set(['lostNoMemory']);

test('ten stacks on a hub, all impairments, ten minutes: nothing leaks, and the same seed gives the same trace', (t) => {
  // many packets, and test machines that are busy with other things
  t.timeout(240_000);
  const town = new Town(1, 10, 10);
  town.run();
  const { streams, pings, hosts, trace, whole } = town;
  t.log(
    `${trace.packets} packets, ${streams.length} streams, ${whole} of them whole, ${pings.length} pings, ${town.datagrams} datagrams`,
  );

  // it was a lively place, and a hostile one
  t.true(trace.packets > 50_000);
  for (const [reason, count] of town.impaired) if (!UNUSED.has(reason)) t.true(count > 0, reason);
  t.true(whole > streams.length / 2);
  t.true(town.datagrams > 200);
  t.true(pings.reduce((sum, ping) => sum + ping.summary.received, 0) > 200);
  t.deepEqual(town.faults, []);

  const again = new Town(1, 10, 10);
  again.run();
  t.is(again.trace.hash, trace.hash);
  t.is(again.trace.packets, trace.packets);
  t.deepEqual(
    again.hosts.map((host) => host.stack.counters.toJSON()),
    hosts.map((host) => host.stack.counters.toJSON()),
  );
});
