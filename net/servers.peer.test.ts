// needs: tun curl openssl wrk
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { buffer } from 'node:stream/consumers';
import tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { createLab, type Lab, OWN_ADDRESSES, OWN_V4, OWN_V6 } from '../test/netns.ts';
import { type Credentials, makeCredentials } from '../test/peers/credentials.ts';
import { createStack, type NetStack, type Server } from './index.ts';
import { pattern } from './testing/consume.ts';

// Node's servers on our listeners; the kernel's TCP and programs that we did not write on the other side.

interface Bench {
  readonly lab: Lab;
  readonly stack: NetStack;
  readonly credentials: Credentials;
  readonly identity: { readonly key: Buffer; readonly cert: Buffer };
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const lab = await createLab(t);
  const options = { device: `tun:${lab.tun}`, addresses: OWN_ADDRESSES, resolver: { hostsFile: null } };
  const stack = await lab.within(() => createStack(options));
  t.teardown(() => stack.close());
  const credentials = makeCredentials(lab.folder, [OWN_V4, OWN_V6]);
  const identity = { key: readFileSync(credentials.keyFile), cert: readFileSync(credentials.certFile) };
  return { lab, stack, credentials, identity };
}

/** Puts a server of Node's on a port of the stack. */
async function serve(
  stack: NetStack,
  server: { emit(event: 'connection', socket: unknown): boolean },
  port: number,
): Promise<Server> {
  const listener = await stack.listen({ port, allowHalfOpen: true });
  listener.on('connection', (socket) => server.emit('connection', socket));
  return listener;
}

test('curl: many requests over one connection, both families, uploads, a large answer', async (t) => {
  const { lab, stack } = await bench(t);
  const large = pattern(3_000_000);
  const upload = lab.file('upload');
  writeFileSync(upload, large);
  let connections = 0;
  const server = http.createServer(async (request, response) => {
    if (request.method === 'PUT') response.end(String((await buffer(request)).equals(large)));
    else
      response.end(request.url === '/large' ? large : `${request.url} for ${request.socket.remoteAddress}`);
  });
  const listener = await serve(stack, server, 80);
  listener.on('connection', () => connections++);
  const urls = Array.from({ length: 20 }, (_, i) => `http://${OWN_V4}/${i}`);
  const answers = await lab.ok('curl', ['-sS', '--fail', ...urls]);
  t.is((answers.match(/ for 10\.77\.0\.1/g) ?? []).length, 20);
  t.is(connections, 1);
  t.is(await lab.ok('curl', ['-sS', '-g', `http://[${OWN_V6}]/six`]), '/six for fd77::1');
  t.is(await lab.ok('curl', ['-sS', '-T', upload, `http://${OWN_V4}/`]), 'true');
  const copy = lab.file('copy');
  await lab.ok('curl', ['-sS', '-o', copy, `http://${OWN_V4}/large`]);
  t.true(readFileSync(copy).equals(large));
  listener.close();
  const refused = await lab.run('curl', ['-sS', `http://${OWN_V4}/`]);
  t.is(refused.code, 7);
});

test('curl: HTTPS, and HTTP/2 by ALPN', async (t) => {
  const { lab, stack, credentials, identity } = await bench(t);
  await serve(
    stack,
    https.createServer(identity, (_, response) => response.end('secret')),
    443,
  );
  const second = http2.createSecureServer(identity);
  second.on('request', (request, response) => response.end(`HTTP/${request.httpVersion}`));
  await serve(stack, second, 444);
  const curl = ['-sS', '--cacert', credentials.caFile];
  t.is(await lab.ok('curl', [...curl, `https://${OWN_V4}/`]), 'secret');
  t.is(await lab.ok('curl', [...curl, '--http2', `https://${OWN_V4}:444/`]), 'HTTP/2.0');
  const untrusting = await lab.run('curl', ['-sS', `https://${OWN_V4}/`]);
  t.is(untrusting.code, 60);
});

test('openssl s_client: a verified handshake, an echo, an orderly end', async (t) => {
  const { lab, stack, credentials, identity } = await bench(t);
  const server = tls.createServer(identity, (socket) => {
    socket.once('data', (data) => socket.end(data));
  });
  await serve(stack, server, 4433);
  for (const version of ['-tls1_2', '-tls1_3']) {
    const args = [
      '-connect',
      `${OWN_V4}:4433`,
      '-CAfile',
      credentials.caFile,
      '-verify_return_error',
      '-quiet',
    ];
    const client = lab.start('openssl', ['s_client', version, ...args]);
    client.child.stdin.write('to and fro\n');
    client.child.stdin.end();
    t.is(await client.exited, 0, client.stderr);
    t.is(client.stdout, 'to and fro\n');
  }
});

test('wrk: fifty connections at once, no errors', async (t) => {
  const { lab, stack } = await bench(t);
  let served = 0;
  const server = http.createServer((_, response) => {
    served++;
    response.end('quick');
  });
  await serve(stack, server, 8080);
  const report = await lab.ok('wrk', ['-t1', '-c50', '-d3s', '--timeout', '20s', `http://${OWN_V4}:8080/`]);
  const requests = Number(/(\d+) requests in /.exec(report)?.[1]);
  t.true(requests >= 50 && requests <= served, report);
  t.notRegex(report, /Socket errors|Non-2xx/);
});
