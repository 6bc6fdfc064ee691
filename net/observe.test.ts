import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import tls from 'node:tls';
import test from 'ava';
import { createMemoryLink, createStack, type NetError, type NetStack, VirtualClock } from './index.ts';
import { CLIENT_V4, NOBODY_V4, SERVER_V4, SERVER_V6, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';

let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

for (const host of [SERVER_V4, SERVER_V6]) {
  test(`ping ${host}: replies one by one, and all together`, async (t) => {
    const run = pair.client.ping(host, { count: 3, intervalMs: 1, payloadBytes: 1000 });
    const numbers: number[] = [];
    for await (const reply of run) {
      t.like(reply, { outcome: 'reply', from: host, ttl: 64, error: null });
      t.true((reply.rttMs ?? -1) >= 0);
      numbers.push(reply.number ?? 0);
    }
    t.deepEqual(numbers, [1, 2, 3]);
    t.is(run.address, host);
    t.like(run.statistics, { sent: 3, received: 3, timeouts: 0 });
    t.is((await pair.client.ping(host, { count: 2, intervalMs: 1 }).all()).length, 2);
  });
}

test('ping: nobody there, no route, wrong arguments, a name', async (t) => {
  const [reply] = await pair.client.ping(NOBODY_V4, { count: 1, timeoutMs: 20 }).all();
  t.like(reply, { outcome: 'timeout', from: null, rttMs: null });
  await t.throwsAsync(pair.client.ping('198.51.100.1').all(), { code: 'ENETUNREACH' });
  await t.throwsAsync(pair.client.ping(SERVER_V4, { count: 0 }).all(), { code: 'EINVAL', message: /count/ });
  await t.throwsAsync(pair.client.ping(SERVER_V4, { ttl: 256 }).all(), { code: 'EINVAL', message: /ttl/ });
  await t.throwsAsync(pair.client.ping('device.test').all(), { message: /device\.test/ });
});

test('ping without end: ended by leaving, by a signal, by close', async (t) => {
  const forever = { count: Number.POSITIVE_INFINITY, intervalMs: 1 };
  const left = pair.client.ping(SERVER_V4, forever);
  for await (const reply of left) if ((reply.number ?? 0) >= 5) break;
  t.true((left.statistics?.received ?? 0) >= 5);
  await t.throwsAsync(left.all(), { message: /once/ });
  const controller = new AbortController();
  const aborted = pair.client.ping(SERVER_V4, { ...forever, signal: controller.signal });
  const going = (async () => {
    for await (const reply of aborted) if (reply.number === 3) controller.abort();
  })();
  t.like(await t.throwsAsync(going), { name: 'AbortError', code: 'ABORT_ERR' });
  await using closed = pair.client.ping(SERVER_V4, forever);
  for await (const reply of closed) if (reply.number === 3) closed.close();
  closed.close();
  t.pass();
});

test('more results than fit on the way are all there', async (t) => {
  const replies: number[] = [];
  for await (const reply of pair.client.ping(SERVER_V4, { count: 300, intervalMs: 1 })) {
    replies.push(reply.number ?? 0);
    // a slow reader
    if (replies.length === 1) while (pair.client.counters.rxPackets < 300) await new Promise(setImmediate);
  }
  t.deepEqual(
    replies,
    Array.from({ length: 300 }, (_, i) => i + 1),
  );
});

test('trace: one hop to a neighbour, by datagrams and by echoes', async (t) => {
  for (const method of ['udp', 'icmp'] as const) {
    const hops = await pair.client.trace(SERVER_V4, { method, probesPerHop: 2 }).all();
    t.is(hops.length, 1);
    t.like(hops[0], { hop: 1, reached: true });
    t.deepEqual(
      hops[0]?.probes.map(({ from }) => from),
      [SERVER_V4, SERVER_V4],
    );
  }
  const signal = AbortSignal.abort();
  await t.throwsAsync(pair.client.trace(SERVER_V4, { signal }).all(), { name: 'AbortError' });
});

test('info of a connection, as both ends see it', async (t) => {
  await using server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  const accepted = once(server, 'connection');
  const socket = await pair.client.connect({
    host: SERVER_V4,
    port: server.address()?.port ?? 0,
    congestionControl: 'newreno',
  });
  const [peer] = await accepted;
  peer.resume();
  socket.end(Buffer.alloc(100_000));
  await once(peer, 'end');
  const info = await peer.info();
  t.is(info.bytesIn, 100_000);
  t.is(info.state, 'CLOSE-WAIT');
  t.like(await socket.info(), { congestion: 'newreno', bytesOut: 100_000 });
  const signal = AbortSignal.abort();
  t.like(await t.throwsAsync(socket.info({ signal })), { name: 'AbortError' });
  socket.destroy();
  await t.throwsAsync(socket.info(), { code: 'ENOTCONN' });
});

test('stats, the list of sockets, and metrics in the text format of Prometheus', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  await using udp = await pair.server.udp({ port: 5353 });
  const port = server.address()?.port ?? 0;
  const accepted = once(server, 'connection');
  await using socket = await pair.client.connect({ host: SERVER_V4, port });
  // the server has the acknowledgement of its SYN by then
  await accepted;
  const stats = await pair.server.stats();
  t.true((stats.layers['tcp']?.['segmentsIn'] ?? 0) >= 2);
  t.true(stats.engine.rxPackets >= 2);
  t.true(stats.interface.addresses.includes(`${SERVER_V4}/24`));
  t.true((stats.connections['ESTABLISHED'] ?? 0) >= 1);
  const sockets = await pair.server.sockets();
  const mine = sockets.filter(({ localPort }) => localPort === port);
  t.like(
    mine.find(({ state }) => state === 'LISTEN'),
    { protocol: 'tcp', localAddress: null, remoteAddress: null },
  );
  t.like(
    mine.find(({ state }) => state === 'ESTABLISHED'),
    { localAddress: SERVER_V4, remoteAddress: CLIENT_V4, remotePort: socket.localPort ?? 0 },
  );
  t.is(sockets.find(({ protocol, localPort }) => protocol === 'udp' && localPort === 5353)?.state, '');
  t.is(udp.address().port, 5353);
  const text = await pair.server.metrics();
  t.true(text.endsWith('\n'));
  const seen = new Set<string>();
  for (const line of text.trimEnd().split('\n')) {
    const sample = /^([a-z_]+)(\{[a-z]+="[^"]+"(?:,[a-z]+="[^"]+")*\})? \d+(\.\d+)?(e[+-]?\d+)?$/.exec(line);
    const comment = /^# (HELP [a-z_]+ .+|TYPE ([a-z_]+) (counter|gauge))$/.exec(line);
    t.true(sample !== null || comment !== null, line);
    // each metric has one TYPE line, before its samples
    if (comment?.[2] !== undefined) {
      t.false(seen.has(comment[2]), line);
      seen.add(comment[2]);
    }
    if (sample?.[1] !== undefined) t.true(seen.has(sample[1]), line);
  }
  t.regex(text, /^tunwire_tcp_drops_total\{reason="bad_offset"\} 0$/m);
  t.regex(text, /^tunwire_device_drops_total\{interface="[^"]+",direction="tx",reason="down"\} 0$/m);
  t.regex(text, /^tunwire_device_drops_total\{interface="[^"]+",direction="rx",reason="super_packet"\} 0$/m);
  t.regex(text, /^tunwire_tcp_connections\{state="ESTABLISHED"\} [1-9]/m);
  t.like(await t.throwsAsync(pair.server.stats({ signal: AbortSignal.abort() })), { name: 'AbortError' });
});

test.serial('diagnostics channels tell what happens to connections', async (t) => {
  const heard: string[] = [];
  const secrets: string[] = [];
  const note = (message: unknown, name: string | symbol): void => {
    heard.push(String(name).replace('tunwire:', ''));
    if (name === 'tunwire:tls:keylog') secrets.push((message as { line: string }).line);
  };
  const names = [
    'net:connect',
    'net:connected',
    'net:secured',
    'net:accepted',
    'net:closed',
    'net:resolved',
    'tls:keylog',
  ];
  for (const name of names) subscribe(`tunwire:${name}`, note);
  const identity = makeIdentity();
  const listener = await pair.server.listen({ port: 0, allowHalfOpen: true });
  const secure = tls.createServer(identity, (peer) => peer.end('bye'));
  listener.on('connection', (peer) => secure.emit('connection', peer));
  const socket = await pair.client.connect({
    host: SERVER_V4,
    port: listener.address()?.port ?? 0,
    tls: { ca: identity.ca, servername: SERVER_NAME },
  });
  await socket.resume().toArray();
  if (!socket.closed) await once(socket, 'close');
  await t.throwsAsync(pair.client.resolve('device.test'));
  for (const name of names) unsubscribe(`tunwire:${name}`, note);
  for (const name of names) t.true(heard.includes(name), name);
  t.is(heard[0], 'net:connect');
  t.true(heard.indexOf('net:connected') < heard.indexOf('net:secured'));
  t.true(secrets.some((line) => line.startsWith('CLIENT_TRAFFIC_SECRET_0 ')));
  listener.close();
});

test.serial('diagnostics channels tell of engines: start, stop, and why one cannot start', async (t) => {
  const heard: [string, string][] = [];
  const note = (message: unknown, name: string | symbol): void => {
    const { error } = message as { error?: NetError };
    heard.push([String(name), error?.tunwireCode ?? '']);
  };
  const names = ['start', 'stop', 'error'].map((name) => `tunwire:engine:${name}`);
  for (const name of names) subscribe(name, note);
  const stack = await createStack({ device: createMemoryLink()[0], addresses: ['192.0.2.9/24'] });
  await stack.close();
  await stack.close();
  await t.throwsAsync(createStack({ device: 'pcap:/nowhere/file', addresses: ['192.0.2.9/24'] }));
  for (const name of names) unsubscribe(name, note);
  t.deepEqual(
    heard.map(([name]) => name),
    names,
  );
  t.not(heard[2]?.[1], '');
});

/** A stack and its peer on one clock that somebody else moves. */
async function virtualPair(clock: VirtualClock): Promise<{ client: NetStack; server: NetStack }> {
  const [near, far] = createMemoryLink();
  const common = { clock, seed: 7, resolver: { hostsFile: null } };
  const server = await createStack({ ...common, device: far, addresses: [`${SERVER_V4}/24`] });
  const client = await createStack({ ...common, device: near, addresses: [`${CLIENT_V4}/24`] });
  return { client, server };
}

test('a virtual clock: an hour passes at once, and nothing happens before', async (t) => {
  const clock = new VirtualClock();
  const { client, server } = await virtualPair(clock);
  const startedAt = performance.now();
  let settled = false;
  const attempt = client.connect({ host: NOBODY_V4, port: 80, timeoutMs: 3_600_000 });
  const failed = t.throwsAsync(attempt).finally(() => {
    settled = true;
  });
  // SYN, and again after a second
  while (client.counters.txPackets < 1) await new Promise(setImmediate);
  await clock.advance(999);
  t.is(client.counters.txPackets, 1);
  await clock.advance(1);
  t.is(client.counters.txPackets, 2);
  t.false(settled);
  await clock.advance(3_599_000);
  t.like(await failed, { code: 'ETIMEDOUT', phase: 'connect' });
  t.is(clock.now, 3_600_000);
  // data flows in time that stands still
  await using listener = await server.listen({ port: 0 });
  listener.on('connection', (peer) => peer.pipe(peer));
  await using socket = await client.connect({ host: SERVER_V4, port: listener.address()?.port ?? 0 });
  socket.end('now');
  t.is(Buffer.concat(await socket.toArray()).toString(), 'now');
  await t.throwsAsync(clock.advance(-1), { code: 'EINVAL' });
  t.true(performance.now() - startedAt < 60_000);
  await client.close();
  await server.close();
});
