import { generateKeyPairSync } from 'node:crypto';
import { duplexPair } from 'node:stream';
import * as tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { SeededRandom } from '../stack/random.ts';
import { exportKeyingMaterial, MemorySessionStore, NamedGroup, type TlsClient } from './client.ts';
import { issue, issueCa, issueServer, type KeyType, type TestCertificate } from './testing/certificates.ts';
import { testClient } from './testing/client-under-test.ts';
import { TestConnection } from './testing/connection.ts';
import { ChainVerifier } from './x509/chain-verifier.ts';
import { TrustStore } from './x509/trust-store.ts';
import { CertificateStatus } from './x509/verdict.ts';

const root = issueCa('interop root');
let nextSeed = 1;
const certificates = new Map<string, TestCertificate>();

function certificateOf(type: KeyType | 'rsa-pss'): TestCertificate {
  const known = certificates.get(type);
  if (known !== undefined) return known;
  const certificate = issue({
    subject: 'server.test',
    issuer: root,
    key: type === 'rsa-pss' ? rsaPssKey() : type,
  });
  certificates.set(type, certificate);
  return certificate;
}

function rsaPssKey(): TestCertificate {
  const pair = generateKeyPairSync('rsa-pss', { modulusLength: 2048 });
  return { ...pair, der: new Uint8Array(0), pem: '', subject: new Uint8Array(0) };
}

/** Connects a client to a node:tls server through memory; the server sends back what it gets. */
function connect(
  t: ExecutionContext,
  options: tls.TlsOptions & { certificate?: KeyType | 'rsa-pss'; onKeyLog?: (line: Buffer) => void } = {},
  client: TlsClient = testClient({ random: new SeededRandom(nextSeed++) }),
): { connection: TestConnection; socket: Promise<tls.TLSSocket> } {
  const { certificate = 'p256', onKeyLog, ...rest } = options;
  const { pem, privateKey } = certificateOf(certificate);
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' });
  const server = tls.createServer({ key, cert: pem, minVersion: 'TLSv1.3', ...rest });
  const socket = new Promise<tls.TLSSocket>((resolve) => {
    server.on('secureConnection', (connected) => {
      connected.on('error', () => {});
      connected.pipe(connected);
      resolve(connected);
    });
  });
  server.on('tlsClientError', () => {});
  if (onKeyLog !== undefined) server.on('keylog', onKeyLog);
  const [near, far] = duplexPair();
  server.emit('connection', far);
  const connection = new TestConnection(client, near);
  t.teardown(() => {
    near.destroy();
    far.destroy();
  });
  return { connection, socket };
}

async function echo(t: ExecutionContext, connection: TestConnection): Promise<void> {
  t.is(await connection.handshake(), null);
  connection.send(Buffer.from('hello'));
  await connection.until(() => connection.received.endsWith('hello'));
}

for (const ciphers of ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256']) {
  test(`node:tls with ${ciphers}`, async (t) => {
    const { connection } = connect(t, { ciphers });
    await echo(t, connection);
    t.is(connection.client.info.cipherSuite, ciphers);
    t.true(connection.tickets.length > 0);
  });
}

for (const [ecdhCurve, group] of [
  ['X25519MLKEM768', 'X25519MLKEM768'],
  ['X25519', 'X25519'],
  ['P-256', 'P-256'],
  ['P-384', 'P-384'],
  ['P-521', 'P-521'],
] as const) {
  // all but the first two need a HelloRetryRequest
  test(`node:tls with group ${group}`, async (t) => {
    const { connection } = connect(t, { ecdhCurve });
    await echo(t, connection);
    t.is(connection.client.info.group, group);
  });
}

for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
  test(`node:tls ${version} with X448, which is offered on request`, async (t) => {
    // in TLS 1.2 the groups bind the certificate too (RFC 8422 §5.1.1)
    const groups = [NamedGroup.X448, NamedGroup.Secp256r1];
    const only = { ecdhCurve: 'X448', minVersion: version, maxVersion: version };
    const { connection } = connect(t, only, testClient({ groups }));
    await echo(t, connection);
    t.is(connection.client.info.group, 'X448');
  });
}

test('node:tls without a common group', async (t) => {
  const { connection } = connect(t, { ecdhCurve: 'X448' });
  const error = await connection.handshake();
  t.is(error?.family, 'AlertReceived');
  t.is(error?.alertReceived, 40);
});

for (const [certificate, scheme] of [
  ['p256', 'ecdsa_secp256r1_sha256'],
  ['p384', 'ecdsa_secp384r1_sha384'],
  ['p521', 'ecdsa_secp521r1_sha512'],
  ['ed25519', 'ed25519'],
  ['rsa2048', 'rsa_pss_rsae_sha256'],
  ['rsa-pss', 'rsa_pss_pss_sha256'],
] as const) {
  test(`node:tls with a ${certificate} certificate`, async (t) => {
    const { connection } = connect(t, { certificate });
    await echo(t, connection);
    t.is(connection.client.info.signatureScheme, scheme);
    t.deepEqual(connection.client.info.peerCertificates, [certificateOf(certificate).der]);
  });
}

// --- TLS 1.2 ---

const TLS12 = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;

for (const [openssl, certificate] of [
  ['ECDHE-ECDSA-AES128-GCM-SHA256', 'p256'],
  ['ECDHE-ECDSA-AES256-GCM-SHA384', 'p384'],
  ['ECDHE-ECDSA-CHACHA20-POLY1305', 'ed25519'],
  ['ECDHE-RSA-AES128-GCM-SHA256', 'rsa2048'],
  ['ECDHE-RSA-AES256-GCM-SHA384', 'rsa-pss'],
  ['ECDHE-RSA-CHACHA20-POLY1305', 'rsa2048'],
] as const) {
  test(`node:tls 1.2 with ${openssl} and a ${certificate} certificate`, async (t) => {
    const { connection, socket } = connect(t, { ...TLS12, ciphers: openssl, certificate });
    await echo(t, connection);
    t.is((await socket).getCipher().standardName, connection.client.info.cipherSuite);
    t.like(connection.client.info, { version: 'TLSv1.2', extendedMasterSecret: true });
    const data = new Uint8Array(100_000).fill(120);
    connection.send(data);
    await connection.until(() => connection.receivedBytes === 5 + data.length);
  });
}

for (const group of ['X25519', 'P-256', 'P-384', 'P-521']) {
  test(`node:tls 1.2 with group ${group}`, async (t) => {
    const { connection } = connect(t, { ...TLS12, ecdhCurve: group });
    await echo(t, connection);
    t.is(connection.client.info.group, group);
  });
}

for (const client of [{ maxVersion: 'TLSv1.2' }, { recordSizeLimit: true, alpn: ['h2'] }] as const) {
  test(`node:tls 1.2 with ${JSON.stringify(client)}`, async (t) => {
    const server = { ...TLS12, ALPNProtocols: ['h2'], requestCert: true, rejectUnauthorized: false };
    const { connection } = connect(t, server, testClient(client));
    await echo(t, connection);
    t.is(connection.client.info.alpn, 'alpn' in client ? 'h2' : null);
  });
}

test('node:tls of both versions: a client of TLS 1.2 alone gets it', async (t) => {
  const { connection } = connect(t, { minVersion: 'TLSv1.2' }, testClient({ maxVersion: 'TLSv1.2' }));
  await echo(t, connection);
  t.is(connection.client.info.version, 'TLSv1.2');
});

test('node:tls 1.2: close_notify both ways, and the key log', async (t) => {
  const ours: string[] = [];
  const theirs: string[] = [];
  const onKeyLog = (line: Buffer): void => void theirs.push(line.toString('latin1').trim());
  const keyLog = (line: string): void => void ours.push(line);
  const { connection, socket } = connect(t, { ...TLS12, onKeyLog }, testClient({ keyLog }));
  await echo(t, connection);
  t.deepEqual(ours, theirs);
  t.regex(ours[0] ?? '', /^CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}$/);
  const server = await socket;
  const ended = new Promise((resolve) => server.on('end', resolve));
  connection.close();
  await ended;
  await connection.until(() => connection.isClosedByPeer);
});

test('node:tls 1.2: a renegotiation is refused with a warning, and the connection goes on', async (t) => {
  const { connection, socket } = connect(t, TLS12);
  await echo(t, connection);
  const server = await socket;
  // the server may end the connection when it is refused
  server.renegotiate({}, () => {});
  await connection.until(() => connection.sealer!.answerOwed);
  const refusal = new Uint8Array(100);
  t.is(connection.sealer!.writeOwed(refusal, 0), 5 + 8 + 2 + 16);
  t.false(connection.sealer!.answerOwed);
});

// --- client certificates, exporters ---

for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
  for (const type of ['p256', 'p384', 'p521', 'ed25519', 'rsa2048', 'rsa-pss'] as const) {
    test(`node:tls ${version} demands a certificate and gets a ${type} one`, async (t) => {
      const { der, privateKey: key } = certificateOf(type);
      const client = testClient({ credentials: { chain: [der, root.der], key } });
      const demand = { requestCert: true, rejectUnauthorized: false, ca: root.pem };
      const { connection, socket } = connect(
        t,
        { ...demand, minVersion: version, maxVersion: version },
        client,
      );
      await echo(t, connection);
      t.is(client.info.version, version);
      t.is(client.info.clientCertificate, 'sent');
      t.deepEqual(new Uint8Array((await socket).getPeerCertificate().raw), der);
    });
  }

  test(`node:tls ${version} exports the same keys`, async (t) => {
    const client = testClient();
    const { connection, socket } = connect(t, { minVersion: version, maxVersion: version });
    await echo(t, connection);
    const server = await socket;
    for (const context of [null, new Uint8Array(0), Uint8Array.of(1, 2, 3)]) {
      const [label, length] = ['EXPORTER-test', 77];
      const theirs =
        context === null
          ? (server.exportKeyingMaterial as (length: number, label: string) => Buffer)(length, label)
          : server.exportKeyingMaterial(length, label, Buffer.from(context));
      const ours = exportKeyingMaterial(connection.state, 0, label, context, length);
      t.deepEqual(ours, new Uint8Array(theirs));
    }
    t.throws(() => connection.client.exportKeyingMaterial('EXPORTER-test', null, 8));
    t.throws(() => client.exportKeyingMaterial('EXPORTER-test', null, 8));
  });
}

// --- resumption ---

for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
  for (const [name, ecdhCurve] of [
    ['', 'auto'],
    [', with a HelloRetryRequest in TLS 1.3', 'P-384'],
  ] as const) {
    test(`node:tls: ${version} is resumed by tickets${name}`, async (t) => {
      const ticketKeys = Buffer.alloc(48, 5);
      const server = { ticketKeys, minVersion: version, maxVersion: version, ecdhCurve };
      const sessions = { store: new MemorySessionStore(), port: 443, policy: 'interop' };
      // the server gives two tickets at first
      for (let i = 0; i < 3; i++) {
        const client = testClient({ sessions, random: new SeededRandom(1000 + i) });
        const { connection, socket } = connect(t, server, client);
        await echo(t, connection);
        t.is(client.info.isResumed, i > 0);
        t.is((await socket).isSessionReused(), i > 0);
        t.deepEqual(client.info.peerCertificates, [certificateOf('p256').der]);
        t.is(client.info.version, version);
      }
      // other keys: the ticket is of no use, and does no harm
      const client = testClient({ sessions });
      const { connection } = connect(t, { ...server, ticketKeys: Buffer.alloc(48, 6) }, client);
      await echo(t, connection);
      t.false(client.info.isResumed);
    });
  }
}

// --- legacy: what the OpenSSL of Node still has ---

for (const version of ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const) {
  for (const [openssl, suite, certificate] of [
    ['ECDHE-ECDSA-AES128-SHA', 'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA', 'p256'],
    ['ECDHE-RSA-AES256-SHA', 'TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA', 'rsa2048'],
    ['DHE-RSA-AES128-SHA', 'TLS_DHE_RSA_WITH_AES_128_CBC_SHA', 'rsa2048'],
    ['AES256-SHA', 'TLS_RSA_WITH_AES_256_CBC_SHA', 'rsa2048'],
  ] as const) {
    const only = { minVersion: version, maxVersion: version };
    const legacy = { ...only, ciphers: `${openssl}:@SECLEVEL=0`, certificate, dhparam: 'auto' as const };
    const ours = { ...only, fallback: true };

    test(`node:tls ${version} with ${openssl}: data, and the session resumed with our certificate`, async (t) => {
      const { der, privateKey: key } = certificateOf('rsa2048');
      const credentials = { chain: [der, root.der], key };
      const sessions = { store: new MemorySessionStore(), port: 443, policy: 'interop' };
      const demand = { requestCert: true, rejectUnauthorized: false, ca: root.pem };
      const server = { ...legacy, ...demand, ticketKeys: Buffer.alloc(48, 5) };
      const data = new Uint8Array(50_000).fill(120);
      for (let i = 0; i < 3; i++) {
        const client = testClient({ ...ours, sessions, credentials, random: new SeededRandom(2000 + i) });
        const { connection, socket } = connect(t, server, client);
        await echo(t, connection);
        t.like(client.info, { version, cipherSuite: suite, isResumed: i > 0, encryptThenMac: true });
        t.is((await socket).isSessionReused(), i > 0);
        t.deepEqual(new Uint8Array((await socket).getPeerCertificate().raw), der);
        connection.send(data);
        await connection.until(() => connection.receivedBytes === 5 + data.length);
      }
    });

    test(`node:tls ${version} with ${openssl}: a renegotiation, in which it asks for a certificate`, async (t) => {
      const { der, privateKey: key } = certificateOf('rsa2048');
      const client = testClient({ ...ours, credentials: { chain: [der, root.der], key } });
      const { connection, socket } = connect(t, { ...legacy, ca: root.pem }, client);
      await echo(t, connection);
      const server = await socket;
      t.deepEqual(server.getPeerCertificate(), {} as tls.PeerCertificate);
      // Node takes a second one for an attack
      server.renegotiate({ requestCert: true, rejectUnauthorized: false }, () => {});
      await connection.until(() => connection.renegotiations === 1);
      connection.send(Buffer.from('and on'));
      await connection.until(() => connection.received.endsWith('and on'));
      t.deepEqual(new Uint8Array(server.getPeerCertificate().raw), der);
    });
  }
}

test('node:tls sees SNI and ALPN', async (t) => {
  let asked = '';
  const { connection, socket } = connect(
    t,
    {
      ALPNProtocols: ['http/1.1', 'h2'],
      SNICallback: (name, done) => {
        asked = name;
        done(null);
      },
    },
    testClient({ serverName: 'server.test.', alpn: ['h2', 'x'] }),
  );
  await echo(t, connection);
  t.is(asked, 'server.test');
  t.is(connection.client.info.alpn, 'h2');
  t.is((await socket).alpnProtocol, 'h2');
});

test('node:tls asks for a certificate and gets none', async (t) => {
  const { connection, socket } = connect(t, { requestCert: true, rejectUnauthorized: false });
  await echo(t, connection);
  t.deepEqual((await socket).getPeerCertificate(), {} as tls.PeerCertificate);
});

test('node:tls with TLS 1.2 only, which is below the policy', async (t) => {
  const server = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
  const { connection } = connect(t, server, testClient({ minVersion: 'TLSv1.3' }));
  const error = await connection.handshake();
  t.is(error?.alertReceived, 70);
});

test('node:tls: our key updates, requested answers, and large data', async (t) => {
  const { connection } = connect(t);
  await echo(t, connection);
  const data = new Uint8Array(200_000).fill(120);
  let total = 5;
  for (let i = 0; i < 3; i++) {
    connection.updateKey(i % 2 === 0);
    connection.send(data);
    total += data.length;
    await connection.until(() => connection.receivedBytes === total);
  }
  t.pass();
});

test('node:tls: close_notify both ways', async (t) => {
  const { connection, socket } = connect(t);
  await echo(t, connection);
  const server = await socket;
  const ended = new Promise((resolve) => server.on('end', resolve));
  connection.close();
  await ended;
  await connection.until(() => connection.isClosedByPeer);
  t.pass();
});

test('node:tls: the key log of the server is ours', async (t) => {
  const ours: string[] = [];
  const theirs: string[] = [];
  const onKeyLog = (line: Buffer): void => void theirs.push(line.toString('latin1').trim());
  const { connection } = connect(t, { onKeyLog }, testClient({ keyLog: (line) => ours.push(line) }));
  await echo(t, connection);
  t.deepEqual([...ours].sort(), [...theirs].sort());
  t.is(ours.length, 5);
});

test('node:tls: the bytes of a session depend on the seed alone', async (t) => {
  const hellos: Uint8Array[] = [];
  for (let i = 0; i < 2; i++) {
    const [near, far] = duplexPair();
    far.on('data', (chunk: Uint8Array) => hellos.push(Uint8Array.from(chunk)));
    new TestConnection(testClient({ random: new SeededRandom(99) }), near);
    await new Promise((resolve) => far.once('data', resolve));
    near.destroy();
    far.destroy();
  }
  t.deepEqual(hellos[0], hellos[1]);
});

test('node:tls with the real verifier: trusted, and for another name', async (t) => {
  const { pem, privateKey } = issueServer(['server.test'], root);
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' });
  const verifier = new ChainVerifier(TrustStore.fromPem(root.pem));
  const good = connect(t, { key, cert: pem }, testClient({ verifier }));
  await echo(t, good.connection);
  t.is(good.connection.client.info.certificate?.status, CertificateStatus.Valid);
  const bad = connect(t, { key, cert: pem }, testClient({ verifier, serverName: 'other.test' }));
  const error = await bad.connection.handshake();
  t.is(error?.family, 'CertificateRejected');
  t.is(bad.connection.client.info.certificate?.status, CertificateStatus.NoMatch);
});
