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

test("port 'any': every port that no other server has, as a connection says", async (t) => {
  const own = await stackPair();
  t.teardown(() => own.close());
  await using specific = await own.server.listen({ port: 80 });
  specific.on('connection', (peer) => peer.end('the specific one'));
  const any = await own.server.listen({ port: 'any' });
  any.on('connection', (peer) => peer.end(`port ${peer.localPort}`));
  t.deepEqual(any.address(), { address: '::', family: 'IPv6', port: 0 });
  const answerOf = async (port: number, host = SERVER_V4): Promise<string> =>
    (await readAll(await own.client.connect({ host, port }))).toString();
  for (const port of [1, 79, 81, 49_152, 65_535]) t.is(await answerOf(port), `port ${port}`);
  t.is(await answerOf(443, SERVER_V6), 'port 443');
  t.is(await answerOf(80), 'the specific one');
  // a port that has become somebody's
  const later = await own.server.listen({ port: 81 });
  later.on('connection', (peer) => peer.end('the later one'));
  t.is(await answerOf(81), 'the later one');
  later.close();
  await once(later, 'close');
  await t.throwsAsync(own.server.listen({ port: 'any' }), {
    code: 'EADDRINUSE',
    message: /somebody listens on all ports/,
  });
  t.true((await own.server.sockets()).some(({ state, localPort }) => state === 'LISTEN' && localPort === 0));
  // what the stack itself connects to, or from, is not touched
  await using back = await own.client.listen({ port: 9 });
  back.on('connection', (peer) => peer.end('back'));
  const socket = await own.server.connect({ host: CLIENT_V4, port: 9, localPort: 1000 });
  t.is(String(await readAll(socket)), 'back');
  any.close();
  await once(any, 'close');
  await t.throwsAsync(own.client.connect({ host: SERVER_V4, port: 443 }), { code: 'ECONNREFUSED' });
  t.is(await answerOf(80), 'the specific one');
});
