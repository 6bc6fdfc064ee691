// needs: tun javac openssl socat
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { combinations, echoes, PeerLab } from '../test/peers/tls-server.ts';
import { AlertDescription } from './alerts.ts';
import { MemorySessionStore, type TlsClient } from './client.ts';
import { FALLBACK_SUITES, SUITES_ON_REQUEST, TLS12_SUITES, TLS13_SUITES } from './keys/suites.ts';
import { issue } from './testing/certificates.ts';
import type { TestConnection } from './testing/connection.ts';

const OLDER = ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const;
const KEYS = ['rsa2048', 'p256'] as const;
// JSSE has no CCM in TLS 1.2
const SUITES = [...TLS12_SUITES, ...SUITES_ON_REQUEST, ...FALLBACK_SUITES].filter(
  ({ name }) => !name.includes('CCM'),
);

/** Ports: everything; one that demands a certificate; both without extended master secret, and with P-384 alone. */
const [PORT, DEMANDING, OLD, OLD_DEMANDING] = [4001, 4002, 4003, 4004];

let peers: PeerLab;

test.before(async () => {
  peers = await PeerLab.open(KEYS);
  const { lab, files } = peers;
  const stores = await Promise.all(
    KEYS.map(async (key) => {
      const pfx = lab.file(`${key}.p12`);
      const from = ['-in', files.certFile(key), '-inkey', files.keyFile(key), '-name', key];
      await lab.ok('openssl', ['pkcs12', '-export', ...from, '-out', pfx, '-passout', 'pass:x']);
      return pfx;
    }),
  );
  const source = join(import.meta.dirname, '../test/peers/TlsEchoServer.java');
  const fast = ['-XX:TieredStopAtLevel=1', '-Xshare:auto', '-Djava.security.egd=file:/dev/urandom'];
  const serve = async (port: number, demanding: number, ...properties: readonly string[]): Promise<void> => {
    const program = [source, files.caFile, String(port), String(demanding), ...stores];
    const server = await peers.start(port, 'java', [...fast, ...properties, ...program]);
    await lab.listening(server, demanding);
  };
  await Promise.all([
    serve(PORT, DEMANDING),
    serve(OLD, OLD_DEMANDING, '-Djdk.tls.useExtendedMasterSecret=false', '-Djdk.tls.namedGroups=secp384r1'),
  ]);
});
test.after.always(() => peers.close());

async function connect(t: ExecutionContext, port: number, client: TlsClient): Promise<TestConnection> {
  const connection = peers.connect(t, port, client);
  t.is(await connection.handshake(), null);
  return connection;
}

for (const [version, suite] of combinations(OLDER, SUITES)) {
  test(`${version} ${suite.name}`, async (t) => {
    const only = { minVersion: version, maxVersion: version, cipherSuites: [suite.name], fallback: true };
    const connection = await connect(t, PORT, peers.client(only));
    const { info } = connection.client;
    t.like(info, { version, cipherSuite: suite.name, extendedMasterSecret: true, encryptThenMac: false });
    await echoes(t, connection);
    connection.close();
  });
}

for (const { name } of TLS13_SUITES) {
  test(`TLSv1.3 ${name}`, async (t) => {
    const connection = await connect(t, PORT, peers.client({ cipherSuites: [name] }));
    t.like(connection.client.info, { version: 'TLSv1.3', cipherSuite: name });
    await echoes(t, connection);
    connection.close();
  });
}

for (const [version, suite] of [
  ['TLSv1', 'TLS_RSA_WITH_RC4_128_MD5'],
  ['TLSv1.1', 'TLS_RSA_WITH_3DES_EDE_CBC_SHA'],
  ['TLSv1.2', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'],
  ['TLSv1.3', 'TLS_AES_128_GCM_SHA256'],
] as const) {
  test(`resumption, ${version} ${suite}`, async (t) => {
    const sessions = { store: new MemorySessionStore(), port: PORT, policy: 'interop' };
    const only = { minVersion: version, maxVersion: version, cipherSuites: [suite], fallback: true };
    for (const isResumed of [false, true]) {
      const connection = await connect(t, PORT, peers.client({ ...only, sessions }));
      t.is(connection.client.info.isResumed, isResumed);
      await echoes(t, connection);
      connection.close();
    }
  });
}

for (const version of [...OLDER, 'TLSv1.3'] as const) {
  for (const key of KEYS) {
    test(`a client certificate is demanded and checked, ${version} ${key}`, async (t) => {
      const { root } = peers.files;
      const valid = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
      const me = issue({ subject: 'me', issuer: root, key, ...valid });
      const credentials = { chain: [me.der], key: me.privateKey };
      const only = { minVersion: version, maxVersion: version, fallback: true };
      const connection = await connect(t, DEMANDING, peers.client({ ...only, credentials }));
      t.is(connection.client.info.clientCertificate, 'sent');
      await echoes(t, connection);
      connection.close();
    });
  }
}

test('a HelloRetryRequest for P-384, then resumption', async (t) => {
  const sessions = { store: new MemorySessionStore(), port: OLD, policy: 'interop' };
  for (const isResumed of [false, true]) {
    const connection = await connect(t, OLD, peers.client({ sessions }));
    t.like(connection.client.info, { version: 'TLSv1.3', group: 'P-384', isResumed });
    await echoes(t, connection);
    connection.close();
  }
});

for (const version of OLDER) {
  test(`without extended master secret nothing is resumed, ${version}`, async (t) => {
    const sessions = { store: new MemorySessionStore(), port: OLD, policy: 'interop' };
    const only = { minVersion: version, maxVersion: version, fallback: true };
    for (let i = 0; i < 2; i++) {
      const connection = await connect(t, OLD, peers.client({ ...only, sessions }));
      t.like(connection.client.info, { version, extendedMasterSecret: false, isResumed: false });
      await echoes(t, connection);
      connection.close();
    }
  });
}

test('an application protocol of ours is selected; none in common: the alert that RFC 7301 names', async (t) => {
  const connection = await connect(t, PORT, peers.client({ alpn: ['x', 'lab/1'] }));
  t.is(connection.client.info.alpn, 'lab/1');
  const other = peers.connect(t, PORT, peers.client({ alpn: ['x'] }));
  t.is((await other.handshake())?.alertReceived, AlertDescription.NoApplicationProtocol);
});

for (const version of OLDER) {
  test(`with fallback the server renegotiates, again and again, ${version}`, async (t) => {
    const only = { minVersion: version, maxVersion: version, fallback: true };
    const connection = await connect(t, PORT, peers.client(only));
    for (let round = 1; round <= 3; round++) {
      connection.send(Uint8Array.of(0));
      await connection.until(() => connection.renegotiations === round);
      connection.send(Buffer.from(`round ${round}`));
      await connection.until(() => connection.received.endsWith(`round ${round}`));
    }
  });
}
