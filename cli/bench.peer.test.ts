// needs: tun
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { createLab, KERNEL_V4 } from '../test/netns.ts';
import { startNodeServer } from '../test/peers/servers.ts';
import { jsonOf, tunwire } from './testing/command.ts';

test('all that is counted as sent has arrived', async (t) => {
  const lab = await createLab(t);
  const server = await startNodeServer(lab, 9, 'sink');
  const result = await tunwire(lab, 'bench', [KERNEL_V4, '-t', '0.3', '--json']);
  t.deepEqual([result.code, result.stderr], [0, '']);
  const { bytes, direction, connections, machine } = jsonOf(result);
  // what it was measured with, and where: a figure without them says nothing
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  t.true(String(machine).includes(`(${commit.trim()})`), String(machine));
  t.true(String(machine).includes(`Node ${process.versions.node}`), String(machine));
  t.deepEqual({ direction, connections }, { direction: 'sent', connections: 1 });
  await lab.until('the server has counted', () => server.stdout.includes('\n'));
  t.is(server.stdout.split(' ')[0], String(bytes));
});

test('receiving over two connections; a peer that ends early is a failure', async (t) => {
  const lab = await createLab(t);
  const large = 2 ** 40;
  await startNodeServer(lab, 19, 'source', { bytes: large });
  await startNodeServer(lab, 20, 'source', { bytes: 1000 });
  const args = ['-R', '-P', '2', '-t', '0.3', '--rate', '50mbit'];
  const result = await tunwire(lab, 'bench', [KERNEL_V4, ...args]);
  t.is(result.code, 0, result.stderr);
  t.regex(
    result.stdout,
    /^received [\d.]+ [kM]B in [\d.]+ s over 2 connections: [\d.]+ Mbit\/s, .+\non .+\n$/,
  );
  const early = await tunwire(lab, 'bench', [KERNEL_V4, '20', '-R']);
  t.is(early.code, 56);
  t.regex(early.stderr, /ended the connection before the time was over/);
});
