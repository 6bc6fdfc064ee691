import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { createMemoryHub, createStack, type NetStack } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';

const PORT = 7;

function addressOf(port: number): string {
  return `198.51.100.${port + 1}`;
}

async function createStacks(t: { teardown(clean: () => Promise<void>): void }): Promise<NetStack[]> {
  const stacks: NetStack[] = [];
  t.teardown(async () => {
    for (const stack of stacks) await stack.close();
  });
  for (const device of createMemoryHub({ ports: 4 })) {
    const addresses = [`${addressOf(device.port)}/24`];
    stacks.push(await createStack({ device, addresses, resolver: { hostsFile: null } }));
  }
  return stacks;
}

test('four stacks on one hub: each connects to each', async (t) => {
  const stacks = await createStacks(t);
  const data = pattern(100_000);
  for (const stack of stacks) {
    const server = await stack.listen({ port: PORT });
    server.on('connection', (socket) => socket.pipe(socket));
  }
  const talks = stacks.flatMap((stack, from) =>
    stacks.map(async (_, to) => {
      if (from === to) return;
      const socket = await stack.connect({ host: addressOf(to), port: PORT });
      socket.end(data);
      t.true((await readAll(socket)).equals(data), `${from} to ${to}`);
    }),
  );
  await Promise.all(talks);
});

test('a broadcast reaches all others', async (t) => {
  const stacks = await createStacks(t);
  const heard = stacks.slice(1).map(async (stack) => {
    const socket = await stack.udp({ port: PORT });
    const { value } = await socket[Symbol.asyncIterator]().next();
    return `${value?.address} ${value?.data}`;
  });
  const sender = await stacks[0]!.udp({ broadcast: true });
  // what comes before a socket is open is lost: said again until all have heard it
  const again = setInterval(() => void sender.send('hello', PORT, '255.255.255.255'), 20);
  t.deepEqual(await Promise.all(heard), Array(3).fill(`${addressOf(0)} hello`));
  clearInterval(again);
});

test('a capture is a device: what its datagrams say is received', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'a.pcapng');
  const [near, far] = createMemoryHub({ ports: 2 });
  const addresses = [`${addressOf(1)}/24`];
  const listener = await createStack({ device: far!, addresses });
  const sender = await createStack({ device: near!, addresses: [`${addressOf(0)}/24`], capture: { file } });
  const from = await sender.udp();
  await using to = await listener.udp({ port: PORT });
  const words = to[Symbol.asyncIterator]();
  for (const word of ['one', 'two', 'three']) {
    await from.send(word, PORT, addressOf(1));
    t.is(String((await words.next()).value?.data), word);
  }
  await sender.close();
  await listener.close();
  const stack = await createStack({ device: `pcap:${file}`, addresses });
  t.teardown(() => stack.close());
  // the same three packets, at the distances they were recorded with
  while (stack.counters.rxPackets < 3) await setTimeout(5);
  t.is(stack.counters.rxDroppedNotIp, 0);
  await t.throwsAsync(createStack({ device: 'pcap:/none', addresses }), {
    message: /cannot read the capture \/none/,
  });
});
