// needs: tun
import test from 'ava';
import { createLab, ETHERNET_NAME, joinByEthernet, PEER_V4, PEER_V6 } from '../test/netns.ts';
import { createStack, type NetStack } from './stack.ts';

test('checkAddresses: addresses that the kernel on the link has are refused, others are used', async (t) => {
  t.timeout(60_000);
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  const start = (addresses: readonly string[]): Promise<NetStack> =>
    own.within(() => createStack({ device: `raw:${ETHERNET_NAME}`, addresses, checkAddresses: true }));
  for (const [address, bits] of [
    [PEER_V4, 24],
    [PEER_V6, 64],
  ] as const)
    await t.throwsAsync(start([`${address}/${bits}`]), {
      code: 'EADDRINUSE',
      message: new RegExp(`another station on \\S+ has the address ${address}`),
    });
  await using stack = await start(['10.78.0.7/24', 'fd78::7/64']);
  await using socket = await stack.udp({ host: 'fd78::7' });
  t.is(socket.address().address, 'fd78::7');
  await peer.ok('ping', ['-c', '1', '-W', '10', '10.78.0.7']);
});
