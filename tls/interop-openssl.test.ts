import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { SeededRandom } from '../stack/random.ts';
import { AlertDescription } from './alerts.ts';
import { MemorySessionStore, NamedGroup, type TlsClient } from './client.ts';
import { dnsName, issue, issueCa, subjectAltName, TEST_TIME } from './testing/certificates.ts';
import { testClient } from './testing/client-under-test.ts';
import { TestConnection } from './testing/connection.ts';
import * as der from './testing/der-writer.ts';
import { ocspResponse } from './testing/revocation.ts';
import { TrafficOffset } from './traffic/state.ts';
import { ChainVerifier } from './x509/chain-verifier.ts';
import { TrustStore } from './x509/trust-store.ts';
import { RevocationStatus } from './x509/verdict.ts';

// the program may be missing on a developer's machine; then these tests only say so
function opensslTest(name: string, body: (t: ExecutionContext) => Promise<void>): void {
  test(`openssl s_server: ${name}`, hasOpenssl ? body : sayMissing);
}

function sayMissing(t: ExecutionContext): void {
  t.log('openssl is not installed');
  t.pass();
}

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'tls-interop-'));
const root = issueCa('interop root');
writeFileSync(join(folder, 'ca.pem'), root.pem);
for (const key of ['p256', 'p384', 'ed25519', 'rsa2048'] as const) {
  const extensions = [subjectAltName(dnsName('server.test'))];
  const { pem, privateKey } = issue({ subject: 'server.test', issuer: root, key, extensions });
  writeFileSync(join(folder, `${key}.pem`), pem);
  writeFileSync(join(folder, `${key}.key`), privateKey.export({ format: 'pem', type: 'pkcs8' }));
}
test.after.always(() => rmSync(folder, { recursive: true }));

/** Starts `openssl s_server` and connects to it. */
async function connect(
  t: ExecutionContext,
  args: readonly string[],
  identity = 'p256',
  client?: TlsClient,
  early?: Uint8Array,
): Promise<{
  connection: TestConnection;
  server: ChildProcess;
  output: () => string;
  again: (client: TlsClient, early?: Uint8Array) => Promise<TestConnection>;
}> {
  const files = ['-cert', join(folder, `${identity}.pem`), '-key', join(folder, `${identity}.key`)];
  const version = args.some((arg) => arg.startsWith('-tls1')) ? [] : ['-tls1_3'];
  const server = spawn('openssl', ['s_server', '-accept', '127.0.0.1:0', ...files, ...version, ...args]);
  t.teardown(() => server.kill());
  let output = '';
  server.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString('latin1');
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
      const match = /ACCEPT \S+:(\d+)/.exec(output);
      if (match !== null) resolve(Number(match[1]));
    });
    server.on('exit', () => reject(new Error(`s_server ended: ${output}`)));
  });
  const again = async (next: TlsClient, early?: Uint8Array): Promise<TestConnection> => {
    const socket = net.connect(port, '127.0.0.1');
    t.teardown(() => socket.destroy());
    await new Promise((resolve) => socket.once('connect', resolve));
    return new TestConnection(next, socket, TEST_TIME, early);
  };
  const connection = await again(client ?? testClient({ random: new SeededRandom(port) }), early);
  return { connection, server, output: () => output, again };
}

/** Waits until the server has said something, for a long time at most. */
async function waitFor(condition: () => boolean, said: () => string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not said by the server: ${condition}; but: ${said()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const MODES: readonly [string, readonly string[], string][] = [
  ['a page', ['-www'], 'X25519'],
  ['AES-256', ['-www', '-ciphersuites', 'TLS_AES_256_GCM_SHA384'], 'X25519'],
  ['ChaCha20', ['-www', '-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'], 'X25519'],
  ['a HelloRetryRequest', ['-www', '-groups', 'P-384'], 'P-384'],
  ['a HelloRetryRequest with a cookie', ['-www', '-stateless'], 'X25519'],
  ['padded records', ['-www', '-record_padding', '1024'], 'X25519'],
  ['small records', ['-www', '-max_send_frag', '512'], 'X25519'],
  ['no middlebox mode', ['-www', '-no_middlebox'], 'X25519'],
  ['a wish for a certificate', ['-www', '-verify', '1'], 'X25519'],
  ['four tickets', ['-www', '-num_tickets', '4'], 'X25519'],
];
for (const [name, args, group] of MODES) {
  opensslTest(name, async (t) => {
    const { connection } = await connect(t, args);
    t.is(await connection.handshake(), null);
    t.is(connection.client.info.group, group);
    connection.send(Buffer.from('GET / HTTP/1.0\r\n\r\n'));
    await connection.until(() => connection.isClosedByPeer);
    t.regex(connection.received, /HTTP\/1\.0 200 ok/);
    t.is(connection.tickets.length, name === 'four tickets' ? 4 : 2);
  });
}

for (const [name, group] of [
  ['ffdhe2048', NamedGroup.Ffdhe2048],
  ['ffdhe3072', NamedGroup.Ffdhe3072],
  ['ffdhe4096', NamedGroup.Ffdhe4096],
  ['X448', NamedGroup.X448],
  ['P-521', NamedGroup.Secp521r1],
] as const) {
  opensslTest(`the group ${name} on request`, async (t) => {
    const client = testClient({ random: new SeededRandom(group), groups: [group] });
    const { connection } = await connect(t, ['-www', '-groups', name], 'p256', client);
    t.is(await connection.handshake(), null);
    t.is(connection.client.info.group, name);
  });
}

for (const hasCredentials of [true, false]) {
  opensslTest(
    `post-handshake authentication, twice, with ${hasCredentials ? 'a' : 'no'} certificate`,
    async (t) => {
      const { der, privateKey } = issue({ subject: 'me', issuer: root });
      const client = testClient({
        random: new SeededRandom(7),
        postHandshakeAuth: true,
        ...(hasCredentials && { credentials: { chain: [der], key: privateKey } }),
      });
      const args = ['-CAfile', join(folder, 'ca.pem'), '-attime', `${TEST_TIME / 1000}`];
      const { connection, server, output } = await connect(t, args, 'p256', client);
      t.is(await connection.handshake(), null);
      t.is(client.info.clientCertificate, 'not requested');
      // a command that it reads before the end of its handshake is lost
      await waitFor(() => output().includes('CIPHER is'), output);
      for (const round of [1, 2]) {
        server.stdin?.write('c\n');
        await waitFor(() => output().split('SSL_do_handshake -> 1').length > round, output);
        // the answer was taken: both directions go on
        server.stdin?.write(`number ${round}\n`);
        await connection.until(() => connection.received.includes(`number ${round}`));
        connection.send(Buffer.from(`heard ${round}\n`));
        await waitFor(() => output().includes(`heard ${round}`), output);
        connection.updateKey(true);
        // s_server loses a command that comes while its own key update waits for something to be sent: it has seen ours, and sends
        connection.send(Buffer.from(`new key ${round}\n`));
        await waitFor(() => output().includes(`new key ${round}`), output);
        server.stdin?.write(`new key ${round}, too\n`);
        await connection.until(() => connection.received.includes(`new key ${round}, too`));
      }
      t.is(client.info.clientCertificate, hasCredentials ? 'sent' : 'requested');
      t.is(client.info.credentialsIndex, hasCredentials ? 0 : -1);
      t.is(output().split(/depth=0.*CN ?= ?me/).length, hasCredentials ? 3 : 1);
      t.notRegex(output(), /verify error/);
    },
  );
}

opensslTest(
  'post-handshake authentication is refused unless asked for: OpenSSL knows and does not ask',
  async (t) => {
    const { connection, server, output } = await connect(t, []);
    t.is(await connection.handshake(), null);
    server.stdin?.write('c\n');
    await waitFor(() => /extension not received/i.test(output()), output);
    t.is(connection.error, null);
  },
);

opensslTest('padded records and a small record_size_limit of ours', async (t) => {
  const client = testClient({ random: new SeededRandom(8), recordPaddingBytes: 1000, recordSizeLimit: 64 });
  const { connection, output } = await connect(t, [], 'p256', client);
  t.is(await connection.handshake(), null);
  connection.send(Buffer.from('padded\n'));
  await waitFor(() => output().includes('padded'), output);
  t.is(connection.error, null);
});

opensslTest('early data is taken once, and rejected by another server', async (t) => {
  const store = new MemorySessionStore();
  const early = Buffer.from('sent before the answer\n');
  const sessions = { store, port: 1, policy: 'test' };
  const make = (seed: number): TlsClient =>
    testClient({ sessions, random: new SeededRandom(seed), earlyData: true });
  const { connection, output, again } = await connect(t, ['-early_data'], 'p256', make(1));
  t.is(await connection.handshake(), null);
  t.is(connection.client.info.earlyData, 'none');
  await connection.until(() => connection.tickets.length === 2);
  connection.close();
  const second = await again(make(2), early);
  t.is(await second.handshake(), null);
  t.is(second.client.info.earlyData, 'accepted');
  second.send(Buffer.from('and after it\n'));
  await waitFor(() => output().includes('and after it'), output);
  t.true(output().indexOf('sent before the answer') < output().indexOf('and after it'));
  await second.until(() => second.tickets.length >= 1);
  second.close();
  // a server with other keys knows neither the ticket nor the data
  const other = await connect(t, ['-early_data'], 'p256', make(3), early);
  t.is(await other.connection.handshake(), null);
  t.is(other.connection.client.info.earlyData, 'rejected');
  t.false(other.connection.client.info.isResumed);
  other.connection.send(Buffer.from('said again\n'));
  await waitFor(() => other.output().includes('said again'), output);
  t.false(other.output().includes('sent before'));
});

opensslTest('key updates of the server, with and without an answer', async (t) => {
  const { connection, server, output } = await connect(t, []);
  t.is(await connection.handshake(), null);
  // the program reads a command only when nothing else stands in what it reads
  const epoch = (): number => connection.state.view.getUint32(TrafficOffset.ReadEpoch, true);
  for (const [i, command] of ['k', 'K'].entries()) {
    server.stdin?.write(`${command}\n`);
    await connection.until(() => epoch() === i + 1);
    server.stdin?.write(`after ${command}\n`);
    await connection.until(() => connection.received.includes(`after ${command}`));
  }
  t.true(connection.sealer?.keyUpdateOwed);
  connection.send(Buffer.from('with a new key\n'));
  t.false(connection.sealer?.keyUpdateOwed);
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (output().includes('with a new key')) resolve();
    };
    server.stdout?.on('data', look);
    look();
  });
  t.pass();
});

opensslTest('a certificate is demanded: its alert arrives in the traffic phase', async (t) => {
  const { connection } = await connect(t, ['-Verify', '1', '-verify_return_error']);
  t.is(await connection.handshake(), null);
  const error = await t.throwsAsync(connection.until(() => connection.isClosedByPeer));
  t.like(error, { member: 'Received', alertReceived: AlertDescription.CertificateRequired });
});

const TLS12: readonly [string, readonly string[], string][] = [
  ['ECDHE-ECDSA-AES128-GCM-SHA256', [], 'p256'],
  ['ECDHE-ECDSA-AES256-GCM-SHA384', [], 'p384'],
  ['ECDHE-ECDSA-CHACHA20-POLY1305', [], 'ed25519'],
  ['ECDHE-RSA-AES128-GCM-SHA256', [], 'rsa2048'],
  ['ECDHE-RSA-AES256-GCM-SHA384', ['-max_send_frag', '512'], 'rsa2048'],
  ['ECDHE-RSA-CHACHA20-POLY1305', ['-verify', '1'], 'rsa2048'],
  ['ECDHE-RSA-AES256-GCM-SHA384', ['-no_ticket'], 'rsa2048'],
  // PKCS #1 is left to the server
  ['ECDHE-RSA-AES256-GCM-SHA384', ['-sigalgs', 'RSA+SHA256'], 'rsa2048'],
];
for (const [cipher, args, identity] of TLS12) {
  opensslTest(`TLS 1.2 with ${cipher}, ${identity}, ${args.join(' ')}`, async (t) => {
    const { connection } = await connect(t, ['-tls1_2', '-www', '-cipher', cipher, ...args], identity);
    t.is(await connection.handshake(), null);
    t.like(connection.client.info, { version: 'TLSv1.2', extendedMasterSecret: true });
    connection.send(Buffer.from('GET / HTTP/1.0\r\n\r\n'));
    await connection.until(() => connection.isClosedByPeer);
    t.regex(connection.received, /HTTP\/1\.0 200 ok/);
    t.true(connection.received.includes(cipher));
  });
}

opensslTest('TLS 1.2: a wish for a renegotiation is refused', async (t) => {
  const { connection, server, output } = await connect(t, ['-tls1_2']);
  t.is(await connection.handshake(), null);
  server.stdin?.write('r\n');
  await connection.until(() => connection.sealer?.answerOwed === true);
  connection.send(Buffer.from('no, thank you\n'));
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (/no renegotiation/i.test(output())) resolve();
    };
    server.stderr?.on('data', look);
    look();
  });
  t.pass();
});

for (const hasCredentials of [true, false]) {
  opensslTest(`TLS 1.2: ${hasCredentials ? 'a' : 'no'} certificate in a renegotiation`, async (t) => {
    const me = issue({ subject: 'me', issuer: root });
    const client = testClient({
      fallback: true,
      ...(hasCredentials && { credentials: { chain: [me.der], key: me.privateKey } }),
    });
    const args = ['-tls1_2', '-no_ticket', '-no_cache', '-CAfile', join(folder, 'ca.pem'), '-no_check_time'];
    const { connection, server, output } = await connect(t, args, 'p256', client);
    t.is(await connection.handshake(), null);
    t.is(client.info.clientCertificate, 'not requested');
    await waitFor(() => output().includes('CIPHER is'), output);
    server.stdin?.write('R\n');
    await connection.until(() => connection.renegotiations === 1);
    connection.send(Buffer.from('after it\n'));
    await waitFor(() => output().includes('after it'), output);
    t.is(/depth=0.*CN ?= ?me/.test(output()), hasCredentials);
  });
}

opensslTest('TLS 1.2 without a common suite', async (t) => {
  const { connection } = await connect(t, ['-tls1_2', '-cipher', 'AES128-SHA'], 'rsa2048');
  const error = await connection.handshake();
  t.is(error?.alertReceived, AlertDescription.HandshakeFailure);
});

for (const [name, args, isId] of [
  ['TLS 1.3 tickets', ['-www'], false],
  ['TLS 1.2 tickets', ['-www', '-tls1_2'], false],
  ['TLS 1.2 session ids', ['-www', '-tls1_2', '-no_ticket'], true],
] as const) {
  opensslTest(`resumption by ${name}`, async (t) => {
    const sessions = { store: new MemorySessionStore(), port: 443, policy: 'interop' };
    const next = (seed: number): TlsClient => testClient({ sessions, random: new SeededRandom(seed) });
    const { connection: first, again } = await connect(t, args, 'p256', next(1));
    for (let i = 0; i < 3; i++) {
      const connection = i === 0 ? first : await again(next(i + 1));
      t.is(await connection.handshake(), null);
      t.is(connection.client.info.isResumed, i > 0);
      connection.send(Buffer.from('GET / HTTP/1.0\r\n\r\n'));
      await connection.until(() => connection.isClosedByPeer);
      connection.close();
      t.regex(connection.received, i > 0 ? /Reused, TLSv1/ : /New, TLSv1/);
      if (isId) t.is(connection.tickets.length, 0);
    }
  });
}

for (const version of ['-tls1_3', '-tls1_2']) {
  opensslTest(`${version}: another certificate for another name, and an application protocol`, async (t) => {
    const other = ['-servername', 'other.test', '-cert2', join(folder, 'rsa2048.pem')];
    const args = [version, ...other, '-key2', join(folder, 'rsa2048.key'), '-alpn', 'http/1.1,h2'];
    const { connection, again } = await connect(t, args, 'p256', testClient({ alpn: ['h2'] }));
    t.is(await connection.handshake(), null);
    t.is(connection.client.info.alpn, 'h2');
    connection.close();
    const named = await again(testClient({ serverName: 'other.test' }));
    t.is(await named.handshake(), null);
    t.is(named.client.info.alpn, null);
    const keyTypes = [connection, named].map(({ client }) => {
      return new X509Certificate(client.info.peerCertificates[0]!).publicKey.asymmetricKeyType;
    });
    t.deepEqual(keyTypes, ['ec', 'rsa']);
  });

  opensslTest(
    `${version}: a name that the server does not have: the alert that RFC 6066 names`,
    async (t) => {
      const other = ['-servername', 'other.test', '-servername_fatal', '-cert2', join(folder, 'rsa2048.pem')];
      const { connection } = await connect(t, [version, ...other, '-key2', join(folder, 'rsa2048.key')]);
      t.is((await connection.handshake())?.alertReceived, AlertDescription.UnrecognizedName);
    },
  );

  for (const isRight of [true, false]) {
    opensslTest(`${version}: a stapled answer, ${isRight ? '' : 'not '}about the certificate`, async (t) => {
      const certificate = new X509Certificate(readFileSync(join(folder, 'p256.pem')));
      const digits = isRight ? certificate.serialNumber : '7123';
      const serial = der.element(0x02, Buffer.from(digits, 'hex'));
      writeFileSync(join(folder, `${digits}.ocsp`), ocspResponse(serial, root));
      const verifier = new ChainVerifier(TrustStore.fromPem(root.pem));
      const args = [version, '-status_file', join(folder, `${digits}.ocsp`)];
      const { connection } = await connect(t, args, 'p256', testClient({ verifier }));
      const error = await connection.handshake();
      if (isRight) {
        t.is(error, null);
        t.is(connection.client.info.certificate?.revocation, RevocationStatus.Good);
      } else t.is(error?.alert, AlertDescription.BadCertificateStatusResponse);
    });
  }

  for (const identity of ['p256', 'rsa2048', 'ed25519'] as const) {
    opensslTest(`${version}: a ${identity} certificate is demanded, checked and accepted`, async (t) => {
      const { der, privateKey: key } = issue({ subject: 'me', issuer: root, key: identity });
      const client = testClient({ credentials: { chain: [der], key } });
      const demand = [
        '-Verify',
        '1',
        '-verify_return_error',
        '-CAfile',
        join(folder, 'ca.pem'),
        '-no_check_time',
      ];
      const { connection } = await connect(t, ['-www', version, ...demand], 'p256', client);
      t.is(await connection.handshake(), null);
      t.is(client.info.clientCertificate, 'sent');
      connection.send(Buffer.from('GET / HTTP/1.0\r\n\r\n'));
      await connection.until(() => connection.isClosedByPeer);
      t.regex(connection.received, /HTTP\/1\.0 200 ok/);
    });
  }
}
