/**
 * A soak: `node --expose-gc bench/soak.ts [SECONDS] [plain|tls] [sockets|threads]` (default 600 plain sockets). Connections send and receive at
 * full speed, over TUN, with random pauses of the writer, of the reader and of the peer; memory has to stay flat. `sockets`: two of Node's
 * shape, both ways at once; `threads`: one thread writes and one reads, with InetWrite and InetRead. Needs root.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { createStack, type NetStack, type Socket } from '../net/index.ts';
import { SeededRandom } from '../stack/random.ts';
import { createLab, KERNEL_V4, type Lab, OWN_V4 } from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
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
import { median } from './statistics.ts';

export interface SoakOptions {
  readonly seconds: number;
  /** Of the pauses on this side. */
  readonly seed: number;
  readonly tls: boolean;
  readonly face: 'sockets' | 'threads';
}

/** What a soak has seen. */
export interface SoakReport extends SoakOptions {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly pauses: number;
  /** Medians of the resident memory in the second and in the last quarter of the time, in bytes. */
  readonly residentBefore: number;
  readonly residentAfter: number;
  /** The same of the heap after collection, that of the threads not counted. */
  readonly heapBefore: number;
  readonly heapAfter: number;
}

const SAMPLES = 40;
/** What the memory may differ by, of measuring alone: the collector's and the allocator's reserves come and go. */
export const FLAT_RESIDENT_BYTES: number = 32 * 1024 * 1024;
export const FLAT_HEAP_BYTES: number = 2 * 1024 * 1024;

/** What moves data until it is told to end. */
interface Traffic {
  /** @throws what has gone wrong on the way */
  end(): Promise<Pick<SoakReport, 'sentBytes' | 'receivedBytes' | 'pauses'>>;
}

export async function soak(lab: Lab, options: SoakOptions): Promise<SoakReport> {
  const credentials = makeCredentials(lab.folder, [KERNEL_V4]);
  const peer = lab.node('bench/soak-peer.ts', [credentials.certFile, credentials.keyFile]);
  await lab.listening(peer, TLS_PORT);
  const device = { device: `tun:${lab.tun}`, addresses: [`${OWN_V4}/24`], resolver: { hostsFile: null } };
  const stack = await lab.within(() => createStack({ ...device, shared: true }));
  const traffic =
    options.face === 'sockets'
      ? await useSockets(stack, options, readFileSync(credentials.caFile))
      : useThreads(options);
  const samples: { readonly resident: number; readonly heap: number }[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    await sleep((options.seconds * 1000) / SAMPLES);
    globalThis.gc?.();
    samples.push({ resident: process.memoryUsage.rss(), heap: process.memoryUsage().heapUsed });
  }
  const moved = await traffic.end();
  await stack.close();
  peer.kill('SIGKILL');
  const quarter = (number: number): typeof samples =>
    samples.slice(((number - 1) * SAMPLES) / 4, (number * SAMPLES) / 4);
  return {
    ...options,
    ...moved,
    residentBefore: median(quarter(2).map(({ resident }) => resident)),
    residentAfter: median(quarter(4).map(({ resident }) => resident)),
    heapBefore: median(quarter(2).map(({ heap }) => heap)),
    heapAfter: median(quarter(4).map(({ heap }) => heap)),
  };
}

async function useSockets(stack: NetStack, { seed, tls }: SoakOptions, ca: Buffer): Promise<Traffic> {
  const random = new SeededRandom(seed);
  let pauses = 0;
  let ended = false;
  let receivedBytes = 0;
  const sockets = [await connect(), await connect()] as const;

  async function connect(): Promise<Socket> {
    const socket = await stack.connect({
      host: KERNEL_V4,
      port: tls ? TLS_PORT : PLAIN_PORT,
      ...(tls ? { tls: { ca } } : {}),
    });
    socket.on('data', (data: Buffer) => {
      receivedBytes += data.length;
    });
    return socket;
  }

  /** The reader stops and goes on. */
  async function read(socket: Socket): Promise<void> {
    while (!ended) {
      await sleep(chance(random, MOST_FLOW_MS));
      socket.pause();
      pauses++;
      await sleep(chance(random, MOST_PAUSE_MS));
      socket.resume();
    }
  }

  async function write(socket: Socket): Promise<void> {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let pauseAt = performance.now(); !ended; ) {
      if (!socket.write(chunk)) await drainOr(socket, 100);
      if (performance.now() < pauseAt) continue;
      await sleep(chance(random, MOST_PAUSE_MS));
      pauses++;
      pauseAt = performance.now() + chance(random, MOST_FLOW_MS);
    }
  }

  const work = Promise.all(sockets.flatMap((socket) => [read(socket), write(socket)]));
  return {
    async end() {
      ended = true;
      await work;
      const sentBytes = sockets.reduce(
        (sum, { bytesWritten, writableLength }) => sum + bytesWritten - writableLength,
        0,
      );
      for (const socket of sockets) socket.on('error', () => {}).resetAndDestroy();
      return { sentBytes, receivedBytes, pauses };
    },
  };
}

function useThreads({ seed, tls }: SoakOptions): Traffic {
  const does = ['read', 'write'] as const;
  const tasks = does.map((what, i): SoakTask => {
    const ended = new Int32Array(new SharedArrayBuffer(4));
    const counts = new Float64Array(new SharedArrayBuffer(8 * Object.keys(Count).length));
    return { does: what, host: KERNEL_V4, tls, seed: seed + i, ended, counts };
  });
  const file = new URL('./soak-thread.ts', import.meta.url);
  const ends = tasks.map((workerData) => once(new Worker(file, { workerData }), 'exit'));
  const exits = Promise.all(ends);
  // told at the end
  exits.catch(() => {});
  return {
    async end() {
      for (const { ended } of tasks) {
        Atomics.store(ended, 0, 1);
        Atomics.notify(ended, 0);
      }
      await exits;
      const [reader, writer] = tasks.map(({ counts }) => counts) as [Float64Array, Float64Array];
      return {
        receivedBytes: reader[Count.Bytes]!,
        sentBytes: writer[Count.Bytes]!,
        pauses: reader[Count.Pauses]! + writer[Count.Pauses]!,
      };
    },
  };
}

/** Leaves no listener behind, whichever comes first. */
async function drainOr(socket: Socket, timeoutMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      socket.off('drain', done);
      resolve();
    };
    const timer = setTimeout(done, timeoutMs);
    socket.on('drain', done);
  });
}

/** Whether the memory did not grow. */
export function isFlat({ residentBefore, residentAfter, heapBefore, heapAfter }: SoakReport): boolean {
  return residentAfter - residentBefore < FLAT_RESIDENT_BYTES && heapAfter - heapBefore < FLAT_HEAP_BYTES;
}

if (import.meta.main) {
  const [seconds = '600', security = 'plain', face = 'sockets'] = process.argv.slice(2);
  if (!['plain', 'tls'].includes(security) || (face !== 'sockets' && face !== 'threads')) {
    throw new Error('soak.ts [SECONDS] [plain|tls] [sockets|threads]');
  }
  const options: SoakOptions = { seconds: Number(seconds), seed: 1, tls: security === 'tls', face };
  const cleanUps: (() => Promise<void> | void)[] = [];
  const lab = await createLab({ teardown: (clean) => cleanUps.push(clean) });
  try {
    const report = await soak(lab, options);
    console.log(JSON.stringify(report, null, 2));
    console.log(isFlat(report) ? 'memory stayed flat' : 'memory grew');
    process.exitCode = isFlat(report) ? 0 : 1;
  } finally {
    for (const clean of cleanUps) await clean();
  }
}
