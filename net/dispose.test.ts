import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { CLIENT_V4, SERVER_V4, stackPair } from './testing/pair.ts';

test('everything that can be disposed of can be so twice, also at the same time, and after its stack', async (t) => {
  const pair = await stackPair();
  const server = await pair.server.listen({ port: 0 });
  server.on('connection', (peer) => peer.on('error', () => {}).resume());
  const port = server.address()?.port ?? 0;
  const { client } = pair;
  const ping = client.ping(SERVER_V4, { count: 1 });
  for await (const reply of ping) t.is(reply.outcome, 'reply');
  const all: AsyncDisposable[] = [
    ping,
    client.trace(SERVER_V4),
    await client.connect({ host: SERVER_V4, port }),
    // still connecting, and never connected
    client.createConnection({ host: SERVER_V4, port }),
    client.socket(),
    await client.listen({ port: 0, host: CLIENT_V4 }),
    await client.udp(),
    await client.rawSocket({ protocol: 253 }),
    (await client.connect({ host: SERVER_V4, port })).toWeb(),
    server,
    client,
    pair.server,
  ];
  for (const each of all) {
    await Promise.all([each[Symbol.asyncDispose](), each[Symbol.asyncDispose]()]);
    await each[Symbol.asyncDispose]();
  }
  for (const each of all) await each[Symbol.asyncDispose]();
  t.false(server.listening);
  await t.throwsAsync(client.connect({ host: SERVER_V4, port }), { code: 'ENETDOWN' });
});

test('what was written just before the stack is closed arrives', async (t) => {
  for (let round = 0; round < 8; round++) {
    const pair = await stackPair();
    const server = await pair.server.listen({ port: 0 });
    const received = new Promise<string>((resolve) => {
      server.on('connection', (peer) => {
        let text = '';
        peer.on('error', resolve).on('data', (data) => {
          text += String(data);
        });
        peer.on('end', () => resolve(text));
      });
    });
    const socket = await pair.client.connect({ host: SERVER_V4, port: server.address()?.port ?? 0 });
    // the engine is asleep by then
    await sleep(5);
    socket.end('the last words');
    await Promise.all([finished(socket, { readable: false }), pair.client.close()]);
    t.is(await received, 'the last words', `round ${round}`);
    await pair.server.close();
  }
});
