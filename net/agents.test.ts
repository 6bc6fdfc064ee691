import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { TLSSocket } from 'node:tls';
import test from 'ava';
import { httpAgent, httpsAgent, type Socket } from './index.ts';
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

/** Puts one of Node's servers on our connections, and keeps them. */
async function serve(on: http.Server): Promise<{ port: number; connections: Socket[] }> {
  const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  const connections: Socket[] = [];
  server.on('connection', (socket) => {
    connections.push(socket);
    on.emit('connection', socket);
  });
  return { port: server.address()?.port ?? 0, connections };
}

/** Gets the whole body and lets the agent have its connection back. */
async function get(send: typeof http.get, options: https.RequestOptions): Promise<Buffer> {
  const [response] = (await once(send(options), 'response')) as [http.IncomingMessage];
  const content = await readAll(response);
  await new Promise((resolve) => setImmediate(resolve));
  return content;
}

const answer: http.RequestListener = (_request, response) => void response.end(body);

test('httpAgent: connections are used again, concurrently, and time out', async (t) => {
  const { port, connections } = await serve(http.createServer(answer));
  const agent = httpAgent(pair.client);
  const options = { host: SERVER_V4, port, agent };
  for (let i = 0; i < 3; i++) t.true((await get(http.get, options)).equals(body));
  t.is(connections.length, 1);
  const both = await Promise.all([get(http.get, options), get(http.get, options)]);
  for (const content of both) t.true(content.equals(body));
  t.is(connections.length, 2);
  agent.destroy();
  const silent = await serve(http.createServer(() => {}));
  const request = http.get({ ...options, port: silent.port, timeout: 50 });
  await once(request, 'timeout');
  request.on('error', () => {}).destroy();
});

test('httpAgent: failures are those of the connection; what a stack cannot do is refused', async (t) => {
  const agent = httpAgent(pair.client);
  const [error] = await once(http.get({ host: SERVER_V4, port: 9, agent }), 'error');
  t.like(error, { code: 'ECONNREFUSED', phase: 'connect', port: 9 });
  t.throws(() => http.get({ socketPath: '/run/other.sock', agent }), { code: 'EINVAL' });
});

test('httpsAgent: keepAlive, the name from the Host header, resumed sessions', async (t) => {
  const reused: boolean[] = [];
  const names: unknown[] = [];
  const server = https.createServer(identity, answer);
  server.on('secureConnection', (socket: TLSSocket & { servername?: string }) => {
    reused.push(socket.isSessionReused());
    names.push(socket.servername);
    t.is(socket.alpnProtocol, 'http/1.1');
  });
  const { port, connections } = await serve(server);
  const headers = { host: SERVER_NAME };
  const agent = httpsAgent(pair.client, { ca: identity.ca });
  let secrets = '';
  agent.on('keylog', (line: Buffer) => {
    secrets += line;
  });
  const options = { host: SERVER_V4, port, agent, headers };
  for (let i = 0; i < 3; i++) t.true((await get(https.get, options)).equals(body));
  t.is(connections.length, 1);
  t.regex(secrets, /^CLIENT_TRAFFIC_SECRET_0 /m);
  agent.destroy();
  const next = httpsAgent(pair.client, { ca: identity.ca }, { keepAlive: false });
  for (let i = 0; i < 2; i++) t.true((await get(https.get, { ...options, agent: next })).equals(body));
  t.is(connections.length, 3);
  t.deepEqual(reused, [false, true, true]);
  t.deepEqual(names, [SERVER_NAME, SERVER_NAME, SERVER_NAME]);
});

test('httpsAgent: a certificate for another name is refused', async (t) => {
  const { port } = await serve(https.createServer(identity, answer));
  const agent = httpsAgent(pair.client, { ca: identity.ca });
  const [error] = await once(https.get({ host: SERVER_V4, port, agent }), 'error');
  t.like(error, { code: 'ERR_TLS_CERT_ALTNAME_INVALID', phase: 'handshake' });
});
