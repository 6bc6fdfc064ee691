import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import tls from 'node:tls';
import test from 'ava';
import { NetError, type Socket, type TlsConnectOptions, TrustStore } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';
import { SERVER_V4, SERVER_V6, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';
import { serveTls as serve, type TlsServer } from './testing/tls-server.ts';

const identity = makeIdentity();
let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

const serveTls = (options: tls.TlsOptions, onSecure: (socket: tls.TLSSocket) => void): Promise<TlsServer> =>
  serve(pair.server, { ...identity, ...options }, onSecure);

function connectTls(port: number, options: TlsConnectOptions = {}, host = SERVER_V4): Promise<Socket> {
  return pair.client.connect({ host, port, tls: { servername: SERVER_NAME, ca: identity.ca, ...options } });
}

test('echo against node:tls, and what tls.TLSSocket tells of itself', async (t) => {
  const { port } = await serveTls({ ALPNProtocols: ['h2', 'echo'] }, (peer) => peer.pipe(peer));
  const lines: string[] = [];
  const socket = await connectTls(
    port,
    { alpnProtocols: ['echo'], keylog: (line) => lines.push(line) },
    SERVER_V6,
  );
  t.true(socket.encrypted);
  t.true(socket.authorized);
  t.is(socket.authorizationError, null);
  t.is(socket.getProtocol(), 'TLSv1.3');
  t.regex(socket.getCipher()?.standardName ?? '', /^TLS_(AES_(128|256)_GCM|CHACHA20_POLY1305)_SHA\d+$/);
  t.is(socket.alpnProtocol, 'echo');
  t.is(socket.servername, SERVER_NAME);
  t.true(socket.times.handshakeMs > 0);
  const certificate = socket.getPeerCertificate();
  t.is(certificate.subject.CN, SERVER_NAME);
  t.is(certificate.issuer.CN, 'test authority');
  t.is(certificate.subjectaltname, `DNS:${SERVER_NAME}`);
  t.regex(certificate.fingerprint256, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  t.true(new Date(certificate.valid_to) > new Date(certificate.valid_from));
  t.true(socket.getPeerCertificate(true).raw.equals(certificate.raw));
  t.true(lines.some((line) => line.startsWith('SERVER_TRAFFIC_SECRET_0 ')));
  const data = pattern(1024 * 1024);
  socket.end(data);
  t.true((await readAll(socket)).equals(data));
});

test('events in order: connect, ready, secureConnect; writes wait for the handshake', async (t) => {
  const { port } = await serveTls({}, (peer) => peer.pipe(peer));
  const socket = pair.client.createConnection({
    host: SERVER_V4,
    port,
    tls: { servername: SERVER_NAME, ca: Buffer.from(identity.ca) },
  });
  const events: string[] = [];
  for (const event of ['connect', 'ready', 'secureConnect', 'data', 'end', 'close']) {
    socket.on(event, () => events.push(event));
  }
  socket.end('early');
  await once(socket, 'close');
  t.deepEqual(events, ['connect', 'ready', 'secureConnect', 'data', 'end', 'close']);
  t.is(socket.bytesRead, 5);
});

test.serial("the client's Finished leaves with what is written in 'secureConnect'", async (t) => {
  const { port } = await serveTls({}, (peer) => peer.pipe(peer));
  const socket = pair.client.createConnection({
    host: SERVER_V4,
    port,
    tls: { servername: SERVER_NAME, ca: identity.ca },
  });
  let sentBytes = -1;
  socket.on('secureConnect', () => {
    const before = pair.client.counters.txBytes;
    // time enough for the engine, if it knew of something
    for (const until = performance.now() + 20; performance.now() < until; );
    sentBytes = pair.client.counters.txBytes - before;
    socket.write('hello');
  });
  t.is(String(await once(socket, 'data')), 'hello');
  socket.destroy();
  // change_cipher_spec and Finished have 64 at least, and the headers; an acknowledgment may leave
  t.true(sentBytes < 100, `${sentBytes} bytes left before the write`);
});

test('a certificate that is not trusted, or for another name, ends the attempt', async (t) => {
  const { port, errors } = await serveTls({}, (peer) => peer.resume());
  for (const [options, code] of [
    [{ ca: makeIdentity().ca }, 'SELF_SIGNED_CERT_IN_CHAIN'],
    [{ ca: undefined }, 'SELF_SIGNED_CERT_IN_CHAIN'],
    [{ servername: 'other.lab.test' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [{ servername: undefined }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ] as const) {
    const error = await t.throwsAsync(connectTls(port, options), { instanceOf: NetError });
    t.like(error, { code, phase: 'handshake' });
  }
  while (errors.length < 4) await new Promise((resolve) => setTimeout(resolve, 10));
  // the server was told why
  for (const error of errors) t.regex(error.message, /alert|unknown ca|bad certificate/i);
});

test('rejectUnauthorized: false goes on, and says what is wrong', async (t) => {
  const { port } = await serveTls({}, (peer) => peer.end('anyway'));
  const ca = TrustStore.fromPem(makeIdentity().ca);
  const socket = await connectTls(port, { ca, rejectUnauthorized: false });
  t.false(socket.authorized);
  t.like(socket.authorizationError, { code: 'SELF_SIGNED_CERT_IN_CHAIN', phase: 'handshake' });
  t.is((await readAll(socket)).toString(), 'anyway');
});

test('a server without TLS is no TLS server', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  server.on('connection', (peer) => peer.on('error', () => {}).end('220 mail.test ready\r\n'));
  const error = await t.throwsAsync(connectTls(server.address()?.port ?? 0), { instanceOf: NetError });
  t.like(error, { code: 'EPROTO', phase: 'handshake' });
});

test('a connection cut without close_notify is an error, not an end', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  const cut = Promise.withResolvers<void>();
  server.on('connection', (peer) => {
    const secure = new tls.TLSSocket(peer, { isServer: true, ...identity });
    secure.on('error', () => {});
    secure.write('half of it');
    void cut.promise.then(() => peer.end());
  });
  const socket = await connectTls(server.address()?.port ?? 0);
  await once(socket, 'readable');
  cut.resolve();
  await t.throwsAsync(readAll(socket), { code: 'ECONNRESET', message: /close_notify/ });
});

test('data in front of a broken record is given, then comes the error; the server is told of it', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  const go = Promise.withResolvers<void>();
  // application data with a tag that cannot be right
  const broken = Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), Buffer.alloc(40)]);
  const answer = Promise.withResolvers<Buffer>();
  server.on('connection', (peer) => {
    const [inside, outside] = duplexPair();
    peer.on('error', () => {}).pipe(outside);
    const secure = new tls.TLSSocket(inside, { isServer: true, ...identity });
    secure.on('error', () => {}).resume();
    let suffix = Buffer.alloc(0);
    outside.on('data', (records: Buffer) => peer.write(Buffer.concat([records, suffix])));
    void Promise.all([go.promise, once(secure, 'secure')]).then(() => {
      suffix = broken;
      peer.once('data', answer.resolve);
      secure.write('good');
    });
  });
  const socket = await connectTls(server.address()?.port ?? 0);
  const received: Buffer[] = [];
  socket.on('data', (data: Buffer) => received.push(data));
  const failed = once(socket, 'error') as Promise<[Error]>;
  go.resolve();
  t.like((await failed)[0], { code: 'EPROTO', phase: 'transfer' });
  t.is(Buffer.concat(received).toString(), 'good');
  // an alert of two bytes with type and tag
  t.deepEqual([...(await answer.promise)].slice(0, 5), [23, 3, 3, 0, 19]);
});

test("Node's TLS client over our plain connection", async (t) => {
  const { port } = await serveTls({}, (peer) => peer.pipe(peer));
  const transport = await pair.client.connect({ host: SERVER_V4, port });
  const secure = tls.connect({ socket: transport, servername: SERVER_NAME, ca: identity.ca });
  await once(secure, 'secureConnect');
  t.true(secure.authorized);
  secure.end('two stacks of TLS');
  t.is((await readAll(secure)).toString(), 'two stacks of TLS');
});

test('backpressure over TLS: a slow reader stops the writer', async (t) => {
  const data = pattern(10 * 1024 * 1024);
  const { port } = await serveTls({}, (peer) => peer.end(data));
  const socket = await connectTls(port);
  socket.pause();
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.true(socket.readableLength <= 2 * 65_536, `${socket.readableLength} bytes buffered`);
  t.true((await readAll(socket)).equals(data));
});

test("a server of node:tls ends with its client when it is told to, as on Node's own sockets", async (t) => {
  const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  const secure = tls.createServer(identity, (peer) => peer.resume());
  secure.on('secureConnection', (peer) => {
    peer.allowHalfOpen = false;
  });
  server.on('connection', (socket) => secure.emit('connection', socket));
  const socket = await connectTls(server.address()?.port ?? 0);
  socket.end('all');
  // to the end, by close_notify
  t.is((await readAll(socket)).length, 0);
  server.close();
});
