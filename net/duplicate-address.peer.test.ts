// needs: tun
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout } from 'node:timers/promises';
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

test('somebody takes an address of a running stack: a channel and a warning tell who', async (t) => {
  t.timeout(60_000);
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  const stack = await own.within(() =>
    createStack({ device: `raw:${ETHERNET_NAME}`, addresses: ['10.78.0.7/24'] }),
  );
  t.teardown(() => stack.close());
  const [link] = JSON.parse(await peer.ok('ip', ['-j', 'link', 'show', ETHERNET_NAME])) as [
    { address: string },
  ];
  const told: unknown[] = [];
  const warned: string[] = [];
  const onWarning = (warning: Error): unknown => warned.push(`${warning.name} ${warning.message}`);
  const listen = (message: unknown): void => {
    const { arena, ...conflict } = message as { arena: unknown };
    t.is(arena, stack.arena);
    told.push(conflict);
  };
  process.on('warning', onWarning);
  subscribe('tunwire:engine:address-conflict', listen);
  t.teardown(() => {
    process.off('warning', onWarning);
    unsubscribe('tunwire:engine:address-conflict', listen);
  });
  // the kernel asks for our neighbours in the name of the address, and again: one telling in ten seconds
  await peer.ok('ip', ['address', 'add', '10.78.0.7/24', 'dev', ETHERNET_NAME]);
  for (const to of ['10.78.0.8', '10.78.0.9'])
    await peer.run('ping', ['-c', '1', '-W', '1', '-I', '10.78.0.7', to]);
  const deadline = Date.now() + 10_000;
  while (told.length < 1 && Date.now() < deadline) await setTimeout(10);
  const common = { interface: ETHERNET_NAME, linkAddress: link.address };
  t.deepEqual(told, [{ ...common, address: '10.78.0.7' }]);
  t.regex(
    warned[0] ?? '',
    new RegExp(`AddressConflictWarning ${link.address} on ${ETHERNET_NAME} uses 10.78.0.7`),
  );
});
