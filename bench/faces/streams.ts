import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import {
  CHUNK_BYTES,
  DNS_ZONE,
  MESSAGE_BYTES,
  Port,
  type RunRequest,
  type RunResult,
  type SubjectOptions,
} from '../job.ts';
import { Latencies } from '../statistics.ts';
import { type Face, gigabits, idleMemoryNow, memoryPerConnection, resumedShare, WARM_UP } from './face.ts';

/** What node:net, node:tls and tunwire's sockets have in common. */
export interface StreamSocket extends Duplex {
  readonly bytesWritten: number;
  resetAndDestroy(): unknown;
  isSessionReused?(): boolean;
}

/** What node:dgram and tunwire's UDP sockets are made to have in common. */
export interface DatagramSocket {
  readonly socket: Pick<EventEmitter, 'on'>;
  send(data: Uint8Array): Promise<unknown>;
  close(): void;
}

/** The same work for everything that has streams and promises: one program, so that only what is under it differs. */
export abstract class StreamFace implements Face {
  protected readonly subject: SubjectOptions;
  readonly #chunk: Buffer = Buffer.alloc(CHUNK_BYTES);
  readonly #message: Buffer = Buffer.alloc(MESSAGE_BYTES);
  readonly #latencies: Latencies = new Latencies();
  #opened = 0;

  constructor(subject: SubjectOptions) {
    this.subject = subject;
  }

  /**
   * A socket without Nagle's algorithm.
   * @param index counts up with every connection
   * @param connected called when application data can flow
   */
  protected abstract connect(index: number, connected: () => void): StreamSocket;
  protected abstract openUdp(port: number): Promise<DatagramSocket>;
  protected abstract resolve(name: string): Promise<unknown>;
  abstract close(): Promise<void>;

  run(request: RunRequest): Promise<RunResult> {
    switch (this.subject.job.kind) {
      case 'send':
        return this.#send(request);
      case 'receive':
        return this.#receive(request);
      case 'round-trip':
        return this.#roundTrips(request);
      case 'set-up':
        return this.#setUps(request);
      case 'idle-memory':
        return this.#idleMemory();
      case 'udp-send':
        return this.#udpSend(request);
      case 'udp-receive':
        return this.#udpReceive(request);
      case 'dns':
        return this.#dns(request);
      default:
        return Promise.reject(new TypeError(`no ${this.subject.job.kind} here`));
    }
  }

  #connected(): Promise<StreamSocket> {
    return new Promise((resolve, reject) => {
      const socket = this.connect(this.#opened++, () => {
        socket.off('error', reject);
        resolve(socket);
      });
      socket.once('error', reject);
    });
  }

  /** One after another, as the blocking face does. */
  async #connectAll(): Promise<StreamSocket[]> {
    const sockets: StreamSocket[] = [];
    for (let i = 0; i < this.subject.job.parallel; i++) sockets.push(await this.#connected());
    return sockets;
  }

  async #send(request: RunRequest): Promise<RunResult> {
    const sockets = await this.#connectAll();
    for (const socket of sockets) {
      const fill = (): void => {
        while (!socket.destroyed && socket.write(this.#chunk));
      };
      socket.on('drain', fill);
      fill();
    }
    const sent = (): number =>
      sockets.reduce((sum, { bytesWritten, writableLength }) => sum + bytesWritten - writableLength, 0);
    const value = await rate(request, sent, gigabits);
    for (const socket of sockets) drop(socket);
    return { value, details: {} };
  }

  async #receive(request: RunRequest): Promise<RunResult> {
    let received = 0;
    const sockets = await this.#connectAll();
    for (const socket of sockets) {
      socket.on('data', (data: Buffer) => {
        received += data.length;
      });
    }
    const value = await rate(request, () => received, gigabits);
    for (const socket of sockets) drop(socket);
    return { value, details: {} };
  }

  async #roundTrips(request: RunRequest): Promise<RunResult> {
    let answers = 0;
    const sockets = await this.#connectAll();
    for (const socket of sockets) {
      let got = 0;
      let startedAt = performance.now();
      socket.on('data', (data: Buffer) => {
        got += data.length;
        if (got < MESSAGE_BYTES) return;
        got = 0;
        const now = performance.now();
        this.#latencies.add(now - startedAt);
        answers++;
        startedAt = now;
        socket.write(this.#message);
      });
      socket.write(this.#message);
    }
    await sleep(request.warmUpSeconds * 1000);
    this.#latencies.reset();
    const value = await rate({ ...request, warmUpSeconds: 0 }, () => answers, perSecond);
    const { details } = this.#latencies;
    for (const socket of sockets) drop(socket);
    return { value, details };
  }

  async #setUps(request: RunRequest): Promise<RunResult> {
    let done = 0;
    let connected = 0;
    let resumed = 0;
    let failure: Error | null = null;
    let ended = false;
    const closed: Promise<void>[] = [];
    const one = (resolve: () => void): void => {
      if (ended) {
        resolve();
        return;
      }
      const startedAt = performance.now();
      const socket = this.connect(this.#opened++, () => {
        if (socket.isSessionReused?.()) resumed++;
        connected++;
        socket.end();
      });
      socket.resume();
      socket.on('error', (error) => {
        failure = error;
      });
      socket.on('close', () => {
        done++;
        this.#latencies.add(performance.now() - startedAt);
        one(resolve);
      });
    };
    for (let i = 0; i < this.subject.job.parallel; i++) closed.push(new Promise(one));
    await sleep(request.warmUpSeconds * 1000);
    this.#latencies.reset();
    const value = await rate({ ...request, warmUpSeconds: 0 }, () => done, perSecond);
    const { details } = this.#latencies;
    ended = true;
    await Promise.all(closed);
    if (failure !== null) throw failure;
    return {
      value,
      details: this.subject.job.resumes ? { ...details, ...resumedShare(resumed, connected) } : details,
    };
  }

  async #idleMemory(): Promise<RunResult> {
    for (let i = 0; i < WARM_UP; i++) drop(await this.#connected());
    const before = await idleMemoryNow();
    const sockets = await this.#connectAll();
    const result = memoryPerConnection(before, await idleMemoryNow(), sockets.length);
    for (const socket of sockets) drop(socket);
    return result;
  }

  async #udpSend(request: RunRequest): Promise<RunResult> {
    const udp = await this.openUdp(Port.UdpSink);
    let sent = 0;
    let ended = false;
    const loop = async (): Promise<void> => {
      while (!ended) {
        await Promise.all(Array.from({ length: UDP_OUTSTANDING }, () => udp.send(this.#message)));
        sent += UDP_OUTSTANDING;
        // sends that are done at once would never let a timer come to pass
        await setImmediate();
      }
    };
    const loops = loop();
    const value = await rate(request, () => sent, perSecond);
    ended = true;
    await loops;
    udp.close();
    return { value, details: {} };
  }

  async #udpReceive(request: RunRequest): Promise<RunResult> {
    const udp = await this.openUdp(Port.UdpSource);
    let received = 0;
    udp.socket.on('message', () => {
      received++;
    });
    await udp.send(Buffer.from(String(SOURCE_MS)));
    const value = await rate(request, () => received, perSecond);
    await udp.send(Buffer.from('0'));
    udp.close();
    return { value, details: {} };
  }

  /** Names are asked for once each, so that none comes from a cache. */
  async #dns(request: RunRequest): Promise<RunResult> {
    let done = 0;
    let ended = false;
    const loop = async (): Promise<void> => {
      for (; !ended; done++) await this.resolve(`n${this.#opened++}.${DNS_ZONE}`);
    };
    const loops = Array.from({ length: this.subject.job.parallel }, loop);
    const value = await rate(request, () => done, perSecond);
    ended = true;
    await Promise.all(loops);
    return { value, details: {} };
  }
}

/** Longer than a run: the source is told when it is over. */
const SOURCE_MS = 60_000;
/** Datagrams handed over at the same time. */
const UDP_OUTSTANDING = 64;

function perSecond(count: number, milliseconds: number): number {
  return (count * 1000) / milliseconds;
}

/** Lets things run and reads a counter twice; a late timer only makes the time longer. */
async function rate(
  request: RunRequest,
  counter: () => number,
  per: (count: number, milliseconds: number) => number,
): Promise<number> {
  await sleep(request.warmUpSeconds * 1000);
  const start = performance.now();
  const before = counter();
  await sleep(request.seconds * 1000);
  return per(counter() - before, performance.now() - start);
}

/** What is still on its way does not reach into the next run. */
function drop(socket: StreamSocket): void {
  socket.on('error', () => {});
  // node:tls knows no reset
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
