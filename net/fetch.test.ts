import http from 'node:http';
import https from 'node:https';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { makeIdentity, SERVER_NAME } from './testing/tls-identity.ts';

let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

/** @returns the address of a server of Node's on our listener, and how many connections it has seen */
async function serve(server: http.Server): Promise<{ host: string; count: () => number }> {
  const listener = await pair.server.listen({ port: 0, allowHalfOpen: true });
  let connections = 0;
  listener.on('connection', (socket) => {
    connections++;
    server.emit('connection', socket);
  });
  return { host: `${SERVER_V4}:${listener.address()?.port}`, count: () => connections };
}

test("fetch: Node's own, through the stack; connections are kept", async (t) => {
  const { host, count } = await serve(
    http.createServer(async (request, response) => {
      const body: Buffer[] = [];
      for await (const chunk of request) body.push(chunk as Buffer);
      response.setHeader('x-from', request.socket.remoteAddress ?? '');
      response.end(`${request.method} ${request.url} ${Buffer.concat(body)}`);
    }),
  );
  for (let i = 0; i < 3; i++) {
    const response = await pair.client.fetch(`http://${host}/${i}`, { method: 'POST', body: `body ${i}` });
    t.is(response.status, 200);
    t.is(response.headers.get('x-from'), '192.0.2.1');
    t.is(await response.text(), `POST /${i} body ${i}`);
  }
  // undici opens another one when the answer before is not over for it, which fetch does not wait for
  await setTimeout(100);
  const before = count();
  await (await pair.client.fetch(`http://${host}/again`)).text();
  t.is(count(), before);
  const refused = await t.throwsAsync(pair.client.fetch(`http://${SERVER_V4}:9999/`));
  t.like(refused?.cause, { code: 'ECONNREFUSED' });
  const signal = AbortSignal.abort();
  const aborted = pair.client.fetch(`http://${host}/`, { signal });
  t.is(await aborted.catch((error: DOMException) => error.name), 'AbortError');
});

test('fetch: TLS of the stack', async (t) => {
  const identity = makeIdentity();
  const { host } = await serve(https.createServer(identity, (_, response) => response.end('secret')));
  const tls = { ca: identity.ca, servername: SERVER_NAME };
  t.is(await (await pair.client.fetch(`https://${host}/`, { tls })).text(), 'secret');
  const untrusting = await t.throwsAsync(pair.client.fetch(`https://${host}/`));
  t.like(untrusting?.cause, { phase: 'handshake' });
});

test.serial('fetch: a global dispatcher of another kind is refused with the way out', async (t) => {
  const all = globalThis as unknown as Record<symbol, object | undefined>;
  void globalThis.Request;
  for (const version of [1, 2]) {
    const symbol = Symbol.for(`undici.globalDispatcher.${version}`);
    const own = all[symbol];
    all[symbol] = new (class MockAgent {})();
    t.teardown(() => {
      all[symbol] = own;
    });
  }
  const refused = pair.client.fetch('https://192.0.2.2/', { tls: {} });
  await t.throwsAsync(refused, { code: 'EINVAL', message: /undiciConnector/ });
});
