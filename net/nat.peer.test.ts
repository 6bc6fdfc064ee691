// needs: tun nft
import test from 'ava';
import { createLab, ETHERNET_NAME, ETHERNET_V4, joinByEthernet, PEER_V4 } from '../test/netns.ts';
import { startNodeServer } from '../test/peers/servers.ts';
import { createStack } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';

const PORT = 47_400;
const OUTSIDE = '10.79.0.1';
const SERVER = '10.79.0.2';

test('through a router that masquerades (nftables): streams, and errors', async (t) => {
  t.timeout(60_000);
  const own = await createLab(t);
  const router = await createLab(t);
  const server = await createLab(t);
  await joinByEthernet(own, router);
  await router.ok('ip', [
    'link',
    'add',
    'out0',
    'type',
    'veth',
    'peer',
    'name',
    'in0',
    'netns',
    server.namespace,
  ]);
  await router.ok('sh', [
    '-c',
    // first the system's folders: npm puts a program of the same name before them
    `set -e
     PATH=/usr/sbin:/sbin:$PATH
     ip addr add ${OUTSIDE}/24 dev out0
     ip link set out0 up
     echo 1 > /proc/sys/net/ipv4/ip_forward
     nft add table ip nat
     nft 'add chain ip nat out { type nat hook postrouting priority 100; }'
     nft add rule ip nat out oifname out0 masquerade`,
  ]);
  await server.ok('sh', ['-c', `ip addr add ${SERVER}/24 dev in0 && ip link set in0 up`]);
  await startNodeServer(server, PORT, 'echo');
  const stack = await own.within(() =>
    createStack({
      device: `raw:${ETHERNET_NAME}`,
      addresses: [`${ETHERNET_V4}/24`],
      gateways: [PEER_V4],
      resolver: { hostsFile: null },
    }),
  );
  t.teardown(() => stack.close());
  const socket = await stack.connect({ host: SERVER, port: PORT, timeoutMs: 30_000 });
  const seen = await server.ok('ss', ['-Htn', `sport = :${PORT}`]);
  t.true(seen.includes(OUTSIDE) && !seen.includes(ETHERNET_V4), seen);
  const data = pattern(1_000_000);
  socket.end(data);
  t.true((await readAll(socket)).equals(data));
  // nobody listens: the error comes back through the translation, to the right connection
  await t.throwsAsync(stack.connect({ host: SERVER, port: PORT + 1, timeoutMs: 30_000 }), {
    code: 'ECONNREFUSED',
  });
});
