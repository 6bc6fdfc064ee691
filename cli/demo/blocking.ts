import { openHandle } from '../../inet/handles.ts';
import {
  INET_ERROR,
  INET_OPTION_SECURE,
  INET_PROTOCOL_TCP,
  INVALID_SOCKET,
  InetConnect,
  InetDisconnect,
  InetGetErrorString,
  InetGetLastError,
  InetGetSecurityInformation,
  InetRead,
  InetWrite,
  SECURITY_CERTIFICATE_VALID,
  SECURITY_CIPHER_CHACHA20,
  SECURITY_PROTOCOL_TLS13,
  SECURITYINFO,
} from '../../inet/index.ts';
import { DemoFailure, expect, grouped, heading, line, stopwatch } from './account.ts';
import { CLIENT_HEADER, TLS_HEADER } from './scene.ts';

/** Each call may take this many seconds. */
const TIMEOUT_SECONDS = 10;

/** One request by InetConnect and its family: every call blocks this thread until it is done. */
export function showBlocking(name: string, port: number, secure: boolean, body: Buffer): void {
  heading(
    secure
      ? `Blocking, TLS: InetConnect('${name}', ${port}, …, INET_OPTION_SECURE)`
      : `Blocking, plain: InetConnect('${name}', ${port}, …)`,
  );
  const lap = stopwatch();
  const options = secure ? INET_OPTION_SECURE : 0;
  const handle = InetConnect(name, port, INET_PROTOCOL_TCP, TIMEOUT_SECONDS, options, null);
  const connectedMs = lap();
  if (handle === INVALID_SOCKET) throw lastFailure('InetConnect');
  const { socket } = openHandle(handle);
  const { resolveMs, connectMs } = socket.times;
  line('resolve', `${name} is ${socket.remoteAddress}, by DNS`, resolveMs);
  line('connect', `${socket.localAddress} port ${socket.localPort} to port ${port}`, connectMs - resolveMs);
  const security = secure ? showSecurity(handle, connectedMs - connectMs) : '';
  lap();
  const request = Buffer.from(`GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
  if (InetWrite(handle, request) !== request.length) throw lastFailure('InetWrite');
  const { head, content, receivedBytes } = readResponse(handle);
  const transferMs = lap();
  expect('status line', head.split('\r\n', 1)[0], 'HTTP/1.1 200 OK');
  expect('the body', content.equals(body), true);
  if (secure) expect('what node:tls saw', header(head, TLS_HEADER), security);
  else
    expect(
      'the address node:http saw',
      header(head, CLIENT_HEADER),
      `${socket.localAddress} ${socket.localPort}`,
    );
  line('bytes', `${request.length} sent, ${grouped(receivedBytes)} received, body as expected`, transferMs);
  lap();
  if (InetDisconnect(handle) === INET_ERROR) throw lastFailure('InetDisconnect');
  line('close', 'in order', lap());
}

/** @returns version and cipher suite as node:tls writes them */
function showSecurity(handle: number, ms: number): string {
  const info = new SECURITYINFO();
  if (!InetGetSecurityInformation(handle, info)) throw lastFailure('InetGetSecurityInformation');
  expect('TLS version', info.dwProtocol, SECURITY_PROTOCOL_TLS13);
  expect('certificate status', info.dwCertStatus, SECURITY_CERTIFICATE_VALID);
  const suite =
    info.dwCipher === SECURITY_CIPHER_CHACHA20
      ? 'TLS_CHACHA20_POLY1305_SHA256'
      : `TLS_AES_${info.dwCipherStrength}_GCM_SHA${info.dwHashStrength}`;
  line('handshake', `TLS 1.3, ${suite}, certificate valid`, ms);
  return `TLSv1.3 ${suite}`;
}

/** Reads until the server closes. */
function readResponse(handle: number): { head: string; content: Buffer; receivedBytes: number } {
  const chunks: Buffer[] = [];
  const buffer = Buffer.allocUnsafe(64 * 1024);
  for (let bytes = InetRead(handle, buffer); bytes !== 0; bytes = InetRead(handle, buffer)) {
    if (bytes === INET_ERROR) throw lastFailure('InetRead');
    chunks.push(Buffer.from(buffer.subarray(0, bytes)));
  }
  const response = Buffer.concat(chunks);
  const end = response.indexOf('\r\n\r\n');
  if (end < 0) throw new DemoFailure(`no HTTP response in ${response.length} bytes`);
  return {
    head: response.toString('latin1', 0, end),
    content: response.subarray(end + 4),
    receivedBytes: response.length,
  };
}

function header(head: string, name: string): string {
  const row = head.split('\r\n').find((field) => field.toLowerCase().startsWith(`${name}: `));
  return row?.slice(name.length + 2) ?? '';
}

function lastFailure(call: string): DemoFailure {
  return new DemoFailure(`${call}: ${InetGetErrorString(InetGetLastError())}`);
}
