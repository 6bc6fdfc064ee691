import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import test from 'ava';
import { Socket } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';
import { CLIENT_V4, SERVER_V4, SERVER_V6, type StackPair, stackPair } from './testing/pair.ts';
import { makeClientIdentity, makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';
import { serveTls } from './testing/tls-server.ts';

let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

/** What programs can use of an object, down to the streams' own part. */
function members(of: object): Set<string> {
  const names = new Set<string>();
  for (let at: object = of; at !== Duplex.prototype; at = Object.getPrototypeOf(at) as object) {
    for (const key of Reflect.ownKeys(at)) {
      if (typeof key === 'string' && !key.startsWith('_')) names.add(key);
    }
  }
  return names;
}

test("every public member of Node's classes is there, but for those that the documentation names", (t) => {
  const socket = new Socket(null);
  const missingOf = (theirs: Duplex): string[] =>
    [...members(theirs)].filter((name) => !(name in socket)).sort();
  t.deepEqual(missingOf(new net.Socket()), []);
  const document = readFileSync(new URL('../docs/node-sockets.md', import.meta.url), 'utf8');
  const table = /## Not there\n(.+?)\n## /s.exec(document)?.[1] ?? '';
  const documented = [...table.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, names]) =>
    [...(names ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name ?? ''),
  );
  t.deepEqual(missingOf(new tls.TLSSocket(new net.Socket())), documented.sort());
});

test('methods take what those of net.Socket take, and return the socket', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  server.on('connection', (peer) => peer.pipe(peer));
  const socket = await pair.client.connect({ host: SERVER_V4, port: server.address()?.port ?? 0 });
  const node = new net.Socket();
  for (const each of [socket, node] as const) {
    t.is(each.setKeepAlive(), each);
    t.is(each.setKeepAlive(true, 1000), each);
    t.is(each.setNoDelay(), each);
    t.is(each.setNoDelay(false), each);
    t.is(each.setTimeout(1000), each);
    t.is(each.setTimeout(0), each);
    t.is(each.ref(), each);
    t.is(each.unref(), each);
    t.is(each.timeout, 0);
  }
  t.is(socket.ref().localFamily, 'IPv4');
  t.deepEqual(socket.address(), { address: CLIENT_V4, family: 'IPv4', port: socket.localPort ?? 0 });
  // nothing leaves while it is corked
  socket.cork();
  socket.write('one ');
  socket.write('two');
  t.is(socket.writableLength, 7);
  t.is(socket.bytesWritten, 7);
  socket.uncork();
  const [echo] = await once(socket, 'data');
  t.is(String(echo), 'one two');
  t.is(socket.bytesRead, 7);
  t.is(socket.readyState, 'open');
  t.is(socket.destroySoon(), undefined);
  await once(socket, 'close');
  t.is(socket.readyState, 'closed');
});

test('a socket that was accepted knows its server', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  const accepted = once(server, 'connection');
  await using socket = await pair.client.connect({ host: SERVER_V6, port: server.address()?.port ?? 0 });
  const [peer] = (await accepted) as [Socket];
  t.is(peer.server, server);
  t.is(socket.server, null);
  peer.destroy();
});

test('what tls.TLSSocket tells of both certificates and of the key exchange', async (t) => {
  const identity = makeIdentity();
  const own = makeClientIdentity('a client');
  const asking = { ...identity, requestCert: true, ca: own.ca };
  const names: unknown[] = [];
  const { port } = await serveTls(pair.server, asking, (peer) => {
    names.push(peer.getPeerCertificate().subject.CN);
    peer.end();
  });
  const socket = pair.client.createConnection({
    host: SERVER_V4,
    port,
    tls: { ca: identity.ca, servername: SERVER_NAME, cert: own.cert, key: own.key },
  });
  t.true(socket.secureConnecting);
  t.deepEqual(socket.getEphemeralKeyInfo(), {});
  await once(socket, 'secureConnect');
  t.false(socket.secureConnecting);
  t.regex(socket.getPeerX509Certificate()?.subjectAltName ?? '', new RegExp(SERVER_NAME));
  t.like(socket.getCertificate(), { subject: { CN: 'a client' } });
  t.is(socket.getX509Certificate()?.subject, 'CN=a client');
  t.like(socket.getEphemeralKeyInfo(), { type: 'ECDH' });
  socket.disableRenegotiation();
  const refused = new Promise((resolve) => t.false(socket.renegotiate({}, resolve)));
  t.like(await refused, { code: 'EINVAL' });
  await readAll(socket);
  t.deepEqual(names, ['a client']);
});

test('Web Streams: both directions, backpressure, opened and closed', async (t) => {
  const data = pattern(3_000_000);
  await using server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  server.on('connection', (peer) => peer.pipe(peer));
  const port = server.address()?.port ?? 0;
  const open = pair.client.createConnection({ host: SERVER_V4, port, allowHalfOpen: true });
  await using streams = open.toWeb();
  t.like(await streams.opened, { remoteAddress: `${SERVER_V4}:${port}`, alpn: null });
  const writing = new Blob([data]).stream().pipeTo(streams.writable as WritableStream<Uint8Array>);
  const received: Uint8Array[] = [];
  for await (const chunk of streams.readable) received.push(chunk);
  await writing;
  t.true(Buffer.concat(received).equals(data));
  await streams.closed;
});

test('Web Streams: failures reach both promises and both streams; close sends what was written', async (t) => {
  const refused = pair.client.createConnection({ host: SERVER_V4, port: 9 }).toWeb();
  t.like(await t.throwsAsync(refused.opened), { code: 'ECONNREFUSED' });
  t.like(await t.throwsAsync(refused.closed), { code: 'ECONNREFUSED' });
  await t.throwsAsync(refused.readable.getReader().read(), { code: 'ECONNREFUSED' });
  const got = Promise.withResolvers<Buffer>();
  await using server = await pair.server.listen({ port: 0 });
  server.on('connection', (peer) => void readAll(peer).then(got.resolve, got.reject));
  const port = server.address()?.port ?? 0;
  const streams = (await pair.client.connect({ host: SERVER_V4, port })).toWeb();
  const writer = streams.writable.getWriter();
  await writer.write(Buffer.from('last words'));
  await streams.close();
  await streams.closed;
  t.is(String(await got.promise), 'last words');
});
