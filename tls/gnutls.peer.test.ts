// needs: tun gnutls-serv socat
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { combinations, echoes, PeerLab } from '../test/peers/tls-server.ts';
import { AlertDescription } from './alerts.ts';
import { MemorySessionStore, NamedGroup, type TlsClient } from './client.ts';
import { FALLBACK_SUITES, SUITES_ON_REQUEST, TLS12_SUITES, TLS13_SUITES } from './keys/suites.ts';
import { issue, type KeyType } from './testing/certificates.ts';
import type { TestConnection } from './testing/connection.ts';
import * as der from './testing/der-writer.ts';
import { ocspResponse } from './testing/revocation.ts';
import { CertificateStatus, RevocationStatus } from './x509/verdict.ts';

// one at a time: gnutls-serv serves all connections in one loop, and listens for few at once
const KEYS = ['rsa2048', 'p256'] as const;
const OLDER = ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const;
const SUITES = [...TLS12_SUITES, ...SUITES_ON_REQUEST, ...FALLBACK_SUITES];
const EVERYTHING = [
  'NORMAL:+VERS-ALL:+CIPHER-ALL:+ARCFOUR-128:+3DES-CBC:+AES-128-CCM-8:+AES-256-CCM-8',
  '+MAC-ALL:+MD5:+SHA1:+SHA256:+SHA384:+KX-ALL:+SIGN-ALL',
].join(':');

/**
 * Ports: everything; a server from before RFC 5746, 7366 and 7627; one without tickets; one that demands a certificate; one with small
 * records, early data, application protocols and an answer of OCSP; one with P-384 alone; one with the group of 3072 bits alone; one
 * that knows whom it may ask for a certificate later.
 */
const [MODERN, OLD, WITHOUT_TICKETS, DEMANDING, EXTRAS, P384, FFDHE, LATER] = [
  4001, 4002, 4003, 4004, 4005, 4006, 4007, 4008,
];
const RECORD_BYTES = 1024;

let peers: PeerLab;

test.before(async () => {
  peers = await PeerLab.open(KEYS);
  const { caFile, root } = peers.files;
  const answer = peers.lab.file('ocsp.der');
  const serial = new X509Certificate(readFileSync(peers.files.certFile('rsa2048'))).serialNumber;
  const times = { thisUpdate: Date.now() - 3_600_000, nextUpdate: Date.now() + 3_600_000 };
  writeFileSync(answer, ocspResponse(integerOf(serial), root, times));
  const alpn = ['--alpn', 'h2', '--alpn', 'http/1.1', '--alpn-fatal'];
  const early = ['--earlydata', '--maxearlydata', '16384'];
  const small = ['--recordsize', String(RECORD_BYTES)];
  await Promise.all([
    serve(EXTRAS, 'NORMAL', ['-a', ...alpn, ...early, ...small, '--ocsp-response', answer], ['rsa2048']),
    serve(P384, 'NORMAL:-GROUP-ALL:+GROUP-SECP384R1', ['-a']),
    serve(LATER, 'NORMAL', ['-a', '--verify-client-cert', '--x509cafile', caFile]),
    serve(FFDHE, 'NORMAL:-GROUP-ALL:+GROUP-FFDHE3072', ['-a']),
    serve(MODERN, EVERYTHING, ['-a']),
    serve(OLD, `${EVERYTHING}:%NO_ETM:%NO_SESSION_HASH:%DISABLE_SAFE_RENEGOTIATION`, ['-a']),
    serve(WITHOUT_TICKETS, EVERYTHING, ['-a', '--noticket']),
    serve(DEMANDING, EVERYTHING, ['-r', '--verify-client-cert', '--x509cafile', caFile]),
  ]);
});
test.after.always(() => peers.close());

async function serve(
  port: number,
  priority: string,
  args: readonly string[],
  keys: readonly KeyType[] = KEYS,
): Promise<void> {
  const { certFile, keyFile } = peers.files;
  const identities = keys.flatMap((key) => {
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
  for (const key of KEYS) {
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

/** @param digits hexadecimal */
function integerOf(digits: string): Uint8Array {
  const bytes = Buffer.from(digits, 'hex');
  return der.element(0x02, bytes[0]! >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes);
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test.serial(
    `small records both ways, an application protocol, a stapled answer, ${maxVersion}`,
    async (t) => {
      const client = peers.client({ maxVersion, recordSizeLimit: true, alpn: ['http/1.1', 'x'] });
      const connection = await connect(t, EXTRAS, client);
      t.is(client.info.alpn, 'http/1.1');
      t.like(client.info.certificate, { status: CertificateStatus.Valid, revocation: RevocationStatus.Good });
      t.is(connection.sealer?.maxContentBytes, RECORD_BYTES);
      await echoes(t, connection);
    },
  );
}

test.serial('a record_size_limit of ours is kept by the server', async (t) => {
  const connection = await connect(t, MODERN, peers.client({ recordSizeLimit: 600 }));
  await echoes(t, connection);
});

test.serial('no application protocol in common: the alert that RFC 7301 names', async (t) => {
  const connection = peers.connect(t, EXTRAS, peers.client({ alpn: ['x'] }));
  t.is((await connection.handshake())?.alertReceived, AlertDescription.NoApplicationProtocol);
});

for (const [name, port, options] of [
  ['P-384', P384, {}],
  ['ffdhe3072', FFDHE, { groups: [NamedGroup.X25519, NamedGroup.Ffdhe3072] }],
] as const) {
  test.serial(`a HelloRetryRequest for ${name}, then resumption`, async (t) => {
    const sessions = { store: new MemorySessionStore(), port, policy: 'interop' };
    for (const isResumed of [false, true]) {
      const connection = await connect(t, port, peers.client({ ...options, sessions }));
      t.like(connection.client.info, { version: 'TLSv1.3', group: name, isResumed });
      await echoes(t, connection);
      connection.close();
    }
  });
}

test.serial('early data is accepted with a session', async (t) => {
  const sessions = { store: new MemorySessionStore(), port: EXTRAS, policy: 'interop' };
  for (const earlyData of ['none', 'accepted'] as const) {
    const client = peers.client({ sessions, earlyData: true });
    const connection = peers.connect(t, EXTRAS, client, Buffer.from('early\n'));
    t.is(await connection.handshake(), null);
    t.is(client.info.earlyData, earlyData);
    await echoes(t, connection);
    connection.close();
  }
});

test.serial('authentication after the handshake, as the server asks for', async (t) => {
  const { root } = peers.files;
  const valid = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const me = issue({ subject: 'me', issuer: root, key: 'p256', ...valid });
  const credentials = { chain: [me.der], key: me.privateKey };
  const client = peers.client({ postHandshakeAuth: true, credentials });
  const connection = await connect(t, LATER, client);
  t.is(client.info.clientCertificate, 'not requested');
  connection.send(Buffer.from('**REAUTH**\n'));
  await connection.until(() => client.info.clientCertificate !== 'not requested');
  t.is(client.info.clientCertificate, 'sent');
  connection.send(Buffer.from('then\n'));
  await connection.until(() => connection.received.includes('then'));
  t.regex(connection.received, /^Successfully executed command\nthen/);
});

for (const [name, port] of [
  ['', MODERN],
  [' of before RFC 5746', OLD],
] as const) {
  for (const version of OLDER) {
    test.serial(`with fallback a server${name} renegotiates, again and again, ${version}`, async (t) => {
      const client = peers.client({ minVersion: version, maxVersion: version, fallback: true });
      const connection = await connect(t, port, client);
      for (let round = 1; round <= 3; round++) {
        connection.send(Buffer.from('**REHANDSHAKE**\n'));
        await connection.until(() => connection.renegotiations === round);
        connection.send(Buffer.from(`round ${round}\n`));
        await connection.until(() => connection.received.includes(`round ${round}`));
      }
    });
  }
}
