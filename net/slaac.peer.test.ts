// needs: tun radvd dnsmasq
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { createLab, ETHERNET_NAME, joinByEthernet, type Lab, PEER_V6 } from '../test/netns.ts';
import { startDnsmasq, startNodeServer } from '../test/peers/servers.ts';
import { createStack, type NetStack } from './stack.ts';

const PORT = 47_200;
const SECRET = Uint8Array.from({ length: 16 }, (_, i) => i);
/** Behind the router, so to speak: on no prefix that is advertised. */
const FAR = 'fd99::1';

interface Bed {
  readonly own: Lab;
  readonly peer: Lab;
}

async function createBed(t: { teardown(clean: () => Promise<void> | void): void }): Promise<Bed> {
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  await peer.ok('ip', ['addr', 'add', 'fe80::1/64', 'dev', ETHERNET_NAME, 'nodad']);
  await peer.ok('ip', ['addr', 'add', `${FAR}/128`, 'dev', 'lo', 'nodad']);
  await peer.ok('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding']);
  return { own, peer };
}

/** @param more what the interface says beside its prefix: where name servers are told of, here or (a flag says) by DHCPv6; routes */
function startRadvd({ peer }: Bed, more = `RDNSS ${PEER_V6} { };`): void {
  const file = peer.file('radvd.conf');
  writeFileSync(
    file,
    `interface ${ETHERNET_NAME} {
  AdvSendAdvert on;
  AdvLinkMTU 1400;
  prefix fd78::/64 { AdvOnLink on; AdvAutonomous on; };
  ${more}
};
`,
  );
  peer.start('radvd', ['-n', '-C', file, '-p', peer.file('radvd.pid'), '-m', 'stderr', '-u', 'root']);
}

function start(
  { own }: Bed,
  how: { temporaryAddresses?: boolean; optimisticAddresses?: boolean } = {},
): Promise<NetStack> {
  return own.within(() =>
    createStack({
      device: `raw:${ETHERNET_NAME}`,
      addresses: ['slaac'],
      slaacSecret: SECRET,
      ...how,
      resolver: { hostsFile: null },
    }),
  );
}

async function echo(stack: NetStack, host: string): Promise<string> {
  const socket = await stack.connect({ host, port: PORT });
  const answer = new Promise<string>((done, fail) => {
    socket.once('data', (chunk: Buffer) => done(chunk.toString()));
    socket.once('error', fail);
  });
  socket.write('hello');
  const text = await answer;
  const { localAddress } = socket;
  socket.destroy();
  return `${text} ${localAddress}`;
}

test('radvd tells a prefix, a router, an MTU and a name server; the address is the same at the next start', async (t) => {
  t.timeout(60_000);
  const bed = await createBed(t);
  startRadvd(bed);
  await startNodeServer(bed.peer, PORT, 'echo');
  await startDnsmasq(bed.peer, { 'www.lab.test': [PEER_V6] });
  const found: string[] = [];
  for (let turn = 0; turn < 2; turn++) {
    const stack = await start(bed);
    t.teardown(() => stack.close());
    found.push(await echo(stack, 'www.lab.test'), await echo(stack, FAR));
    await stack.close();
  }
  t.regex(found[0]!, /^hello fd78:/);
  t.is(new Set(found).size, 1);
});

test('temporary addresses: connections begin from one that is another at each start', async (t) => {
  t.timeout(60_000);
  const bed = await createBed(t);
  startRadvd(bed);
  await startNodeServer(bed.peer, PORT, 'echo');
  const found: string[] = [];
  for (let turn = 0; turn < 2; turn++) {
    const stack = await start(bed, { temporaryAddresses: true });
    t.teardown(() => stack.close());
    const addresses = async (): Promise<string[]> =>
      (await stack.stats()).interface.addresses.filter((address) => address.startsWith('fd78:'));
    await bed.own.until('there are two', async () => (await addresses()).length === 2);
    const [stable] = await addresses();
    const answer = await echo(stack, PEER_V6);
    t.regex(answer, /^hello fd78:/);
    t.not(`${answer.slice('hello '.length)}/128`, stable!);
    found.push(stable!, answer);
    await stack.close();
  }
  t.is(new Set(found).size, 3, 'the stable address is the same');
});

test('optimistic addresses are used before anybody was asked for them', async (t) => {
  t.timeout(60_000);
  const bed = await createBed(t);
  startRadvd(bed);
  await startNodeServer(bed.peer, PORT, 'echo');
  await using stack = await start(bed, { optimisticAddresses: true });
  t.regex(await echo(stack, PEER_V6), /^hello fd78:/);
  t.regex(await echo(stack, FAR), /^hello fd78:/);
});

test('radvd sends to DHCPv6, where dnsmasq tells a name server and a domain', async (t) => {
  t.timeout(60_000);
  const bed = await createBed(t);
  const { peer } = bed;
  startRadvd(bed, 'AdvOtherConfigFlag on;');
  const server = await startDnsmasq(peer, { 'www.lab.test': [PEER_V6] }, [
    `--interface=${ETHERNET_NAME}`,
    '--dhcp-range=fd78::,static',
    `--dhcp-option=option6:dns-server,[${PEER_V6}]`,
    '--dhcp-option=option6:domain-search,lab.test',
    `--dhcp-leasefile=${peer.file('leases')}`,
    '--log-dhcp',
  ]);
  const stack = await start(bed);
  t.teardown(() => stack.close());
  let found = '';
  const look = async (): Promise<boolean> => {
    try {
      // the domain makes the name whole
      found = (await stack.resolve('www'))[0]?.address ?? '';
    } catch {
      // no name server yet
    }
    return found !== '';
  };
  await peer.until('the name is found', look);
  t.is(found, PEER_V6);
  t.regex(server.stderr, /DHCPINFORMATION-REQUEST/);
});

test('radvd tells a route to a prefix without being a default router', async (t) => {
  t.timeout(60_000);
  const bed = await createBed(t);
  startRadvd(
    bed,
    'AdvDefaultLifetime 0; AdvDefaultPreference low; route fd99::/64 { AdvRoutePreference high; };',
  );
  await startNodeServer(bed.peer, PORT, 'echo');
  const stack = await start(bed);
  t.teardown(() => stack.close());
  t.regex(await echo(stack, FAR), /^hello fd78:/);
  await t.throwsAsync(echo(stack, 'fd98::1'), { message: /no interface/ });
});
