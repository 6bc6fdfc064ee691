import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { createMemoryLink, createStack } from './index.ts';

interface Told {
  readonly arena: unknown;
  readonly interface: string;
  readonly ipOff: number;
  readonly bytes: Uint8Array;
  readonly missed?: number;
  readonly reason?: string;
}

test('tellPackets: every packet both ways, in order, and why one was dropped', async (t) => {
  const [near, far] = createMemoryLink();
  const resolver = { hostsFile: null };
  await using server = await createStack({ device: far, addresses: ['192.0.2.2/24'], resolver });
  await using client = await createStack({
    device: near,
    addresses: ['192.0.2.1/24'],
    resolver,
    tellPackets: true,
  });
  const told: [string, Told][] = [];
  const hear = (message: unknown, name: string | symbol): void => {
    const packet = message as Told;
    if (packet.arena === client.arena) told.push([String(name).replace('tunwire:stack:', ''), packet]);
  };
  const names = ['packet:in', 'packet:out', 'drop'].map((name) => `tunwire:stack:${name}`);
  for (const name of names) subscribe(name, hear);
  t.teardown(() => {
    for (const name of names) unsubscribe(name, hear);
  });
  const until = async (holds: () => boolean): Promise<void> => {
    for (let i = 0; i < 1000 && !holds(); i++) await setTimeout(10);
  };
  await using listener = await server.listen({ port: 7 });
  listener.on('connection', (peer) => peer.resume());
  await using socket = await client.connect({ host: '192.0.2.2', port: 7 });
  await until(() => told.length >= 3);
  // RFC 9293 figure 6: SYN, SYN-ACK, ACK
  t.deepEqual(
    told.slice(0, 3).map(([name, { bytes, ipOff }]) => [name, ipOff, bytes[33]]),
    [
      ['packet:out', 0, 0x02],
      ['packet:in', 0, 0x12],
      ['packet:out', 0, 0x10],
    ],
  );
  t.is(told[0]?.[1].bytes.length, (told[0]?.[1].bytes[3] ?? 0) + ((told[0]?.[1].bytes[2] ?? 0) << 8));
  t.is(told[0]?.[1].missed, 0);
  // a datagram that nobody takes
  await using udp = await server.udp();
  await udp.send('to nobody', 9999, '192.0.2.1');
  await until(() => told.some(([name]) => name === 'drop'));
  const drop = told.find(([name]) => name === 'drop')?.[1];
  t.is(drop?.reason, 'dropped: udp.dropNoPort');
  t.is(Buffer.from(drop?.bytes.subarray(28) ?? []).toString(), 'to nobody');
  socket.destroy();
});
