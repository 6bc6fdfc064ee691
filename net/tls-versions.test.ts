import tls from 'node:tls';
import test from 'ava';
import { dnsName, issue, issueCa, subjectAltName } from '../tls/testing/certificates.ts';
import { NetError } from './index.ts';
import { pattern, readAll } from './testing/consume.ts';
import { SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME, type TlsIdentity } from './testing/tls-identity.ts';

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

/** A device of long ago: its certificate has 1024 bits and is signed with SHA-1. */
function oldIdentity(): TlsIdentity {
  const times = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const authority = issueCa('old authority', { ...times, key: 'rsa1024', signature: 'sha1' });
  const extensions = [subjectAltName(dnsName(SERVER_NAME))];
  const device = { subject: 'device', issuer: authority, key: 'rsa1024', signature: 'sha1' } as const;
  const { pem, privateKey } = issue({ ...device, extensions, ...times });
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: pem,
    ca: authority.pem,
  };
}

const old = oldIdentity();
for (const [version, ciphers, name] of [
  ['TLSv1', 'AES256-SHA', 'TLS_RSA_WITH_AES_256_CBC_SHA'],
  ['TLSv1', 'ECDHE-RSA-AES128-SHA', 'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA'],
  ['TLSv1.1', 'AES128-SHA', 'TLS_RSA_WITH_AES_128_CBC_SHA'],
  ['TLSv1.2', 'AES128-GCM-SHA256', 'TLS_RSA_WITH_AES_128_GCM_SHA256'],
] as const) {
  test(`a device with ${version} and ${ciphers}: only with fallback`, async (t) => {
    const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
    const options = { ...old, ciphers: `${ciphers}:@SECLEVEL=0`, minVersion: version, maxVersion: version };
    let seen: unknown = null;
    const secure = tls.createServer(options, (socket) => {
      seen = socket.getCipher();
      socket.pipe(socket);
    });
    secure.on('tlsClientError', () => {});
    server.on('connection', (socket) => secure.emit('connection', socket));
    const target = { host: SERVER_V4, port: server.address()?.port ?? 0 };
    const known = { servername: SERVER_NAME, ca: old.ca };
    await t.throwsAsync(pair.client.connect({ ...target, tls: known }), { instanceOf: NetError });
    const socket = await pair.client.connect({ ...target, tls: { ...known, fallback: true } });
    t.is(socket.getProtocol(), version);
    const cipher: unknown = socket.getCipher();
    t.is(socket.getCipher()?.standardName, name);
    t.true(socket.authorized);
    const data = pattern(300_000);
    socket.end(data);
    t.true((await readAll(socket)).equals(data));
    // as Node's end of the connection has it: both names, and the version
    t.deepEqual(cipher, seen);
    const chosen = await pair.client.connect({
      ...target,
      tls: { ...known, fallback: true, cipherSuites: [name] },
    });
    t.is(chosen.getCipher()?.standardName, name);
    chosen.destroy();
  });
}
