import { once } from 'node:events';
import { BlockList, type LookupFunction } from 'node:net';
import test from 'ava';
import type { Server } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';
import { CLIENT_V4, SERVER_V4, SERVER_V6, type StackPair, stackPair } from './testing/pair.ts';

// What net.Socket's constructor and connect take, and what becomes of sockets that are used as programs for Node use them.

let pair: StackPair;
let server: Server;
let port = 0;
test.before(async () => {
  pair = await stackPair();
  server = await pair.server.listen({ port: 0 });
  server.on('connection', (peer) => peer.on('error', () => {}).pipe(peer));
  port = server.address()?.port ?? 0;
});
test.after.always(() => pair.close());

test('a socket connects again when its connection is over, and begins anew', async (t) => {
  const socket = pair.client.socket();
  for (const text of ['first', 'the second']) {
    socket.connect(port, SERVER_V4);
    t.true(socket.connecting && !socket.destroyed);
    t.is(socket.bytesRead, 0);
    socket.write(text);
    const [echo] = await once(socket, 'data');
    t.is(String(echo), text);
    t.is(socket.bytesRead, text.length);
    t.is(socket.bytesWritten, text.length);
    t.deepEqual(socket.autoSelectFamilyAttemptedAddresses, [`${SERVER_V4}:${port}`]);
    t.throws(() => socket.connect(port, SERVER_V4), { code: 'EINVAL', message: /in use/ });
    socket.end();
    await once(socket, 'close');
  }
  // after a failure as well
  socket.connect(9, SERVER_V4);
  const [refused] = await once(socket, 'error');
  t.is(refused.code, 'ECONNREFUSED');
  await new Promise((resolve) => setImmediate(resolve));
  socket.connect(port, SERVER_V4);
  await once(socket, 'connect');
  socket.resetAndDestroy();
});

test('a signal of the constructor or of connect destroys the socket, before and after', async (t) => {
  for (const isAborted of [true, false]) {
    for (const place of ['constructor', 'connect'] as const) {
      const controller = new AbortController();
      const { signal } = controller;
      if (isAborted) controller.abort();
      const socket = pair.client.socket(place === 'constructor' ? { signal } : {});
      const closed = once(socket, 'close');
      if (place === 'connect') socket.connect({ host: SERVER_V4, port, signal });
      controller.abort();
      const error = await t.throwsAsync(closed);
      t.like(error, { name: 'AbortError', code: 'ABORT_ERR' }, `${place}, ${isAborted}`);
      t.true(socket.destroyed);
    }
  }
});

test('lookup: addresses of a function of the application, all of them tried', async (t) => {
  const asked: unknown[] = [];
  const lookup: LookupFunction = (host, options, callback) => {
    asked.push([host, options.all, options.family]);
    const nobody = { address: '198.51.100.9', family: 4 };
    process.nextTick(callback, null, [nobody, { address: SERVER_V6, family: 6 }]);
  };
  const socket = pair.client.createConnection({ host: 'device.test', port, lookup });
  const seen: unknown[] = [];
  socket.on('lookup', (...what) => seen.push(what));
  t.true(socket.connecting && socket.pending);
  socket.write('kept until then');
  const [echo] = await once(socket, 'data');
  t.is(String(echo), 'kept until then');
  t.deepEqual(asked, [['device.test', true, 0]]);
  t.is(socket.remoteAddress, SERVER_V6);
  t.true(socket.times.resolveMs >= 0);
  t.deepEqual(seen, [
    [null, '198.51.100.9', 4, 'device.test'],
    [null, SERVER_V6, 6, 'device.test'],
  ]);
  socket.destroy();
  // one address, as functions give it that know no `all`
  const one: LookupFunction = (_host, _options, callback) => callback(null, SERVER_V4, 4);
  await using second = await pair.client.connect({ host: 'device.test', port, lookup: one });
  t.is(second.remoteAddress, SERVER_V4);
});

test('lookup: its error is the error; what it gives is checked; an end while it works; a limit', async (t) => {
  const failure = Object.assign(new Error('no such device'), { code: 'ENOTFOUND' });
  const failing: LookupFunction = (_host, _options, callback) => callback(failure, '');
  const failed = pair.client.createConnection({ host: 'device.test', port, lookup: failing });
  const looked = once(failed, 'lookup');
  const error = await t.throwsAsync(once(failed, 'connect'));
  t.is(error, failure);
  t.deepEqual(await looked, [failure, undefined, undefined, 'device.test']);
  const wrong: LookupFunction = (_host, _options, callback) => callback(null, 'device', 4);
  const connecting = pair.client.connect({ host: 'device.test', port, lookup: wrong });
  t.like(await t.throwsAsync(connecting), { code: 'EINVAL', phase: 'resolve' });
  let answer = (): void => {};
  const slow: LookupFunction = (_host, _options, callback) => {
    answer = () => callback(null, SERVER_V4, 4);
  };
  const gone = pair.client.createConnection({ host: 'device.test', port, lookup: slow });
  const closed = once(gone, 'close');
  gone.destroy();
  answer();
  await closed;
  t.is(gone.remoteAddress, undefined);
  const late = pair.client.connect({ host: 'device.test', port, lookup: slow, timeoutMs: 1 });
  t.like(await t.throwsAsync(late), { code: 'ETIMEDOUT', phase: 'resolve' });
});

test('blockList: blocked addresses are left out, and an error when there is no other', async (t) => {
  const blockList = new BlockList();
  blockList.addSubnet('192.0.2.0', 24);
  const lookup: LookupFunction = (_host, _options, callback) =>
    callback(null, [
      { address: SERVER_V4, family: 4 },
      { address: SERVER_V6, family: 6 },
    ]);
  await using socket = await pair.client.connect({ host: 'device.test', port, lookup, blockList });
  t.is(socket.remoteAddress, SERVER_V6);
  t.deepEqual(socket.autoSelectFamilyAttemptedAddresses, [`${SERVER_V6}:${port}`]);
  const blocked = pair.client.connect({ host: SERVER_V4, port, blockList });
  await t.throwsAsync(blocked, { code: 'EACCES', message: /192\.0\.2\.2 is in the block list/ });
});

test('onread: data goes to one buffer, pauses on request, and the end comes as ever', async (t) => {
  const data = pattern(200_000);
  const got: Buffer[] = [];
  const buffer = Buffer.alloc(10_000);
  let pauses = 0;
  const socket = pair.client.createConnection({
    host: SERVER_V4,
    port,
    onread: {
      buffer,
      callback(bytes, filled): boolean {
        t.is(filled, buffer);
        got.push(Buffer.from(filled.subarray(0, bytes)));
        if (got.length !== 3) return true;
        pauses++;
        setImmediate(() => socket.resume());
        return false;
      },
    },
  });
  socket.on('data', () => t.fail('data goes elsewhere'));
  socket.end(data);
  await once(socket, 'end');
  t.true(Buffer.concat(got).equals(data));
  t.is(pauses, 1);
  t.is(socket.bytesRead, data.length);
  // a function gives a buffer for each time
  const buffers: Uint8Array[] = [];
  const another = pair.client.createConnection({
    host: SERVER_V4,
    port,
    onread: { buffer: () => new Uint8Array(4), callback: (_bytes, filled) => buffers.push(filled) > 0 },
  });
  another.end('12345678');
  await once(another, 'end');
  t.is(Buffer.concat(buffers).toString(), '12345678');
  t.true(new Set(buffers).size > 1);
});

test('highWaterMark, and ports as text', async (t) => {
  const options = { host: SERVER_V4, port: String(port) as unknown as number, highWaterMark: 1000 };
  const socket = pair.client.createConnection(options);
  t.is(socket.readableHighWaterMark, 1000);
  t.is(socket.writableHighWaterMark, 1000);
  await once(socket, 'connect');
  t.is(socket.remotePort, port);
  socket.destroy();
  for (const path of ['/run/server.sock', { path: '/run/server.sock' }] as unknown as string[]) {
    t.throws(() => pair.client.socket().connect(path), { code: 'EINVAL', message: /no UNIX sockets/ });
  }
  for (const wrong of ['', ' ', '80x', 65_536, 1.5, null]) {
    t.throws(() => pair.client.socket().connect({ port: wrong as number }), { code: 'ERR_SOCKET_BAD_PORT' });
  }
});

test('who writes after the end of the other side has ended this one gets EPIPE', async (t) => {
  await using short = await pair.server.listen({ port: 0 });
  short.on('connection', (peer) => peer.on('error', () => {}).end());
  const socket = pair.client.createConnection({ host: SERVER_V4, port: short.address()?.port ?? 0 });
  socket.resume().end();
  const failed = once(socket, 'error');
  const told = new Promise((resolve) => {
    socket.on('end', () => t.false(socket.write('late', resolve)));
  });
  t.like(await told, { code: 'EPIPE' });
  const [error] = await failed;
  t.regex(error.message, /ended by the other party/);
});

test('resetAndDestroy without a connection says so', async (t) => {
  const socket = pair.client.socket();
  const failed = once(socket, 'error');
  t.is(socket.resetAndDestroy(), socket);
  t.like((await failed)[0], { code: 'ENOTCONN' });
});

test.serial(
  'the type of service is in every packet, from the first on, without the bits of ECN',
  async (t) => {
    await using raw = await pair.server.rawSocket({ protocol: 6, wholePackets: true });
    const connected = pair.client.connect({ host: SERVER_V4, port, typeOfService: 0xb8 });
    const syn = await raw.receive();
    t.is(syn?.data[1], 0xb8);
    const socket = await connected;
    t.is(socket.getTypeOfService(), 0xb8);
    t.is(socket.setTypeOfService(0x13).getTypeOfService(), 0x10);
    socket.write('marked');
    for await (const { data, address } of raw) {
      if (address === CLIENT_V4 && data.includes('marked')) {
        t.is((data[1] ?? 0) & 0xfc, 0x10);
        break;
      }
    }
    for (const wrong of [-1, 256, 1.5, '16', undefined]) {
      t.throws(() => socket.setTypeOfService(wrong as number), { code: 'EINVAL' });
    }
    socket.end();
    await readAll(socket);
  },
);
