/** A thread that opens a connection, takes locks of it or of another one, posts its index, and waits to be ended from outside. */
import { parentPort, workerData } from 'node:worker_threads';
import { Arena } from '../arena.ts';
import { EngineClient } from '../client.ts';
import { SharedSocket } from '../shared-socket.ts';
import { SocketStatus } from '../socket-block.ts';

export interface EndedThreadData {
  readonly memory: SharedArrayBuffer;
  /** Where it connects to; null: it uses the socket `index`. */
  readonly host: string | null;
  readonly port: number;
  readonly index: number;
  readonly locks: readonly ('recv' | 'send')[];
}

const { memory, host, port, index, locks } = workerData as EndedThreadData;
const client = EngineClient.of(new Arena(memory));
const socket =
  host === null
    ? SharedSocket.adopt(client, index)
    : SharedSocket.connect(client, { host, port, protocol: 'tcp', timeoutMs: 30_000 });
for (;;) {
  const sequence = socket.sendSequence;
  if (socket.status !== SocketStatus.Opening) break;
  if (!socket.sleepSend(sequence, 30_000)) throw new Error('no answer from the engine');
}
socket.throwIfFailed();
if (locks.includes('recv')) socket.lockRecv();
if (locks.includes('send')) socket.lockSend();
parentPort?.postMessage(socket.block.index);
// until it is ended
setInterval(() => {}, 1000);
