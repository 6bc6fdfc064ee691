import tls, { type PeerCertificate } from 'node:tls';
import test from 'ava';
import { extendedKeyUsage, issue, issueCa, issueServer, SERVER_AUTH } from '../tls/testing/certificates.ts';
import { MemorySessionStore, NetError, type Socket, type TlsConnectOptions } from './index.ts';
import { readAll } from './testing/consume.ts';
import { SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';
import { serveTls } from './testing/tls-server.ts';

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
const identity = makeIdentity();
/** Its certificate has the server's name in its subject only. */
const nameless = makeNameless();
let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

function makeNameless(): { readonly key: string; readonly cert: string; readonly ca: string } {
  const times = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const authority = issueCa('old authority', times);
  const extensions = [extendedKeyUsage(SERVER_AUTH)];
  const server = issue({ subject: SERVER_NAME, issuer: authority, extensions, ...times });
  const key = server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { key, cert: server.pem, ca: authority.pem };
}

function connectTls(port: number, options: TlsConnectOptions): Promise<Socket> {
  return pair.client.connect({ host: SERVER_V4, port, tls: { servername: SERVER_NAME, ...options } });
}

for (const maxVersion of VERSIONS) {
  test(`${maxVersion}: checkServerIdentity decides in place of the names`, async (t) => {
    const { port } = await serveTls(pair.server, { ...nameless, maxVersion }, (peer) => peer.end('hello'));
    const { ca } = nameless;
    await t.throwsAsync(connectTls(port, { ca }), {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      message: /names no server/,
    });
    const asked: [string, PeerCertificate][] = [];
    const socket = await connectTls(port, {
      ca,
      checkServerIdentity: (name, certificate) => void asked.push([name, certificate]),
    });
    t.true(socket.authorized);
    t.is(String(await readAll(socket)), 'hello');
    t.is(asked.length, 1);
    t.like(asked[0], [SERVER_NAME, { subject: { CN: SERVER_NAME } }]);
    // Node's own, which takes the common name where there is no other
    const likeNode = await connectTls(port, { ca, checkServerIdentity: tls.checkServerIdentity });
    t.is(String(await readAll(likeNode)), 'hello');
  });
}

test('IDNA: a name in other letters is told to the server, and held against the certificate, as its A-labels', async (t) => {
  const times = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const authority = issueCa('authority', times);
  const { pem, privateKey } = issueServer(['xn--bcher-kva.lab.test'], authority, times);
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const asked: string[] = [];
  const SNICallback = (name: string, done: (error: Error | null) => void): void => {
    asked.push(name);
    done(null);
  };
  const { port } = await serveTls(pair.server, { cert: pem, key, SNICallback }, (peer) => peer.end('hello'));
  for (const servername of ['Bücher.lab.test', 'xn--bcher-kva.lab.test', 'BÜCHER.lab.test']) {
    const socket = await connectTls(port, { ca: authority.pem, servername, sessions: false });
    t.is(String(await readAll(socket)), 'hello');
    t.is(asked.pop(), 'xn--bcher-kva.lab.test');
  }
  await t.throwsAsync(connectTls(port, { ca: authority.pem, servername: 'bucher.lab.test' }), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  });
});

test('what it says against the certificate ends the handshake, and is the cause', async (t) => {
  const { port, errors } = await serveTls(pair.server, identity, (peer) => peer.end('hello'));
  const { ca } = identity;
  const refusal = new Error('this is not the key that I know');
  for (const checkServerIdentity of [
    () => refusal,
    () => {
      throw refusal;
    },
  ]) {
    const refused = await t.throwsAsync(connectTls(port, { ca, checkServerIdentity }), {
      instanceOf: NetError,
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      message: /this is not the key that I know/,
    });
    t.is(refused.cause, refusal);
    t.is(refused.address, SERVER_V4);
  }
  const tolerated = await connectTls(port, {
    ca,
    checkServerIdentity: () => refusal,
    rejectUnauthorized: false,
  });
  t.false(tolerated.authorized);
  t.regex(tolerated.authorizationError?.message ?? '', /this is not the key that I know/);
  t.is(String(await readAll(tolerated)), 'hello');
  t.is(errors.length, 2, 'the server was told twice');
});

test('the issuers of a certificate are told up to the trusted root, to the check as well', async (t) => {
  const { port } = await serveTls(pair.server, identity, (peer) => peer.end('hello'));
  const roots: unknown[] = [];
  const socket = await connectTls(port, {
    ca: [nameless.ca, identity.ca],
    checkServerIdentity: (_name, { issuerCertificate }) => void roots.push(issuerCertificate.subject.CN),
  });
  t.deepEqual(roots, ['test authority']);
  const { issuerCertificate: root } = socket.getPeerCertificate(true);
  t.is(root.subject.CN, 'test authority');
  t.is(root.issuerCertificate, root, 'a loop, as in Node');
  t.false('issuerCertificate' in socket.getPeerCertificate());
  socket.destroy();
});

test('an empty servername, as agents of node:https give for an address, is no other than none', async (t) => {
  const { port } = await serveTls(pair.server, nameless, (peer) => peer.end('hello'));
  const asked: string[] = [];
  const checkServerIdentity = (name: string): undefined => void asked.push(name);
  const socket = await connectTls(port, { ca: nameless.ca, servername: '', checkServerIdentity });
  t.deepEqual(asked, [SERVER_V4]);
  t.is(socket.servername, SERVER_V4);
  socket.destroy();
});

test('a name that ends in a number is told to the server as well', async (t) => {
  const names: unknown[] = [];
  const { port } = await serveTls(pair.server, identity, (peer) => {
    names.push((peer as { servername?: unknown }).servername);
    peer.end('hello');
  });
  for (const servername of ['device.0', 'Device.Lab.Test']) {
    const socket = await connectTls(port, { ca: identity.ca, servername, rejectUnauthorized: false });
    await readAll(socket);
  }
  t.deepEqual(names, ['device.0', 'device.lab.test']);
});

test('nobody is asked about a chain that leads to no trusted root', async (t) => {
  const { port } = await serveTls(pair.server, identity, (peer) => peer.end('hello'));
  const checkServerIdentity = (): undefined => t.fail('asked');
  const { ca } = nameless;
  await t.throwsAsync(connectTls(port, { ca, checkServerIdentity }), {
    code: 'SELF_SIGNED_CERT_IN_CHAIN',
  });
});

test('a session is resumed only by those who would take its certificate', async (t) => {
  const { port } = await serveTls(pair.server, identity, (peer) => peer.end('hello'));
  const options = { ca: identity.ca, sessions: new MemorySessionStore() };
  const visit = async (more: TlsConnectOptions): Promise<boolean> => {
    const socket = await connectTls(port, { ...options, ...more });
    await readAll(socket);
    return socket.isSessionReused();
  };
  t.false(await visit({ checkServerIdentity: () => undefined }));
  t.true(await visit({ checkServerIdentity: () => undefined }));
  await t.throwsAsync(visit({ checkServerIdentity: () => new Error('no') }), { message: /no/ });
});
