// needs: tun dnsmasq
import test from 'ava';
import {
  createLab,
  ETHERNET_NAME,
  joinByEthernet,
  type Lab,
  type LabProcess,
  PEER_V4,
} from '../test/netns.ts';
import { startDnsmasq, startNodeServer } from '../test/peers/servers.ts';
import { createStack, type NetStack } from './stack.ts';

const PORT = 47_100;

interface Bed {
  readonly own: Lab;
  readonly peer: Lab;
}

async function createBed(t: { teardown(clean: () => Promise<void> | void): void }): Promise<Bed> {
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  return { own, peer };
}

/** Gives `range`, itself as router and name server, and the domain lab.test. */
function startServer({ peer }: Bed, range: string): Promise<LabProcess> {
  return startDnsmasq(peer, { 'www.lab.test': [PEER_V4] }, [
    `--interface=${ETHERNET_NAME}`,
    `--dhcp-range=${range},255.255.255.0,1h`,
    '--dhcp-authoritative',
    '--no-ping',
    '--domain=lab.test',
    '--dhcp-option=option:mtu,1400',
    `--dhcp-option=121,10.99.0.0/16,10.78.0.9,0.0.0.0/0,${PEER_V4}`,
    `--dhcp-leasefile=${peer.file('leases')}`,
    '--log-dhcp',
  ]);
}

function start({ own }: Bed): Promise<NetStack> {
  return own.within(() =>
    createStack({ device: `raw:${ETHERNET_NAME}`, addresses: ['dhcp'], resolver: { hostsFile: null } }),
  );
}

/** Connects by the short name, and has some bytes sent back. @param look called while connected. @returns our address */
async function echo(
  stack: NetStack,
  look: () => Promise<void> = async () => {},
  host = 'www',
): Promise<string> {
  const socket = await stack.connect({ host, port: PORT });
  const answer = new Promise<string>((done, fail) => {
    socket.once('data', (chunk: Buffer) => done(chunk.toString()));
    socket.once('error', fail);
  });
  socket.write('hello');
  const text = await answer;
  const { localAddress } = socket;
  await look();
  socket.destroy();
  return `${text} ${localAddress}`;
}

test('dnsmasq gives an address, routes, name servers, a domain and an MTU; all are used, and given back', async (t) => {
  const bed = await createBed(t);
  const { peer } = bed;
  const server = await startServer(bed, '10.78.0.50,10.78.0.50');
  await startNodeServer(peer, PORT, 'echo');
  const stack = await start(bed);
  t.teardown(() => stack.close());
  const look = async (): Promise<void> => {
    // 1400 bytes less the headers, and timestamps
    t.regex(await peer.ok('ss', ['-Htni', `sport = :${PORT}`]), / mss:1348 /);
  };
  t.is(await echo(stack, look), 'hello 10.78.0.50');
  await stack.close();
  await peer.until('the address is given back', () => server.stderr.includes('DHCPRELEASE'));
  const said = server.stderr.match(/DHCP[A-Z]+(?=\()/g);
  t.deepEqual(said, ['DHCPDISCOVER', 'DHCPOFFER', 'DHCPREQUEST', 'DHCPACK', 'DHCPRELEASE']);
});

test('an address that somebody has is declined, and another one taken', async (t) => {
  t.timeout(60_000);
  const bed = await createBed(t);
  const { peer } = bed;
  const server = await startServer(bed, '10.78.0.50,10.78.0.51');
  await startNodeServer(peer, PORT, 'echo');
  // whichever of the two is offered first
  await peer.ok('ip', ['addr', 'add', '10.78.0.50/32', 'dev', ETHERNET_NAME]);
  await peer.ok('ip', ['addr', 'add', '10.78.0.51/32', 'dev', ETHERNET_NAME]);
  const starting = start(bed);
  const declined = /DHCPDECLINE\(\S+\) (\S+)/;
  await peer.until('an address is declined', () => declined.test(server.stderr));
  const [first, second] =
    declined.exec(server.stderr)![1] === '10.78.0.50'
      ? ['10.78.0.50', '10.78.0.51']
      : ['10.78.0.51', '10.78.0.50'];
  t.truthy(first);
  await peer.ok('ip', ['addr', 'del', `${second}/32`, 'dev', ETHERNET_NAME]);
  const stack = await starting;
  t.teardown(() => stack.close());
  t.is(await echo(stack), `hello ${second}`);
});

test('no server: the stack does not start, and says why', async (t) => {
  t.timeout(60_000);
  const bed = await createBed(t);
  await t.throwsAsync(start(bed), {
    code: 'ETIMEDOUT',
    message: /veth0 has not got an address from a DHCP server within 25 s/,
  });
});

test('no server, but link-local: the stack starts with an address of its own choice, and talks to the kernel', async (t) => {
  t.timeout(60_000);
  const bed = await createBed(t);
  await bed.peer.ok('ip', ['addr', 'add', '169.254.7.7/16', 'dev', ETHERNET_NAME]);
  await startNodeServer(bed.peer, PORT, 'echo');
  const stack = await bed.own.within(() =>
    createStack({
      device: `raw:${ETHERNET_NAME}`,
      addresses: ['dhcp', 'link-local'],
      resolver: { hostsFile: null },
    }),
  );
  t.teardown(() => stack.close());
  t.regex(await echo(stack, async () => {}, '169.254.7.7'), /^hello 169\.254\.\d+\.\d+$/);
});

test('DHCP takes an Ethernet device', async (t) => {
  const own = await createLab(t);
  const starting = own.within(() => createStack({ device: `tun:${own.tun}`, addresses: ['dhcp'] }));
  await t.throwsAsync(starting, { message: /takes an Ethernet device/ });
});
