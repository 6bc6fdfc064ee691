// needs: tun selfserv certutil pk12util openssl socat
import { writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { combinations, PeerLab } from '../test/peers/tls-server.ts';
import { AlertDescription } from './alerts.ts';
import { MemorySessionStore, type TlsClient } from './client.ts';
import { FALLBACK_SUITES, SUITES_ON_REQUEST, TLS12_SUITES, TLS13_SUITES } from './keys/suites.ts';
import { issue } from './testing/certificates.ts';
import type { TestConnection } from './testing/connection.ts';
import { CertificateStatus, RevocationStatus } from './x509/verdict.ts';

const OLDER = ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const;
// NSS has no CCM
const SUITES = [...TLS12_SUITES, ...SUITES_ON_REQUEST, ...FALLBACK_SUITES].filter(
  ({ name }) => !name.includes('CCM'),
);

/**
 * Ports: everything; one that demands a certificate; one of SSL 3.0 alone; one with P-384 alone; one with early data; one that demands a
 * certificate in a second handshake, or after the handshake.
 */
const [PORT, DEMANDING, SSL3, P384, EARLY, LATER, AGAIN] = [4001, 4002, 4003, 4004, 4005, 4006, 4007];
/** How the server staples, on a port each, and what comes of it. */
const STAPLED = {
  good: 'connected',
  unknown: 'connected',
  failure: 'connected',
  revoked: 'CertificateRejected',
  badsig: 'CertificateRejected',
  corrupted: 'CertificateRejected',
} as const;
const FIRST_STAPLED = 4010;

let peers: PeerLab;

test.before(async () => {
  peers = await PeerLab.open(['rsa2048', 'p256']);
  const { lab, files } = peers;
  const database = ['-d', `sql:${lab.folder}`];
  await lab.ok('certutil', ['-N', ...database, '--empty-password']);
  const caKey = lab.file('ca.key');
  writeFileSync(caKey, files.root.privateKey.export({ format: 'pem', type: 'pkcs8' }));
  // with its key, with which it signs answers of OCSP
  for (const [name, certificate, key] of [
    ['CA', files.caFile, caKey],
    ['rsa2048', files.certFile('rsa2048'), files.keyFile('rsa2048')],
    ['p256', files.certFile('p256'), files.keyFile('p256')],
  ] as const) {
    const pfx = lab.file(`${name}.p12`);
    const from = ['-in', certificate, '-inkey', key, '-name', name];
    await lab.ok('openssl', ['pkcs12', '-export', ...from, '-out', pfx, '-passout', 'pass:x']);
    await lab.ok('pk12util', ['-i', pfx, ...database, '-W', 'x']);
  }
  await lab.ok('certutil', ['-M', ...database, '-n', 'CA', '-t', 'CT,C,C']);
  const suites = [...TLS13_SUITES, ...SUITES]
    .map(({ id }) => `:${id.toString(16).padStart(4, '0')}`)
    .join('');
  const serve = (port: number, args: readonly string[]): Promise<unknown> =>
    peers.start(port, 'selfserv', [...database, '-n', 'rsa2048', '-p', String(port), '-c', suites, ...args]);
  await Promise.all([
    serve(PORT, ['-V', 'tls1.0:tls1.3', '-u', '-H', '1', '-G', '-e', 'p256']),
    serve(DEMANDING, ['-V', 'tls1.0:tls1.3', '-r', '-r', '-e', 'p256']),
    serve(SSL3, ['-V', 'ssl3:ssl3']),
    serve(P384, ['-V', 'tls1.0:tls1.3', '-u', '-I', 'P384', '-Q']),
    serve(EARLY, ['-V', 'tls1.3:tls1.3', '-u', '-Z']),
    serve(LATER, ['-V', 'tls1.3:tls1.3', '-r', '-r', '-r', '-r', '-E']),
    serve(AGAIN, ['-V', 'tls1.0:tls1.2', '-r', '-r', '-r', '-r']),
    ...Object.keys(STAPLED).map((mode, i) =>
      serve(FIRST_STAPLED + i, ['-V', 'tls1.2:tls1.3', '-T', mode, '-A', 'CA']),
    ),
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
  ['TLSv1.1', 'TLS_RSA_WITH_3DES_EDE_CBC_SHA'],
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

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  for (const [i, [mode, outcome]] of Object.entries(STAPLED).entries()) {
    test.serial(`a stapled answer, ${mode}: ${outcome}, ${version}`, async (t) => {
      // NSS signs them with SHA-1
      const client = peers.client({ minVersion: version, maxVersion: version, fallback: true });
      const connection = peers.connect(t, FIRST_STAPLED + i, client);
      const error = await connection.handshake();
      t.is(error?.family ?? client.state, outcome);
      if (mode === 'good')
        t.like(client.info.certificate, {
          status: CertificateStatus.Valid,
          revocation: RevocationStatus.Good,
        });
      else if (outcome === 'connected') t.is(client.info.certificate?.revocation, RevocationStatus.Unknown);
      if (mode === 'revoked') t.is(client.info.certificate?.status, CertificateStatus.Revoked);
    });
  }
}

test.serial('a stapled answer with a signature of SHA-1 is refused without fallback', async (t) => {
  const connection = peers.connect(t, FIRST_STAPLED, peers.client());
  const error = await connection.handshake();
  t.is(error?.alert, AlertDescription.BadCertificateStatusResponse);
  t.regex(error?.message ?? '', /SHA-?1.* too weak/i);
});

test.serial('a HelloRetryRequest for P-384, and an application protocol', async (t) => {
  const connection = await connect(t, P384, peers.client({ alpn: ['http/1.1'] }));
  t.like(connection.client.info, { version: 'TLSv1.3', group: 'P-384', alpn: 'http/1.1' });
  await getsPage(t, connection);
});

test.serial('early data: whether it is accepted or rejected, the page comes', async (t) => {
  const sessions = { store: new MemorySessionStore(), port: EARLY, policy: 'interop' };
  const request = Buffer.from('GET /early HTTP/1.0\r\n\r\n');
  for (const isResumed of [false, true]) {
    const client = peers.client({ sessions, earlyData: true });
    const connection = peers.connect(t, EARLY, client, request);
    t.is(await connection.handshake(), null);
    t.is(client.info.isResumed, isResumed);
    if (client.info.earlyData !== 'accepted') connection.send(request);
    // not for its close_notify: the connection has ended without one, once
    await connection.until(() => /GET \/early/.test(connection.received));
    connection.close();
  }
});

for (const version of [...OLDER, 'TLSv1.3'] as const) {
  test.serial(`a client certificate is demanded after the first handshake, ${version}`, async (t) => {
    const { root } = peers.files;
    const valid = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
    const me = issue({ subject: 'me', issuer: root, key: 'p256', ...valid });
    const credentials = { chain: [me.der], key: me.privateKey };
    const only = { minVersion: version, maxVersion: version, fallback: true, postHandshakeAuth: true };
    const connection = await connect(
      t,
      version === 'TLSv1.3' ? LATER : AGAIN,
      peers.client({ ...only, credentials }),
    );
    t.is(connection.client.info.clientCertificate, 'not requested');
    await getsPage(t, connection);
    if (version === 'TLSv1.3') t.is(connection.client.info.clientCertificate, 'sent');
    else t.is(connection.renegotiations, 1);
  });
}
