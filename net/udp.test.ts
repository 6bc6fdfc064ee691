import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import type { UdpSocket } from './index.ts';
import { pattern } from './testing/consume.ts';
import { CLIENT_V4, CLIENT_V6, SERVER_V4, SERVER_V6, type StackPair, stackPair } from './testing/pair.ts';

let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

async function echoServer(): Promise<UdpSocket> {
  const socket = await pair.server.udp();
  socket.on('message', (data, from) => void socket.send(data, from.port, from.address));
  return socket;
}

for (const [server, client] of [
  [SERVER_V4, CLIENT_V4],
  [SERVER_V6, CLIENT_V6],
] as const) {
  test(`datagrams of all sizes there and back: ${server}`, async (t) => {
    await using echo = await echoServer();
    await using socket = await pair.client.udp({ host: client });
    t.is(socket.address().address, client);
    const { port } = echo.address();
    const answers = socket[Symbol.asyncIterator]();
    // empty, one, the largest of one packet, and such as are cut into fragments
    for (const lengthBytes of [0, 1, 1452, 1473, 8000, 60_000]) {
      const data = pattern(lengthBytes);
      await socket.send(data, port, server);
      const { value } = await answers.next();
      t.is(value?.address, server);
      t.is(value?.port, port);
      t.true(value?.data.equals(data), `${lengthBytes} bytes`);
    }
  });
}

test('datagrams wait for a listener', async (t) => {
  await using server = await pair.server.udp();
  await using socket = await pair.client.udp();
  const { rxPackets } = pair.server.counters;
  await socket.send('one', server.address().port, SERVER_V4);
  await socket.send('two', server.address().port, SERVER_V4);
  while (pair.server.counters.rxPackets < rxPackets + 2) await setImmediate();
  const heard: string[] = [];
  for await (const { data, address, localAddress } of server) {
    t.is(address, CLIENT_V4);
    t.is(localAddress, SERVER_V4);
    heard.push(data.toString());
    if (heard.length === 2) break;
  }
  t.deepEqual(heard, ['one', 'two']);
  await t.throwsAsync(server.send('late', 1, CLIENT_V4), { code: 'ENOTCONN' });
});

test('more at once than fits waits for room, and goes out in order', async (t) => {
  await using socket = await pair.client.udp();
  const sends = Array.from({ length: 40 }, () => socket.send(pattern(60_000), 9, SERVER_V4));
  await t.notThrowsAsync(Promise.all(sends));
});

test('what cannot be sent is refused', async (t) => {
  await using socket = await pair.client.udp();
  await t.throwsAsync(socket.send(pattern(65_508), 9, SERVER_V4), { code: 'EMSGSIZE' });
  await t.throwsAsync(socket.send('x', 0, SERVER_V4), { code: 'ERR_SOCKET_BAD_PORT' });
  await t.throwsAsync(socket.send('x', 9, 'device.test'), { code: 'EINVAL' });
  const { port } = socket.address();
  await t.throwsAsync(pair.client.udp({ port }), { code: 'EADDRINUSE' });
});

test('a signal closes the socket; closing twice is one', async (t) => {
  const controller = new AbortController();
  const socket = await pair.client.udp({ signal: controller.signal });
  const waiting = socket[Symbol.asyncIterator]().next();
  const closed = once(socket, 'close');
  controller.abort();
  t.deepEqual(await waiting, { value: undefined, done: true });
  await closed;
  t.is(socket.close(), socket);
  await t.throwsAsync(pair.client.udp({ signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('multicast: joined, heard, left; settings hold for what is sent after them', async (t) => {
  await using server = await pair.server.udp({ reuseAddr: true });
  const { port } = server.address();
  await using second = await pair.server.udp({ port, reuseAddr: true });
  await using socket = await pair.client.udp();
  for (const [group, own] of [
    ['239.1.2.3', SERVER_V4],
    ['ff05::1:2', SERVER_V6],
  ] as const) {
    await server.addMembership(group);
    await second.addMembership(group, own);
    await socket.setMulticastTTL(4);
    await socket.setMulticastLoopback(false);
    const heard = Promise.all([once(server, 'message'), once(second, 'message')]);
    await socket.send('all', port, group);
    for (const [data, from] of await heard) {
      t.is(String(data), 'all');
      t.is(from.localAddress, group);
    }
    await second.dropMembership(group, own);
    await t.throwsAsync(second.dropMembership(group), { code: 'EADDRNOTAVAIL' });
    await t.throwsAsync(server.addMembership(group), { code: 'EADDRINUSE' });
  }
  await server.addSourceSpecificMembership(CLIENT_V4, '232.1.1.1');
  await socket.setMulticastInterface(CLIENT_V4);
  const heard = once(server, 'message');
  await socket.send('source', port, '232.1.1.1');
  t.is(String((await heard)[0]), 'source');
  await server.dropSourceSpecificMembership(CLIENT_V4, '232.1.1.1');
  await t.throwsAsync(server.addMembership(SERVER_V4), { code: 'EINVAL' });
  await t.throwsAsync(socket.setMulticastInterface(SERVER_V4), { code: 'EADDRNOTAVAIL' });
  await t.throwsAsync(socket.setMulticastTTL(256), { code: 'EINVAL' });
  await t.throwsAsync(socket.setTTL(0), { code: 'EINVAL' });
  await t.notThrowsAsync(socket.setTTL(9));
  await t.notThrowsAsync(socket.setBroadcast(true));
});

test('type of service: chosen for what is sent after it, told with what is received, the bits of ECN too', async (t) => {
  await using server = await pair.server.udp();
  await using socket = await pair.client.udp();
  const { port } = server.address();
  for (const host of [SERVER_V4, SERVER_V6]) {
    const heard: [string, number][] = [];
    const all = new Promise<void>((done) => {
      server.on('message', (data, { typeOfService }) => {
        if (heard.push([String(data), typeOfService]) === 3) done();
      });
    });
    await socket.setTypeOfService(0);
    await socket.send('plain', port, host);
    // expedited forwarding, ECT(1)
    await socket.setTypeOfService((46 << 2) | 1);
    await socket.send('marked', port, host);
    await socket.setTypeOfService(255);
    await socket.send('all', port, host);
    await all;
    t.deepEqual(heard, [
      ['plain', 0],
      ['marked', 0xb9],
      ['all', 255],
    ]);
    server.removeAllListeners('message');
  }
  await t.throwsAsync(socket.setTypeOfService(256), { code: 'EINVAL', message: /typeOfService/ });
  await t.throwsAsync(socket.setTypeOfService(-1), { code: 'EINVAL' });
});
