import type { KeepAlive } from '../../stack/tcp/keepalive.ts';
import type { TcpFields } from '../script/packet.ts';
import type { OptionSpec } from '../script/syntax.ts';
import type { RecordedPacket, Session } from './session.ts';

/** What the client's application did. */
export interface Call {
  /** The packet in which it first shows: it is made just before. */
  readonly before: RecordedPacket;
  readonly kind: 'write' | 'shutdown' | 'close' | 'abort';
  /** write: everything up to here, counted from the start of the stream. */
  readonly upTo: number;
}

/** How a session ended, as seen by the client. */
export interface Ending {
  readonly finSent: boolean;
  readonly rstSent: boolean;
}

/** A recorded connection, understood: the streams, the handshake's options and the calls of the application. */
export interface Recording {
  readonly session: Session;
  readonly clientIsn: number;
  /** -1: the server never sent a SYN. */
  readonly serverIsn: number;
  readonly syn: TcpFields;
  /** What each side sent, from its first octet to the first that the capture lacks. */
  readonly clientStream: Uint8Array;
  readonly serverStream: Uint8Array;
  readonly calls: readonly Call[];
  /** The client had more to send when the connection ended: its last data came without PSH. */
  readonly isUnfinished: boolean;
  readonly keepAlive: KeepAlive | null;
  readonly clientShift: number;
  readonly serverShift: number;
  /** The largest window that the client offered. */
  readonly maxWindowBytes: number;
  /** Octets of the server that the client has acknowledged. */
  readonly acknowledged: number;
  readonly ending: Ending;
}

const KEEP_ALIVE_COUNT = 9;
/** Sequence numbers further away than this belong to no segment of the stream. */
const MAX_STREAM_BYTES = 2 ** 30;

/** The first option of a kind. */
export function optionOf<K extends OptionSpec['kind']>(
  tcp: TcpFields,
  kind: K,
): (OptionSpec & { kind: K }) | undefined {
  return tcp.options.find((option): option is OptionSpec & { kind: K } => option.kind === kind);
}

/** @returns why the session cannot be replayed, or what is in it */
export function understand(session: Session): Recording | string {
  if (session.unfit !== '') return session.unfit;
  const segments = session.packets.filter((recorded) => recorded.packet.tcp !== null);
  const client = segments.filter((recorded) => recorded.fromClient);
  const server = segments.filter((recorded) => !recorded.fromClient);
  const syn = client.find((recorded) => flags(recorded).includes('S'))?.packet.tcp;
  if (syn === undefined || syn === null) return "the capture lacks the client's SYN";
  const synAck = server.find((recorded) => flags(recorded).includes('S'))?.packet.tcp;
  const serverIsn = synAck?.seq ?? -1;
  const scaleOffered = optionOf(syn, 'wscale');
  const scaleTaken = synAck === undefined || synAck === null ? undefined : optionOf(synAck, 'wscale');
  const scaled = scaleOffered !== undefined && scaleTaken !== undefined;
  // RFC 7323 §2.3: more than 14 counts as 14
  const clientShift = scaled ? Math.min(scaleOffered.value, 14) : 0;
  const clientStream = assemble(client, syn.seq);
  if (typeof clientStream === 'string') return `${clientStream} of the client`;
  const serverStream = assemble(server, serverIsn);
  if (typeof serverStream === 'string') return `${serverStream} of the server`;
  const missing = missingAt(client, syn.seq, clientStream.length, highestAck(server, syn.seq));
  if (missing > clientStream.length) return `${lacks(clientStream.length, missing)} of the client`;
  // where the server's next octet lies, the server itself knows
  const ownMissing = missingAt(server, serverIsn, serverStream.length, Infinity);
  if (ownMissing > serverStream.length) return `${lacks(serverStream.length, ownMissing)} of the server`;
  const ending: Ending = {
    finSent: client.some((recorded) => flags(recorded).includes('F')),
    rstSent: client.some((recorded) => flags(recorded).includes('R')),
  };
  let maxWindowBytes = 0;
  let acknowledged = 0;
  for (const { packet } of client) {
    const tcp = packet.tcp!;
    const shift = tcp.flags.includes('S') ? 0 : clientShift;
    if (!tcp.flags.includes('R')) maxWindowBytes = Math.max(maxWindowBytes, tcp.window << shift);
    if (tcp.flags.includes('.') && !tcp.flags.includes('R'))
      acknowledged = Math.max(acknowledged, (tcp.ack - serverIsn - 1) | 0);
  }
  return {
    session,
    clientIsn: syn.seq,
    serverIsn,
    syn,
    clientStream,
    serverStream,
    calls: callsOf(segments, syn.seq, ending),
    isUnfinished: isUnfinished(client, syn.seq, clientStream.length),
    keepAlive: keepAliveOf(segments, syn.seq),
    clientShift,
    serverShift: scaled ? Math.min(scaleTaken.value, 14) : 0,
    maxWindowBytes,
    acknowledged: Math.min(acknowledged, serverStream.length),
    ending,
  };
}

function flags(recorded: RecordedPacket): string {
  return recorded.packet.tcp?.flags ?? '';
}

/** Where a segment's payload begins in its sender's stream. */
export function streamOffset(tcp: TcpFields, isn: number): number {
  return ((tcp.seq - isn - 1) | 0) + (tcp.flags.includes('S') ? 1 : 0);
}

function lacks(from: number, to: number): string {
  return `the capture lacks the octets ${from} to ${to} of the stream`;
}

/** The highest octet that segments acknowledge of a stream that begins behind `isn`. */
function highestAck(segments: readonly RecordedPacket[], isn: number): number {
  let highest = 0;
  for (const recorded of segments)
    if (/^[^R]*\.[^R]*$/.test(flags(recorded)))
      highest = Math.max(highest, (recorded.packet.tcp!.ack - isn - 1) | 0);
  return highest;
}

/**
 * Where segments without text say that their sender is: behind the text that the capture has, and behind a FIN.
 * @param known more than that the peer cannot confirm
 */
function missingAt(segments: readonly RecordedPacket[], isn: number, length: number, known: number): number {
  let furthest = 0;
  for (const recorded of segments) {
    const tcp = recorded.packet.tcp!;
    if (/[SR]/.test(tcp.flags) || !tcp.flags.includes('.')) continue;
    const at = streamOffset(tcp, isn) + tcp.payload.length;
    const isBehindFin = at === length + 1 && !tcp.flags.includes('F');
    if (at <= known && !isBehindFin && at < MAX_STREAM_BYTES) furthest = Math.max(furthest, at);
  }
  return furthest;
}

/** The stream that segments carry. @returns a complaint when octets are missing in it */
function assemble(segments: readonly RecordedPacket[], isn: number): Uint8Array | string {
  const pieces = segments
    .map(({ packet }) => ({
      at: streamOffset(packet.tcp!, isn),
      payload: packet.tcp!.payload,
      tcp: packet.tcp!,
    }))
    .filter(({ payload, tcp }) => payload.length > 0 && !tcp.flags.includes('R'))
    .sort((a, b) => a.at - b.at);
  let size = 0;
  for (const { at, payload } of pieces) {
    if (at > size) return lacks(size, at);
    size = Math.max(size, at + payload.length);
  }
  const stream = new Uint8Array(size);
  // what came first counts: later copies may be garbage octets of keep-alives
  for (const { at, payload } of pieces.toReversed())
    stream.set(at < 0 ? payload.subarray(-at) : payload, Math.max(at, 0));
  return stream;
}

/**
 * The application's calls. What was written together was sent with PSH on its last segment only (RFC 9293 §3.9.1.2 [MUST-61]),
 * so that a write shows in its first segment and ends at the next PSH.
 */
function callsOf(segments: readonly RecordedPacket[], isn: number, ending: Ending): Call[] {
  const calls: Call[] = [];
  let written = 0;
  let isFinished = false;
  segments.forEach((recorded, i) => {
    if (!recorded.fromClient) return;
    const tcp = recorded.packet.tcp!;
    if (tcp.flags.includes('R')) {
      const synAck = goodSynAck(segments, i, isn);
      if (!isFinished && synAck !== null) calls.push({ before: synAck, kind: 'abort', upTo: 0 });
      else if (!isFinished && !isAnswer(segments, i))
        calls.push({ before: recorded, kind: 'abort', upTo: written });
      isFinished = true;
      return;
    }
    const group = groupAt(segments, i, isn);
    if (tcp.payload.length > 0 && group.upTo > written) {
      written = group.upTo;
      calls.push({ before: recorded, kind: 'write', upTo: written });
    }
    if ((tcp.flags.includes('F') || (tcp.payload.length > 0 && group.isLast)) && !isFinished) {
      isFinished = true;
      calls.push({ before: recorded, kind: ending.rstSent ? 'close' : 'shutdown', upTo: written });
    }
  });
  return calls;
}

/** What the reset at `i` answers, when that is a SYN-ACK that was right: the application had gone before it came. */
function goodSynAck(segments: readonly RecordedPacket[], i: number, isn: number): RecordedPacket | null {
  if (!isAnswer(segments, i)) return null;
  const synAck = segments.slice(0, i).findLast((recorded) => !recorded.fromClient);
  if (synAck === undefined || !/S/.test(flags(synAck)) || !flags(synAck).includes('.')) return null;
  return ((synAck.packet.tcp!.ack - isn) | 0) === 1 ? synAck : null;
}

/** A reset that the stack sent by itself, in the handshake: the client had acknowledged nothing yet. */
function isAnswer(segments: readonly RecordedPacket[], i: number): boolean {
  return !segments
    .slice(0, i)
    .some((recorded) => recorded.fromClient && /^[^R]*\.[^R]*$/.test(flags(recorded)));
}

function groupAt(
  segments: readonly RecordedPacket[],
  from: number,
  isn: number,
): { upTo: number; isLast: boolean } {
  let upTo = 0;
  for (let i = from; i < segments.length; i++) {
    const { fromClient, packet } = segments[i]!;
    const tcp = packet.tcp!;
    // the answer to a request is no part of the request
    if (!fromClient && tcp.payload.length > 0) break;
    if (!fromClient || tcp.payload.length === 0) continue;
    upTo = Math.max(upTo, streamOffset(tcp, isn) + tcp.payload.length);
    if (tcp.flags.includes('F')) return { upTo, isLast: true };
    if (tcp.flags.includes('P')) break;
  }
  return { upTo, isLast: false };
}

function isUnfinished(client: readonly RecordedPacket[], isn: number, length: number): boolean {
  const last = client.find(({ packet }) => {
    const tcp = packet.tcp!;
    return tcp.payload.length > 0 && streamOffset(tcp, isn) + tcp.payload.length === length;
  });
  return last !== undefined && !/[PF]/.test(flags(last));
}

/** Keep-alives repeat the octet before SND.NXT when all is acknowledged (RFC 9293 §3.8.4). */
function keepAliveOf(segments: readonly RecordedPacket[], isn: number): KeepAlive | null {
  let sentTo = 0;
  let ackedTo = 0;
  let window = 0;
  let before = 0;
  let firstAt = -1;
  let idleMs = 0;
  for (const { packet, fromClient, timeMs } of segments) {
    const tcp = packet.tcp!;
    const at = streamOffset(tcp, isn);
    if (!fromClient) {
      ackedTo = Math.max(ackedTo, (tcp.ack - isn - 1) | 0);
      ({ window } = tcp);
    } else if (
      !/[SFR]/.test(tcp.flags) &&
      tcp.payload.length <= 1 &&
      at === sentTo - 1 &&
      ackedTo >= sentTo &&
      window > 0
    ) {
      if (firstAt < 0) {
        firstAt = timeMs;
        idleMs = timeMs - before;
      } else {
        return { idleMs, intervalMs: Math.round(timeMs - firstAt), count: KEEP_ALIVE_COUNT };
      }
    } else {
      sentTo = Math.max(sentTo, at + tcp.payload.length + (tcp.flags.includes('F') ? 1 : 0));
    }
    before = timeMs;
  }
  return firstAt < 0
    ? null
    : { idleMs: Math.round(idleMs), intervalMs: Math.round(idleMs), count: KEEP_ALIVE_COUNT };
}
