/**
 * A thread of a soak with the blocking face: one connection that it reads from or writes to at full speed, with pauses. A call that fails ends
 * the thread with an error.
 */
import { workerData } from 'node:worker_threads';
import {
  INET_ERROR,
  INET_OPTION_SECURE,
  INET_OPTION_TRUSTEDSITE,
  INET_PROTOCOL_TCP,
  INVALID_SOCKET,
  InetAbort,
  InetConnect,
  InetGetLastFailure,
  InetInitialize,
  InetRead,
  InetUninitialize,
  InetWrite,
} from '../inet/index.ts';
import { SeededRandom } from '../stack/random.ts';
import {
  CHUNK_BYTES,
  Count,
  chance,
  MOST_FLOW_MS,
  MOST_PAUSE_MS,
  PLAIN_PORT,
  type SoakTask,
  TLS_PORT,
} from './soak-job.ts';

/** Longer than any pause of the peer. */
const TIMEOUT_S = 10;

const { does, host, tls, seed, ended, counts } = workerData as SoakTask;
const random = new SeededRandom(seed);
const buffer = new Uint8Array(CHUNK_BYTES);

function must(result: number, failed: number): number {
  if (result === failed) throw new Error(`${does}: ${InetGetLastFailure()?.message}`);
  return result;
}

if (!InetInitialize()) throw new Error('InetInitialize has failed');
const options = tls ? INET_OPTION_SECURE | INET_OPTION_TRUSTEDSITE : 0;
const port = tls ? TLS_PORT : PLAIN_PORT;
const handle = must(InetConnect(host, port, INET_PROTOCOL_TCP, TIMEOUT_S, options), INVALID_SOCKET);
for (let pauseAt = performance.now(); Atomics.load(ended, 0) === 0; ) {
  const bytes = does === 'read' ? InetRead(handle, buffer) : InetWrite(handle, buffer);
  counts[Count.Bytes]! += must(bytes, INET_ERROR);
  if (performance.now() < pauseAt) continue;
  Atomics.wait(ended, 0, 0, chance(random, MOST_PAUSE_MS));
  counts[Count.Pauses]! += 1;
  pauseAt = performance.now() + chance(random, MOST_FLOW_MS);
}
InetAbort(handle);
InetUninitialize();
