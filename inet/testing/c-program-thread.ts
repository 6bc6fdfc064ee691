/** A worker of c-program.test.ts: a connection of its own, or (workerData is a handle) the main thread's. */
import { parentPort, workerData } from 'node:worker_threads';
import {
  INET_OPTION_NONE,
  INET_PROTOCOL_TCP,
  InetAttachThread,
  InetConnect,
  InetDisconnect,
  InetInitialize,
  InetRead,
  InetUninitialize,
  InetWrite,
} from '../index.ts';
import { PeerPort } from './peer.ts';

const given = workerData as number;
InetInitialize();
const socket =
  given === 0
    ? InetConnect('peer.test', PeerPort.HttpLike, INET_PROTOCOL_TCP, 10, INET_OPTION_NONE, null)
    : given;
const owner = given === 0 ? 0 : InetAttachThread(socket, 0);
InetWrite(socket, Buffer.from('GET / HTTP/1.0\r\n\r\n'));
const buffer = new Uint8Array(8192);
let answer = '';
for (let n = InetRead(socket, buffer); n > 0; n = InetRead(socket, buffer)) {
  answer += Buffer.from(buffer.subarray(0, n)).toString();
}
if (given === 0) InetDisconnect(socket);
else InetAttachThread(socket, owner);
InetUninitialize();
parentPort?.postMessage(answer);
