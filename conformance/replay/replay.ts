import { SeededRandom } from '../../stack/random.ts';
import type { TcpConnection } from '../../stack/tcp/connection.ts';
import { TcpState } from '../../stack/tcp/tcp-state.ts';
import { decodePacket, encodeTcp } from '../script/packet.ts';
import { ReplayHost, type SentPacket } from './host.ts';
import { Judge } from './judge.ts';
import { clockStart, translator } from './numbers.ts';
import { REPLAY_DEFAULTS, type ReplayOptions } from './options.ts';
import { optionOf, type Recording, understand } from './recording.ts';
import type { Difference, ReplayReport, SessionReport } from './report.ts';
import type { RecordedPacket, Session } from './session.ts';
import { comparePackets } from './strict.ts';
import { replayDatagrams } from './udp.ts';

const CUT_OFF = 'packets were cut off when they were recorded';
const DEFAULT_SEND_RING_BYTES = 1 << 20;
const DEFAULT_MTU_BYTES = 1500;
/** Stands for data that was written and never sent. */
const UNSENT_BYTES = 65_536;
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
  if (session.cutPackets > 0 && options.compare === 'exact')
    return { session, sentPackets: 0, skipped: CUT_OFF, differences: [] };
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
  /** As large as the largest window so far: the recorded client's buffer may have grown. */
  #limitBytes: number = Infinity;
  #shutdownWanted = false;
  #nextCall = 0;
  /** What the server has acknowledged, as an offset. */
  #acknowledged = 0;
  /** What the application writes; exact: with something behind what was sent, when there was more. */
  readonly #stream: Uint8Array;

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
    this.#judge = new Judge(recording, options.windowTolerance);
    const { clientStream, isUnfinished } = recording;
    this.#stream = new Uint8Array(
      clientStream.length + (isUnfinished && options.compare === 'exact' ? UNSENT_BYTES : 0),
    );
    this.#stream.set(clientStream);
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
    if (syn.flags.includes('E') && syn.flags.includes('W')) tcp.settings.ecn = 'active';
    const ts = optionOf(syn, 'TS');
    tcp.settings.timestamps = ts !== undefined;
    tcp.settings.selectiveAcks = optionOf(syn, 'sackOK') !== undefined;
    if (this.#options.seed !== null) return;
    const first = this.#recording.session.packets.find(({ packet }) => packet.tcp === syn)!;
    const timestampOffset = ts === undefined ? 0 : (ts.val - Math.floor(this.#startMs + first.timeMs)) | 0;
    tcp.isn = { compute: () => {}, isn: () => clientIsn | 0, timestampOffset };
  }

  run(): SessionReport {
    const { session } = this.#recording;
    const host = this.#host;
    const { packets } = session;
    packets.forEach((recorded, i) => {
      if (recorded.timeMs > host.nowMs) host.run(recorded.timeMs);
      this.#judge.position = recorded.number;
      this.#judge.checkTime(host.nowMs);
      if (this.#connection === null) this.#connect();
      const next = packets[i + 1];
      if (recorded.fromClient) {
        this.#callsBefore(recorded);
        this.#follow(recorded);
        return;
      }
      if (this.#options.compare !== 'meaning') this.#callsOfInstant(i);
      this.#callsBefore(recorded);
      this.#feed(recorded);
      // compared packet by packet, packets of one instant came in one batch
      const goesOn = next !== undefined && !next.fromClient && next.timeMs === recorded.timeMs;
      if (!goesOn || this.#options.compare === 'meaning') host.settle();
    });
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
      congestion: this.#options.congestion,
      keepAlive: this.#options.keepAlive ?? this.#recording.keepAlive,
    });
    if (this.#options.reads === 'window') {
      this.#limitBytes = this.#recording.syn.window;
      this.#connection.recvLimitBytes = this.#limitBytes;
    }
    this.#host.settle();
  }

  #callsBefore(recorded: RecordedPacket): void {
    const { calls } = this.#recording;
    for (; calls[this.#nextCall]?.before === recorded; this.#nextCall++) this.#call(calls[this.#nextCall]!);
  }

  /**
   * What the stack sends at the very instant in which a packet comes was written before: an application takes some time. A reset is
   * sent when it is asked for.
   */
  #callsOfInstant(from: number): void {
    const { packets } = this.#recording.session;
    for (let i = from; packets[i]?.timeMs === packets[from]!.timeMs; i++) {
      const recorded = packets[i]!;
      if (recorded.fromClient && !recorded.packet.tcp?.flags.includes('R')) this.#callsBefore(recorded);
    }
  }

  #call(call: Recording['calls'][number]): void {
    const connection = this.#connection!;
    const isLast = call.upTo === this.#recording.clientStream.length;
    this.#writeTo = Math.max(this.#writeTo, isLast ? this.#stream.length : call.upTo);
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
    const { serverIsn, clientShift } = this.#recording;
    const connection = this.#connection!;
    const windowBytes = tcp.window << clientShift;
    const edge = ((tcp.ack - serverIsn - 1) | 0) + windowBytes;
    if (windowBytes > this.#limitBytes) {
      this.#limitBytes = windowBytes;
      connection.recvLimitBytes = windowBytes;
      connection.appRead();
    }
    this.#readTo = Math.max(this.#readTo, edge - this.#limitBytes);
    this.#host.settle();
    this.#judge.follows(tcp);
  }

  #feed(recorded: RecordedPacket): void {
    const { tcp } = recorded.packet;
    const host = this.#host;
    if (tcp?.flags.includes('.') && !/[SR]/.test(tcp.flags) && this.#options.compare !== 'exact')
      this.#await(recorded, tcp.ack);
    if (tcp !== null && /[FR]/.test(tcp.flags)) this.#readTo = Infinity;
    // a reset takes with it what was not read
    if (tcp?.flags.includes('R')) this.#pump();
    if (tcp?.flags.includes('R')) this.#judge.isReset();
    this.#judge.arrives(recorded);
    host.inject(this.#toOurs(recorded), this.#options.compare !== 'exact');
  }

  /**
   * The server reacts to what the recorded client had sent by now. Ours has some time for it; and when it waits for ACKs before it
   * sends more, because its congestion window is another, the server acknowledges in between.
   */
  #await(recorded: RecordedPacket, ack: number): void {
    const { clientStream, clientIsn, ending } = this.#recording;
    const judge = this.#judge;
    const offset = (ack - clientIsn - 1) | 0;
    // An ACK of what nobody has sent is the server's own
    if (offset > clientStream.length + (ending.finSent ? 1 : 0) || offset < 0) return;
    const limit = recorded.timeMs + this.#options.patienceMs;
    const isSent = (): boolean => judge.sentTo >= offset || judge.rstSent;
    this.#host.settle();
    while (!isSent()) {
      if (judge.sentTo > this.#acknowledged && judge.sentTo > 0) {
        this.#acknowledge(recorded, judge.sentTo);
        continue;
      }
      const before = judge.sentTo;
      if (this.#host.run(limit, () => isSent() || judge.sentTo > before)) continue;
      judge.differ('sent', `octets up to ${offset}, which the server acknowledges`, `up to ${judge.sentTo}`);
      return;
    }
    this.#acknowledged = Math.max(this.#acknowledged, offset);
  }

  /** The server acknowledges less than it did in `recorded`. */
  #acknowledge(recorded: RecordedPacket, offset: number): void {
    const { ip, tcp } = recorded.packet;
    const ack = (offset + 1 + this.#recording.clientIsn) >>> 0;
    const fields = { ...tcp!, flags: '.', ack, payload: new Uint8Array(0) };
    this.#acknowledged = offset;
    this.#judge.opens(fields);
    const packet = decodePacket(encodeTcp(ip, fields), recorded.timeMs * 1000);
    this.#host.inject(this.#toOurs({ ...recorded, packet }), true);
    this.#host.settle();
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
    const count = ring.write(
      this.#stream,
      this.#written,
      Math.min(this.#writeTo - this.#written, ring.freeBytes),
    );
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
