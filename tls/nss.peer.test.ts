// needs: tun selfserv certutil pk12util openssl socat
import test, { type ExecutionContext } from 'ava';
import { combinations, PeerLab } from '../test/peers/tls-server.ts';
import { AlertDescription } from './alerts.ts';
import { MemorySessionStore, type TlsClient } from './client.ts';
import { FALLBACK_SUITES, SUITES_ON_REQUEST, TLS12_SUITES, TLS13_SUITES } from './keys/suites.ts';
import { issue } from './testing/certificates.ts';
import type { TestConnection } from './testing/connection.ts';

const OLDER = ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const;
// NSS has no CCM
const SUITES = [...TLS12_SUITES, ...SUITES_ON_REQUEST, ...FALLBACK_SUITES].filter(
  ({ name }) => !name.includes('CCM'),
);

/** Ports: everything; one that demands a certificate; one of SSL 3.0 alone. */
const [PORT, DEMANDING, SSL3] = [4001, 4002, 4003];

let peers: PeerLab;

test.before(async () => {
  peers = await PeerLab.open(['rsa2048', 'p256']);
  const { lab, files } = peers;
  const database = ['-d', `sql:${lab.folder}`];
  await lab.ok('certutil', ['-N', ...database, '--empty-password']);
  await lab.ok('certutil', ['-A', ...database, '-n', 'CA', '-t', 'CT,C,C', '-i', files.caFile]);
  for (const key of ['rsa2048', 'p256'] as const) {
    const pfx = lab.file(`${key}.p12`);
    const from = ['-in', files.certFile(key), '-inkey', files.keyFile(key), '-name', key];
    await lab.ok('openssl', ['pkcs12', '-export', ...from, '-out', pfx, '-passout', 'pass:x']);
    await lab.ok('pk12util', ['-i', pfx, ...database, '-W', 'x']);
  }
  const suites = [...TLS13_SUITES, ...SUITES]
    .map(({ id }) => `:${id.toString(16).padStart(4, '0')}`)
    .join('');
  const serve = (port: number, args: readonly string[]): Promise<unknown> =>
    peers.start(port, 'selfserv', [
      ...database,
      '-n',
      'rsa2048',
      '-e',
      'p256',
      '-p',
      String(port),
      '-c',
      suites,
      ...args,
    ]);
  await Promise.all([
    serve(PORT, ['-V', 'tls1.0:tls1.3', '-u', '-H', '1', '-G']),
    serve(DEMANDING, ['-V', 'tls1.0:tls1.3', '-r', '-r']),
    serve(SSL3, ['-V', 'ssl3:ssl3']),
  ]);
});
test.after.always(() => peers.close());

async function connect(t: ExecutionContext, port: number, client: TlsClient): Promise<TestConnection> {
  const connection = peers.connect(t, port, client);
  t.is(await connection.handshake(), null);
  return connection;
}

/** It repeats the request. */
async function getsPage(t: ExecutionContext, connection: TestConnection): Promise<void> {
  connection.send(Buffer.from(`GET /abc HTTP/1.0\r\nX-Mark: ${'m'.repeat(3000)}\r\n\r\n`));
  await connection.until(() => connection.isClosedByPeer);
  t.regex(connection.received, /^HTTP\/1\.0 200 OK/);
  t.regex(connection.received, /m{3000}/);
}

// one at a time: selfserv drops connections when many come at once
for (const [version, suite] of combinations(OLDER, SUITES)) {
  test.serial(`${version} ${suite.name}`, async (t) => {
    const only = { minVersion: version, maxVersion: version, cipherSuites: [suite.name], fallback: true };
    const connection = await connect(t, PORT, peers.client(only));
    t.like(connection.client.info, {
      version,
      cipherSuite: suite.name,
      extendedMasterSecret: true,
      encryptThenMac: false,
    });
    await getsPage(t, connection);
  });
}

for (const { name } of TLS13_SUITES) {
  test.serial(`TLSv1.3 ${name}`, async (t) => {
    const connection = await connect(t, PORT, peers.client({ cipherSuites: [name] }));
    t.like(connection.client.info, { version: 'TLSv1.3', cipherSuite: name });
    await getsPage(t, connection);
  });
}

for (const [version, suite] of [
  ['TLSv1', 'TLS_RSA_WITH_RC4_128_MD5'],
  ['TLSv1.2', 'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA'],
  ['TLSv1.3', 'TLS_AES_128_GCM_SHA256'],
] as const) {
  test.serial(`resumption, ${version}`, async (t) => {
    const sessions = { store: new MemorySessionStore(), port: PORT, policy: 'interop' };
    const only = { minVersion: version, maxVersion: version, cipherSuites: [suite], fallback: true };
    for (const isResumed of [false, true, true]) {
      const connection = await connect(t, PORT, peers.client({ ...only, sessions }));
      t.is(connection.client.info.isResumed, isResumed);
      await getsPage(t, connection);
      connection.close();
    }
  });
}

for (const version of [...OLDER, 'TLSv1.3'] as const) {
  test.serial(`a client certificate is demanded and checked, ${version}`, async (t) => {
    const { root } = peers.files;
    const valid = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
    const me = issue({ subject: 'me', issuer: root, key: 'rsa2048', ...valid });
    const credentials = { chain: [me.der], key: me.privateKey };
    const only = { minVersion: version, maxVersion: version, fallback: true };
    const connection = await connect(t, DEMANDING, peers.client({ ...only, credentials }));
    t.is(connection.client.info.clientCertificate, 'sent');
    await getsPage(t, connection);
  });
}

test.serial('SSL 3.0 is refused, with fallback too', async (t) => {
  const connection = peers.connect(t, SSL3, peers.client({ fallback: true, maxVersion: 'TLSv1.2' }));
  const error = await connection.handshake();
  // it answers with its version all the same
  t.like(error, { member: 'VersionNotSupported', alert: AlertDescription.ProtocolVersion });
});
