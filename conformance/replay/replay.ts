import { SeededRandom } from '../../stack/random.ts';
import type { TcpConnection } from '../../stack/tcp/connection.ts';
import { TcpState } from '../../stack/tcp/tcp-state.ts';
import { ReplayHost, type SentPacket } from './host.ts';
import { Judge } from './judge.ts';
import { clockStart, translator } from './numbers.ts';
import { optionOf, type Recording, understand } from './recording.ts';
import type { Difference, ReplayReport, SessionReport } from './report.ts';
import type { RecordedPacket, Session } from './session.ts';
import { comparePackets } from './strict.ts';
import { replayDatagrams } from './udp.ts';

/** How sessions are replayed and compared. */
export interface ReplayOptions {
  /**
   * `meaning`: what a peer and an application can tell. `strict`: every segment, with the tolerances. `exact`: every byte of every
   * packet; for recordings of this stack.
   */
  readonly compare: 'meaning' | 'strict' | 'exact';
  /** The seed of a recording of this stack: it must lead to the recorded sequence numbers. Null: they are taken over. */
  readonly seed: number | null;
  /** How much later than recorded our stack may do what the server reacts to, in ms. */
  readonly patienceMs: number;
  /** strict, exact: by how much the time of a segment may differ, in ms. */
  readonly timeToleranceMs: number;
  /** strict: by which part a window may differ, 0 … 1. */
  readonly windowTolerance: number;
  /** When the application reads: `window`: as far as the recorded windows let see; `once`: whatever comes, at once. */
  readonly reads: 'window' | 'once';
  /** The application has switched Nagle's algorithm off. */
  readonly noDelay: boolean;
  /** Sizes of the buffers, powers of two; 0: from the recorded windows. */
  readonly recvRingBytes: number;
  readonly sendRingBytes: number;
}

export const REPLAY_DEFAULTS: ReplayOptions = {
  compare: 'meaning',
  seed: null,
  patienceMs: 1000,
  timeToleranceMs: 50,
  windowTolerance: 1,
  reads: 'window',
  noDelay: true,
  recvRingBytes: 0,
  sendRingBytes: 0,
};

const DEFAULT_SEND_RING_BYTES = 1 << 20;
const DEFAULT_MTU_BYTES = 1500;
/** How long the stack may go on after the last packet. */
const EPILOGUE_MS = 500;

/** Replays sessions, each on a stack of its own. */
export function replay(sessions: readonly Session[], options: Partial<ReplayOptions> = {}): ReplayReport {
  const all: ReplayOptions = { ...REPLAY_DEFAULTS, ...options };
  const reports = sessions.map((session) => replaySession(session, all));
  const replayed = reports.filter(({ skipped }) => skipped === '');
  return {
    sessions: reports,
    ok: replayed.length > 0 && replayed.every((report) => report.differences.length === 0),
  };
}

function replaySession(session: Session, options: ReplayOptions): SessionReport {
  if (session.protocol === 'udp') return replayDatagrams(session, options);
  const recording = understand(session);
  if (typeof recording === 'string') return { session, sentPackets: 0, skipped: recording, differences: [] };
  return new Replay(recording, options).run();
}

/** One connection on its way. */
class Replay {
  readonly #recording: Recording;
  readonly #options: ReplayOptions;
  readonly #host: ReplayHost;
  readonly #judge: Judge;
  readonly #sent: SentPacket[] = [];
  readonly #startMs: number;
  readonly #toOurs: (packet: RecordedPacket) => Uint8Array;
  #connection: TcpConnection | null = null;
  #written = 0;
  #writeTo = 0;
  #read = 0;
  #readTo = 0;
  #shutdownWanted = false;

  constructor(recording: Recording, options: ReplayOptions) {
    this.#recording = recording;
    this.#options = options;
    const { syn, session, maxWindowBytes } = recording;
    const { family } = session.client.address;
    const mss = optionOf(syn, 'mss')?.value;
    const { address, toOurs } = translator(recording);
    this.#toOurs = toOurs;
    this.#startMs = clockStart(recording, options.seed);
    this.#host = new ReplayHost({
      random: new SeededRandom(options.seed ?? 1),
      startMs: this.#startMs,
      address: `${address.client}/0`,
      mtuBytes:
        mss === undefined
          ? DEFAULT_MTU_BYTES
          : Math.max(mss + (family === 4 ? 40 : 60), family === 4 ? 68 : 1280),
      sendRingBytes: options.sendRingBytes || DEFAULT_SEND_RING_BYTES,
      recvRingBytes: options.recvRingBytes || powerOfTwo(2 * maxWindowBytes),
    });
    this.#judge = new Judge(recording);
    this.#host.onSent = (sent) => {
      this.#sent.push(sent);
      this.#judge.sent(sent);
    };
    this.#host.onSettled = () => this.#pump();
    this.#setUp();
  }

  /** The stack takes over what the recorded client had chosen: options and, without a seed, numbers. */
  #setUp(): void {
    const { syn, clientIsn } = this.#recording;
    const { tcp } = this.#host.stack;
    const scale = optionOf(syn, 'wscale');
    tcp.settings.windowScale = scale !== undefined;
    if (scale !== undefined) tcp.settings.windowShift = Math.min(scale.value, 14);
    const ts = optionOf(syn, 'TS');
    tcp.settings.timestamps = ts !== undefined;
    tcp.settings.selectiveAcks = optionOf(syn, 'sackOK') !== undefined;
    if (this.#options.seed !== null) return;
    const first = this.#recording.session.packets.find(({ packet }) => packet.tcp === syn)!;
    const timestampOffset = ts === undefined ? 0 : (ts.val - Math.floor(this.#startMs + first.timeMs)) | 0;
    tcp.isn = { compute: () => {}, isn: () => clientIsn | 0, timestampOffset };
  }

  run(): SessionReport {
    const { session, calls } = this.#recording;
    const host = this.#host;
    let next = 0;
    for (const recorded of session.packets) {
      host.run(recorded.timeMs);
      this.#judge.position = recorded.number;
      this.#judge.checkTime(host.nowMs);
      if (recorded.fromClient) {
        if (this.#connection === null) this.#connect();
        for (; calls[next]?.before === recorded; next++) this.#call(calls[next]!);
        this.#follow(recorded);
      } else {
        if (this.#connection === null) this.#connect();
        this.#feed(recorded);
      }
    }
    this.#readTo = Infinity;
    const last = session.packets.at(-1)?.timeMs ?? 0;
    if (this.#options.compare === 'meaning') {
      host.settle();
      host.run(last + EPILOGUE_MS);
    }
    this.#judge.checkTime(host.nowMs);
    this.#judge.end();
    return { session, sentPackets: this.#sent.length, skipped: '', differences: this.#differences() };
  }

  #differences(): readonly Difference[] {
    const { compare, timeToleranceMs, windowTolerance } = this.#options;
    if (compare === 'meaning') return this.#judge.differences;
    const exact = compare === 'exact';
    const client = this.#recording.session.packets.filter(({ fromClient }) => fromClient);
    const tolerance = { timeMs: timeToleranceMs, window: exact ? 0 : windowTolerance, exact };
    const first = comparePackets(client, this.#sent, tolerance, this.#recording);
    return first === null ? [] : [first];
  }

  #connect(): void {
    const { client, server } = this.#recording.session;
    const { address } = translator(this.#recording);
    this.#connection = this.#host.stack.tcp.connect({
      remote: address.server,
      remotePort: server.port,
      local: address.client,
      localPort: client.port,
      noDelay: this.#options.noDelay,
      keepAlive: this.#recording.keepAlive,
    });
    if (this.#options.reads === 'window') this.#connection.recvLimitBytes = this.#recording.maxWindowBytes;
    this.#host.settle();
  }

  #call(call: Recording['calls'][number]): void {
    const connection = this.#connection!;
    this.#writeTo = Math.max(this.#writeTo, call.upTo);
    // an application that ends a connection in order has read what came
    if (call.kind === 'shutdown' || call.kind === 'close') this.#pump();
    if (call.kind === 'shutdown') this.#shutdownWanted = true;
    else if (call.kind === 'abort') connection.abort();
    else if (call.kind === 'close') {
      this.#readAll();
      this.#pump();
      connection.close();
    }
    this.#host.settle();
  }

  /** The recorded windows tell how far the application had read. */
  #follow(recorded: RecordedPacket): void {
    const tcp = recorded.packet.tcp;
    if (tcp === null || !tcp.flags.includes('.') || /[SR]/.test(tcp.flags)) return;
    const { serverIsn, clientShift, maxWindowBytes } = this.#recording;
    const edge = ((tcp.ack - serverIsn - 1) | 0) + (tcp.window << clientShift);
    this.#readTo = Math.max(this.#readTo, edge - maxWindowBytes);
    this.#host.settle();
  }

  #feed(recorded: RecordedPacket): void {
    const { tcp } = recorded.packet;
    const host = this.#host;
    if (tcp?.flags.includes('.') && !tcp.flags.includes('R')) this.#await(recorded, tcp.ack);
    if (tcp !== null && /[FR]/.test(tcp.flags)) this.#readAll();
    if (tcp?.flags.includes('R')) this.#judge.isReset();
    this.#judge.arrives(recorded);
    host.inject(this.#toOurs(recorded), this.#options.compare !== 'exact');
  }

  /** The server reacts to what the recorded client had sent by now: ours has some time for it. */
  #await(recorded: RecordedPacket, ack: number): void {
    const offset = (ack - this.#recording.clientIsn - 1) | 0;
    const most = this.#recording.clientStream.length + (this.#recording.ending.finSent ? 1 : 0);
    // An ACK of what nobody has sent is the server's own
    if (offset > most || offset < 0 || this.#judge.rstSent) return;
    const limit = recorded.timeMs + this.#options.patienceMs;
    if (this.#host.run(this.#host.nowMs, () => this.#judge.sentTo >= offset)) return;
    if (this.#host.run(limit, () => this.#judge.sentTo >= offset)) return;
    this.#judge.differ(
      'sent',
      `octets up to ${offset}, which the server acknowledges`,
      `up to ${this.#judge.sentTo}`,
    );
  }

  #readAll(): void {
    this.#readTo = Infinity;
    this.#host.settle();
  }

  /** The application writes what has room and reads what it wants. @returns false: nothing could be done */
  #pump(): boolean {
    const connection = this.#connection;
    if (connection === null) return false;
    const wrote = this.#write(connection);
    if (this.#shutdownWanted && this.#written >= this.#writeTo && !connection.finQueued) {
      connection.shutdown();
      return connection.finQueued || wrote;
    }
    return this.#readSome(connection) || wrote;
  }

  #write(connection: TcpConnection): boolean {
    const ring = connection.sendRing;
    if (ring === null || this.#written >= this.#writeTo || connection.state === TcpState.Closed) return false;
    const stream = this.#recording.clientStream;
    const count = ring.write(stream, this.#written, Math.min(this.#writeTo - this.#written, ring.freeBytes));
    if (count === 0) return false;
    this.#written += count;
    connection.appWrote();
    return true;
  }

  #readSome(connection: TcpConnection): boolean {
    const ring = connection.recvRing;
    if (ring === null || ring.usedBytes === 0) return false;
    const limit = this.#options.reads === 'once' ? Infinity : this.#readTo;
    const count = Math.min(ring.usedBytes, limit - this.#read);
    if (count <= 0) return false;
    const bytes = new Uint8Array(count);
    ring.read(bytes, 0, count);
    this.#read += count;
    for (const octet of bytes) this.#judge.delivered.push(octet);
    connection.appRead();
    return true;
  }
}

function powerOfTwo(atLeast: number): number {
  let size = 4096;
  while (size < atLeast) size *= 2;
  return size;
}
