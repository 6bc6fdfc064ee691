// needs: tun gnutls-serv socat
import test, { type ExecutionContext } from 'ava';
import { combinations, echoes, PeerLab } from '../test/peers/tls-server.ts';
import { MemorySessionStore, type TlsClient } from './client.ts';
import { FALLBACK_SUITES, SUITES_ON_REQUEST, TLS12_SUITES, TLS13_SUITES } from './keys/suites.ts';
import { issue } from './testing/certificates.ts';
import type { TestConnection } from './testing/connection.ts';

// one at a time: gnutls-serv serves all connections in one loop, and listens for few at once
const OLDER = ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const;
const SUITES = [...TLS12_SUITES, ...SUITES_ON_REQUEST, ...FALLBACK_SUITES];
const EVERYTHING = [
  'NORMAL:+VERS-ALL:+CIPHER-ALL:+ARCFOUR-128:+3DES-CBC:+AES-128-CCM-8:+AES-256-CCM-8',
  '+MAC-ALL:+MD5:+SHA1:+SHA256:+SHA384:+KX-ALL:+SIGN-ALL',
].join(':');

/** Ports: everything; a server from before RFC 5746, 7366 and 7627; one without tickets; one that demands a certificate. */
const [MODERN, OLD, WITHOUT_TICKETS, DEMANDING] = [4001, 4002, 4003, 4004];

let peers: PeerLab;

test.before(async () => {
  peers = await PeerLab.open(['rsa2048', 'p256']);
  const { caFile } = peers.files;
  await Promise.all([
    serve(MODERN, EVERYTHING, ['-a']),
    serve(OLD, `${EVERYTHING}:%NO_ETM:%NO_SESSION_HASH:%DISABLE_SAFE_RENEGOTIATION`, ['-a']),
    serve(WITHOUT_TICKETS, EVERYTHING, ['-a', '--noticket']),
    serve(DEMANDING, EVERYTHING, ['-r', '--verify-client-cert', '--x509cafile', caFile]),
  ]);
});
test.after.always(() => peers.close());

async function serve(port: number, priority: string, args: readonly string[]): Promise<void> {
  const { certFile, keyFile } = peers.files;
  const identities = (['rsa2048', 'p256'] as const).flatMap((key) => {
    return ['--x509certfile', certFile(key), '--x509keyfile', keyFile(key)];
  });
  const all = ['-q', '--echo', '-p', String(port), ...identities, '--priority', priority, ...args];
  await peers.start(port, 'gnutls-serv', all);
}

async function connect(t: ExecutionContext, port: number, client: TlsClient): Promise<TestConnection> {
  const connection = peers.connect(t, port, client);
  t.is(await connection.handshake(), null);
  return connection;
}

for (const [version, suite] of combinations(OLDER, SUITES)) {
  test.serial(`${version} ${suite.name}`, async (t) => {
    const only = { minVersion: version, maxVersion: version, cipherSuites: [suite.name] };
    const connection = await connect(t, MODERN, peers.client({ fallback: true, ...only }));
    const { info } = connection.client;
    t.like(info, { version, cipherSuite: suite.name, extendedMasterSecret: true });
    t.is(info.encryptThenMac, suite.cipher.kind === 'block');
    await echoes(t, connection);
  });
}

for (const { name } of TLS13_SUITES) {
  test.serial(`TLSv1.3 ${name}`, async (t) => {
    const connection = await connect(t, MODERN, peers.client({ cipherSuites: [name] }));
    t.like(connection.client.info, { version: 'TLSv1.3', cipherSuite: name });
    await echoes(t, connection);
  });
}

const CBC = SUITES.filter((suite) => suite.cipher.kind === 'block' && suite.keyExchange === 'rsa');
for (const [version, suite] of combinations(OLDER, CBC)) {
  test.serial(`a server from before 2010, ${version} ${suite.name}`, async (t) => {
    const only = { minVersion: version, maxVersion: version, cipherSuites: [suite.name] };
    const connection = await connect(t, OLD, peers.client({ fallback: true, ...only }));
    const { info } = connection.client;
    t.like(info, { version, extendedMasterSecret: false, encryptThenMac: false });
    await echoes(t, connection);
  });
}

test.serial('a server from before RFC 5746 is refused without fallback', async (t) => {
  const connection = peers.connect(t, OLD, peers.client({ maxVersion: 'TLSv1.2' }));
  t.is((await connection.handshake())?.member, 'RenegotiationInfoMissing');
});

test.serial('everything offered at once: the best wins', async (t) => {
  const connection = await connect(t, MODERN, peers.client({ fallback: true }));
  t.is(connection.client.info.version, 'TLSv1.3');
  await echoes(t, connection);
});

test.serial('a CBC suite on request, without fallback', async (t) => {
  const suite = 'TLS_DHE_RSA_WITH_AES_256_CBC_SHA256';
  const connection = await connect(t, MODERN, peers.client({ maxVersion: 'TLSv1.2', cipherSuites: [suite] }));
  t.like(connection.client.info, { cipherSuite: suite, encryptThenMac: true });
  t.regex(connection.client.info.group, /^DH of (2048|3072) bits$/);
  await echoes(t, connection);
});

for (const [how, port] of [
  ['tickets', MODERN],
  ['session ids', WITHOUT_TICKETS],
] as const) {
  for (const [version, suite] of [
    ['TLSv1', 'TLS_RSA_WITH_RC4_128_MD5'],
    ['TLSv1.1', 'TLS_DHE_RSA_WITH_AES_128_CBC_SHA'],
    ['TLSv1.2', 'TLS_RSA_WITH_3DES_EDE_CBC_SHA'],
    ['TLSv1.2', 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'],
  ] as const) {
    test.serial(`resumption by ${how}, ${version} ${suite}`, async (t) => {
      const sessions = { store: new MemorySessionStore(), port, policy: 'interop' };
      const only = { minVersion: version, maxVersion: version, cipherSuites: [suite], fallback: true };
      for (const isResumed of [false, true, true]) {
        const connection = await connect(t, port, peers.client({ ...only, sessions }));
        t.is(connection.client.info.isResumed, isResumed);
        await echoes(t, connection);
        connection.close();
      }
    });
  }
}

test.serial('resumption, TLSv1.3', async (t) => {
  const sessions = { store: new MemorySessionStore(), port: MODERN, policy: 'interop' };
  for (const isResumed of [false, true, true]) {
    const connection = await connect(t, MODERN, peers.client({ sessions }));
    t.like(connection.client.info, { version: 'TLSv1.3', isResumed });
    // the tickets come before the data
    await echoes(t, connection);
    connection.close();
  }
});

for (const version of [...OLDER, 'TLSv1.3'] as const) {
  for (const key of ['rsa2048', 'p256'] as const) {
    test.serial(`a client certificate is demanded and checked, ${version} ${key}`, async (t) => {
      const { root } = peers.files;
      const valid = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
      const me = issue({ subject: 'me', issuer: root, key, ...valid });
      const credentials = { chain: [me.der], key: me.privateKey };
      const only = { minVersion: version, maxVersion: version, fallback: true };
      const connection = await connect(t, DEMANDING, peers.client({ ...only, credentials }));
      t.is(connection.client.info.clientCertificate, 'sent');
      await echoes(t, connection);
    });
  }
}
