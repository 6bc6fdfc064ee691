import { Worker } from 'node:worker_threads';
import test from 'ava';
import { createMemoryLink } from '../drivers/memory.ts';
import { ERRORS } from '../stack/errors.ts';
import { WOULD_BLOCK } from './channel.ts';
import type { EngineClient } from './client.ts';
import { type ConnectRequest, SharedSocket } from './shared-socket.ts';
import { SocketEvent, SocketStatus, SocketWord } from './socket-block.ts';
import { startEngine, startEngineSync } from './start.ts';
import { ECHO_PORT, echoBench } from './testing/echo-bench.ts';

function request(host: string, more: Partial<ConnectRequest> = {}): ConnectRequest {
  return { host, port: ECHO_PORT, protocol: 'tcp', timeoutMs: 5000, ...more };
}

function waitOpen(socket: SharedSocket): void {
  for (;;) {
    const sequence = socket.sendSequence;
    if (socket.status !== SocketStatus.Opening) return;
    if (!socket.sleepSend(sequence, 30_000)) throw new Error('no answer from the engine');
  }
}

function connect(client: EngineClient, host: string): SharedSocket {
  const socket = SharedSocket.connect(client, request(host));
  waitOpen(socket);
  socket.throwIfFailed();
  return socket;
}

function readSome(socket: SharedSocket, into: Uint8Array): number {
  for (;;) {
    const sequence = socket.recvSequence;
    const read = socket.read(into, 0, into.length);
    if (read !== WOULD_BLOCK) return read;
    if (!socket.sleepRecv(sequence, 30_000)) throw new Error('nothing came');
  }
}

/** Writes all of `data` and reads the same number of bytes, both at once. */
function exchange(socket: SharedSocket, data: Uint8Array): Uint8Array {
  const back = new Uint8Array(data.length);
  let written = 0;
  let read = 0;
  while (read < back.length) {
    const sequence = socket.recvSequence;
    const taken = written < data.length ? socket.write(data, written, data.length - written) : WOULD_BLOCK;
    if (taken > 0) written += taken;
    const got = socket.read(back, read, back.length - read);
    if (got === 0) throw new Error(`the stream ended after ${read} bytes`);
    if (got > 0) read += got;
    else if (taken === WOULD_BLOCK && !socket.sleepRecv(sequence, 30_000)) throw new Error('nothing came');
  }
  return back;
}

test('bytes travel both ways over IPv4 and IPv6, and the end follows the end', (t) => {
  const { client } = echoBench(t);
  for (const host of ['192.0.2.2', '2001:db8::2']) {
    const socket = connect(client, host);
    t.is(socket.remoteAddress?.toString(), host);
    t.is(socket.remotePort, ECHO_PORT);
    const data = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >> 8);
    t.deepEqual(Buffer.compare(exchange(socket, data), data), 0);
    socket.shutdown();
    t.throws(() => socket.write(data, 0, 1), { message: /shut down/ });
    t.is(readSome(socket, new Uint8Array(10)), 0);
    socket.release();
  }
});

test('what was written before a release still arrives', (t) => {
  const { client } = echoBench(t);
  const socket = connect(client, '192.0.2.2');
  const data = new Uint8Array(400_000).fill(5);
  let written = 0;
  while (written < data.length) written += Math.max(0, socket.write(data, written, data.length - written));
  const { index } = socket.block;
  socket.shutdown();
  // the echo comes back complete although the own direction is closed
  let read = 0;
  const into = new Uint8Array(65536);
  for (let n = readSome(socket, into); n > 0; n = readSome(socket, into)) read += n;
  t.is(read, data.length);
  socket.release();
  waitFor(() => client.arena.load((client.arena.blockOffset(index) >> 2) + SocketWord.Status) === 0);
  t.false(socket.isCurrent);
});

test('a refused connection, an unreachable network and a silent host each have their error', (t) => {
  const { client } = echoBench(t);
  const refused = SharedSocket.connect(client, request('192.0.2.2', { port: 9 }));
  waitOpen(refused);
  t.like(refused.block.error, { code: 'ECONNREFUSED', phase: 'connect', address: '192.0.2.2', port: 9 });
  const unreachable = SharedSocket.connect(client, request('198.51.100.1'));
  waitOpen(unreachable);
  t.like(unreachable.block.error, { tunwireCode: 'NETWORK_UNREACHABLE', phase: 'route' });
  const from = performance.now();
  const silent = SharedSocket.connect(client, request('192.0.2.99', { timeoutMs: 300 }));
  waitOpen(silent);
  const took = performance.now() - from;
  t.like(silent.block.error, { tunwireCode: 'TIMEOUT', code: 'ETIMEDOUT', phase: 'connect' });
  t.true(took > 250 && took < 20_000, `took ${took} ms`);
  for (const socket of [refused, unreachable, silent]) socket.release();
});

test('an aborted connection resets the peer and frees its block', (t) => {
  const { client } = echoBench(t);
  const socket = connect(client, '192.0.2.2');
  socket.abort();
  for (;;) {
    const sequence = socket.recvSequence;
    if (socket.status === SocketStatus.Closed) break;
    t.true(socket.sleepRecv(sequence, 5000));
  }
  socket.release();
  waitFor(() => !socket.isCurrent);
  t.pass();
});

test('stopping the engine ends a blocked read in another thread, and every later call', async (t) => {
  const { engine, client } = echoBench(t);
  const socket = connect(client, '192.0.2.2');
  const source = `
    import { workerData } from 'node:worker_threads';
    import { Arena } from ${JSON.stringify(new URL('./arena.ts', import.meta.url).href)};
    import { EngineClient } from ${JSON.stringify(new URL('./client.ts', import.meta.url).href)};
    import { SharedSocket } from ${JSON.stringify(new URL('./shared-socket.ts', import.meta.url).href)};
    const socket = SharedSocket.adopt(EngineClient.of(new Arena(workerData.memory)), workerData.index);
    const words = new Int32Array(workerData.flag);
    Atomics.store(words, 0, 1);
    for (;;) {
      const sequence = socket.recvSequence;
      try {
        if (socket.read(new Uint8Array(1), 0, 1) !== -1) break;
      } catch (error) {
        if (error.tunwireCode !== 'ENGINE_STOPPED') throw error;
        break;
      }
      if (!socket.sleepRecv(sequence, 10000)) throw new Error('never woken');
    }
  `;
  const flag = new SharedArrayBuffer(4);
  const reader = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { memory: engine.arena.memory, index: socket.block.index, flag },
  });
  const ended = new Promise<unknown>((resolve) => {
    reader.once('error', resolve);
    reader.once('exit', resolve);
  });
  waitFor(() => Atomics.load(new Int32Array(flag), 0) === 1);
  await engine.stop();
  t.is(await ended, 0);
  t.throws(() => SharedSocket.connect(client, request('192.0.2.2')), { message: /engine has stopped/ });
});

test('an engine with open connections stops as soon as the peer has acknowledged their ends', async (t) => {
  let fastest = Infinity;
  // the best of a few: the machine may be busy with other tests
  for (let i = 0; i < 5 && fastest >= 500; i++) {
    const { engine, client } = echoBench(t);
    connect(client, '192.0.2.2');
    connect(client, '2001:db8::2').release();
    const from = performance.now();
    await engine.stop();
    fastest = Math.min(fastest, performance.now() - from);
  }
  // the limit of one second is for peers that do not answer
  t.true(fastest < 500, `took ${fastest} ms`);
});

test('events reach the event loop of the thread that watches', async (t) => {
  const { client } = echoBench(t);
  const socket = SharedSocket.connect(client, request('192.0.2.2'));
  client.ref();
  const seen: number[] = [];
  const opened = new Promise<void>((resolve) => {
    socket.watch((events) => {
      seen.push(events);
      if ((events & SocketEvent.Opened) !== 0) resolve();
    });
    if (socket.status !== SocketStatus.Opening) resolve();
  });
  await opened;
  const readable = new Promise<void>((resolve) => {
    socket.watch((events) => {
      if ((events & SocketEvent.Readable) !== 0) resolve();
    });
  });
  t.is(socket.write(Uint8Array.of(1, 2, 3), 0, 3), 3);
  await readable;
  const into = new Uint8Array(8);
  t.is(socket.read(into, 0, 8), 3);
  t.deepEqual([...into.subarray(0, 3)], [1, 2, 3]);
  socket.release();
  client.unref();
});

test('a device that cannot be opened fails the start with its reason', async (t) => {
  await t.throwsAsync(startEngine({ device: 'tun:a-name-that-is-much-too-long', addresses: [] }), {
    name: 'NetError',
  });
  t.throws(() => startEngineSync({ device: 'pigeon:1', addresses: [] }), {
    message: /'tun:NAME'.*one end of a memory link or a port of a memory hub; got 'pigeon:1'/,
  });
  const [end] = createMemoryLink({});
  t.throws(() => startEngineSync({ device: end, addresses: ['nonsense'] }), { message: /nonsense/ });
  t.is(ERRORS.DEVICE_FAILED.number, 53);
});

test('two hundred connections one after the other use the same few blocks', (t) => {
  const { client } = echoBench(t);
  const used = new Set<number>();
  for (let i = 0; i < 200; i++) {
    const socket = connect(client, '192.0.2.2');
    used.add(socket.block.index);
    socket.shutdown();
    t.is(readSome(socket, new Uint8Array(1)), 0);
    socket.release();
    waitFor(() => !socket.isCurrent);
  }
  t.true(used.size < 20, `${used.size} blocks`);
});

/** For what has no event: the engine's own bookkeeping after a release. */
function waitFor(condition: () => boolean): void {
  const nap = new Int32Array(new SharedArrayBuffer(4));
  for (let i = 0; i < 5000 && !condition(); i++) Atomics.wait(nap, 0, 0, 1);
  if (!condition()) throw new Error('it never became true');
}

test('the engine counts what it does, and other threads read it', async (t) => {
  const { engine, client } = echoBench(t);
  const socket = connect(client, '192.0.2.2');
  const message = Buffer.alloc(1000, 'a');
  for (let i = 0; i < 20; i++) {
    socket.write(message, 0, message.length);
    for (let got = 0; got < message.length; ) got += readSome(socket, new Uint8Array(message.length));
  }
  socket.release();
  await engine.stop();
  const { counters } = client;
  t.deepEqual(JSON.parse(JSON.stringify(counters)), counters);
  t.true(counters.txPackets >= 22, 'SYN, twenty messages, FIN');
  t.true(counters.txBytes > 20 * (40 + message.length));
  t.true(counters.rxPackets >= 21);
  t.true(counters.rxBytes > 20 * (40 + message.length));
  t.deepEqual(
    Object.entries(counters).filter(([name, value]) => /Dropped/.test(name) && value !== 0),
    [],
  );
  t.true(counters.turns >= counters.rxBatches && counters.rxBatches > 0);
  t.true(counters.commandBatches > 0);
  t.true(counters.sleeps > 0 && counters.systemCalls >= counters.sleeps);
  t.true(counters.wakeUps > 0);
  t.true(counters.asleepMs > 0 && counters.workingMs > 0);
});
