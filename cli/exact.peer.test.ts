// needs: tun tshark openssl dnsmasq
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import test from 'ava';
import {
  createLab,
  ETHERNET_NAME,
  ETHERNET_V4,
  ETHERNET_V6,
  joinByEthernet,
  KERNEL_V4,
  KERNEL_V6,
  type Lab,
  OWN_V4,
  OWN_V6,
  PEER_V4,
  PEER_V6,
  type RunResult,
} from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
import { startDnsmasq, startNodeServer, startOpenssl } from '../test/peers/servers.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');

function connect(lab: Lab, host: string, flags: readonly string[], input: string): Promise<RunResult> {
  const own = ['--tun', lab.tun, '--addr', `${OWN_V4}/24`, '--addr', `${OWN_V6}/64`];
  const args = [TUNWIRE, 'connect', host, '7000', ...own, ...flags];
  return lab.run(process.execPath, args, { input, timeoutMs: 60_000 });
}

const RUNS = [
  ['a few octets', KERNEL_V4, [], 'hello'.repeat(20)],
  ['a megabyte, in super-segments', KERNEL_V4, [], 'every byte '.repeat(100_000)],
  ['over IPv6, in plain packets', KERNEL_V6, ['--no-offload'], 'every byte '.repeat(30_000)],
  [
    'with losses and reordering',
    KERNEL_V4,
    ['--loss', '2%', '--delay', '2ms', '--reorder', '2%'],
    'every byte '.repeat(20_000),
  ],
] as const;

for (const [name, host, flags, input] of RUNS) {
  test(`a run with a seed is done again byte for byte: ${name}`, async (t) => {
    const lab = await createLab(t);
    await startNodeServer(lab, 7000, 'echo');
    const file = lab.file('run.pcapng');
    const result = await connect(lab, host, ['--seed', '7', '-w', file, ...flags], input);
    t.is(result.code, 0, result.stderr);
    t.true(result.stdout === input);
    const again = await lab.run(process.execPath, [TUNWIRE, 'replay', '--exact', file], {
      timeoutMs: 60_000,
    });
    t.is(again.code, 0, again.stdout + again.stderr);
    t.regex(again.stdout, /# 1 passed, 0 failed, 0 skipped/);
    const read = await lab.run('tshark', ['-r', file], { timeoutMs: 60_000 });
    t.is(read.code, 0);
    t.false(/malformed|warning|error/i.test(read.stderr.replace(/^Running as user.*$/m, '')), read.stderr);
  });
}

test('a run with a name that is looked up, and with TLS, is done again byte for byte', async (t) => {
  const lab = await createLab(t);
  await startDnsmasq(lab, { 'www.lab.test': [KERNEL_V4] });
  await startOpenssl(lab, 7000, makeCredentials(lab.folder, ['www.lab.test']), ['-rev', '-quiet']);
  const file = lab.file('run.pcapng');
  const flags = ['--dns', KERNEL_V4, '--secure', '-k', '--seed', '7', '-w', file];
  const result = await connect(lab, 'www.lab.test', flags, `${'reversed '.repeat(1000)}\n`);
  t.is(result.code, 0, result.stderr);
  t.true(result.stdout.includes('desrever'));
  const again = await lab.run(process.execPath, [TUNWIRE, 'replay', '--exact', file], { timeoutMs: 60_000 });
  t.is(again.code, 0, again.stdout + again.stderr);
  t.regex(again.stdout, /# 1 passed, 0 failed/);
});

for (const [name, host, own] of [
  ['IPv4', PEER_V4, `${ETHERNET_V4}/24`],
  ['IPv6', PEER_V6, `${ETHERNET_V6}/64`],
] as const) {
  test(`a run on Ethernet, whose SYN waits for the neighbour, is done again byte for byte: ${name}`, async (t) => {
    const [lab, peer] = await Promise.all([createLab(t), createLab(t)]);
    await joinByEthernet(lab, peer);
    await startNodeServer(peer, 7000, 'echo');
    const file = lab.file('run.pcapng');
    const input = 'every byte '.repeat(30_000);
    const args = [TUNWIRE, 'connect', host, '7000', '--raw', ETHERNET_NAME, '--addr', own];
    const options = { input, timeoutMs: 60_000 };
    const result = await lab.run(process.execPath, [...args, '--seed', '7', '-w', file], options);
    t.is(result.code, 0, result.stderr);
    t.true(result.stdout === input);
    const again = await lab.run(process.execPath, [TUNWIRE, 'replay', '--exact', file], {
      timeoutMs: 60_000,
    });
    t.is(again.code, 0, again.stdout + again.stderr);
    t.regex(again.stdout, /# 1 passed, 0 failed, 0 skipped/);
  });
}

test('a run that was changed by one octet, or that had no seed, is not', async (t) => {
  const lab = await createLab(t);
  await startNodeServer(lab, 7000, 'echo');
  const file = lab.file('run.pcapng');
  const replay = (): Promise<RunResult> =>
    lab.run(process.execPath, [TUNWIRE, 'replay', '--exact', file], { timeoutMs: 60_000 });
  t.is((await connect(lab, KERNEL_V4, ['--seed', '7', '-w', file], 'hello')).code, 0);
  const bytes = readFileSync(file);
  bytes.write('j', bytes.indexOf('hello'));
  writeFileSync(file, bytes);
  const changed = await replay();
  t.is(changed.code, 1);
  t.regex(changed.stdout, /not ok 1/);
  t.is((await connect(lab, KERNEL_V4, ['-w', file], 'hello')).code, 0);
  t.is((await replay()).code, 1);
});
