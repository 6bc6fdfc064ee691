import { type MatchField, showDifference } from '../script/match.ts';
import { formatFlags, formatOption, type LivePacket } from '../script/packet.ts';
import type { OptionSpec } from '../script/syntax.ts';
import type { SentPacket } from './host.ts';
import type { Difference } from './report.ts';
import type { RecordedPacket } from './session.ts';

/** With what stands before it in TAP, a line of 80 characters. */
const MAX_LINE = 76;
const LABEL_WIDTH = 8;

/** What may differ when every segment is compared. */
export interface Tolerance {
  readonly timeMs: number;
  /** Of a window, as a part of the recorded one: 0.1 is ten percent. */
  readonly window: number;
  /** Compare the packets' bytes, all of them, instead. */
  readonly exact: boolean;
}

/** Where the numbers of a connection begin. */
export interface Origin {
  readonly clientIsn: number;
  readonly serverIsn: number;
}

/** Compares packet by packet. @returns the first difference; null: there is none */
export function comparePackets(
  recorded: readonly RecordedPacket[],
  sent: readonly SentPacket[],
  tolerance: Tolerance,
  origin: Origin,
): Difference | null {
  for (let i = 0; i < Math.max(recorded.length, sent.length); i++) {
    const wanted = recorded[i];
    const got = sent[i];
    if (wanted === undefined || got === undefined) {
      const number = wanted?.number ?? recorded.at(-1)?.number ?? 1;
      const show = (packet: LivePacket | undefined): string =>
        packet === undefined ? 'no more packets' : describe(packet, origin);
      return {
        packet: number,
        field: 'count',
        expected: show(wanted?.packet),
        got: show(got?.packet),
        details: [],
      };
    }
    const difference = compareOne(wanted, got, tolerance, origin);
    if (difference !== null) return difference;
  }
  return null;
}

function compareOne(
  wanted: RecordedPacket,
  got: SentPacket,
  tolerance: Tolerance,
  origin: Origin,
): Difference | null {
  const fields = fieldsOf(wanted.packet, got.packet, tolerance, origin);
  const late = got.timeMs - wanted.timeMs;
  const time = { expected: ms(wanted.timeMs), got: ms(got.timeMs) };
  const isLate = Math.abs(late) > tolerance.timeMs;
  const first = isLate ? { name: 'time', ...time } : fields.find((field) => !field.fits);
  if (first !== undefined) {
    const details = showFields(fields, time, isLate);
    return {
      packet: wanted.number,
      field: first.name,
      expected: first.expected ?? '',
      got: first.got,
      details,
    };
  }
  if (!tolerance.exact) return null;
  const a = wanted.packet.bytes;
  const b = got.packet.bytes;
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    if (a[at] === b[at]) continue;
    return {
      packet: wanted.number,
      field: `byte ${at}`,
      expected: String(a[at]),
      got: String(b[at]),
      details: [],
    };
  }
  return null;
}

/** Side by side below each other, or, when that is too wide, a line for each field and two where it differs. */
function showFields(
  fields: readonly MatchField[],
  time: { expected: string; got: string },
  isLate: boolean,
): string[] {
  const lines = showDifference(fields, time);
  if (lines.every((line) => line.length <= MAX_LINE)) return lines;
  return [{ name: 'time', ...time, fits: !isLate }, ...fields].flatMap(({ name, expected, got, fits }) => {
    const label = name.padEnd(LABEL_WIDTH);
    if (fits) return [`  ${label} ${got}`];
    return [`> ${label} expected ${expected}`, `  ${' '.repeat(LABEL_WIDTH)}      got ${got}`];
  });
}

function ms(time: number): string {
  return `${time.toFixed(3)} ms`;
}

function fieldsOf(wanted: LivePacket, got: LivePacket, tolerance: Tolerance, origin: Origin): MatchField[] {
  const a = wanted.tcp;
  const b = got.tcp;
  const fields: MatchField[] = [];
  const add = (name: string, expected: string, sent: string, fits: boolean = expected === sent): void => {
    fields.push({ name, expected, got: sent, fits });
  };
  if (a === null || b === null) {
    add('packet', describe(wanted, origin), describe(got, origin));
    return fields;
  }
  add('flags', formatFlags(a.flags), formatFlags(b.flags));
  const seq = (packet: typeof a): string => {
    const from = (packet.seq - origin.clientIsn) >>> 0;
    return `${from}:${from + packet.payload.length}(${packet.payload.length})`;
  };
  const ack = (packet: typeof a): string =>
    packet.flags.includes('.') ? `ack ${(packet.ack - origin.serverIsn) >>> 0}` : '';
  add('seq', seq(a), seq(b));
  add('ack', ack(a), ack(b));
  const room = Math.abs(a.window - b.window) <= a.window * tolerance.window;
  add('win', `win ${a.window}`, `win ${b.window}`, room);
  const options = (packet: typeof a): string =>
    packet.options
      .filter(({ kind }) => kind !== 'nop' && kind !== 'eol')
      .map((option) => showOption(option, origin))
      .sort()
      .join();
  add('options', `<${options(a)}>`, `<${options(b)}>`);
  const at = a.payload.findIndex((byte, i) => byte !== b.payload[i]);
  if (at >= 0)
    add('payload', `byte ${at} is ${a.payload[at]}`, at < b.payload.length ? `${b.payload[at]}` : 'none');
  return fields;
}

/** Numbers of the server's stream as offsets; our own clock says nothing. */
function showOption(option: OptionSpec, { serverIsn }: Origin): string {
  if (option.kind === 'TS') return `TS ecr ${option.ecr}`;
  if (option.kind !== 'sack') return formatOption(option);
  const blocks = option.blocks.map(([left, right]): [number, number] => [
    (left - serverIsn) >>> 0,
    (right - serverIsn) >>> 0,
  ]);
  return formatOption({ kind: 'sack', blocks });
}

function describe(packet: LivePacket, origin: Origin): string {
  const { tcp, udp } = packet;
  if (udp !== null)
    return `udp (${udp.payload.length}) ${Buffer.from(udp.payload.subarray(0, 16)).toString('hex')}`;
  if (tcp === null) return `protocol ${packet.protocol}`;
  return `${formatFlags(tcp.flags)} ${(tcp.seq - origin.clientIsn) >>> 0}(${tcp.payload.length})`;
}
