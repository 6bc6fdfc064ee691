// needs: tun openssl socat
import { getDiffieHellman } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { combinations, PeerLab } from '../test/peers/tls-server.ts';
import { AlertDescription } from './alerts.ts';
import { MemorySessionStore, type TlsClient, type TlsVersion } from './client.ts';
import { FALLBACK_SUITES, SUITES_ON_REQUEST, TLS12_SUITES } from './keys/suites.ts';
import { issue, toPem } from './testing/certificates.ts';
import type { TestConnection } from './testing/connection.ts';
import * as der from './testing/der-writer.ts';

const OLDER = ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const;
// OpenSSL 3 has no RC4 and no 3DES in TLS
const SUITES = [...TLS12_SUITES, ...SUITES_ON_REQUEST, ...FALLBACK_SUITES].filter(
  ({ name }) => !name.includes('RC4') && !name.includes('3DES'),
);

/** Ports: everything; without encrypt-then-MAC and tickets; one that demands a certificate; with a group of 1024 bits. */
const [MODERN, OLD, DEMANDING, SMALL_GROUP] = [4001, 4002, 4003, 4004];

let peers: PeerLab;

test.before(async () => {
  peers = await PeerLab.open(['rsa2048', 'p256']);
  const { files } = peers;
  const identities = ['-cert', files.certFile('rsa2048'), '-key', files.keyFile('rsa2048')];
  identities.push('-dcert', files.certFile('p256'), '-dkey', files.keyFile('p256'));
  const all = ['-cipher', 'ALL:@SECLEVEL=0', '-quiet', '-rev'];
  const serve = (port: number, args: readonly string[]): Promise<unknown> =>
    peers.start(port, 'openssl', ['s_server', '-accept', String(port), ...identities, ...all, ...args]);
  const group = peers.lab.file('dh1024.pem');
  // RFC 2409 §6.2: the second Oakley group, as PKCS #3 writes it
  const prime = der.element(0x02, Uint8Array.of(0, ...getDiffieHellman('modp2').getPrime()));
  writeFileSync(group, toPem(der.sequence(prime, der.integer(2)), 'DH PARAMETERS'));
  await Promise.all([
    serve(MODERN, []),
    serve(OLD, ['-no_etm', '-no_ticket', '-legacy_renegotiation']),
    serve(DEMANDING, ['-Verify', '1', '-verify_return_error', '-CAfile', files.caFile]),
    serve(SMALL_GROUP, ['-dhparam', group]),
  ]);
});
test.after.always(() => peers.close());

async function connect(t: ExecutionContext, port: number, client: TlsClient): Promise<TestConnection> {
  const connection = peers.connect(t, port, client);
  t.is(await connection.handshake(), null);
  return connection;
}

/** It sends back each line, reversed. */
async function reverses(t: ExecutionContext, connection: TestConnection): Promise<void> {
  const lines = Array.from({ length: 300 }, (_, i) => `line ${i} `.padEnd(60, 'abcdef'));
  connection.send(Buffer.from(`${lines.join('\n')}\n`));
  const expected = `${lines.map((line) => [...line].reverse().join('')).join('\n')}\n`;
  await connection.until(() => connection.receivedBytes >= expected.length);
  t.is(connection.received, expected);
}

const only = (version: TlsVersion, suite: string) =>
  ({ minVersion: version, maxVersion: version, cipherSuites: [suite], fallback: true }) as const;

// one at a time: s_server serves one connection after the other
for (const [version, suite] of combinations(OLDER, SUITES)) {
  test.serial(`${version} ${suite.name}`, async (t) => {
    const connection = await connect(t, MODERN, peers.client(only(version, suite.name)));
    const { info } = connection.client;
    t.like(info, { version, cipherSuite: suite.name, extendedMasterSecret: true });
    t.is(info.encryptThenMac, suite.cipher.kind === 'block');
    await reverses(t, connection);
    connection.close();
  });
}

const CBC = SUITES.filter((suite) => suite.cipher.kind === 'block' && suite.keyExchange === 'rsa');
for (const [version, suite] of combinations(OLDER, CBC)) {
  test.serial(`${version} ${suite.name}, the MAC inside; a session is resumed by its id`, async (t) => {
    const sessions = { store: new MemorySessionStore(), port: OLD, policy: 'interop' };
    for (const isResumed of [false, true]) {
      const client = peers.client({ ...only(version, suite.name), sessions });
      const connection = await connect(t, OLD, client);
      t.like(client.info, { version, encryptThenMac: false, isResumed });
      await reverses(t, connection);
      connection.close();
    }
  });
}

for (const version of OLDER) {
  for (const suite of ['TLS_RSA_WITH_AES_128_CBC_SHA', 'TLS_DHE_RSA_WITH_AES_256_CBC_SHA'] as const) {
    test.serial(`resumption by tickets, ${version} ${suite}`, async (t) => {
      const sessions = { store: new MemorySessionStore(), port: MODERN, policy: 'interop' };
      for (const isResumed of [false, true, true]) {
        const connection = await connect(t, MODERN, peers.client({ ...only(version, suite), sessions }));
        t.like(connection.client.info, { version, isResumed });
        await reverses(t, connection);
        connection.close();
      }
    });
  }
}

for (const version of [...OLDER, 'TLSv1.3'] as const) {
  for (const key of ['rsa2048', 'p256'] as const) {
    test.serial(`a client certificate is demanded and checked, ${version} ${key}`, async (t) => {
      const { root } = peers.files;
      const valid = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
      const me = issue({ subject: 'me', issuer: root, key, ...valid });
      const credentials = { chain: [me.der], key: me.privateKey };
      const client = peers.client({ minVersion: version, maxVersion: version, fallback: true, credentials });
      const connection = await connect(t, DEMANDING, client);
      t.is(client.info.clientCertificate, 'sent');
      await reverses(t, connection);
      connection.close();
    });
  }
}

test.serial('a group of 1024 bits: with fallback, not on request', async (t) => {
  const suite = 'TLS_DHE_RSA_WITH_AES_128_GCM_SHA256';
  const connection = await connect(t, SMALL_GROUP, peers.client(only('TLSv1.2', suite)));
  t.is(connection.client.info.group, 'DH of 1024 bits');
  await reverses(t, connection);
  connection.close();
  const strict = peers.client({ maxVersion: 'TLSv1.2', cipherSuites: [suite] });
  const refused = peers.connect(t, SMALL_GROUP, strict);
  t.like(await refused.handshake(), { member: 'GroupTooWeak', alert: AlertDescription.InsufficientSecurity });
});
