// needs: tun tcpdump
import { once } from 'node:events';
import test from 'ava';
import { createLab, ETHERNET_NAME, joinByEthernet, type Lab, PEER_V4 } from '../test/netns.ts';
import { startNodeServer } from '../test/peers/servers.ts';
import { createStack, type NetStack } from './stack.ts';

const PORT = 47_220;
const BYTES = 300_000;

function start(lab: Lab, last: number, offload: boolean): Promise<NetStack> {
  const addresses = [`10.78.0.${last}/24`];
  return lab.within(() =>
    createStack({
      device: `raw:${ETHERNET_NAME}`,
      offload,
      addresses,
      vlans: [
        { id: 10, addresses: [`10.10.0.${last}/24`, `fd10::${last}/64`] },
        { id: 20, addresses: [`10.20.0.${last}/24`] },
      ],
      resolver: { hostsFile: null },
    }),
  );
}

// The tags are judged by tcpdump, and taken out of frames by the kernel below; not every kernel has VLAN interfaces of its own.
for (const offload of [true, false]) {
  test(`VLANs beside the LAN itself, on a veth pair (offload ${offload})`, async (t) => {
    t.timeout(60_000);
    const own = await createLab(t);
    const peer = await createLab(t);
    await joinByEthernet(own, peer);
    await startNodeServer(peer, PORT, 'source', { bytes: BYTES });
    const witness = peer.start('tcpdump', ['-l', '-n', '-e', '-v', '-i', ETHERNET_NAME]);
    await peer.until('tcpdump listens', () => witness.stderr.includes('listening on'));
    await using stack = await start(own, 7, offload);
    await using other = await start(peer, 8, offload);
    await using server = await other.listen({ port: PORT });
    server.on('connection', (socket) => socket.end(new Uint8Array(BYTES)));
    for (const host of ['10.10.0.8', 'fd10::8', '10.20.0.8', '10.78.0.8', PEER_V4]) {
      const socket = await stack.connect({ host, port: PORT });
      let received = 0;
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      await once(socket, 'end');
      t.is(received, BYTES, host);
      socket.destroy();
    }
    for (const [tag, from] of [
      ['vlan 10, p 0, ethertype IPv4', '10.10.0.7'],
      ['vlan 10, p 0, ethertype IPv6', 'fd10::7'],
      ['vlan 20, p 0, ethertype IPv4', '10.20.0.7'],
      ['vlan 10, p 0, ethertype ARP', '10.10.0.7'],
    ] as const) {
      await peer.until(`${tag} of ${from}`, () =>
        new RegExp(`${tag}[^]{0,300}?${from.replaceAll('.', '\\.')}`).test(witness.stdout),
      );
    }
    await witness.stop();
    t.notRegex(witness.stdout, /vlan (?!10,|20,)\d+/);
    const untagged = witness.stdout
      .split('\n')
      .filter((line) => /^\d\d:/.test(line) && !line.includes('vlan'));
    t.false(untagged.some((line) => / 10\.[12]0\.0\./.test(line)));
  });
}
