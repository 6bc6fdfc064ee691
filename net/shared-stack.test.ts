import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { connect, createMemoryLink, createStack } from './index.ts';
import { CLIENT_V4, NOBODY_V4, SERVER_V4, stackPair } from './testing/pair.ts';

test('a shared stack is found by this thread and by its workers, until it is closed', async (t) => {
  const [near, far] = createMemoryLink();
  await using server = await createStack({ device: far, addresses: [`${SERVER_V4}/24`] });
  await using listener = await server.listen({ port: 0 });
  listener.on('connection', (peer) => peer.pipe(peer));
  const port = listener.address()?.port ?? 0;
  const shared = await createStack({ device: near, addresses: [`${CLIENT_V4}/24`], shared: true });

  const socket = await connect({ host: SERVER_V4, port });
  t.is(socket.localAddress, CLIENT_V4);
  socket.destroy();

  const program = new URL('./testing/shared-program.ts', import.meta.url);
  const worker = new Worker(program, { workerData: port });
  t.deepEqual(await once(worker, 'message'), ['from a worker']);
  await once(worker, 'exit');

  await shared.close();
  await shared.close();
  await t.throwsAsync(connect({ host: SERVER_V4, port }), { code: 'ENODEV' });
});

test('when a stack ends, other threads hear of it, whatever they wait for', async (t) => {
  const own = await stackPair({ servers: [NOBODY_V4] });
  t.teardown(() => own.close());
  await using listener = await own.server.listen({ port: 0 });
  listener.on('connection', (peer) => peer.resume());
  const workerData = { memory: own.client.arena.memory, port: listener.address()?.port ?? 0 };
  const worker = new Worker(new URL('./testing/waiting-program.ts', import.meta.url), { workerData });
  t.deepEqual(await once(worker, 'message'), ['waiting']);
  const outcome = once(worker, 'message');
  await own.client.close();
  const [ways] = (await outcome) as [[string, string][]];
  t.is(ways.length, 9);
  for (const [way, code] of ways) t.is(code, 'ENGINE_STOPPED', way);
});
