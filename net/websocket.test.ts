import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import test from 'ava';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { httpAgent, httpsAgent } from './index.ts';
import { pattern } from './testing/consume.ts';
import { SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';

const identity = makeIdentity();
let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

/** A server of ws that sends everything back, on our connections. @returns its port */
async function serveEcho(on: http.Server): Promise<number> {
  const sockets = new WebSocketServer({ server: on });
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  server.on('connection', (socket) => on.emit('connection', socket));
  return server.address()?.port ?? 0;
}

for (const secure of [false, true]) {
  test(`ws over ${secure ? 'TLS' : 'TCP'}: text, a binary message of a megabyte, ping, and both sides close`, async (t) => {
    const port = await serveEcho(secure ? https.createServer(identity) : http.createServer());
    const tls = secure && { servername: SERVER_NAME, ca: identity.ca };
    const socket = new WebSocket(`${secure ? 'wss' : 'ws'}://${SERVER_V4}:${port}/`, {
      createConnection: () => pair.client.createConnection({ host: SERVER_V4, port, tls }),
    });
    await once(socket, 'open');
    socket.send('hello');
    const [text, textIsBinary] = (await once(socket, 'message')) as [RawData, boolean];
    t.is(`${text}`, 'hello');
    t.false(textIsBinary);
    const data = pattern(1024 * 1024);
    socket.send(data);
    const [echo, echoIsBinary] = (await once(socket, 'message')) as [Buffer, boolean];
    t.true(echoIsBinary);
    t.true(echo.equals(data));
    socket.ping('are you there');
    t.is(`${(await once(socket, 'pong'))[0]}`, 'are you there');
    socket.close(4000, 'done');
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    t.is(code, 4000);
    t.is(`${reason}`, 'done');
  });
}

test('ws with our agents', async (t) => {
  const tls = { ca: identity.ca, servername: SERVER_NAME };
  for (const [scheme, server, agent] of [
    ['ws', http.createServer(), httpAgent(pair.client)],
    ['wss', https.createServer(identity), httpsAgent(pair.client, tls)],
  ] as const) {
    const socket = new WebSocket(`${scheme}://${SERVER_V4}:${await serveEcho(server)}/`, { agent });
    await once(socket, 'open');
    socket.send(scheme);
    t.is(`${(await once(socket, 'message'))[0]}`, scheme);
    socket.close();
    await once(socket, 'close');
  }
});

test('ws where nobody listens: the error of the connection', async (t) => {
  const socket = new WebSocket(`ws://${SERVER_V4}:9/`, {
    createConnection: () => pair.client.createConnection({ host: SERVER_V4, port: 9 }),
  });
  const [error] = await once(socket, 'error');
  t.like(error, { code: 'ECONNREFUSED', phase: 'connect' });
});
