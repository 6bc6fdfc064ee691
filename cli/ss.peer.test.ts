// needs: tun socat
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { createLab, type Lab, OWN_V4, OWN_V6, type RunResult } from '../test/netns.ts';
import { commandLine } from './testing/command.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');

function ss(lab: Lab, folder: string, args: readonly string[]): Promise<RunResult> {
  return lab.run(process.execPath, [TUNWIRE, 'ss', ...args], { env: { TUNWIRE_RUN: folder } });
}

/** `rto:204`, `send 3bps` and `cubic` by their names, of the first line that has such. */
function wordsOf(text: string): Map<string, string> {
  const line = text.split('\n').find((each) => each.includes(' rto:')) ?? '';
  const words = line
    .trim()
    .replace(/ ([\d.]+[KMG]?bps)/g, ':$1')
    .split(/\s+/);
  return new Map(words.map((word) => [word.split(':')[0] ?? '', word.split(':').slice(1).join(':')]));
}

test('sockets and counters of a running stack, by its socket that only its owner can open', async (t) => {
  const lab = await createLab(t);
  const folder = lab.file('run');
  const none = await ss(lab, folder, []);
  t.deepEqual([none.code, none.stdout], [1, '']);

  const listen = commandLine(lab, 'listen', ['7', '--echo']);
  const server = lab.start(process.execPath, listen, { env: { TUNWIRE_RUN: folder } });
  await lab.until('it listens', () => server.stderr.includes('listening'));
  const client = lab.start('socat', ['-', `TCP:${OWN_V4}:7`]);
  client.child.stdin.write('hello\n');
  await lab.until('the echo has come', () => client.stdout === 'hello\n');

  const [name = ''] = readdirSync(folder);
  t.is(statSync(folder).mode & 0o777, 0o700);
  t.is(statSync(join(folder, name)).mode & 0o777, 0o600);
  const table = await ss(lab, folder, []);
  t.is(table.code, 0, table.stderr);
  t.regex(table.stdout, /^tcp {2}LISTEN +0 +0 {2}\*:7 +\*:\*$/m);
  t.regex(table.stdout, new RegExp(`^tcp  ESTABLISHED +0 +0  ${OWN_V4}:7 `, 'm'));
  // what both ends know must agree, in the words of the kernel's own ss
  const ours = wordsOf((await ss(lab, folder, ['-i'])).stdout);
  const theirs = wordsOf(await lab.ok('ss', ['-tin', 'state', 'established', 'dport', '=', ':7']));
  t.deepEqual(
    [ours.get('bytes_received'), ours.get('bytes_acked'), ours.get('data_segs_in'), ours.get('wscale')],
    [
      theirs.get('bytes_sent'),
      theirs.get('bytes_received'),
      '1',
      theirs.get('wscale')?.split(',').reverse().join(','),
    ],
  );
  for (const name of ['rto', 'rtt', 'mss', 'cwnd', 'segs_out', 'lastsnd', 'minrtt', 'rcv_space'])
    t.true(ours.has(name) && theirs.has(name), name);
  const json = await ss(lab, folder, ['--json', '--listening']);
  t.like(JSON.parse(json.stdout) as object, { sockets: { length: 1, 0: { localPort: 7, state: 'LISTEN' } } });
  const stats = await ss(lab, folder, ['-s', name.split('-')[0] ?? '']);
  t.regex(stats.stdout, new RegExp(`${OWN_V4}/24, ${OWN_V6}/64, MTU 1500`));
  t.regex(stats.stdout, /^ +1 ESTABLISHED$/m);
  const metrics = await ss(lab, folder, ['--metrics']);
  t.regex(metrics.stdout, /^tunwire_interface_mtu_bytes\{interface="tun0"\} 1500$/m);

  await client.stop();
  await server.stop('SIGTERM');
  t.deepEqual(readdirSync(folder), [], 'the socket has gone with its process');
});

test('what a killed process left behind is removed; a folder that is open to others is not used', async (t) => {
  const lab = await createLab(t);
  const folder = lab.file('run');
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, '1-aaaaaa.sock'), '');
  t.is((await ss(lab, folder, [])).code, 1);
  t.deepEqual(readdirSync(folder), []);
  chmodSync(folder, 0o755);
  const listen = commandLine(lab, 'listen', ['7', '--echo', '-v']);
  const server = lab.start(process.execPath, listen, { env: { TUNWIRE_RUN: folder } });
  await lab.until('it listens', () => server.stderr.includes('listening'));
  t.regex(server.stderr, /tunwire ss will not see this: .* is open to others; chmod 700 /);
  t.deepEqual(readdirSync(folder), []);
});
