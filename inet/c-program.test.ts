import { Worker } from 'node:worker_threads';
import test from 'ava';
import {
  INET_ERROR,
  INET_OPTION_NONE,
  INET_OPTION_SECURE,
  INET_PROTOCOL_TCP,
  INET_PROTOCOL_UDP,
  INVALID_SOCKET,
  InetAttachThread,
  InetConnect,
  InetDisconnect,
  InetGetErrorString,
  InetGetLastError,
  InetRead,
  InetWrite,
} from './index.ts';
import { setUpBench } from './testing/bench.ts';
import { PeerPort } from './testing/peer.ts';

setUpBench(test);

/**
 * The program that a user of SocketWrench writes first, line by line; on the left what it is in C:
 *
 *     hSocket = InetConnect(lpszHostName, nPort, INET_PROTOCOL_TCP, 10, dwOptions, NULL);
 *     if (hSocket == INVALID_SOCKET) { dwError = InetGetLastError(); return; }
 *     nResult = InetWrite(hSocket, (LPBYTE)lpRequest, cbRequest);
 *     if (nResult == INET_ERROR) { … }
 *     do {
 *       nResult = InetRead(hSocket, lpBuffer, cbBuffer);
 *       if (nResult > 0) { … }
 *     } while (nResult > 0);
 *     InetDisconnect(hSocket);
 */
function program(port: number, request: string, options: number): string {
  const socket = InetConnect('peer.test', port, INET_PROTOCOL_TCP, 10, options, null);
  if (socket === INVALID_SOCKET) return InetGetErrorString(InetGetLastError());
  let result = InetWrite(socket, Buffer.from(request), request.length);
  if (result === INET_ERROR) return InetGetErrorString(InetGetLastError());
  const buffer = new Uint8Array(8192);
  let answer = '';
  do {
    result = InetRead(socket, buffer, buffer.length);
    if (result > 0) answer += Buffer.from(buffer.subarray(0, result)).toString();
  } while (result > 0);
  if (result === INET_ERROR) return InetGetErrorString(InetGetLastError());
  InetDisconnect(socket);
  return answer;
}

test.serial('connect, write, read until 0, disconnect; the same with TLS', (t) => {
  t.is(
    program(PeerPort.HttpLike, 'GET / HTTP/1.0\r\n\r\n', INET_OPTION_NONE),
    'HTTP/1.0 200 OK\r\n\r\nhello\r\n',
  );
  t.is(
    program(PeerPort.HttpsLike, 'GET / HTTP/1.0\r\n\r\n', INET_OPTION_SECURE),
    'HTTP/1.0 200 OK\r\n\r\nhello\r\n',
  );
});

test.serial('UDP: the default destination, one datagram there and one back', (t) => {
  const socket = InetConnect('peer.test', PeerPort.Echo, INET_PROTOCOL_UDP, 10, INET_OPTION_NONE, null);
  t.not(socket, INVALID_SOCKET);
  t.is(InetWrite(socket, Buffer.from('datagram')), 8);
  const buffer = new Uint8Array(8192);
  t.is(InetRead(socket, buffer), 8);
  t.is(Buffer.from(buffer.subarray(0, 8)).toString(), 'datagram');
  t.is(InetDisconnect(socket), 0);
});

test.serial('worker threads: each with a session of its own, and one that takes a handle over', async (t) => {
  const script = new URL('./testing/c-program-thread.ts', import.meta.url);
  const sessions = [0, 1, 2, 3].map(() => new Worker(script, { workerData: 0 }));
  const answers = await Promise.all(
    sessions.map((worker) => new Promise((done) => worker.once('message', done))),
  );
  t.deepEqual(answers, Array(4).fill('HTTP/1.0 200 OK\r\n\r\nhello\r\n'));

  const socket = InetConnect('peer.test', PeerPort.HttpLike, INET_PROTOCOL_TCP, 10, INET_OPTION_NONE, null);
  const worker = new Worker(script, { workerData: socket });
  t.is(await new Promise((done) => worker.once('message', done)), 'HTTP/1.0 200 OK\r\n\r\nhello\r\n');
  // the worker has given it back
  t.not(InetAttachThread(socket, 0), INET_ERROR);
  t.is(InetDisconnect(socket), 0);
});
