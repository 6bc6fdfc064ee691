import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { foldChecksum, sumPseudoHeaderV4, sumSlab } from '../../stack/wire/checksum.ts';
import { IpProtocol } from '../../stack/wire/ipv4.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { Tcp } from '../../stack/wire/tcp.ts';
import { checkSeeds } from './check.ts';
import { recordScenario } from './record.ts';
import { runScenario, type Tap } from './run.ts';
import { isMild, type Scenario, scenarioOf } from './scenario.ts';
import { Violation } from './watcher.ts';

/** `npm run property` runs 10,000. */
const SEEDS_PER_TEST = 100;

for (let part = 0; part < 3; part++) {
  const first = 1 + part * SEEDS_PER_TEST;
  test(`streams arrive or the failure is reported, nothing goes on for ever, nothing leaks: from seed ${first}`, (t) => {
    const { failures, complete, failed } = checkSeeds(first, SEEDS_PER_TEST);
    t.deepEqual(failures, []);
    t.true(complete > failed, `${complete} complete, ${failed} failed`);
  });
}

/** A scenario in which only what the test does goes wrong. */
function quiet(): Scenario {
  for (let seed = 1; ; seed++) {
    const scenario = scenarioOf(seed);
    const [session, second] = scenario.sessions;
    if (second !== undefined || session?.kind !== 'listener' || session.client.bytes < 5000) continue;
    if (session.fastOpen || scenario.mtuBytes > 1500) continue;
    if (scenario.family === 4 && !scenario.txChecksum && scenario.pathMtu === null && isMild(scenario))
      return scenario;
  }
}

/** Changes packets with data on their way; their checksums fit again. */
function tamper(change: (view: DataView, payloadOff: number) => void): Tap {
  return (from, bytes) => {
    const slab = new Slab(bytes);
    const { view } = slab;
    const payloadOff = 20 + (view.getUint8(20 + Tcp.DataOffset) >> 4) * 4;
    if (from !== 'a' || bytes[9] !== IpProtocol.Tcp || payloadOff >= bytes.length) return;
    change(view, payloadOff);
    view.setUint16(20 + Tcp.Checksum, 0);
    const length = bytes.length - 20;
    const pseudo = sumPseudoHeaderV4(view.getInt32(12), view.getInt32(16), IpProtocol.Tcp, length);
    view.setUint16(20 + Tcp.Checksum, foldChecksum(sumSlab(slab, 20, length, pseudo)));
  };
}

test('the judge sees an octet that is not what was written', (t) => {
  const scenario = quiet();
  t.true(runScenario(scenario).complete === 1);
  const error = t.throws(
    () =>
      runScenario(
        scenario,
        tamper((view, at) => view.setUint8(at, view.getUint8(at) ^ 1)),
      ),
    { instanceOf: Violation },
  );
  t.regex(error?.message ?? '', /server 0: of the octets 0 to \d+ not all are what was written/);
});

test('the judge sees an acknowledgment of what was never sent, and a window that is taken back', (t) => {
  const scenario = quiet();
  const acks = tamper((view) => view.setInt32(28, (view.getInt32(28) + 1_000_000) | 0));
  t.regex(
    t.throws(() => runScenario(scenario, acks))?.message ?? '',
    /acknowledges \d+ octets that were never sent/,
  );
  let seen = 0;
  const windows = tamper((view) => {
    if (++seen >= 3) view.setUint16(34, 0);
  });
  t.regex(
    t.throws(() => runScenario(scenario, windows))?.message ?? '',
    /takes back \d+ octets of its window/,
  );
});

test('a scenario is the same every time, and its packets can be kept', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-property-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'seed.pcapng');
  t.deepEqual(recordScenario(scenarioOf(3), file), runScenario(scenarioOf(3)));
  t.true(existsSync(file));
});
