// needs: tun radvd dnsmasq
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createLab, ETHERNET_NAME, joinByEthernet, type Lab, PEER_V4, PEER_V6 } from '../test/netns.ts';
import { startDnsmasq, startNodeServer } from '../test/peers/servers.ts';

// Runs whose addresses came from the network are done again byte for byte.

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');
const INPUT = 'every byte '.repeat(10_000);

async function createEnds(t: ExecutionContext): Promise<{ own: Lab; peer: Lab }> {
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  await startNodeServer(peer, 7000, 'echo');
  return { own, peer };
}

async function runTwice(
  t: ExecutionContext,
  own: Lab,
  host: string,
  flags: readonly string[],
): Promise<void> {
  const file = own.file('run.pcapng');
  const args = [TUNWIRE, 'connect', host, '7000', '--raw', ETHERNET_NAME, ...flags];
  const options = { input: INPUT, timeoutMs: 90_000 };
  const result = await own.run(process.execPath, [...args, '--seed', '7', '-w', file], options);
  t.is(result.code, 0, result.stderr);
  t.true(result.stdout === INPUT);
  const again = await own.run(process.execPath, [TUNWIRE, 'replay', '--exact', file], { timeoutMs: 60_000 });
  t.is(again.code, 0, again.stdout + again.stderr);
  t.regex(again.stdout, /# 1 passed, 0 failed/);
}

for (const [name, host] of [
  ['an address', PEER_V4],
  ['a name', 'www'],
] as const) {
  test(`DHCP, and ${name}`, async (t) => {
    t.timeout(120_000);
    const { own, peer } = await createEnds(t);
    await startDnsmasq(peer, { 'www.lab.test': [PEER_V4] }, [
      `--interface=${ETHERNET_NAME}`,
      '--dhcp-range=10.78.0.50,10.78.0.50,255.255.255.0,1h',
      '--dhcp-authoritative',
      '--no-ping',
      '--domain=lab.test',
      '--dhcp-option=option:mtu,1400',
      `--dhcp-leasefile=${peer.file('leases')}`,
    ]);
    await runTwice(t, own, host, ['--addr', 'dhcp']);
  });
}

test('a link-local address, without a server', async (t) => {
  t.timeout(120_000);
  const { own, peer } = await createEnds(t);
  await peer.ok('ip', ['addr', 'add', '169.254.7.7/16', 'dev', ETHERNET_NAME]);
  await runTwice(t, own, '169.254.7.7', ['--addr', 'link-local']);
});

test('SLAAC, with a hop limit and an MTU of the router', async (t) => {
  t.timeout(120_000);
  const { own, peer } = await createEnds(t);
  await peer.ok('ip', ['addr', 'add', 'fe80::1/64', 'dev', ETHERNET_NAME, 'nodad']);
  await peer.ok('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding']);
  const file = peer.file('radvd.conf');
  writeFileSync(
    file,
    `interface ${ETHERNET_NAME} {
  AdvSendAdvert on;
  AdvLinkMTU 1400;
  AdvCurHopLimit 99;
  prefix fd78::/64 { AdvOnLink on; AdvAutonomous on; };
};
`,
  );
  peer.start('radvd', ['-n', '-C', file, '-p', peer.file('radvd.pid'), '-m', 'stderr', '-u', 'root']);
  await runTwice(t, own, PEER_V6, ['--addr', 'slaac']);
});
