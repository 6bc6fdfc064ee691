// needs: tun tcpdump
import { once } from 'node:events';
import test from 'ava';
import { createLab, ETHERNET_NAME, ETHERNET_V4, joinByEthernet, PEER_V4 } from '../test/netns.ts';
import { startNodeServer } from '../test/peers/servers.ts';
import { createStack } from './stack.ts';

const PORT = 47_230;
const BYTES = 500_000;

test('jumbo frames both ways, on a link of 9,000 bytes', async (t) => {
  t.timeout(60_000);
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  for (const lab of [own, peer]) await lab.ok('ip', ['link', 'set', ETHERNET_NAME, 'mtu', '9000']);
  await startNodeServer(peer, PORT, 'echo');
  const witness = peer.start('tcpdump', ['-l', '-n', '-e', '-i', ETHERNET_NAME, 'tcp']);
  await peer.until('tcpdump listens', () => witness.stderr.includes('listening on'));
  // without offload each frame is what is on the wire
  await using stack = await own.within(() =>
    createStack({ device: `raw:${ETHERNET_NAME}`, offload: false, addresses: [`${ETHERNET_V4}/24`] }),
  );
  const socket = await stack.connect({ host: PEER_V4, port: PORT });
  let received = 0;
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  socket.end(new Uint8Array(BYTES));
  await once(socket, 'end');
  t.is(received, BYTES);
  const full = new RegExp(`length ${9000 + 14}: ${ETHERNET_V4.replaceAll('.', '\\.')}\\.\\d+ > `);
  await peer.until('tcpdump has a full frame', () => full.test(witness.stdout));
  await witness.stop();
  const lengths = [...witness.stdout.matchAll(/, length (\d+): 10\.78\.0\.2\./g)].map((match) =>
    Number(match[1]),
  );
  t.is(Math.max(...lengths), 9000 + 14);
});
