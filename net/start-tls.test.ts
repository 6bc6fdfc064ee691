import { once } from 'node:events';
import tls from 'node:tls';
import test from 'ava';
import type { Socket } from './index.ts';
import { readAll } from './testing/consume.ts';
import { NOBODY_V4, SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';

let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

const identity = makeIdentity();
const known = { ca: identity.ca, servername: SERVER_NAME };

/** A server that answers STARTTLS and goes on with TLS of node:tls, as an echo. @param answer to STARTTLS */
async function upgrading(answer = 'go ahead\n'): Promise<number> {
  const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  server.on('connection', (peer) => {
    peer.on('error', () => {});
    peer.once('data', () => {
      peer.write(answer);
      if (!answer.startsWith('go')) return;
      const secure = new tls.TLSSocket(peer, { isServer: true, ...identity });
      secure.on('error', () => {});
      secure.pipe(secure);
    });
  });
  return server.address()?.port ?? 0;
}

async function asked(port: number): Promise<Socket> {
  const socket = await pair.client.connect({ host: SERVER_V4, port });
  socket.write('STARTTLS\n');
  return socket;
}

test('startTls: the same socket goes on with TLS', async (t) => {
  const socket = await asked(await upgrading());
  t.false(socket.encrypted);
  const [answer] = await once(socket, 'data');
  t.is(String(answer), 'go ahead\n');
  const secured = socket.startTls(known);
  t.true(socket.encrypted);
  t.true(socket.secureConnecting);
  socket.end('written before the handshake is done');
  t.is(await secured, socket);
  t.true(socket.authorized);
  t.is(socket.getProtocol(), 'TLSv1.3');
  t.true(socket.times.handshakeMs > 0);
  t.is(String(await readAll(socket)), 'written before the handshake is done');
});

test('startTls: a certificate that is not trusted ends the connection', async (t) => {
  const socket = await asked(await upgrading());
  await once(socket, 'data');
  const failed = once(socket, 'error');
  const error = await t.throwsAsync(socket.startTls({ servername: SERVER_NAME, ca: makeIdentity().ca }));
  t.like(error, { phase: 'handshake' });
  t.is((await failed)[0], error);
});

test('startTls: not before the answer was read, not twice, not without a connection', async (t) => {
  const socket = await asked(await upgrading('not yet\n'));
  await once(socket, 'readable');
  await t.throwsAsync(socket.startTls(known), { message: /have not been read/ });
  t.false(socket.encrypted);
  socket.destroy();
  const secure = await asked(await upgrading());
  await once(secure, 'data');
  await secure.startTls(known);
  await t.throwsAsync(secure.startTls(known), { message: /has TLS/ });
  secure.destroy();
  await t.throwsAsync(secure.startTls(known), { code: 'ENOTCONN' });
  const connecting = pair.client.createConnection({ host: NOBODY_V4, port: 9 });
  await t.throwsAsync(connecting.startTls(known), { code: 'ENOTCONN' });
  connecting.destroy();
});

test('startTls: a server that says more in the clear behind its answer fails', async (t) => {
  const server = await pair.server.listen({ port: 0 });
  server.on('connection', (peer) => {
    peer.on('error', () => {});
    peer.once('data', () => peer.write('go ahead\n'));
    peer.once('data', () => peer.write('220 injected by somebody between\n'));
  });
  const socket = await asked(server.address()?.port ?? 0);
  await once(socket, 'readable');
  // whether it has come before or comes after, it is not taken for the server's
  socket.read('go ahead\n'.length);
  socket.on('error', () => {});
  await t.throwsAsync(socket.startTls(known));
  socket.destroy();
});
