import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { CLIENT_AUTH, extendedKeyUsage, issue, issueCa, issueServer } from '../tls/testing/certificates.ts';
import { integer } from '../tls/testing/der-writer.ts';
import { OCSP_GOOD, ocspResponse, ocspRevoked } from '../tls/testing/revocation.ts';
import {
  MemorySessionStore,
  NetError,
  type Socket,
  type TlsConnectOptions,
  type TracedMessage,
} from './index.ts';
import { readAll } from './testing/consume.ts';
import { SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { SERVER_NAME } from './testing/tls-identity.ts';
import { serveTls } from './testing/tls-server.ts';

const times = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
const SERIAL = integer(4711);
const ca = issueCa('extras', times);
const leaf = issueServer([SERVER_NAME], ca, { serial: SERIAL, ...times });
const me = issue({ subject: 'me', issuer: ca, extensions: [extendedKeyUsage(CLIENT_AUTH)], ...times });
const pemKey = (certificate: typeof leaf): string =>
  certificate.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const identity = { key: pemKey(leaf), cert: leaf.pem };

const folder = mkdtempSync(join(tmpdir(), 'tunwire-tls-'));
writeFileSync(join(folder, 'server.pem'), identity.cert + identity.key);
writeFileSync(join(folder, 'ca.pem'), ca.pem);
let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(async () => {
  await pair.close();
  rmSync(folder, { recursive: true });
});

function start(port: number, options: TlsConnectOptions = {}): Socket {
  const known = { servername: SERVER_NAME, ca: ca.pem };
  return pair.client.createConnection({ host: SERVER_V4, port, tls: { ...known, ...options } });
}

async function connected(port: number, options: TlsConnectOptions = {}): Promise<Socket> {
  const socket = start(port, options);
  await once(socket, 'secureConnect');
  return socket;
}

/** A server of node:tls that staples an answer. */
async function stapling(response: Buffer | null): Promise<number> {
  const secure = tls.createServer(identity, (peer) => peer.end('hello'));
  secure.on('OCSPRequest', (_certificate, _issuer, done) => done(null, response as Buffer));
  secure.on('tlsClientError', () => {});
  const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  server.on('connection', (socket) => secure.emit('connection', socket));
  return server.address()?.port ?? 0;
}

const answer = (status: Uint8Array): Buffer =>
  Buffer.from(ocspResponse(SERIAL, ca, { status, thisUpdate: times.notBefore, nextUpdate: times.notAfter }));

test("requestOCSP: 'OCSPResponse' with the stapled answer, before 'secureConnect'", async (t) => {
  for (const response of [answer(OCSP_GOOD), null]) {
    const socket = start(await stapling(response), { requestOCSP: true });
    const events: unknown[] = [];
    socket.on('OCSPResponse', (got) => events.push(got));
    socket.on('secureConnect', () => events.push('secureConnect'));
    await readAll(socket);
    t.deepEqual(events, [response, 'secureConnect']);
  }
});

test('a stapled answer is verified whether or not anybody listens', async (t) => {
  const failure = async (response: Buffer): Promise<unknown> => {
    const socket = start(await stapling(response));
    const [error] = await once(socket, 'error');
    return error instanceof NetError ? error.tunwireCode : error;
  };
  t.is(await failure(answer(ocspRevoked(1))), 'CERT_REVOKED');
  t.is(await failure(Buffer.from('nonsense')), 'CERT_INVALID');
});

test('handshakeTimeoutMs: a server that says nothing', async (t) => {
  const server = await pair.server.listen({ port: 0 });
  const socket = start(server.address()?.port ?? 0, { handshakeTimeoutMs: 20 });
  const [error] = await once(socket, 'error');
  t.like(error, { code: 'ETIMEDOUT', phase: 'handshake' });
  t.regex(`${error}`, /20 ms for a handshake/);
});

test('testing.pieces: what the client sends goes out bit by bit', async (t) => {
  const { port } = await serveTls(pair.server, identity, (peer) => peer.end('hello'));
  const messages: TracedMessage[] = [];
  const before = performance.now();
  const testing = {
    fragmentBytes: 100,
    pieces: { sizeBytes: 300, delayMs: 5 },
    trace: (message: TracedMessage): unknown => messages.push(message),
  };
  const socket = await connected(port, { tuning: { testing } });
  // a ClientHello with a share of ML-KEM has more than 1200 bytes: four pauses at least
  t.true(performance.now() - before >= 4 * 4);
  t.is(messages[0]?.type, 'client_hello');
  t.is(String(await readAll(socket)), 'hello');
});

test('sendTlsAlert: the peer gets the alert that was asked for', async (t) => {
  const { port, errors } = await serveTls(pair.server, identity, () => {});
  const socket = await connected(port);
  t.true(socket.sendTlsAlert(49));
  t.throws(() => socket.sendTlsAlert(49), { instanceOf: NetError, message: /./ });
  while (errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.regex(`${errors[0]}`, /access denied/i);
  const plain = await pair.client.connect({ host: SERVER_V4, port });
  t.throws(() => plain.sendTlsAlert(49), { code: 'ENOTCONN' });
  socket.destroy();
  plain.destroy();
});

test('timestamps of certificate logs are shown', async (t) => {
  const { port } = await serveTls(pair.server, identity, (peer) => peer.end());
  const socket = await connected(port);
  t.deepEqual(socket.getSignedCertificateTimestamps(), []);
  await readAll(socket);
});

// --- openssl s_server behind the stack ---

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const opensslTest = test.macro(
  (t: ExecutionContext, body: (t: ExecutionContext) => Promise<void>): Promise<void> | undefined => {
    if (hasOpenssl) return body(t);
    t.log('openssl is not installed');
    t.pass();
    return undefined;
  },
);

interface OpenSsl {
  readonly port: number;
  readonly process: ChildProcess;
  output(): string;
}

async function openssl(t: ExecutionContext, ...args: readonly string[]): Promise<OpenSsl> {
  const files = ['-cert', join(folder, 'server.pem'), '-key', join(folder, 'server.pem')];
  const child = spawn('openssl', [
    's_server',
    '-accept',
    '127.0.0.1:0',
    ...files,
    ...(args.includes('-tls1_2') ? [] : ['-tls1_3']),
    ...args,
  ]);
  t.teardown(() => child.kill());
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString('latin1');
  });
  const inner = await new Promise<number>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
      const match = /ACCEPT \S+:(\d+)/.exec(output);
      if (match !== null) resolve(Number(match[1]));
    });
  });
  const server = await pair.server.listen({ port: 0, allowHalfOpen: true });
  server.on('connection', (socket) => {
    const wire = connect(inner, '127.0.0.1');
    // a cut on one side is a cut on the other: s_server serves one connection at a time, and would wait for ever
    socket.on('error', () => wire.destroy());
    wire.on('error', () => socket.destroy());
    socket.pipe(wire).pipe(socket);
  });
  return { port: server.address()?.port ?? 0, process: child, output: () => output };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test(
  'earlyData: with a session before the answer, else after it; the server gets it once',
  opensslTest,
  async (t) => {
    const server = await openssl(t, '-early_data');
    const sessions = new MemorySessionStore();
    const visit = async (round: number): Promise<Socket> => {
      const earlyData = Buffer.from(`number ${round}\n`);
      const socket = await connected(server.port, { earlyData, sessions });
      socket.on('error', () => {});
      let tickets = 0;
      socket.on('session', () => tickets++);
      socket.resume();
      socket.write(`later ${round}\n`);
      await until(() => server.output().includes(`later ${round}`) && tickets > 0);
      t.is(server.output().split(`number ${round}`).length, 2, `round ${round}`);
      return socket;
    };
    const first = await visit(1);
    first.end();
    await until(() => server.output().includes('DONE'));
    const second = await visit(2);
    t.true(second.isSessionReused());
    t.regex(server.output(), /Early data received:/);
    // OpenSSL forgets a session whose connection was cut: it rejects the early data, which has to come again
    second.resetAndDestroy();
    (await visit(3)).destroy();
    t.regex(server.output(), /Early data was rejected/);
  },
);

test(
  'fallback: a server of TLS 1.2 renegotiates, and what was written meanwhile goes out',
  opensslTest,
  async (t) => {
    const server = await openssl(t, '-tls1_2', '-msg');
    const socket = await connected(server.port, { fallback: true });
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.write('first\n');
    await until(() => server.output().includes('first'));
    for (const round of [1, 2]) {
      server.process.stdin?.write('r\n');
      await until(() => server.output().split('HelloRequest').length > round);
      // more than there is room for, so that some waits inside of the socket
      for (let i = 0; i < 200; i++) socket.write('x'.repeat(16_384));
      socket.write(`after ${round}\n`);
      await until(() => server.output().includes(`after ${round}`));
      t.is(server.output().split('ClientHello').length, 2 + round);
      server.process.stdin?.write(`turn ${round}\n`);
      await until(() => received.includes(`turn ${round}`));
    }
    t.is(socket.getProtocol(), 'TLSv1.2');
    socket.destroy();
  },
);

test('authentication after the handshake, and padded records', opensslTest, async (t) => {
  const server = await openssl(t, '-CAfile', join(folder, 'ca.pem'));
  const tuning = { postHandshakeAuth: true, recordPaddingBytes: 700 };
  const socket = await connected(server.port, { cert: me.pem, key: pemKey(me), tuning });
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk;
  });
  await until(() => server.output().includes('CIPHER is'));
  server.process.stdin?.write('c\n');
  await until(() => /depth=0.*CN ?= ?me/.test(server.output()));
  await until(() => server.output().includes('SSL_do_handshake -> 1'));
  server.process.stdin?.write('number 1\n');
  await until(() => received.includes('number 1'));
  socket.write('heard\n');
  await until(() => server.output().includes('heard'));
  t.notRegex(server.output(), /verify error/);
  socket.destroy();
});
