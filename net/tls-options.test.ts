import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import tls from 'node:tls';
import test from 'ava';
import { issueCa, issueServer, toPem } from '../tls/testing/certificates.ts';
import { integer } from '../tls/testing/der-writer.ts';
import { issueCrl, revokedEntry } from '../tls/testing/revocation.ts';
import { issueLogged, makeLog, type TestLog } from '../tls/testing/timestamps.ts';
import {
  MemorySessionStore,
  NamedGroup,
  NetError,
  type Socket,
  type TlsConnectOptions,
  type TracedMessage,
  TrustStore,
} from './index.ts';
import { readAll } from './testing/consume.ts';
import { SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { makeClientIdentity, makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';
import { serveTls, type TlsServer } from './testing/tls-server.ts';

const identity = makeIdentity();
const me = makeClientIdentity('me');
const locked = createPrivateKey(me.key)
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'secret' })
  .toString();
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

function connectTls(port: number, options: TlsConnectOptions = {}): Promise<Socket> {
  const known = { servername: SERVER_NAME, ca: identity.ca };
  return pair.client.connect({ host: SERVER_V4, port, tls: { ...known, ...options } });
}

/** Connects, reads to the end, and says whether that was a resumed session. */
async function visit(port: number, options: TlsConnectOptions = {}): Promise<boolean> {
  const socket = await connectTls(port, options);
  socket.end();
  await readAll(socket);
  return socket.isSessionReused();
}

/** Counts its own view of resumed sessions. */
async function countingServer(
  options: tls.TlsOptions = {},
): Promise<TlsServer & { readonly reused: boolean[] }> {
  const reused: boolean[] = [];
  const server = await serveTls(pair.server, { ...identity, ...options }, (peer) => {
    reused.push(peer.isSessionReused());
    peer.end('hello');
  });
  return { ...server, reused };
}

test('TLS 1.2: the session of a connection that failed is not resumed', async (t) => {
  const reused: boolean[] = [];
  const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  const secure = tls.createServer({ ...identity, maxVersion: 'TLSv1.2' });
  secure.on('tlsClientError', () => {});
  server.on('connection', (wire) => {
    wire.on('error', () => {});
    secure.once('secureConnection', (peer) => {
      peer.on('error', () => {});
      reused.push(peer.isSessionReused());
      // the second one gets a record that nobody has sealed
      if (reused.length === 2) wire.write(Buffer.of(23, 3, 3, 0, 40, ...new Uint8Array(40)));
      else peer.end('hello');
    });
    secure.emit('connection', wire);
  });
  const { port = 0 } = server.address() ?? {};
  const visitOnce = async (): Promise<void> => void (await readAll(await connectTls(port)));
  await visitOnce();
  await t.throwsAsync(visitOnce(), { message: /did not decrypt/ });
  await visitOnce();
  await visitOnce();
  t.deepEqual(reused, [false, true, false, true]);
});

test('tuning: a group on request, and a trace of the handshake', async (t) => {
  const server = await serveTls(pair.server, { ...identity, ecdhCurve: 'P-384:X25519' }, (peer) =>
    peer.end(),
  );
  const messages: TracedMessage[] = [];
  const trace = (message: TracedMessage): unknown => messages.push(message);
  const socket = await connectTls(server.port, {
    tuning: { groups: [NamedGroup.Secp384r1], grease: true, testing: { trace } },
  });
  const groups = messages[0]?.hello?.extensions.find(({ name }) => name === 'supported_groups');
  // one that no server knows, and the one that was asked for
  t.regex(groups?.content ?? '', /^0004(?:.a){2}0018$/);
  t.is(messages.at(-1)?.type, 'finished');
  await readAll(socket);
});

test('minVersion and maxVersion bound what is spoken', async (t) => {
  const both = await serveTls(pair.server, identity, (peer) => peer.end());
  for (const version of VERSIONS) {
    const socket = await connectTls(both.port, { minVersion: version, maxVersion: version });
    t.is(socket.getProtocol(), version);
    await readAll(socket);
  }
  for (const [server, client] of [VERSIONS, [...VERSIONS].reverse()] as const) {
    const only = { ...identity, minVersion: server, maxVersion: server } as tls.TlsOptions;
    const { port, errors } = await serveTls(pair.server, only, (peer) => peer.end());
    const wanted = { minVersion: client, maxVersion: client } as TlsConnectOptions;
    t.like(await t.throwsAsync(connectTls(port, wanted), { instanceOf: NetError }), {
      code: 'EPROTO',
      phase: 'handshake',
    });
    while (errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    t.regex(`${errors[0]}`, /protocol|version/i);
  }
});

for (const version of VERSIONS) {
  test(`${version}: the second connection resumes the session of the first, without being told to`, async (t) => {
    const { port, reused } = await countingServer({ minVersion: version, maxVersion: version });
    const first = await connectTls(port);
    t.false(first.isSessionReused());
    await readAll(first);
    const second = await connectTls(port);
    t.true(second.isSessionReused());
    t.true(second.authorized);
    t.is(second.getPeerCertificate().subject.CN, SERVER_NAME);
    t.is((await readAll(second)).toString(), 'hello');
    t.deepEqual(reused, [false, true]);
  });

  test(`${version}: exported keys are the same on both sides, with a context and without`, async (t) => {
    const theirs: Buffer[] = [];
    const context = Buffer.from('context');
    const options = { ...identity, minVersion: version, maxVersion: version };
    const { port } = await serveTls(pair.server, options, (peer) => {
      theirs.push(peer.exportKeyingMaterial(48, 'EXPERIMENTAL lab', context));
      // without one: @types/node wants it although Node does not
      theirs.push(Reflect.apply(peer.exportKeyingMaterial, peer, [48, 'EXPERIMENTAL lab']));
      peer.end('hello');
    });
    const socket = await connectTls(port);
    const ours = [
      socket.exportKeyingMaterial(48, 'EXPERIMENTAL lab', context),
      socket.exportKeyingMaterial(48, 'EXPERIMENTAL lab'),
    ];
    t.throws(() => socket.exportKeyingMaterial(0, 'EXPERIMENTAL lab'), { instanceOf: RangeError });
    await readAll(socket);
    t.deepEqual(ours, theirs);
    t.notDeepEqual(ours[0], ours[1]);
    if (!socket.closed) await once(socket, 'close');
    t.throws(() => socket.exportKeyingMaterial(48, 'EXPERIMENTAL lab'), { code: 'ENOTCONN' });
  });

  test(`${version}: a server that asks for a certificate gets it, with its issuers`, async (t) => {
    const options = { ...identity, ca: me.ca, requestCert: true, minVersion: version, maxVersion: version };
    const { port } = await serveTls(pair.server, options, (peer) =>
      peer.end(`${peer.getPeerCertificate().subject?.CN}`),
    );
    for (const client of [
      { cert: me.cert, key: me.key },
      { cert: Buffer.from(me.cert), key: Buffer.from(me.key) },
      { cert: me.cert, key: createPrivateKey(me.key) },
      { cert: me.cert, key: locked, passphrase: 'secret' },
      { cert: me.cert, key: (_scheme: string, content: Uint8Array) => sign('sha256', content, me.key) },
    ]) {
      const socket = await connectTls(port, client);
      t.is((await readAll(socket)).toString(), 'me');
    }
    // TLS 1.3 servers refuse after our side is done: the first read tells
    const refused = await t.throwsAsync(async () => readAll(await connectTls(port)), {
      instanceOf: NetError,
    });
    // Node's server closes right behind its alert, and its reset may overtake it
    t.true(['EPROTO', 'ECONNRESET'].includes(refused.code), refused.message);
  });
}

test('sessions never pass between roots, policies, protocols, certificates, or when told not to', async (t) => {
  const { port } = await countingServer({
    ALPNProtocols: ['a', 'b'],
    ca: me.ca,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const others: TlsConnectOptions[] = [
    {},
    { ca: [identity.ca, makeIdentity().ca] },
    { ca: TrustStore.fromPem(identity.ca) },
    { rejectUnauthorized: false },
    { alpnProtocols: ['a'] },
    { cert: me.cert, key: me.key },
    { sessions: new MemorySessionStore() },
  ];
  for (const options of others) t.false(await visit(port, options), `met: ${Object.keys(options)}`);
  for (const options of others) t.true(await visit(port, options), `missed: ${Object.keys(options)}`);
  t.false(await visit(port, { sessions: false }));
});

test('an own store serves two stacks; each stack has one of its own', async (t) => {
  const { port } = await countingServer();
  const other = await stackPair();
  t.teardown(() => other.close());
  const far = await serveTls(other.server, identity, (peer) => peer.end('x'));
  t.false(await visit(port));
  const visitFar = async (options: TlsConnectOptions): Promise<boolean> => {
    const tlsOptions = { servername: SERVER_NAME, ca: identity.ca, ...options };
    const socket = await other.client.connect({ host: SERVER_V4, port: far.port, tls: tlsOptions });
    await readAll(socket);
    return socket.isSessionReused();
  };
  t.false(await visitFar({}));
  const sessions = new MemorySessionStore();
  t.false(await visitFar({ sessions }));
  t.true(await visitFar({ sessions }));
});

test('a session whose server does not know it any more becomes a full handshake', async (t) => {
  const { port, server } = await countingServer();
  t.false(await visit(port));
  await server[Symbol.asyncDispose]();
  const again = await pair.server.listen({ port, allowHalfOpen: true });
  const secure = tls.createServer(identity, (peer) => peer.end('new'));
  again.on('connection', (socket) => secure.emit('connection', socket));
  t.false(await visit(port));
  t.true(await visit(port));
});

test('options that cannot be are refused at once, with the reason', (t) => {
  const other = generateKeyPairSync('ed25519').privateKey;
  for (const [options, message] of [
    [{ cert: me.cert }, /need each other/],
    [{ key: me.key }, /need each other/],
    [{ cert: me.cert, key: other }, /not the key of/],
    [{ cert: me.cert, key: generateKeyPairSync('ed25519').publicKey }, /public key/],
    [{ cert: me.cert, key: 'nonsense' }, /tls\.key cannot be read/],
    [{ pfx: Buffer.from('nonsense') }, /tls\.pfx cannot be read/],
    [{ cert: me.key, key: me.key }, /holds no certificate/],
    [{ cert: me.cert.replace(/M/, '!'), key: me.key }, /line 1: not base64/],
    [{ ca: 'nonsense' }, /tls\.ca holds no certificate/],
    [{ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }, /no TLS version from/],
    [{ minVersion: 'SSLv3' as 'TLSv1.2' }, /got 'SSLv3'/],
    [{ minVersion: 'TLSv1.1' }, /'TLSv1\.1' takes tls\.fallback/],
    [{ cipherSuites: ['TLS_RSA_WITH_RC4_128_MD5'] }, /RC4_128_MD5' takes tls\.fallback/],
    [{ cipherSuites: ['RC4-MD5'] }, /no cipher suite 'RC4-MD5'/],
  ] as const) {
    const connect = (): Socket => pair.client.createConnection({ host: SERVER_V4, port: 443, tls: options });
    const error = t.throws(connect, { instanceOf: NetError, message });
    t.like(error, { code: 'EINVAL', phase: 'argument' });
  }
});

test('a wrong passphrase has a code of its own', (t) => {
  for (const tls of [
    { cert: me.cert, key: locked },
    { cert: me.cert, key: locked, passphrase: 'wrong' },
  ]) {
    const connect = (): Socket => pair.client.createConnection({ host: SERVER_V4, port: 443, tls });
    const error = t.throws(connect, { instanceOf: NetError, message: /tls\.key/ });
    t.is(error.code, 'ERR_TLS_CREDENTIALS_PASSWORD');
  }
});

test('without TLS there is no session and nothing to export', async (t) => {
  await using server = await pair.server.listen({ port: 0 });
  await using socket = await pair.client.connect({ host: SERVER_V4, port: server.address()?.port ?? 0 });
  t.false(socket.isSessionReused());
  t.throws(() => socket.exportKeyingMaterial(32, 'EXPERIMENTAL lab'), {
    code: 'ENOTCONN',
    message: /no TLS/,
  });
});

test("the secrets go to the option keylog and to listeners of Node's event, in its form", async (t) => {
  const { port } = await countingServer();
  const lines: string[] = [];
  const events: Buffer[] = [];
  const keylog = (line: string): void => void lines.push(line);
  const target = { host: SERVER_V4, port, tls: { servername: SERVER_NAME, ca: identity.ca, keylog } };
  const socket = pair.client.createConnection(target);
  socket.on('keylog', (line: Buffer) => events.push(line));
  await readAll(socket);
  t.true(lines.length >= 4);
  t.deepEqual(
    events.map(String),
    lines.map((line) => `${line}\n`),
  );
  for (const event of events) t.regex(`${event}`, /^[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]{64,96}\n$/);
});

test('crl: as in Node, every issuer needs a list, and what is on one is refused', async (t) => {
  const times = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const lists = { thisUpdate: times.notBefore, nextUpdate: times.notAfter };
  const ca = issueCa('lists', times);
  const serial = integer(4711);
  const leaf = issueServer([SERVER_NAME], ca, { serial, ...times });
  const key = leaf.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const { port } = await serveTls(pair.server, { key, cert: leaf.pem }, (peer) => peer.end('hello'));
  const other = issueCrl(issueCa('other'), lists);
  const good = toPem(issueCrl(ca, lists), 'X509 CRL');
  const bad = issueCrl(ca, { revoked: [revokedEntry(serial)], ...lists });
  const reason = async (crl: TlsConnectOptions['crl']): Promise<unknown> => {
    try {
      await readAll(await connectTls(port, { ca: ca.pem, crl }));
      return 'accepted';
    } catch (error) {
      return error instanceof NetError ? error.tunwireCode : error;
    }
  };
  t.is(await reason(undefined), 'accepted');
  t.is(await reason(good), 'accepted');
  t.is(await reason([good, other]), 'accepted');
  t.is(await reason([good, bad]), 'CERT_REVOKED', 'the session of before is of no use');
  t.is(await reason(other), 'CERT_INVALID');
  t.is(await reason('no list'), 'ARGUMENT_INVALID');
});

test('timestampLogs: a certificate that none of the known logs has promised to publish is refused', async (t) => {
  const times = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const ca = issueCa('logged', times);
  const leaf = issueServer([SERVER_NAME], ca, times);
  const key = leaf.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const { port } = await serveTls(pair.server, { key, cert: leaf.pem }, (peer) => peer.end('hello'));
  const log = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    type: 'spki',
    format: 'pem',
  });
  const attempt = async (tls: TlsConnectOptions): Promise<Buffer> =>
    readAll(await connectTls(port, { ca: ca.pem, ...tls }));
  t.is(`${await attempt({ timestampLogs: [log], minTimestamps: 0 })}`, 'hello');
  const refused = await t.throwsAsync(attempt({ timestampLogs: [log] }), {
    message: /timestamps of 0 known logs, not of 1/,
  });
  t.is(refused instanceof NetError ? refused.tunwireCode : null, 'CERT_INVALID');
  await t.throwsAsync(attempt({ timestampLogs: [log], minTimestamps: 2 }), {
    message: /tls.minTimestamps: expected 0 to the 1 /,
  });
  await t.throwsAsync(attempt({ timestampLogs: ['no key'] }), {
    message: /tls.timestampLogs cannot be read/,
  });
});

test('minTimestamps: so many logs have signed for the certificate, or CERT_INVALID', async (t) => {
  const times = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const ca = issueCa('logged', times);
  const [one, two, other] = [makeLog(), makeLog('rsa'), makeLog()];
  const leaf = issueLogged([SERVER_NAME], ca, [one, two], times.notBefore, times);
  const key = leaf.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const { port } = await serveTls(pair.server, { key, cert: leaf.pem }, (peer) => peer.end('hello'));
  const attempt = async (logs: readonly TestLog[], minTimestamps?: number): Promise<unknown> => {
    try {
      const timestampLogs = logs.map(({ spki }) => spki);
      return String(await readAll(await connectTls(port, { ca: ca.pem, timestampLogs, minTimestamps })));
    } catch (error) {
      return error instanceof NetError ? error.tunwireCode : error;
    }
  };
  t.is(await attempt([one, two], 2), 'hello');
  t.is(await attempt([one, two, other], 2), 'hello');
  t.is(await attempt([other, two]), 'hello', 'one is enough unless more are asked for');
  t.is(await attempt([one, two, other], 3), 'CERT_INVALID');
  t.is(await attempt([one, other], 2), 'CERT_INVALID');
  t.is(await attempt([other]), 'CERT_INVALID');
});
