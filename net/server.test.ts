import { once } from 'node:events';
import test from 'ava';
import { readAll } from './testing/consume.ts';
import { CLIENT_V4, NOBODY_V4, SERVER_V4, SERVER_V6, type StackPair, stackPair } from './testing/pair.ts';

let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

test('a server can be iterated; leaving the loop closes it', async (t) => {
  const server = await pair.server.listen({ port: 0, host: SERVER_V4 });
  const { port, address, family } = server.address() ?? { port: 0, address: '', family: '' };
  t.deepEqual([address, family], [SERVER_V4, 'IPv4']);
  t.true(server.listening);
  const words = ['first', 'second', 'third'];
  for (const word of words) {
    void pair.client.connect({ host: SERVER_V4, port }).then((socket) => socket.end(word));
  }
  const heard: string[] = [];
  for await (const socket of server) {
    t.is(socket.remoteAddress, CLIENT_V4);
    t.is(socket.localPort, port);
    heard.push((await readAll(socket)).toString());
    if (heard.length === words.length) break;
  }
  t.deepEqual(heard.sort(), words.sort());
  t.false(server.listening);
  t.is(server.address(), null);
  await t.throwsAsync(pair.client.connect({ host: SERVER_V4, port }), { code: 'ECONNREFUSED' });
});

test('connections wait until somebody takes them', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  const port = server.address()?.port ?? 0;
  t.is(server.address()?.address, '::');
  const socket = await pair.client.connect({ host: SERVER_V6, port });
  socket.write('early');
  const connection = once(server, 'connection');
  const [peer] = await connection;
  const [data] = await once(peer, 'data');
  t.is(String(data), 'early');
});

test('a port twice, an address that is not ours, and aborted signals fail', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  const port = server.address()?.port ?? 0;
  await t.throwsAsync(pair.server.listen({ port }), { code: 'EADDRINUSE' });
  await t.throwsAsync(pair.server.listen({ port: 0, host: NOBODY_V4 }), { code: 'EADDRNOTAVAIL' });
  await t.throwsAsync(pair.server.listen({ port: 65_536 }), { code: 'ERR_SOCKET_BAD_PORT' });
  await t.throwsAsync(pair.server.listen({ port: 0, signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('an iteration that waits ends with the server; close runs its callbacks once each', async (t) => {
  const controller = new AbortController();
  const server = await pair.server.listen({ port: 0, signal: controller.signal });
  const waiting = server[Symbol.asyncIterator]().next();
  const closed = once(server, 'close');
  controller.abort();
  t.deepEqual(await waiting, { value: undefined, done: true });
  await closed;
  let calls = 0;
  server.close(() => calls++).close(() => calls++);
  await new Promise((resolve) => setImmediate(resolve));
  t.is(calls, 2);
  for await (const socket of server) t.fail(`a connection from ${socket.remoteAddress}`);
});
