import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { TLS_ERRORS } from '../tls/errors.ts';
import { issue, issueCa } from '../tls/testing/certificates.ts';
import { readCommand } from './bogo/flags.ts';

const FOLDER = import.meta.dirname;

function runShim(args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(join(FOLDER, 'bogo-shim.ts'), args);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })));
}

test('flags are for all connections, or for the one that their prefix names', (t) => {
  const { initial, resume, retry, unimplemented } = readCommand([
    ...['-port', '7', '-on-resume-expect-alpn', 'foo', '-on-shim-async'],
    ...['-on-handshaker-cert-file', 'x', '-curves', '29', '-curves', '23'],
  ]);
  t.is(unimplemented, null);
  t.is(initial.number('port'), 7);
  t.is(resume.text('expect-alpn'), 'foo');
  t.false(initial.has('expect-alpn') || retry.has('expect-alpn'));
  t.true(retry.has('async'));
  t.false(initial.has('cert-file'));
  t.deepEqual(initial.numbers('curves'), [29, 23]);
});

test('flags after -new-x509-credential belong to that credential', (t) => {
  const { initial } = readCommand([
    '-new-x509-credential',
    '-cert-file',
    'a',
    '-new-x509-credential',
    '-cert-file',
    'b',
  ]);
  t.deepEqual(
    initial.credentials.map((each) => each.text('cert-file')),
    ['a', 'b'],
  );
  t.false(initial.has('cert-file'));
});

test('what the shim does not serve is exit code 89, a question is answered', async (t) => {
  t.is(readCommand(['-port', '1', '-server']).unimplemented, 'server');
  t.is((await runShim(['-dtls'])).code, 89);
  t.deepEqual(await runShim(['-is-handshaker-supported']), { code: 0, out: 'No\n', err: '' });
});

test('the shim sends its id, shakes hands, answers each byte with its opposite, and ends well', async (t) => {
  const { pem, privateKey } = issue({ subject: 'server.test', issuer: issueCa('root') });
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' });
  const received: Buffer[] = [];
  let id = 0n;
  const serve = (socket: Socket): void => {
    socket.once('readable', () => {
      id = (socket.read(8) as Buffer).readBigUInt64LE();
      const secured = new TLSSocket(socket, { isServer: true, key, cert: pem, ALPNProtocols: ['foo'] });
      secured.write(Uint8Array.of(1, 2, 0xff));
      secured.on('data', (chunk: Buffer) => {
        received.push(chunk);
        if (Buffer.concat(received).length === 3) secured.end();
      });
    });
  };
  const server = createServer(serve).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const result = await runShim([
    ...[
      '-port',
      String(port),
      '-shim-id',
      '1234567890123',
      '-advertise-alpn',
      '\x03foo',
      '-expect-alpn',
      'foo',
    ],
    ...['-expect-version', '772', '-host-name', 'server.test'],
  ]);
  t.deepEqual(result, { code: 0, out: '', err: '' });
  t.is(id, 1234567890123n);
  t.deepEqual(Buffer.concat(received), Buffer.from([0xfe, 0xfd, 0]));
});

/** A server of TLS 1.2 that asks for renegotiations, sends three bytes, and waits for the three of the answer. */
async function serveRenegotiations(
  t: ExecutionContext,
  wanted: number,
  isAnswered: boolean,
): Promise<{ port: number; received: Buffer[]; done: () => number }> {
  const { pem, privateKey } = issue({ subject: 'server.test', issuer: issueCa('root') });
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' });
  const received: Buffer[] = [];
  let done = 0;
  const server = createServer((socket) => {
    socket.once('readable', () => {
      socket.read(8);
      const secured = new TLSSocket(socket, { isServer: true, key, cert: pem, maxVersion: 'TLSv1.2' });
      secured.on('error', () => {});
      const ask = (): void => {
        if (done === wanted || !isAnswered) {
          if (wanted > 0 && !isAnswered) secured.renegotiate({ requestCert: false }, () => {});
          secured.write(Uint8Array.of(1, 2, 0xff));
          return;
        }
        secured.renegotiate({ requestCert: false }, (error) => {
          if (error !== null) return;
          done++;
          ask();
        });
      };
      secured.once('secure', ask);
      secured.on('data', (chunk: Buffer) => {
        received.push(chunk);
        if (Buffer.concat(received).length === 3) secured.end();
      });
    });
  }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  return { port: (server.address() as { port: number }).port, received, done: () => done };
}

for (const [flags, count, isAnswered] of [
  [['-renegotiate-freely', '-expect-total-renegotiations', '2'], 2, true],
  [['-renegotiate-explicit', '-expect-total-renegotiations', '1'], 1, true],
  [['-renegotiate-once', '-expect-total-renegotiations', '1'], 1, true],
  [['-renegotiate-ignore'], 1, false],
] as const) {
  test(`a server asks for ${count} renegotiations of the shim with ${flags.join(' ')}`, async (t) => {
    const { port, received, done } = await serveRenegotiations(t, count, isAnswered);
    const result = await runShim(['-port', String(port), '-shim-id', '1', ...flags]);
    t.deepEqual(result, { code: 0, out: '', err: '' });
    t.is(done(), isAnswered ? count : 0);
    t.deepEqual(Buffer.concat(received), Buffer.from([0xfe, 0xfd, 0]));
  });
}

test('the shim tells when there were other renegotiations than it was told to expect', async (t) => {
  const { port } = await serveRenegotiations(t, 1, true);
  const args = ['-port', String(port), '-shim-id', '1', '-renegotiate-freely'];
  const { code, err } = await runShim([...args, '-expect-total-renegotiations', '2']);
  t.is(code, 1);
  t.regex(err, /1 renegotiations, expected 2/);
});

test('the errors that the configuration names exist', (t) => {
  const config = JSON.parse(readFileSync(join(FOLDER, 'bogo-config.json'), 'utf8')) as {
    readonly DisabledTests: Readonly<Record<string, string>>;
    readonly ErrorMap: Readonly<Record<string, readonly string[]>>;
  };
  for (const text of Object.values(config.ErrorMap).flat()) {
    const member = /^TlsError (\w+):$/.exec(text)?.[1];
    if (member !== undefined) t.true(member in TLS_ERRORS, member);
  }
  t.true(Object.values(config.DisabledTests).every((reason) => reason.length > 10));
});
