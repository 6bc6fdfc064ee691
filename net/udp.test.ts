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
  for await (const { data, address } of server) {
    t.is(address, CLIENT_V4);
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
