import { type Channel, WOULD_BLOCK } from '../../engine/channel.ts';
import { EngineClient } from '../../engine/client.ts';
import { type ConnectRequest, SharedSocket } from '../../engine/shared-socket.ts';
import { Command, SocketStatus } from '../../engine/socket-block.ts';
import { type EngineHandle, startEngineSync } from '../../engine/start.ts';
import { SystemRandom } from '../../engine/system-random.ts';
import { TlsHandshake } from '../../engine/tls-handshake.ts';
import { type DialSecurity, dial } from '../../inet/dial.ts';
import { sleepRecv, sleepSend } from '../../inet/wait.ts';
import {
  DatagramHeader,
  peekDatagram,
  pushDatagramTo,
  recordBytes,
  shiftDatagram,
} from '../../stack/udp/datagram-ring.ts';
import { IpAddress } from '../../stack/wire/ip-address.ts';
import type { TlsInfo } from '../../tls/client.ts';
import { ChainVerifier } from '../../tls/x509/chain-verifier.ts';
import {
  CHUNK_BYTES,
  DNS_ZONE,
  MESSAGE_BYTES,
  Port,
  portOf,
  type RunRequest,
  type RunResult,
  type SubjectOptions,
} from '../job.ts';
import { Latencies } from '../statistics.ts';
import { AnyPortStore } from './any-port-store.ts';
import { engineOptions, trustStore } from './engine-options.ts';
import { type Face, gigabits, idleMemoryNow, memoryPerConnection, resumedShare, WARM_UP } from './face.ts';

/** A peer that is silent for so long ends the benchmark. */
const PATIENCE_MS = 10_000;

/** A connection with what its owner notes of it. */
interface Connection {
  readonly socket: SharedSocket;
  readonly channel: Channel;
  startedAt: number;
}

/** A connection on its way from nothing to nothing. */
interface SetUp {
  readonly socket: SharedSocket;
  handshake: TlsHandshake | null;
  /** Set when the own direction has ended. */
  channel: Channel | null;
}

const random = new SystemRandom();

/** The calls that block: what InetConnect's family is made of, without its handles. */
export class BlockingFace implements Face {
  readonly #subject: SubjectOptions;
  readonly #engine: EngineHandle;
  readonly #client: EngineClient;
  readonly #peer: IpAddress;
  readonly #security: DialSecurity | null;
  readonly #buffer: Uint8Array = new Uint8Array(CHUNK_BYTES);
  readonly #latencies: Latencies = new Latencies();
  #opened = 0;
  #connected = 0;
  #resumed = 0;

  constructor(subject: SubjectOptions) {
    const peer = IpAddress.parse(subject.peerAddress);
    if (peer === null) throw new TypeError(`${subject.peerAddress} is no address`);
    this.#subject = subject;
    this.#peer = peer;
    this.#security = subject.job.tls
      ? {
          serverName: subject.peerAddress,
          verifier: new ChainVerifier(trustStore(subject)),
          ...(subject.job.resumes
            ? { sessions: { store: new AnyPortStore(), port: portOf(subject.job, 0), policy: 'bench' } }
            : {}),
        }
      : null;
    this.#engine = startEngineSync(engineOptions(subject));
    this.#client = EngineClient.of(this.#engine.arena);
  }

  async run(request: RunRequest): Promise<RunResult> {
    switch (this.#subject.job.kind) {
      case 'send':
        return this.#send(request);
      case 'receive':
        return this.#receive(request);
      case 'round-trip':
        return this.#roundTrips(request);
      case 'set-up':
        return this.#subject.job.parallel === 1 ? this.#setUps(request) : this.#parallelSetUps(request);
      case 'idle-memory':
        return this.#idleMemory();
      case 'udp-send':
        return this.#udpSend(request);
      case 'udp-receive':
        return this.#udpReceive(request);
      case 'dns':
        return this.#dns(request);
      default:
        throw new TypeError(`no ${this.#subject.job.kind} here`);
    }
  }

  close(): Promise<void> {
    return this.#engine.stop();
  }

  #request(): ConnectRequest {
    return {
      host: this.#subject.peerAddress,
      port: portOf(this.#subject.job, this.#opened++),
      protocol: 'tcp',
      timeoutMs: PATIENCE_MS,
      noDelay: true,
    };
  }

  #connect(): Connection {
    const { socket, channel, info } = dial(this.#client, this.#request(), this.#security);
    this.#note(info);
    return { socket, channel, startedAt: 0 };
  }

  #note(info: TlsInfo | null): void {
    this.#connected++;
    if (info?.isResumed) this.#resumed++;
  }

  /** Figures that set-ups have in addition. */
  get #resumption(): Record<string, number> {
    return this.#subject.job.resumes ? resumedShare(this.#resumed, this.#connected) : {};
  }

  #connectAll(): Connection[] {
    return Array.from({ length: this.#subject.job.parallel }, () => this.#connect());
  }

  #send(request: RunRequest): RunResult {
    const { socket, channel } = this.#connect();
    let sent = 0;
    const until = (end: number): void => {
      while (performance.now() < end) sent += this.#write(socket, channel, CHUNK_BYTES);
    };
    until(performance.now() + request.warmUpSeconds * 1000);
    const start = performance.now();
    const before = sent - socket.unsentBytes;
    until(start + request.seconds * 1000);
    const value = gigabits(sent - socket.unsentBytes - before, performance.now() - start);
    drop(socket);
    return { value, details: {} };
  }

  #receive(request: RunRequest): RunResult {
    const { socket, channel } = this.#connect();
    let received = 0;
    const until = (end: number): void => {
      while (performance.now() < end) received += this.#read(socket, channel);
    };
    until(performance.now() + request.warmUpSeconds * 1000);
    const start = performance.now();
    received = 0;
    until(start + request.seconds * 1000);
    const value = gigabits(received, performance.now() - start);
    drop(socket);
    return { value, details: {} };
  }

  /** With many connections: the answers are taken in the order of the requests, each followed by the next request at once. */
  #roundTrips(request: RunRequest): RunResult {
    const connections = this.#connectAll();
    for (const connection of connections) this.#ask(connection);
    this.#answersUntil(connections, performance.now() + request.warmUpSeconds * 1000);
    this.#latencies.reset();
    const start = performance.now();
    const answers = this.#answersUntil(connections, start + request.seconds * 1000);
    const elapsedMs = performance.now() - start;
    for (const { socket } of connections) drop(socket);
    return { value: (answers * 1000) / elapsedMs, details: this.#latencies.details };
  }

  #ask(connection: Connection): void {
    connection.startedAt = performance.now();
    this.#write(connection.socket, connection.channel, MESSAGE_BYTES);
  }

  #answersUntil(connections: readonly Connection[], end: number): number {
    let answers = 0;
    while (performance.now() < end) {
      for (const connection of connections) {
        const { socket, channel } = connection;
        for (let got = 0; got < MESSAGE_BYTES; ) got += this.#read(socket, channel);
        this.#latencies.add(performance.now() - connection.startedAt);
        answers++;
        this.#ask(connection);
      }
    }
    return answers;
  }

  #setUps(request: RunRequest): RunResult {
    const until = (end: number): number => {
      let done = 0;
      while (performance.now() < end) {
        const startedAt = performance.now();
        const { socket, channel } = this.#connect();
        this.#finish(socket, channel);
        this.#latencies.add(performance.now() - startedAt);
        done++;
      }
      return done;
    };
    until(performance.now() + request.warmUpSeconds * 1000);
    this.#latencies.reset();
    const start = performance.now();
    const done = until(start + request.seconds * 1000);
    return {
      value: (done * 1000) / (performance.now() - start),
      details: { ...this.#latencies.details, ...this.#resumption },
    };
  }

  /** All start to connect; then each in its turn is waited for and taken one step further, while the others go on. */
  #parallelSetUps(request: RunRequest): RunResult {
    const pending = Array.from({ length: this.#subject.job.parallel }, () => this.#startSetUp());
    const until = (end: number): number => {
      let done = 0;
      for (let at = 0; performance.now() < end; at = (at + 1) % pending.length) {
        if (!this.#step(pending[at]!)) continue;
        pending[at] = this.#startSetUp();
        done++;
      }
      return done;
    };
    until(performance.now() + request.warmUpSeconds * 1000);
    const start = performance.now();
    const done = until(start + request.seconds * 1000);
    const elapsedMs = performance.now() - start;
    for (const { socket } of pending) drop(socket);
    return { value: (done * 1000) / elapsedMs, details: this.#resumption };
  }

  #startSetUp(): SetUp {
    const socket = SharedSocket.connect(this.#client, this.#request());
    return { socket, handshake: null, channel: null };
  }

  /** Blocks until the next step is done: connected, secure, ended. @returns true after the last one */
  #step(setUp: SetUp): boolean {
    const { socket, handshake, channel } = setUp;
    if (channel !== null) {
      while (this.#read(socket, channel) > 0);
      socket.release();
      return true;
    }
    if (handshake !== null) {
      finishHandshake(socket, handshake);
      this.#note(handshake.info);
      setUp.channel = handshake.channel;
    } else {
      awaitOpen(socket);
      if (this.#security === null) {
        setUp.channel = socket;
      } else {
        setUp.handshake = new TlsHandshake(socket, { ...this.#security, unixTimeMs: Date.now(), random });
        // a thread that had to wait for its core may find the answer there already
        if (setUp.handshake.step() === 'done') {
          setUp.channel = setUp.handshake.channel;
          this.#note(setUp.handshake.info);
        }
      }
    }
    setUp.channel?.shutdown();
    return false;
  }

  /** Ends the own direction, waits for the end of the peer's. */
  #finish(socket: SharedSocket, channel: Channel): void {
    channel.shutdown();
    while (this.#read(socket, channel) > 0);
    socket.release();
  }

  async #idleMemory(): Promise<RunResult> {
    for (let i = 0; i < WARM_UP; i++) {
      const { socket, channel } = this.#connect();
      this.#finish(socket, channel);
    }
    const before = await idleMemoryNow();
    const connections = this.#connectAll();
    const result = memoryPerConnection(before, await idleMemoryNow(), connections.length);
    for (const { socket } of connections) drop(socket);
    return result;
  }

  #udpSend(request: RunRequest): RunResult {
    const socket = this.#openUdp();
    const ring = socket.sendRing!;
    let sent = 0;
    const until = (end: number): void => {
      while (performance.now() < end) {
        const { sendSequence } = socket;
        if (pushDatagramTo(ring, this.#peer, Port.UdpSink, this.#buffer, 0, MESSAGE_BYTES)) {
          sent++;
          this.#client.command(socket.block, Command.Sent);
        } else {
          sleepSend(socket, sendSequence, performance.now() + PATIENCE_MS);
        }
      }
    };
    const gone = (): number => sent - ring.usedBytes / recordBytes(MESSAGE_BYTES);
    until(performance.now() + request.warmUpSeconds * 1000);
    const start = performance.now();
    const before = gone();
    until(start + request.seconds * 1000);
    const value = ((gone() - before) * 1000) / (performance.now() - start);
    socket.release();
    return { value, details: {} };
  }

  #udpReceive(request: RunRequest): RunResult {
    const socket = this.#openUdp();
    const header = new DatagramHeader();
    const order = (milliseconds: number): void => {
      const data = Buffer.from(String(milliseconds));
      pushDatagramTo(socket.sendRing!, this.#peer, Port.UdpSource, data, 0, data.length);
      this.#client.command(socket.block, Command.Sent);
    };
    order(PATIENCE_MS);
    const ring = socket.recvRing!;
    let received = 0;
    const until = (end: number): void => {
      while (performance.now() < end) {
        const { recvSequence } = socket;
        if (peekDatagram(ring, header)) {
          ring.copyOut(header.position, this.#buffer, 0, header.lengthBytes);
          shiftDatagram(ring, header);
          received++;
        } else {
          sleepRecv(socket, recvSequence, end);
        }
      }
    };
    until(performance.now() + request.warmUpSeconds * 1000);
    const start = performance.now();
    received = 0;
    until(start + request.seconds * 1000);
    const value = (received * 1000) / (performance.now() - start);
    order(0);
    socket.release();
    return { value, details: {} };
  }

  #openUdp(): SharedSocket {
    const socket = SharedSocket.udp(this.#client, null, 0, false);
    awaitOpen(socket);
    return socket;
  }

  /** Names are asked for once each, so that none comes from the cache. */
  #dns(request: RunRequest): RunResult {
    const start = (): SharedSocket => SharedSocket.lookup(this.#client, `n${this.#opened++}.${DNS_ZONE}`, 4);
    const pending = Array.from({ length: this.#subject.job.parallel }, start);
    const until = (end: number): number => {
      let done = 0;
      for (let at = 0; performance.now() < end; at = (at + 1) % pending.length) {
        const lookup = pending[at]!;
        awaitOpen(lookup);
        lookup.release();
        pending[at] = start();
        done++;
      }
      return done;
    };
    until(performance.now() + request.warmUpSeconds * 1000);
    const startedAt = performance.now();
    const done = until(startedAt + request.seconds * 1000);
    const value = (done * 1000) / (performance.now() - startedAt);
    for (const lookup of pending) lookup.release();
    return { value, details: {} };
  }

  /** Writes `len` bytes, and blocks until the stack has them. */
  #write(socket: SharedSocket, channel: Channel, len: number): number {
    for (let taken = 0; taken < len; ) {
      const { sendSequence } = socket;
      const now = channel.write(this.#buffer, taken, len - taken);
      if (now !== WOULD_BLOCK) taken += now;
      else patient(sleepSend(socket, sendSequence, performance.now() + PATIENCE_MS));
    }
    return len;
  }

  /** Reads what there is, and blocks while there is nothing. @returns 0 at the end of the stream */
  #read(socket: SharedSocket, channel: Channel): number {
    for (;;) {
      const { recvSequence } = socket;
      const got = channel.read(this.#buffer, 0, CHUNK_BYTES);
      if (got !== WOULD_BLOCK) return got;
      patient(sleepRecv(socket, recvSequence, performance.now() + PATIENCE_MS));
    }
  }
}

function awaitOpen(socket: SharedSocket): void {
  for (;;) {
    const { sendSequence } = socket;
    if (socket.status === SocketStatus.Open) return;
    socket.throwIfFailed();
    if (socket.status === SocketStatus.Closed) return;
    patient(sleepSend(socket, sendSequence, performance.now() + PATIENCE_MS));
  }
}

function finishHandshake(socket: SharedSocket, handshake: TlsHandshake): void {
  for (;;) {
    const { recvSequence, sendSequence } = socket;
    const progress = handshake.step();
    if (progress === 'done') return;
    const deadline = performance.now() + PATIENCE_MS;
    if (progress === 'read') patient(sleepRecv(socket, recvSequence, deadline));
    else patient(sleepSend(socket, sendSequence, deadline));
  }
}

function patient(inTime: boolean): void {
  if (!inTime) throw new Error(`nothing happened for ${PATIENCE_MS} ms`);
}

/** What is still on its way does not reach into the next run. */
function drop(socket: SharedSocket): void {
  socket.abort();
  socket.release();
}
