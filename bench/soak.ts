/**
 * A soak: `node --expose-gc bench/soak.ts [SECONDS]` (default 600). One connection sends and another receives at full speed, over TUN, with
 * random pauses of the writer, of the reader and of the peer; memory has to stay flat. Needs root.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createStack, type Socket } from '../net/index.ts';
import { SeededRandom } from '../stack/random.ts';
import { createLab, KERNEL_V4, type Lab, OWN_V4 } from '../test/netns.ts';
import { median } from './statistics.ts';

/** What a soak has seen. */
export interface SoakReport {
  readonly seconds: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly pauses: number;
  /** Medians of the resident memory in the second and in the last quarter of the time, in bytes. */
  readonly residentBefore: number;
  readonly residentAfter: number;
  /** The same of the heap after collection. */
  readonly heapBefore: number;
  readonly heapAfter: number;
}

const PORT = 7000;
const CHUNK_BYTES = 65_536;
const SAMPLES = 40;
const MOST_PAUSE_MS = 200;
const MOST_FLOW_MS = 1000;
/** What the memory may differ by, of measuring alone: the collector's and the allocator's reserves come and go. */
export const FLAT_RESIDENT_BYTES: number = 32 * 1024 * 1024;
export const FLAT_HEAP_BYTES: number = 2 * 1024 * 1024;

/** The peer, a program of its own in the lab: takes and gives on every connection, and pauses. */
const PEER = `
const chunk = Buffer.alloc(${CHUNK_BYTES});
require('node:net').createServer((socket) => {
  const fill = () => { while (!socket.destroyed && socket.write(chunk)); };
  socket.on('error', () => {}).on('drain', fill).on('data', () => {});
  fill();
  const pause = () => {
    if (socket.destroyed) return;
    socket.pause();
    setTimeout(() => { socket.resume(); setTimeout(pause, ${MOST_FLOW_MS} * Math.random()); }, ${MOST_PAUSE_MS} * Math.random());
  };
  pause();
}).listen(${PORT}, '0.0.0.0');`;

/** @param seed of the pauses on this side */
export async function soak(lab: Lab, seconds: number, seed: number): Promise<SoakReport> {
  const peer = lab.start(process.execPath, ['-e', PEER]);
  await lab.listening(peer, PORT);
  const options = { device: `tun:${lab.tun}`, addresses: [`${OWN_V4}/24`], resolver: { hostsFile: null } };
  const stack = await lab.within(() => createStack(options));
  const random = new SeededRandom(seed);
  const chance = (most: number): number => (random.uint32() / 2 ** 32) * most;
  let pauses = 0;
  let ended = false;
  let receivedBytes = 0;
  const sockets = [await connect(), await connect()] as const;

  async function connect(): Promise<Socket> {
    const socket = await stack.connect({ host: KERNEL_V4, port: PORT });
    socket.on('data', (data: Buffer) => {
      receivedBytes += data.length;
    });
    return socket;
  }

  /** The reader stops and goes on. */
  async function read(socket: Socket): Promise<void> {
    while (!ended) {
      await sleep(chance(MOST_FLOW_MS));
      socket.pause();
      pauses++;
      await sleep(chance(MOST_PAUSE_MS));
      socket.resume();
    }
  }

  async function write(socket: Socket): Promise<void> {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let pauseAt = performance.now(); !ended; ) {
      if (!socket.write(chunk)) await drainOr(socket, 100);
      if (performance.now() < pauseAt) continue;
      await sleep(chance(MOST_PAUSE_MS));
      pauses++;
      pauseAt = performance.now() + chance(MOST_FLOW_MS);
    }
  }

  const work = sockets.flatMap((socket) => [read(socket), write(socket)]);
  const samples: { readonly resident: number; readonly heap: number }[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    await sleep((seconds * 1000) / SAMPLES);
    globalThis.gc?.();
    samples.push({ resident: process.memoryUsage.rss(), heap: process.memoryUsage().heapUsed });
  }
  ended = true;
  await Promise.all(work);
  const sentBytes = sockets.reduce(
    (sum, { bytesWritten, writableLength }) => sum + bytesWritten - writableLength,
    0,
  );
  for (const socket of sockets) socket.on('error', () => {}).resetAndDestroy();
  await stack.close();
  peer.kill('SIGKILL');
  const quarter = (number: number): typeof samples =>
    samples.slice(((number - 1) * SAMPLES) / 4, (number * SAMPLES) / 4);
  return {
    seconds,
    sentBytes,
    receivedBytes,
    pauses,
    residentBefore: median(quarter(2).map(({ resident }) => resident)),
    residentAfter: median(quarter(4).map(({ resident }) => resident)),
    heapBefore: median(quarter(2).map(({ heap }) => heap)),
    heapAfter: median(quarter(4).map(({ heap }) => heap)),
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
  const seconds = Number(process.argv[2] ?? 600);
  const cleanUps: (() => Promise<void> | void)[] = [];
  const lab = await createLab({ teardown: (clean) => cleanUps.push(clean) });
  try {
    const report = await soak(lab, seconds, 1);
    console.log(JSON.stringify(report, null, 2));
    console.log(isFlat(report) ? 'memory stayed flat' : 'memory grew');
    process.exitCode = isFlat(report) ? 0 : 1;
  } finally {
    for (const clean of cleanUps) await clean();
  }
}
