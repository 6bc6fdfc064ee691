// needs: tun
import { once } from 'node:events';
import test from 'ava';
import { createLab, ETHERNET_NAME, joinByEthernet } from '../test/netns.ts';
import { startNodeServer } from '../test/peers/servers.ts';
import { createStack } from './stack.ts';

const PORT = 47_210;
const KERNEL = 'fe80::78:1';
const OWN = 'fe80::78:2';

test('link-local addresses with zones, by name and by number: connect, listen, UDP and ping with the kernel', async (t) => {
  t.timeout(60_000);
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  await peer.ok('ip', ['addr', 'add', `${KERNEL}/64`, 'dev', ETHERNET_NAME, 'nodad']);
  await startNodeServer(peer, PORT, 'echo');
  await using stack = await own.within(() =>
    createStack({ device: `raw:${ETHERNET_NAME}`, addresses: [`${OWN}/64`], resolver: { hostsFile: null } }),
  );
  for (const zone of [ETHERNET_NAME, '1']) {
    const socket = await stack.connect({
      host: `${KERNEL}%${zone}`,
      port: PORT,
      localAddress: `${OWN}%${zone}`,
    });
    const echoed = once(socket, 'data');
    socket.write('hello');
    t.is(String((await echoed)[0]), 'hello');
    socket.destroy();
    for await (const reply of stack.ping(`${KERNEL}%${zone}`, { count: 1, timeoutMs: 20_000 }))
      t.is(reply.outcome, 'reply');
  }
  const unknown = { code: 'ERR_INVALID_ARG_VALUE', message: /veth7.*it has: veth0 \(1\)/ };
  await t.throwsAsync(stack.connect({ host: `${KERNEL}%veth7`, port: PORT }), { message: unknown.message });
  await t.throwsAsync(stack.listen({ port: 0, host: `${OWN}%veth7` }), { message: unknown.message });
  await t.throwsAsync(stack.udp({ host: `${OWN}%veth7` }), { message: unknown.message });

  await using server = await stack.listen({ port: PORT, host: `${OWN}%${ETHERNET_NAME}` });
  const connection = once(server, 'connection');
  const client = peer.ok('bash', ['-c', `echo hi > /dev/tcp/${OWN}%${ETHERNET_NAME}/${PORT}`]);
  t.is((await connection)[0].remoteAddress, KERNEL);
  await client;

  await using socket = await stack.udp({ host: `${OWN}%${ETHERNET_NAME}` });
  const refused = once(socket, 'message');
  const { port } = socket.address();
  await socket.send('to the kernel', 9, `${KERNEL}%${ETHERNET_NAME}`);
  await peer.ok('bash', ['-c', `echo hi > /dev/udp/${OWN}%${ETHERNET_NAME}/${port}`]);
  t.is((await refused)[1].address, KERNEL);
});
