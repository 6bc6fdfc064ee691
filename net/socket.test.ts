import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import test from 'ava';
import type { Server, Socket } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';
import { CLIENT_V4, CLIENT_V6, SERVER_V4, SERVER_V6, type StackPair, stackPair } from './testing/pair.ts';

let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

/** Timers may fire so much before their time. */
const EARLY_MS = 5;

/** A listener on a port of its own. */
async function serve(onConnection: (socket: Socket) => void, allowHalfOpen = false): Promise<Server> {
  const server = await pair.server.listen({ port: 0, allowHalfOpen });
  server.on('connection', onConnection);
  return server;
}

function portOf(server: Server): number {
  return server.address()?.port ?? 0;
}

for (const [host, local, family] of [
  [SERVER_V4, CLIENT_V4, 'IPv4'],
  [SERVER_V6, CLIENT_V6, 'IPv6'],
] as const) {
  test(`echo over ${family}, and what net.Socket tells of itself`, async (t) => {
    await using server = await serve((peer) => peer.pipe(peer));
    const port = portOf(server);
    const events: string[] = [];
    const socket = pair.client.createConnection({ host, port }, () => events.push('listener'));
    for (const event of ['lookup', 'connect', 'ready', 'end', 'finish', 'close']) {
      socket.on(event, () => events.push(event));
    }
    t.true(socket.connecting);
    t.true(socket.pending);
    t.is(socket.readyState, 'opening');
    socket.write('kept until ');
    await once(socket, 'ready');
    t.false(socket.connecting);
    t.false(socket.pending);
    t.is(socket.readyState, 'open');
    t.is(socket.remoteAddress, host);
    t.is(socket.remotePort, port);
    t.is(socket.remoteFamily, family);
    t.is(socket.localAddress, local);
    t.deepEqual(socket.address(), { address: local, family, port: socket.localPort ?? 0 });
    t.false(socket.encrypted);
    t.true(socket.times.connectMs > 0);
    socket.end('connected');
    const [echoed] = await Promise.all([readAll(socket), once(socket, 'close')]);
    t.is(echoed.toString(), 'kept until connected');
    t.is(socket.bytesRead, 20);
    t.is(socket.bytesWritten, 20);
    t.is(socket.readyState, 'closed');
    t.deepEqual(events, ['listener', 'connect', 'ready', 'finish', 'end', 'close']);
  });
}

test('half-close: the answer comes after the own end', async (t) => {
  await using server = await serve(async (peer) => {
    const question = await readAll(peer);
    peer.end(`answer to ${question}`);
  }, true);
  const socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server), allowHalfOpen: true });
  socket.end('question');
  await once(socket, 'finish');
  t.is(socket.readyState, 'readOnly');
  t.is((await readAll(socket)).toString(), 'answer to question');
});

test('without allowHalfOpen the end of the peer is answered', async (t) => {
  const received = Promise.withResolvers<string>();
  await using server = await serve(async (peer) => {
    peer.end('bye');
    received.resolve((await readAll(peer)).toString());
  }, true);
  const socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server) });
  socket.write('hello');
  socket.resume();
  const [hadError] = await once(socket, 'close');
  t.false(hadError);
  t.true(socket.writableFinished);
  t.is(await received.promise, 'hello');
});

const BULK_BYTES = 10 * 1024 * 1024;
/** Send ring, receive ring, the streams' own buffers and chunks on their way. */
const BOUND_BYTES = 3 * 1024 * 1024;

test('backpressure: a slow reader stops the writer, and nothing is lost', async (t) => {
  const data = pattern(BULK_BYTES);
  const accepted = Promise.withResolvers<Socket>();
  await using server = await serve((peer) => {
    peer.pause();
    accepted.resolve(peer);
  });
  const socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server) });
  const peer = await accepted.promise;
  let taken = 0;
  const writing = pipeline(async function* () {
    for (let at = 0; at < data.length; at += 65_536) {
      taken = at + 65_536;
      yield data.subarray(at, taken);
    }
  }, socket);
  // the writer goes on until everything on the way is full, and stops there
  let before = -1;
  while (before !== taken) {
    before = taken;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  t.true(taken < BOUND_BYTES, `${taken} bytes taken of a reader that does not read`);
  t.true(peer.readableLength <= 2 * 65_536, `${peer.readableLength} bytes in the reader's buffer`);
  const received: Buffer[] = [];
  for await (const chunk of peer) {
    received.push(chunk as Buffer);
    t.true(peer.readableLength <= 3 * 65_536);
    if (received.length % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await writing;
  t.true(Buffer.concat(received).equals(data));
});

test('bulk in both directions at once', async (t) => {
  const data = pattern(4 * 1024 * 1024);
  await using server = await serve((peer) => peer.pipe(peer));
  const socket = await pair.client.connect({ host: SERVER_V6, port: portOf(server) });
  socket.end(data);
  t.true((await readAll(socket)).equals(data));
});

test('corked writes go out together, and in order', async (t) => {
  const received = Promise.withResolvers<Buffer>();
  await using server = await serve((peer) => void readAll(peer).then(received.resolve, received.reject));
  const socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server) });
  socket.cork();
  for (let i = 0; i < 1000; i++) socket.write(`${i},`);
  t.is(socket.bytesWritten, 3890);
  socket.uncork();
  socket.end();
  t.is((await received.promise).toString(), Array.from({ length: 1000 }, (_, i) => `${i},`).join(''));
  t.is(socket.bytesWritten, 3890);
});

test('end() loses nothing, however soon the socket is destroyed', async (t) => {
  const data = pattern(400_000);
  const received = Promise.withResolvers<Buffer>();
  await using server = await serve((peer) => void readAll(peer).then(received.resolve, received.reject));
  const socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server) });
  socket.write(data);
  socket.destroySoon();
  t.true((await received.promise).equals(data));
});

test('resetAndDestroy is a reset for the peer, destroy an end', async (t) => {
  const outcome = Promise.withResolvers<unknown>();
  await using server = await serve((peer) => {
    peer.resume();
    peer.on('error', outcome.resolve);
    peer.on('end', () => outcome.resolve('end'));
  });
  const first = await pair.client.connect({ host: SERVER_V4, port: portOf(server) });
  first.resetAndDestroy();
  const [hadError] = await once(first, 'close');
  t.false(hadError);
  t.like(await outcome.promise, { code: 'ECONNRESET', name: 'NetError', phase: 'transfer' });

  const ended = Promise.withResolvers<unknown>();
  await using other = await serve((peer) => {
    peer.resume();
    peer.on('error', ended.resolve);
    peer.on('end', () => ended.resolve('end'));
  });
  const second = await pair.client.connect({ host: SERVER_V4, port: portOf(other) });
  second.destroy();
  t.is(await ended.promise, 'end');
});

test('a peer that resets: error with code, then close with hadError', async (t) => {
  await using server = await serve((peer) => peer.once('data', () => peer.resetAndDestroy()));
  const socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server) });
  const order: string[] = [];
  socket.on('error', (error: NodeJS.ErrnoException) => order.push(`error ${error.code}`));
  socket.on('close', (hadError: boolean) => order.push(`close ${hadError}`));
  socket.write('go');
  await new Promise((resolve) => socket.once('close', resolve));
  t.deepEqual(order, ['error ECONNRESET', 'close true']);
});

test('destroyed with an error: the peer learns by a reset', async (t) => {
  const outcome = Promise.withResolvers<unknown>();
  await using server = await serve((peer) => {
    peer.resume();
    peer.on('error', outcome.resolve);
    peer.on('end', () => outcome.resolve('end'));
  });
  const socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server) });
  const own = new Error('a parser gave up');
  socket.on('error', (error) => t.is(error, own));
  socket.destroy(own);
  t.like(await outcome.promise, { code: 'ECONNRESET' });
});

test('a write that was waiting hears of the end', async (t) => {
  const accepted = Promise.withResolvers<Socket>();
  await using server = await serve((peer) => {
    peer.pause();
    accepted.resolve(peer);
  });
  const socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server) });
  const settled = new Promise((resolve) => socket.write(pattern(BULK_BYTES), resolve));
  const peer = await accepted.promise;
  socket.on('error', () => {});
  peer.resetAndDestroy();
  t.like(await settled, { code: 'ECONNRESET' });
  t.true(socket.destroyed);
});

test('timeout: emitted when quiet, put off by data, the socket stays open', async (t) => {
  await using server = await serve((peer) => peer.pipe(peer));
  const socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server), timeout: 400 });
  t.is(socket.timeout, 400);
  const startedAt = performance.now();
  let movedAt = startedAt;
  socket.on('data', () => {
    movedAt = performance.now();
  });
  // on a machine that stands still for so long the socket may be quiet in between, too
  socket.on('timeout', () => t.true(performance.now() - movedAt >= 400 - EARLY_MS));
  for (let i = 0; i < 10; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.write('not quiet');
  }
  await once(socket, 'timeout');
  t.true(performance.now() - startedAt >= 500 + 400 - EARLY_MS);
  t.false(socket.destroyed);
  socket.setTimeout(0);
  t.is(socket.timeout, 0);
  t.throws(() => socket.setTimeout(-1), { code: 'EINVAL' });
  socket.destroy();
});

test('await using sends what was written; disposing twice is one', async (t) => {
  const received = Promise.withResolvers<Buffer>();
  await using server = await serve((peer) => void readAll(peer).then(received.resolve, received.reject));
  let kept: Socket;
  {
    await using socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server) });
    socket.write('last words');
    kept = socket;
  }
  t.true(kept.destroyed);
  t.is((await received.promise).toString(), 'last words');
  await kept[Symbol.asyncDispose]();
  kept.destroy();
  await server[Symbol.asyncDispose]();
});

test('options on an open socket are taken', async (t) => {
  await using server = await serve((peer) => peer.pipe(peer));
  await using socket = await pair.client.connect({
    host: SERVER_V4,
    port: portOf(server),
    noDelay: true,
    keepAlive: { idleMs: 1000, intervalMs: 100, count: 3 },
  });
  t.is(socket.setNoDelay(false).setKeepAlive(true, 5000).setKeepAlive({ enable: false }), socket);
  t.is(socket.setTypeOfService(16).getTypeOfService(), 16);
});

test('async iteration and Web Streams work as for any Duplex', async (t) => {
  await using server = await serve((peer) => peer.pipe(peer));
  const socket = await pair.client.connect({ host: SERVER_V4, port: portOf(server) });
  const { Duplex } = await import('node:stream');
  const { readable, writable } = Duplex.toWeb(socket);
  const writer = writable.getWriter();
  await writer.write(new TextEncoder().encode('through the web'));
  await writer.close();
  let text = '';
  for await (const chunk of readable) text += new TextDecoder().decode(chunk as Uint8Array);
  t.is(text, 'through the web');
});
