/**
 * A thread that writes or reads one connection at full speed in blocking calls, until it fails. Posts `'running'` when some data has
 * flowed, then the code of the error that ended it, `'end'` at the end of the stream, or `'stuck'` when nothing moved for too long.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { NetError } from '../../stack/errors.ts';
import { Arena } from '../arena.ts';
import { WOULD_BLOCK } from '../channel.ts';
import { EngineClient } from '../client.ts';
import { SharedSocket } from '../shared-socket.ts';
import { SocketStatus } from '../socket-block.ts';

export interface PumpData {
  readonly memory: SharedArrayBuffer;
  readonly host: string;
  readonly port: number;
  readonly writes: boolean;
  /** How long a call waits before the connection counts as stuck. */
  readonly patienceMs: number;
}

const CHUNK_BYTES = 65_536;
const SOME_BYTES = 2_000_000;
const LOOK_UP_MS = 500;

const { memory, host, port, writes, patienceMs } = workerData as PumpData;

function pump(): string {
  const client = EngineClient.of(new Arena(memory));
  const socket = SharedSocket.connect(client, { host, port, protocol: 'tcp', timeoutMs: 5000 });
  try {
    for (;;) {
      const { sendSequence } = socket;
      if (socket.status !== SocketStatus.Opening) break;
      if (!socket.sleepSend(sendSequence, patienceMs)) return 'stuck';
    }
    socket.throwIfFailed();
    return transfer(socket);
  } finally {
    socket.release();
  }
}

function transfer(socket: SharedSocket): string {
  const buffer = new Uint8Array(CHUNK_BYTES);
  let waitedMs = 0;
  for (let moved = 0; ; ) {
    const sequence = writes ? socket.sendSequence : socket.recvSequence;
    const now = writes ? socket.write(buffer, 0, buffer.length) : socket.read(buffer, 0, buffer.length);
    if (now === 0) return 'end';
    if (now === WOULD_BLOCK) {
      const inTime = writes ? socket.sleepSend(sequence, LOOK_UP_MS) : socket.sleepRecv(sequence, LOOK_UP_MS);
      if (inTime) continue;
      socket.client.checkRunning();
      waitedMs += LOOK_UP_MS;
      if (waitedMs >= patienceMs) return 'stuck';
    } else {
      waitedMs = 0;
      const before = moved;
      moved += now;
      if (before < SOME_BYTES && moved >= SOME_BYTES) parentPort?.postMessage('running');
    }
  }
}

let outcome: string;
try {
  outcome = pump();
} catch (error) {
  outcome = error instanceof NetError ? error.tunwireCode : String(error);
}
parentPort?.postMessage(outcome);
