import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { Readable } from 'node:stream';
import test from 'ava';
import type { Server, Socket } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';
import { SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';

const identity = makeIdentity();
const body = pattern(300_000);
let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

/** Puts one of Node's servers on our connections. */
async function serve(on: http.Server | http2.Http2SecureServer): Promise<{ server: Server; port: number }> {
  const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  server.on('connection', (socket) => on.emit('connection', socket));
  return { server, port: server.address()?.port ?? 0 };
}

async function get(
  options: http.RequestOptions,
  send = http.request,
): Promise<{ response: http.IncomingMessage; content: Buffer }> {
  const request = send({ host: SERVER_V4, ...options });
  request.end();
  const [response] = (await once(request, 'response')) as [http.IncomingMessage & Readable];
  return { response, content: await readAll(response) };
}

test('http.Agent with keepAlive uses a connection again', async (t) => {
  const { port } = await serve(http.createServer((_request, response) => response.end(body)));
  const sockets: Socket[] = [];
  const agent = new http.Agent({ keepAlive: true, timeout: 5000 });
  agent.createConnection = (options) => {
    const socket = pair.client.createConnection({ host: `${options.host}`, port: Number(options.port) });
    sockets.push(socket);
    return socket;
  };
  for (let i = 0; i < 3; i++) {
    const { response, content } = await get({ port, agent });
    t.is(response.statusCode, 200);
    t.true(content.equals(body));
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.is(sockets.length, 1);
  // a second less than the server's Keep-Alive header says
  t.is(sockets[0]?.timeout, 4000);
  agent.destroy();
  if (!sockets[0]?.closed) await once(sockets[0] as Socket, 'close');
});

test('http.Agent with an asynchronous createConnection', async (t) => {
  const { port } = await serve(http.createServer((_request, response) => response.end(body)));
  const agent = new http.Agent({ keepAlive: true });
  agent.createConnection = (_options, callback) => {
    pair.client.connect({ host: SERVER_V4, port }).then(
      (socket) => callback?.(null, socket),
      (error: Error) => callback?.(error, null as never),
    );
    return undefined;
  };
  t.true((await get({ port, agent })).content.equals(body));
  agent.destroy();
});

test('a request that times out, and one that nobody answers', async (t) => {
  const { port } = await serve(http.createServer(() => {}));
  const request = http.get({
    timeout: 100,
    createConnection: ({ timeout }) => pair.client.createConnection({ host: SERVER_V4, port, timeout }),
  });
  await once(request, 'timeout');
  request.on('error', () => {});
  request.destroy();
  const refused = http.get({
    createConnection: () => pair.client.createConnection({ host: SERVER_V4, port: 9 }),
  });
  const [error] = await once(refused, 'error');
  t.like(error, { code: 'ECONNREFUSED', phase: 'connect' });
});

test('uploads with backpressure arrive whole', async (t) => {
  const big = pattern(5 * 1024 * 1024);
  const { port } = await serve(
    http.createServer(async (request, response) => {
      response.end(String((await readAll(request)).equals(big)));
    }),
  );
  const request = http.request({
    method: 'POST',
    createConnection: () => pair.client.createConnection({ host: SERVER_V4, port }),
  });
  request.end(big);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  t.is((await readAll(response)).toString(), 'true');
});

test('node:https serves our own TLS client', async (t) => {
  const { port } = await serve(
    https.createServer({ ...identity }, (_request, response) => response.end(body)),
  );
  const { response, content } = await get({
    createConnection: () =>
      pair.client.createConnection({
        host: SERVER_V4,
        port,
        tls: { servername: SERVER_NAME, ca: identity.ca, alpnProtocols: ['http/1.1'] },
      }),
  });
  t.is(response.statusCode, 200);
  t.true(content.equals(body));
});

test("node:https's client over our plain connection", async (t) => {
  const { port } = await serve(
    https.createServer({ ...identity }, (_request, response) => response.end(body)),
  );
  const transport = await pair.client.connect({ host: SERVER_V4, port });
  const options = { socket: transport, servername: SERVER_NAME, ca: identity.ca, agent: false };
  const { content } = await get(options, https.request);
  t.true(content.equals(body));
});

test('http2 over our TLS', async (t) => {
  const secure = http2.createSecureServer({ ...identity });
  secure.on('stream', (stream) => stream.end(body));
  const { port } = await serve(secure);
  const socket = await pair.client.connect({
    host: SERVER_V4,
    port,
    tls: { servername: SERVER_NAME, ca: identity.ca, alpnProtocols: ['h2'] },
  });
  t.is(socket.alpnProtocol, 'h2');
  const session = http2.connect(`https://${SERVER_NAME}`, { createConnection: () => socket });
  const streams = [session.request({ ':path': '/one' }), session.request({ ':path': '/two' })];
  for (const stream of streams) t.true((await readAll(stream)).equals(body));
  session.close();
  await once(session, 'close');
});
