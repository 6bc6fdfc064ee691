import test from 'ava';
import { createMemoryLink, createStack } from './index.ts';

test('ports: a connection, a server and a datagram socket get theirs of the ranges given', async (t) => {
  const [near, far] = createMemoryLink();
  const resolver = { hostsFile: null };
  await using server = await createStack({ device: far, addresses: ['192.0.2.2/24'], resolver });
  await using client = await createStack({
    device: near,
    addresses: ['192.0.2.1/24'],
    resolver,
    ports: { ephemeral: [50_000, 50_012], reserved: [50_000, 50_010] },
  });
  await using listener = await server.listen({ port: 7 });
  listener.on('connection', (peer) => peer.resume());
  const host = '192.0.2.2';
  await using chosen = await client.connect({ host, port: 7 });
  t.true([50_011, 50_012].includes(chosen.localPort ?? 0));
  await using kept = await client.connect({ host, port: 7, localPort: 'reserved' });
  t.is(kept.localPort, 50_010);
  await using given = await client.connect({ host, port: 7, localPort: 50_003 });
  t.is(given.localPort, 50_003);
  await using own = await client.listen({ port: 0 });
  t.true([50_011, 50_012].includes(own.address()?.port ?? 0));
  await using udp = await client.udp();
  t.true([50_011, 50_012].includes(udp.address().port));
});

test('ports that cannot be keep a stack from starting', async (t) => {
  const start = (ports: { ephemeral: readonly [number, number] }, device: string, engines = 1): unknown =>
    createStack({ device, addresses: ['192.0.2.1/24'], ports, engines });
  const link = createMemoryLink()[0];
  await t.throwsAsync(
    createStack({ device: link, addresses: ['192.0.2.1/24'], ports: { ephemeral: [9, 8] } }),
    {
      code: 'EINVAL',
      message: /ports\.ephemeral/,
    },
  );
  await t.throwsAsync(async () => start({ ephemeral: [1024, 65_535] }, 'tun:none', 2), {
    message: /from 49152 on/,
  });
});
