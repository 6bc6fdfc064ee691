import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import test from 'ava';
import * as undici7 from 'undici7';
import * as undici8 from 'undici8';
import { type Socket, type UndiciOptions, undiciConnector } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';
import { NOBODY_V4, SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';

const identity = makeIdentity();
const body = pattern(300_000);
let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

/** Puts one of Node's servers on our connections, and keeps them. */
async function serve(
  on: http.Server | http2.Http2SecureServer,
): Promise<{ port: number; connections: Socket[] }> {
  const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  const connections: Socket[] = [];
  server.on('connection', (socket) => {
    connections.push(socket);
    on.emit('connection', socket);
  });
  return { port: server.address()?.port ?? 0, connections };
}

/** Sends back what it gets; without a body, the known one. */
const answer: http.RequestListener = async (request, response) => {
  const content = await readAll(request);
  response.end(request.method === 'POST' ? content : body);
};

const tls = { servername: SERVER_NAME, ca: identity.ca };

// the two packages differ in types that do not matter here
for (const [name, undici] of [
  ['undici 7', undici7],
  ['undici 8', undici8 as unknown as typeof undici7],
] as const) {
  const agentOf = (options: UndiciOptions = {}): undici7.Agent =>
    new undici.Agent({ connect: undiciConnector(pair.client, options), connections: 1 });

  test(`${name}: fetch and request over a connection that is used again`, async (t) => {
    const { port, connections } = await serve(http.createServer(answer));
    const dispatcher = agentOf();
    const url = `http://${SERVER_V4}:${port}/`;
    for (let i = 0; i < 3; i++) {
      const response = await undici.fetch(url, { dispatcher });
      t.is(response.status, 200);
      t.true(Buffer.from(await response.arrayBuffer()).equals(body));
    }
    const posted = await undici.request(url, { dispatcher, method: 'POST', body });
    t.true(Buffer.from(await posted.body.arrayBuffer()).equals(body));
    t.is(connections.length, 1);
    await dispatcher.close();
  });

  test(`${name}: https with our TLS, HTTP/1.1`, async (t) => {
    const server = https.createServer(identity, answer);
    server.on('secureConnection', (socket) => t.is(socket.alpnProtocol, 'http/1.1'));
    const { port, connections } = await serve(server);
    const dispatcher = agentOf({ tls });
    for (let i = 0; i < 2; i++) {
      const response = await undici.fetch(`https://${SERVER_V4}:${port}/`, { dispatcher });
      t.true(Buffer.from(await response.arrayBuffer()).equals(body));
    }
    t.is(connections.length, 1);
    await dispatcher.close();
  });

  test(`${name}: HTTP/2 where it was agreed on`, async (t) => {
    const secure = http2.createSecureServer(identity);
    secure.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200, 'x-version': `${headers[':path']}` });
      stream.end(body);
    });
    const { port, connections } = await serve(secure);
    const connect = undiciConnector(pair.client, { tls: { ...tls, alpnProtocols: ['h2', 'http/1.1'] } });
    const client = new undici.Client(`https://${SERVER_V4}:${port}`, { connect, allowH2: true });
    const contents = await Promise.all(
      ['/one', '/two'].map(async (path) => {
        const response = await client.request({ path, method: 'GET' });
        t.is(response.headers['x-version'], path);
        return Buffer.from(await response.body.arrayBuffer());
      }),
    );
    for (const content of contents) t.true(content.equals(body));
    t.is(connections.length, 1);
    await client.close();
  });

  test(`${name}: refused, timed out, untrusted, aborted`, async (t) => {
    const { port } = await serve(https.createServer(identity, answer));
    const abort = new AbortController();
    const silent = await serve(http.createServer(() => abort.abort(new Error('enough'))));
    const dispatcher = agentOf();
    const impatient = agentOf({ timeoutMs: 50 });
    const send = (url: string, through = dispatcher): Promise<unknown> =>
      undici.request(url, { dispatcher: through, signal: abort.signal });
    await t.throwsAsync(send(`http://${SERVER_V4}:9/`), { code: 'ECONNREFUSED' });
    await t.throwsAsync(send(`http://${NOBODY_V4}/`, impatient), { code: 'ETIMEDOUT' });
    await t.throwsAsync(send(`https://${SERVER_V4}:${port}/`), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
    await t.throwsAsync(send(`http://${SERVER_V4}:${silent.port}/`), { message: 'enough' });
    // the server learns of it
    const [connection] = silent.connections;
    if (connection?.closed === false) await once(connection, 'close').catch(() => {});
    t.true(connection?.destroyed);
    await Promise.all([dispatcher.close(), impatient.close()]);
  });

  test(`${name}: an upgrade hands our socket out`, async (t) => {
    const server = http.createServer();
    server.on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      socket.pipe(socket);
    });
    const { port } = await serve(server);
    const dispatcher = agentOf();
    const { socket } = await undici.upgrade(`http://${SERVER_V4}:${port}/`, { dispatcher, protocol: 'echo' });
    socket.end('through');
    t.is((await readAll(socket)).toString(), 'through');
    await dispatcher.close();
  });
}

test("Node's own fetch with a dispatcher of undici", async (t) => {
  const { port } = await serve(http.createServer(answer));
  const connect = undiciConnector(pair.client);
  const agent7 = new undici7.Agent({ connect });
  // Node 24 has undici 7 built in; the dispatchers of 8 have to be wrapped for it
  const agent8 = new undici8.Agent({ connect });
  for (const dispatcher of [agent7, new undici8.Dispatcher1Wrapper(agent8)]) {
    // the types of the packages differ from those that Node was typed with
    const init = { dispatcher } as unknown as RequestInit;
    const response = await fetch(`http://${SERVER_V4}:${port}/`, init);
    t.true(Buffer.from(await response.arrayBuffer()).equals(body));
  }
  await Promise.all([agent7.close(), agent8.close()]);
});

test('a proxy connection that TLS is to be spoken over is refused', (t) => {
  const request = { hostname: SERVER_V4, port: '', protocol: 'https:', httpSocket: {} };
  undiciConnector(pair.client)(request, (...[error]) => {
    t.like(error, { code: 'EINVAL', phase: 'argument' });
  });
  t.plan(1);
});
