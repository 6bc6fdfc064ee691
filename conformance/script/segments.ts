import { readSessions, type Session } from '../replay/session.ts';
import { formatOption, type TcpFields } from './packet.ts';
import type { OptionSpec } from './syntax.ts';

/** A TCP segment in the numbers of a script: each direction begins at 0. */
export interface Segment {
  /** As in packetdrill: of `SFRPEWU`, and `.` for ACK: `'S'`, `'S.'`, `'P.'`. */
  readonly flags: string;
  /** Default 0. */
  readonly seq?: number;
  /** In bytes; default 0. */
  readonly payloadBytes?: number;
  /** With the flag `.`; default 0. */
  readonly ack?: number;
  /** As in the header, not scaled. Default: what is expected is not compared; a segment that comes in needs one. */
  readonly window?: number;
  /** The urgent pointer; default 0. */
  readonly urgent?: number;
  /** In their order; 'any': they are not compared. Default: none. */
  readonly options?: readonly OptionSpec[] | 'any';
}

/** A segment of a recorded connection. */
export interface RecordedSegment {
  /** Its number in the capture, from 1. */
  readonly number: number;
  readonly fromClient: boolean;
  /** Since the segment before, in milliseconds. */
  readonly afterMs: number;
  readonly segment: Segment;
}

/**
 * A segment as packet scripts write it: `S. 0:0(0) ack 1 win 65535 <mss 1460>`.
 * @throws RangeError for flags that there are not
 */
export function seg(segment: Segment): string {
  const { flags, seq = 0, payloadBytes = 0, ack = 0, window, urgent = 0, options = [] } = segment;
  if (!/^[SFRPEWU.]+$/.test(flags)) throw new RangeError(`flags are of SFRPEWU and ., got '${flags}'`);
  const parts = [flags, `${seq}:${(seq + payloadBytes) >>> 0}(${payloadBytes})`];
  if (flags.includes('.')) parts.push(`ack ${ack}`);
  if (window !== undefined) parts.push(`win ${window}`);
  if (urgent !== 0) parts.push(`urg ${urgent}`);
  if (options === 'any') parts.push('<...>');
  else if (options.length > 0) parts.push(`<${options.map(formatOption).join(',')}>`);
  return parts.join(' ');
}

/** The line of a script in which the stack has to send a segment. @param afterMs since the event before */
export function expectSegment(segment: Segment, afterMs = 0): string {
  return `${after(afterMs)} > ${seg(segment)}`;
}

/** The line of a script in which the stack receives a segment. @param afterMs since the event before */
export function injectSegment(segment: Segment, afterMs = 0): string {
  return `${after(afterMs)} < ${seg({ window: 65_535, ...segment })}`;
}

/**
 * The segments of each TCP connection in a capture whose beginning is there, to be edited and put into a script with
 * {@link expectSegment} and {@link injectSegment}; `replay` judges whole sessions as they are. Payload counts by its length: scripts know no other.
 * @throws NetError ARGUMENT_INVALID when the file is no capture, or is damaged
 */
export function fromPcap(path: string): RecordedSegment[][] {
  return readSessions(path)
    .sessions.filter(({ protocol, unfit }) => protocol === 'tcp' && unfit === '')
    .map(segmentsOf);
}

function segmentsOf(session: Session): RecordedSegment[] {
  const start = (fromClient: boolean): number =>
    session.packets.find((each) => each.fromClient === fromClient && each.packet.tcp?.flags.includes('S'))
      ?.packet.tcp?.seq ?? 0;
  const starts = { client: start(true), server: start(false) };
  const found: RecordedSegment[] = [];
  let beforeMs = session.packets[0]?.timeMs ?? 0;
  for (const { number, timeMs, packet, fromClient } of session.packets) {
    if (packet.tcp === null) continue;
    const [own, other] = fromClient ? [starts.client, starts.server] : [starts.server, starts.client];
    found.push({ number, fromClient, afterMs: timeMs - beforeMs, segment: relative(packet.tcp, own, other) });
    beforeMs = timeMs;
  }
  return found;
}

/** @param own where the sender's numbers begin @param other where those of its peer do */
function relative(tcp: TcpFields, own: number, other: number): Segment {
  const isAck = tcp.flags.includes('.');
  return {
    flags: tcp.flags.replaceAll(/[^SFRPEWU.]/g, ''),
    seq: (tcp.seq - own) >>> 0,
    payloadBytes: tcp.payload.length,
    ...(isAck ? { ack: (tcp.ack - other) >>> 0 } : {}),
    window: tcp.window,
    ...(tcp.urgent === 0 ? {} : { urgent: tcp.urgent }),
    options: tcp.options.map((option) =>
      option.kind === 'sack'
        ? {
            ...option,
            blocks: option.blocks.map(
              ([left, right]) => [(left - other) >>> 0, (right - other) >>> 0] as const,
            ),
          }
        : option,
    ),
  };
}

function after(ms: number): string {
  return `+${(ms / 1000).toFixed(6)}`;
}
