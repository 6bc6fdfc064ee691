import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { connect, type Socket } from '../../net/index.ts';
import { expect, grouped, heading, line, stopwatch } from './account.ts';
import { CLIENT_HEADER, NAMES, TLS_HEADER } from './scene.ts';

/** Resolving, connecting and the TLS handshake together. */
const TIMEOUT_MS = 10_000;

/** One request by net's connect over IPv6, with Node's own HTTP client on it. @param authority PEM; null: no TLS */
export async function showAsynchronous(
  name: string,
  port: number,
  authority: string | null,
  body: Buffer,
): Promise<void> {
  const secure = authority !== null;
  heading(
    secure
      ? `Asynchronous, TLS: await connect({ host: '${name}', port: ${port}, tls })`
      : `Asynchronous, plain: await connect({ host: '${name}', port: ${port} })`,
  );
  await using socket = await connect({
    host: name,
    port,
    preferIpv6: true,
    timeoutMs: TIMEOUT_MS,
    tls: secure && { ca: authority },
  });
  const { resolveMs, connectMs, handshakeMs } = socket.times;
  line('resolve', `${name} is ${socket.remoteAddress}, by DNS`, resolveMs);
  expect('the family of the address', socket.remoteFamily, 'IPv6');
  line('connect', `${socket.localAddress} port ${socket.localPort} to port ${port}`, connectMs);
  if (secure) showSecurity(socket, handshakeMs);
  const lap = stopwatch();
  const { response, content } = await get(socket, name);
  const transferMs = lap();
  expect('status code', response.statusCode, 200);
  expect('the body', content.equals(body), true);
  if (secure) {
    const seen = `${socket.getProtocol()} ${socket.getCipher()?.standardName}`;
    expect('what node:tls saw', response.headers[TLS_HEADER], seen);
  } else {
    const own = `${socket.localAddress} ${socket.localPort}`;
    expect('the address node:http saw', response.headers[CLIENT_HEADER], own);
  }
  const traffic = `${socket.bytesWritten} sent, ${grouped(socket.bytesRead)} received`;
  line('bytes', `${traffic}, body as expected`, transferMs);
  lap();
  if (!socket.closed) await once(socket, 'close');
  expect('the connection', socket.errored, null);
  line('close', 'in order', lap());
}

function showSecurity(socket: Socket, ms: number): void {
  expect('TLS version', socket.getProtocol(), 'TLSv1.3');
  expect('certificate status', socket.authorized, true);
  expect('certificate', socket.getPeerCertificate().subject.CN, NAMES[0]);
  line('handshake', `TLS 1.3, ${socket.getCipher()?.standardName}, certificate valid`, ms);
}

async function get(socket: Socket, name: string): Promise<{ response: IncomingMessage; content: Buffer }> {
  const request = http.get({
    host: name,
    headers: { connection: 'close' },
    createConnection: () => socket,
  });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { response, content: Buffer.concat(chunks) };
}
