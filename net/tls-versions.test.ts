import tls from 'node:tls';
import test from 'ava';
import { pattern, readAll } from './testing/consume.ts';
import { SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';

const identity = makeIdentity();
let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

for (const [version, ciphers] of [
  ['TLSv1.3', 'TLS_AES_256_GCM_SHA384'],
  ['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256'],
  ['TLSv1.2', 'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305'],
] as const) {
  test(`${version} with ${ciphers}: a megabyte there and back`, async (t) => {
    const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
    const options = { ...identity, ciphers, minVersion: version, maxVersion: version };
    const secure = tls.createServer(options, (socket) => socket.pipe(socket));
    server.on('connection', (socket) => secure.emit('connection', socket));
    const socket = await pair.client.connect({
      host: SERVER_V4,
      port: server.address()?.port ?? 0,
      tls: { servername: SERVER_NAME, ca: identity.ca },
    });
    t.is(socket.getProtocol(), version);
    const data = pattern(1024 * 1024);
    socket.end(data);
    t.true((await readAll(socket)).equals(data));
  });
}
