import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { CLIENT_V4, SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';

const PROTOCOL = 253;
let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

test("a raw socket's packets go to listeners, or wait for one; its end is told", async (t) => {
  const server = await pair.server.rawSocket({ protocol: PROTOCOL });
  await using client = await pair.client.rawSocket({ protocol: PROTOCOL });
  await client.send('early', SERVER_V4);
  const [data, from] = await once(server, 'message');
  t.is(String(data), 'early');
  t.deepEqual(from, { address: CLIENT_V4 });
  t.is(server.ref().unref().ref(), server);
  const closed = once(server, 'close');
  const waiting = server.receive();
  t.is(server.close(), server);
  await closed;
  t.is(await waiting, undefined);
  t.is(server.takeError(), null);
});

test('a signal ends UDP and raw sockets, and who waits there', async (t) => {
  for (const open of [
    (signal: AbortSignal) => pair.client.udp({ signal }),
    (signal: AbortSignal) => pair.client.rawSocket({ protocol: PROTOCOL, signal }),
  ]) {
    const controller = new AbortController();
    const socket = await open(controller.signal);
    const next = socket[Symbol.asyncIterator]().next();
    controller.abort();
    t.deepEqual(await next, { value: undefined, done: true });
    t.is(socket.close(), socket);
  }
});

test('an error that nobody has listened for is kept for takeError', async (t) => {
  await using socket = await pair.client.udp();
  // no route leads there
  await socket.send('x', 9, '198.51.100.1');
  let error = socket.takeError();
  for (; error === null; error = socket.takeError()) await setImmediate();
  t.is(error.code, 'ENETUNREACH');
  t.is(socket.takeError(), null);
});
