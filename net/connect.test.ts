import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import {
  connect,
  createMemoryLink,
  createStack,
  NetError,
  type NetStack,
  type Socket,
  NetStack as Stack,
  setDefaultStack,
} from './index.ts';
import { CLIENT_V4, NOBODY_V4, SERVER_V4, SERVER_V6, type StackPair, stackPair } from './testing/pair.ts';

let pair: StackPair;
/** Its name server is an address that nobody has. */
let lost: StackPair;
test.before(async () => {
  pair = await stackPair();
  lost = await stackPair({ servers: [NOBODY_V4], timeoutMs: 60_000 });
});
test.after.always(async () => {
  await pair.close();
  await lost.close();
});

/** A port on which connections are accepted and then nothing is said. */
async function silentPort(stack: NetStack): Promise<number> {
  const server = await stack.listen({ port: 0 });
  server.on('connection', (socket) => socket.on('error', () => {}).resume());
  return server.address()?.port ?? 0;
}

test('nobody listens: refused at once, with address, port and phase', async (t) => {
  for (const host of [SERVER_V4, SERVER_V6]) {
    const error = await t.throwsAsync(pair.client.connect({ host, port: 9 }), { instanceOf: NetError });
    t.like(error, { code: 'ECONNREFUSED', phase: 'connect', address: host, port: 9, name: 'NetError' });
  }
});

test('arguments that cannot be are refused before anything is sent', async (t) => {
  for (const port of [0, -1, 65_536, 1.5, Number.NaN]) {
    await t.throwsAsync(pair.client.connect({ host: SERVER_V4, port }), { code: 'ERR_SOCKET_BAD_PORT' });
  }
  const wrong = { host: SERVER_V4, port: 80, timeoutMs: -1 };
  await t.throwsAsync(pair.client.connect(wrong), { code: 'EINVAL' });
  await t.throwsAsync(pair.client.connect({ host: '', port: 80 }), { code: 'EINVAL' });
  const local = { host: SERVER_V4, port: 80, localAddress: 'here' };
  await t.throwsAsync(pair.client.connect(local), { code: 'EINVAL' });
  await t.throwsAsync(pair.client.connect({ host: SERVER_V4, port: 80, tls: { ca: 'no PEM' } }), {
    code: 'EINVAL',
    message: /tls\.ca holds no certificate/,
  });
});

test('a congestion control is chosen by name for a connection, and only one that there is', async (t) => {
  const server = await pair.server.listen({ port: 0 });
  server.on('connection', (socket) => socket.pipe(socket));
  const port = server.address()?.port ?? 0;
  for (const congestionControl of ['cubic', 'newreno', 'bbr', 'none'] as const) {
    const socket = await pair.client.connect({ host: SERVER_V4, port, congestionControl });
    const sent = Buffer.alloc(300_000, congestionControl);
    socket.end(sent);
    t.deepEqual(Buffer.concat(await socket.toArray()), sent);
  }
  const wrong = { host: SERVER_V4, port, congestionControl: 'vegas' as 'bbr' };
  await t.throwsAsync(pair.client.connect(wrong), { code: 'EINVAL', message: /cubic, newreno, bbr, none/ });
  server.close();
});

test('how connections send is chosen for a stack, and for a connection', async (t) => {
  const [near, far] = createMemoryLink();
  await using there = await createStack({ device: far, addresses: [`${SERVER_V4}/24`] });
  const common = { device: near, addresses: [`${CLIENT_V4}/24`] };
  await t.throwsAsync(createStack({ ...common, ecn: 'maybe' as 'off' }), {
    code: 'EINVAL',
    message: /ecn is one of off, passive, active, got maybe/,
  });
  await using here = await createStack({ ...common, ecn: 'active', congestionControl: 'newreno' });
  await using server = await there.listen({ port: 0 });
  server.on('connection', (socket) => socket.pipe(socket));
  const to = { host: SERVER_V4, port: server.address()?.port ?? 0 };
  await using first = await here.connect(to);
  t.like(await first.info(), { ecn: true, congestion: 'newreno' });
  const options = { ecn: 'off', nagle: 'short', windowValidation: 'preserve', pacing: true } as const;
  await using second = await here.connect({ ...to, ...options, congestionControl: 'cubic' });
  t.like(await second.info(), { ecn: false, congestion: 'cubic' });
  const sent = Buffer.alloc(300_000, 'policy');
  second.end(sent);
  t.deepEqual(Buffer.concat(await second.toArray()), sent);
  await t.throwsAsync(here.connect({ ...to, nagle: 'off' as 'short' }), {
    code: 'EINVAL',
    message: /nagle is one of unacknowledged, short/,
  });
});

/** The stack is handed a packet that it was not handed yet. */
async function packetComes(stack: NetStack): Promise<void> {
  const { rxPackets } = stack.counters;
  while (stack.counters.rxPackets === rxPackets) await setImmediate();
}

const TIMEOUT_MS = 200;
/** Not how exact the timers are, but that the right one runs: a machine may be busy. */
const TOLERANCE_MS = 20_000;

for (const [phase, target] of [
  ['connect', async () => ({ stack: pair.client, host: NOBODY_V4, port: 80, tls: false })],
  ['resolve', async () => ({ stack: lost.client, host: 'device.test', port: 80, tls: false })],
  [
    'handshake',
    async () => ({ stack: pair.client, host: SERVER_V4, port: await silentPort(pair.server), tls: true }),
  ],
] as const) {
  test.serial(`a timeout while nobody answers: phase ${phase}`, async (t) => {
    const options = await target();
    const startedAt = performance.now();
    const error = await t.throwsAsync(connect({ ...options, timeoutMs: TIMEOUT_MS }), {
      instanceOf: NetError,
    });
    const tookMs = performance.now() - startedAt;
    t.is(error.phase, phase);
    t.is(error.tunwireCode, 'TIMEOUT');
    t.is(error.code, 'ETIMEDOUT');
    t.true(tookMs >= TIMEOUT_MS - 5 && tookMs < TIMEOUT_MS + TOLERANCE_MS, `${tookMs} ms`);
    if (phase === 'handshake')
      t.regex(error.message, /waited \d+ ms for the server's part of the TLS handshake/);
  });
}

test('aborted before: nothing is tried', async (t) => {
  const reason = new Error('changed my mind');
  const signal = AbortSignal.abort(reason);
  const error = await t.throwsAsync(pair.client.connect({ host: SERVER_V4, port: 80, signal }));
  t.like(error, { name: 'AbortError', code: 'ABORT_ERR', tunwireCode: 'CANCELLED', cause: reason });
});

test.serial('aborted while resolving, connecting, shaking hands', async (t) => {
  await using silent = await pair.server.listen({ port: 0 });
  const port = silent.address()?.port ?? 0;
  const helloCame = new Promise((resolve) => {
    silent.on('connection', (peer) => peer.on('error', () => {}).once('data', resolve));
  });
  for (const [phase, options, underWay] of [
    ['connect', { stack: lost.client, host: 'device.test', port: 80 }, packetComes(lost.server)],
    ['connect', { stack: pair.client, host: NOBODY_V4, port: 80 }, packetComes(pair.server)],
    ['handshake', { stack: pair.client, host: SERVER_V4, port, tls: true }, helloCame],
  ] as const) {
    const controller = new AbortController();
    const attempt = connect({ ...options, signal: controller.signal });
    const failed = t.throwsAsync(attempt);
    await underWay;
    controller.abort();
    t.like(await failed, { name: 'AbortError', code: 'ABORT_ERR', phase });
  }
});

test('aborted by AbortSignal.timeout: the reason is the cause', async (t) => {
  const signal = AbortSignal.timeout(50);
  const error = await t.throwsAsync(pair.client.connect({ host: NOBODY_V4, port: 80, signal }));
  t.like(error, { name: 'AbortError', cause: { name: 'TimeoutError' } });
});

test('aborted when open: the connection is reset', async (t) => {
  const peers = Promise.withResolvers<Socket>();
  await using server = await pair.server.listen({ port: 0 });
  server.on('connection', peers.resolve);
  const controller = new AbortController();
  const socket = await pair.client.connect({
    host: SERVER_V4,
    port: server.address()?.port ?? 0,
    signal: controller.signal,
  });
  const peer = await peers.promise;
  peer.resume();
  const failed = once(peer, 'error');
  socket.on('error', (error) => t.like(error, { name: 'AbortError', phase: 'transfer' }));
  controller.abort();
  t.true(socket.destroyed);
  const [error] = await failed;
  t.like(error, { code: 'ECONNRESET' });
});

test('a signal that outlives its connection does nothing', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  server.on('connection', (peer) => peer.pipe(peer));
  const controller = new AbortController();
  const port = server.address()?.port ?? 0;
  const socket = await pair.client.connect({ host: SERVER_V4, port, signal: controller.signal });
  socket.destroy();
  await once(socket, 'close');
  controller.abort();
  t.is(socket.errored, null);
});

test('resolve: literals, unknown names, and an aborted wait', async (t) => {
  t.deepEqual(await pair.client.resolve(SERVER_V6), [{ address: SERVER_V6, family: 6 }]);
  t.like(await t.throwsAsync(pair.client.resolve('device.test')), { phase: 'resolve' });
  const controller = new AbortController();
  const asked = packetComes(lost.server);
  const failed = t.throwsAsync(lost.client.resolve('device.test', { signal: controller.signal }));
  await asked;
  controller.abort();
  t.like(await failed, { name: 'AbortError', phase: 'resolve' });
});

test('the default stack: none, then the one that was set', async (t) => {
  const port = await silentPort(pair.server);
  await t.throwsAsync(connect({ host: SERVER_V4, port }), { code: 'ENODEV', message: /createStack/ });
  setDefaultStack(pair.client);
  const socket = await connect({ host: SERVER_V4, port });
  t.is(socket.localAddress, CLIENT_V4);
  setDefaultStack(null);
  socket.destroy();
});

test('an attached stack uses the engine and leaves it running', async (t) => {
  const port = await silentPort(pair.server);
  {
    await using attached = Stack.attach(pair.client.arena);
    await using socket = await attached.connect({ host: SERVER_V4, port });
    t.is(socket.remotePort, port);
  }
  await using again = await pair.client.connect({ host: SERVER_V4, port });
  t.is(again.remotePort, port);
});

test('a stack that closes: its sockets close, attempts end, and nothing starts any more', async (t) => {
  const own = await stackPair();
  const port = await silentPort(own.server);
  const socket = await own.client.connect({ host: SERVER_V4, port });
  const attempt = own.client.connect({ host: NOBODY_V4, port: 80 });
  const failed = t.throwsAsync(attempt, { code: 'ECONNABORTED' });
  await Promise.all([own.close(), once(socket, 'close'), failed]);
  t.is(socket.errored, null);
  await own.close();
  await t.throwsAsync(own.client.connect({ host: SERVER_V4, port }), { code: 'ENETDOWN' });
});
