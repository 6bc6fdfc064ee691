import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openMemory } from '../drivers/memory.ts';
import { openPcap } from '../drivers/pcap-reader.ts';
import { Collector } from '../drivers/testing/packets.ts';
import { createMemoryLink, createStack, type EngineOptions, type NetStack, type Socket } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';

const PORT = 7000;
const BYTES = 2_000_000;
const resolver = { hostsFile: null };

interface Bed {
  readonly middle: NetStack;
  readonly left: NetStack;
  readonly right: NetStack;
}

/** A stack between two others, on a link to each. */
async function createBed(
  t: ExecutionContext,
  options: Partial<EngineOptions> = {},
  second: Partial<EngineOptions> = {},
): Promise<Bed> {
  const [a, b] = createMemoryLink();
  const [c, d] = createMemoryLink();
  const opened: NetStack[] = [];
  const start = async (each: EngineOptions): Promise<NetStack> => {
    const stack = await createStack({ resolver, ...each });
    opened.push(stack);
    return stack;
  };
  t.teardown(async () => {
    await Promise.all(opened.map((stack) => stack.close()));
  });
  return {
    left: await start({ device: a, addresses: ['10.1.0.1/24', 'fd01::1/64'] }),
    right: await start({ device: d, addresses: ['10.2.0.1/24', '10.9.0.1/32', 'fe80::9/64'] }),
    middle: await start({
      device: b,
      addresses: ['10.1.0.2/24', 'fd01::2/64'],
      interfaces: [
        { device: c, addresses: ['10.2.0.2/24', 'fe80::2/64'], gateways: ['10.2.0.1'], ...second },
      ],
      ...options,
    }),
  };
}

/** Other things go on. */
function turn(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}

/** Sends much to an echo on the other side, and reads it back. @returns the own address */
async function echo(t: ExecutionContext, from: NetStack, host: string, bytes = BYTES): Promise<string> {
  const socket = await from.connect({ host, port: PORT });
  const { localAddress } = socket;
  const data = pattern(bytes);
  socket.end(data);
  t.true((await readAll(socket)).equals(data), host);
  return String(localAddress);
}

async function listen(stack: NetStack): Promise<void> {
  const server = await stack.listen({ port: PORT });
  server.on('connection', (socket) => socket.pipe(socket));
}

test('two devices: routes choose, sources fit, both at the same time, in either direction', async (t) => {
  const { middle, left, right } = await createBed(t);
  for (const stack of [middle, left, right]) await listen(stack);
  const hosts = ['10.1.0.1', 'fd01::1', '10.2.0.1', '10.9.0.1'];
  t.deepEqual(await Promise.all(hosts.map((host) => echo(t, middle, host))), [
    '10.1.0.2',
    'fd01::2',
    '10.2.0.2',
    '10.2.0.2',
  ]);
  await Promise.all([echo(t, left, '10.1.0.2'), echo(t, right, '10.2.0.2')]);
  // RFC 1122 §3.3.4.2: an address is the interface's that has it
  t.is(await echo(t, middle, 'fe80::9%memory:0', 1000), 'fe80::2%memory:0');
  const { interface: first, interfaces, engine } = await middle.stats();
  t.deepEqual(
    interfaces.map(({ name, addresses }) => [name, addresses]),
    [
      ['memory:1', ['10.1.0.2/24', 'fd01::2/64']],
      ['memory:0', ['10.2.0.2/24', 'fe80::2/64']],
    ],
  );
  t.deepEqual(first, interfaces[0]);
  for (const { device } of interfaces) t.true(device!.rxBytes > BYTES && device!.txBytes > BYTES);
  t.is(engine.rxPackets <= interfaces[0]!.device!.rxPackets + interfaces[1]!.device!.rxPackets, true);
  const drops = /^tunwire_device_drops_total\{interface="memory:[01]",direction="tx",reason="down"\} 0$/gm;
  t.is((await middle.metrics()).match(drops)?.length, 2);
});

test('link-local peers are told with the interface that they are on, and so can be answered', async (t) => {
  const { middle, right } = await createBed(t);
  const onLink = { address: 'fe80::9%memory:0', localAddress: 'fe80::2%memory:0' };
  await using socket = await middle.udp();
  await using asking = await right.udp();
  const { port } = socket.address();
  const asked = once(socket, 'message');
  await asking.send('a question', port, 'fe80::2');
  const [, from] = await asked;
  t.like(from, onLink);
  const answered = once(asking, 'message');
  await socket.send('an answer', from.port, from.address);
  const [data, by] = await answered;
  t.is(String(data), 'an answer');
  // there is one interface only, and so nothing to tell
  t.like(by, { address: 'fe80::2', localAddress: 'fe80::9' });

  await using server = await middle.listen({ port: PORT, host: onLink.localAddress });
  t.is(server.address()?.address, onLink.localAddress);
  const connection = once(server, 'connection');
  await using client = await right.connect({ host: 'fe80::2', port: PORT });
  const [accepted] = (await connection) as [Socket];
  t.is(accepted.remoteAddress, onLink.address);
  t.is(accepted.localAddress, onLink.localAddress);
  t.is(client.remoteAddress, 'fe80::2');
  accepted.destroy();

  await using packets = await middle.rawSocket({ protocol: 253 });
  await using sender = await right.rawSocket({ protocol: 253 });
  const received = packets.receive();
  await sender.send('x', 'fe80::2');
  t.is((await received)?.address, onLink.address);
});

test('a device that is full does not hold up the other, and loses nothing', async (t) => {
  const [a, b] = createMemoryLink();
  const [c, d] = createMemoryLink({ queueBytes: 256 * 1024 });
  const left = await createStack({ device: a, addresses: ['10.1.0.1/24'], resolver });
  t.teardown(() => left.close());
  const far = openMemory(d);
  t.teardown(() => far.close());
  const middle = await createStack({
    device: b,
    addresses: ['10.1.0.2/24'],
    interfaces: [{ device: c, addresses: ['10.2.0.2/24'] }],
    resolver,
  });
  t.teardown(() => middle.close());
  await listen(left);
  const sender = await middle.udp();
  const count = 300;
  const sent = Array.from({ length: count }, () => sender.send('x'.repeat(1400), 9, '10.2.0.1'));
  while (middle.counters.txFull === 0) await turn();
  t.is(await echo(t, middle, '10.1.0.1'), '10.1.0.2');
  const got = new Collector(true);
  while (got.count < count) {
    far.receive(got, 64);
    await turn();
  }
  await Promise.all(sent);
});

test('each has its own impairments; a capture has both', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-several-devices-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'both.pcapng');
  const { middle, left, right } = await createBed(
    t,
    { capture: { file } },
    { impairments: { out: { lossPackets: [3] }, in: { delayMs: 1 } } },
  );
  await Promise.all([left, right].map(listen));
  await Promise.all([echo(t, middle, '10.1.0.1', 20_000), echo(t, middle, '10.2.0.1', 20_000)]);
  await middle.close();
  const comments: Set<string>[] = [new Set(), new Set()];
  const packets = [0, 0];
  const reader = openPcap(file);
  while (reader.next()) {
    const { iface, comment } = reader.frame;
    packets[iface]!++;
    if (comment.includes('impaired')) comments[iface]!.add(comment.replace(/\d+(\.\d+)? ms/, '… ms'));
  }
  reader.close();
  t.true(packets[0]! > 10 && packets[1]! > 10);
  t.is(comments[0]!.size, 0);
  t.true(comments[1]!.has('impaired: delayed … ms'));
  t.true([...comments[1]!].some((comment) => comment.includes('lost: its number is listed')));
});

test('devices with the same name are told apart; a wrong one keeps the stack from starting', async (t) => {
  const [a] = createMemoryLink();
  const [b] = createMemoryLink();
  const stack = await createStack({
    device: a,
    addresses: ['10.1.0.1/24'],
    interfaces: [{ device: b, addresses: ['10.2.0.1/24'] }],
    resolver,
  });
  t.deepEqual(
    (await stack.stats()).interfaces.map(({ name }) => name),
    ['memory:0', 'memory:0-2'],
  );
  await stack.close();
  const [c, far] = createMemoryLink();
  const closed = createStack({
    device: c,
    addresses: ['10.1.0.1/24'],
    interfaces: [{ device: 'nothing', addresses: [] }],
    resolver,
  });
  await t.throwsAsync(closed, { message: /a device is 'tun:NAME'/ });
  const other = await createStack({ device: far, addresses: ['10.1.0.2/24'], resolver });
  t.teardown(() => other.close());
  const datagrams = await other.udp({ port: 9 });
  await datagrams.send('nobody is there', 9, '10.1.0.1');
  await other.stats();
  while (other.counters.txDroppedDown === 0) await turn();
  t.is(other.counters.txDroppedDown, 1, 'the first device was closed');
  await t.throwsAsync(
    createStack({
      device: 'tun:none',
      addresses: [],
      engines: 2,
      interfaces: [{ device: 'tun:other', addresses: [] }],
      resolver,
    }),
    { message: /interfaces takes a single engine/ },
  );
});

test('the engine sleeps on both and is woken by either', async (t) => {
  const { middle, left, right } = await createBed(t);
  await listen(middle);
  const sockets = await Promise.all([
    left.connect({ host: '10.1.0.2', port: PORT }),
    right.connect({ host: '10.2.0.2', port: PORT }),
  ]);
  for (let i = 0; i < 20; i++) {
    const socket = sockets[i % 2]!;
    const { sleeps } = middle.counters;
    socket.write('hello');
    t.is(String((await once(socket, 'data'))[0]), 'hello');
    while (middle.counters.sleeps === sleeps) await turn();
  }
  for (const socket of sockets) socket.destroy();
});
