// needs: tun socat tshark
import { once } from 'node:events';
import test from 'ava';
import { createLab, joinByEthernet, KERNEL_V4, type Lab, OWN_ADDRESSES, OWN_V4 } from '../test/netns.ts';
import { startNodeServer } from '../test/peers/servers.ts';
import { createStack, type NetStack } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';

const PORT = 47_240;
const BYTES = 1_000_000;
/** Behind the second peer, which is the router to it. */
const FAR_V4 = '10.200.0.1';
const FAR_V6 = 'fd99::1';

/** An echo, of which every byte comes back. @returns the own address */
async function echo(stack: NetStack, host: string): Promise<string> {
  const socket = await stack.connect({ host, port: PORT });
  const data = pattern(BYTES);
  socket.end(data);
  const isWhole = (await readAll(socket)).equals(data);
  return isWhole ? String(socket.localAddress) : 'damaged';
}

async function answerTo(peer: Lab, host: string): Promise<string> {
  return (await peer.run('socat', ['-t', '20', '-', `TCP:${host}:${PORT}`], { input: 'hello' })).stdout;
}

test('two veth pairs and a TUN device: an interface for each subnet, one of them with the gateway', async (t) => {
  t.timeout(60_000);
  const own = await createLab(t);
  const left = await createLab(t);
  const right = await createLab(t);
  await joinByEthernet(own, left);
  await joinByEthernet(own, right, 1);
  for (const address of [`${FAR_V4}/32`, `${FAR_V6}/128`])
    await right.ok('ip', ['addr', 'add', address, 'dev', 'lo']);
  for (const lab of [own, left, right]) await startNodeServer(lab, PORT, 'echo');
  const file = own.file('all.pcapng');
  const stack = await own.within(() =>
    createStack({
      device: 'raw:veth0',
      addresses: ['10.78.0.2/24', 'fd78::2/64'],
      interfaces: [
        {
          device: 'raw:veth1',
          addresses: ['10.79.0.2/24', 'fd79::2/64'],
          gateways: ['10.79.0.1', 'fd79::1'],
        },
        { device: `tun:${own.tun}`, addresses: OWN_ADDRESSES },
      ],
      capture: { file },
      resolver: { hostsFile: null },
    }),
  );
  t.teardown(() => stack.close());
  const server = await stack.listen({ port: PORT });
  server.on('connection', (socket) => socket.pipe(socket));

  const hosts = ['10.78.0.1', 'fd78::1', '10.79.0.1', FAR_V4, FAR_V6, KERNEL_V4];
  t.deepEqual(await Promise.all(hosts.map((host) => echo(stack, host))), [
    '10.78.0.2',
    'fd78::2',
    '10.79.0.2',
    '10.79.0.2',
    'fd79::2',
    OWN_V4,
  ]);
  t.is(await answerTo(left, '10.78.0.2'), 'hello');
  t.is(await answerTo(right, '[fd79::2]'), 'hello');
  t.is(await answerTo(own, OWN_V4), 'hello');
  for (const host of hosts) {
    for await (const { outcome } of stack.ping(host, { count: 1 })) t.is(outcome, 'reply', host);
  }

  // a cable that is pulled is that one's affair
  await own.ok('ip', ['link', 'set', 'veth0', 'down']);
  t.is(await echo(stack, FAR_V4), '10.79.0.2');
  const dead = await stack.udp();
  await dead.send('into the void', 9, '10.78.0.1');
  await own.until(
    'it is counted there',
    async () => (await stack.stats()).interfaces[0]!.device!.txDroppedDown > 0,
  );
  const { interfaces } = await stack.stats();
  t.deepEqual(
    interfaces.map(({ name, device }) => [name, device!.txDroppedDown > 0, device!.rxBytes > BYTES]),
    [
      ['veth0', true, true],
      ['veth1', false, true],
      [own.tun, false, true],
    ],
  );

  // one that is gone takes its routes with it; the others go on
  const warned = once(process, 'warning');
  await own.ok('ip', ['link', 'del', 'veth1']);
  await own.until(
    'it has no addresses',
    async () => (await stack.stats()).interfaces[1]!.addresses.length === 0,
  );
  const [warning] = (await warned) as [Error];
  t.regex(`${warning.name}: ${warning.message}`, /^DeviceWarning: .*veth1.*the other devices go on$/);
  await t.throwsAsync(stack.connect({ host: FAR_V4, port: PORT }), { code: 'ENETUNREACH' });
  t.is(await echo(stack, KERNEL_V4), OWN_V4);
  await stack.close();
  const names = (await own.ok('tshark', ['-r', file, '-T', 'fields', '-e', 'frame.interface_name'])).split(
    '\n',
  );
  for (const name of ['raw:veth0', 'raw:veth1', `tun:${own.tun}`]) t.true(names.includes(name), name);
});
