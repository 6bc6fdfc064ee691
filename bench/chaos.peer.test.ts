// needs: tun
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import type { ChaosReport } from './chaos.ts';

test('whatever is killed at full speed, every call ends with its reason, and everything is given back', async (t) => {
  t.timeout(180_000);
  const script = resolve(import.meta.dirname, 'chaos.ts');
  const run = promisify(execFile)(process.execPath, [script, '--rounds', '4', '--seed', '7']);
  const { stdout } = await run.catch((error: { stdout: string; stderr: string }) => error);
  const report = JSON.parse(stdout) as ChaosReport;
  t.deepEqual(report.problems, []);
  // two threads with a blocking call, and two event loops with three sockets each
  for (const kind of ['peer', 'device', 'engine', 'close']) {
    const codes = Object.values(report.outcomes[kind] ?? {});
    t.true(codes.reduce((sum, count) => sum + count, 0) >= 6, `${kind}: ${stdout}`);
  }
});
