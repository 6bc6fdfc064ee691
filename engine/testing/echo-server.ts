import { workerData } from 'node:worker_threads';
import type { MemoryLinkEnd } from '../../drivers/memory.ts';
import { WOULD_BLOCK } from '../channel.ts';
import { EngineClient } from '../client.ts';
import { SharedSocket } from '../shared-socket.ts';
import { startEngineSync } from '../start.ts';

/** What the echo server's thread gets. */
export interface EchoServerData {
  readonly end: MemoryLinkEnd;
  readonly addresses: readonly string[];
  readonly port: number;
  /** Word 0 becomes 1 when the server listens. */
  readonly ready: SharedArrayBuffer;
}

// A server for tests in a thread of its own: every connection gets its bytes back, and its end after its own.
const { end, addresses, port, ready } = workerData as EchoServerData;
const engine = startEngineSync({ device: end, addresses, resolver: { hostsFile: null } });
const client = EngineClient.of(engine.arena);
const listener = SharedSocket.listen(client, null, port, 64);
const buffer = new Uint8Array(65536);

function serve(socket: SharedSocket): void {
  let kept: Uint8Array | null = null;
  const turn = (): void => {
    try {
      for (;;) {
        if (kept === null) {
          const read = socket.read(buffer, 0, buffer.length);
          if (read === WOULD_BLOCK) return;
          if (read === 0) {
            socket.shutdown();
            socket.release();
            return;
          }
          kept = buffer.slice(0, read);
        }
        const taken = socket.write(kept, 0, kept.length);
        if (taken === WOULD_BLOCK) return;
        kept = taken < kept.length ? kept.subarray(taken) : null;
      }
    } catch {
      socket.release();
    }
  };
  socket.watch(turn);
  turn();
}

function acceptAll(): void {
  for (let socket = listener.accept(); socket !== null; socket = listener.accept()) serve(socket);
}

client.ref();
listener.watch(acceptAll);
acceptAll();
const words = new Int32Array(ready);
Atomics.store(words, 0, 1);
Atomics.notify(words, 0);
