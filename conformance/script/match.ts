import { icmpName, icmpNumbers } from './icmp.ts';
import type { ConnectionMap } from './mapping.ts';
import { formatFlags, formatOption, type IpFields, type LivePacket, type TcpFields } from './packet.ts';
import type { ScriptProfile } from './profile.ts';
import type { IcmpSpec, IpSpec, OptionSpec, TcpSpec, UdpSpec } from './syntax.ts';

/** How packets are compared. */
export interface MatchOptions {
  /** Options as a set, PSH and windows not at all. */
  readonly lenient: boolean;
  readonly profile: ScriptProfile;
  /** Length of a timestamp tick; 0: TS val is not compared. */
  readonly tsTickUs: number;
  readonly tsToleranceUs: number;
}

/** One part of a packet as the script has it and as it was sent; `expected` is null where the script says nothing. */
export interface MatchField {
  readonly name: string;
  readonly expected: string | null;
  readonly got: string;
  readonly fits: boolean;
}

const ECN_BITS = { noecn: 0, ect1: 1, ect0: 2, ce: 3 } as const;
const ECN_NAMES: readonly string[] = ['noecn', 'ect1', 'ect0', 'ce'];

function field(name: string, expected: string | null, got: string): MatchField {
  return { name, expected, got, fits: expected === null || expected === got };
}

/** Compares a segment with what the script expects. */
export function matchTcp(
  spec: TcpSpec,
  packet: LivePacket,
  live: TcpFields,
  map: ConnectionMap,
  options: MatchOptions,
): MatchField[] {
  const { seq, mapped, flags } = comparable(spec, live, map, options.profile);
  const hasAck = live.flags.includes('.');
  const fields = matchIp(spec.ip, packet.ip);
  if (spec.ports !== null)
    fields.push(field('ports', spec.ports.join(' > '), `${live.sourcePort} > ${live.destinationPort}`));
  fields.push(...matchFlags(spec, live, flags, options.lenient));
  const length = live.payload.length;
  const got = `${seq}:${(seq + length) >>> 0}(${length})`;
  const from = spec.seq ?? seq;
  fields.push(field('seq', `${from}:${(from + spec.payloadBytes) >>> 0}(${spec.payloadBytes})`, got));
  if (hasAck || spec.flags.includes('.')) {
    fields.push(
      field('ack', spec.ack === null ? null : `ack ${spec.ack}`, hasAck ? `ack ${mapped.ack}` : ''),
    );
  }
  const window = spec.window === null || options.lenient ? null : `win ${spec.window}`;
  fields.push(field('win', window, `win ${live.window}`));
  if (spec.urgent !== 0 || live.urgent !== 0)
    fields.push(field('urg', `urg ${spec.urgent}`, `urg ${live.urgent}`));
  const asSet = options.lenient || (!options.profile.exactSynOptions && live.flags.includes('S'));
  fields.push(matchOptions(spec.options, mapped.options, asSet, options));
  const wrong = live.payload.findIndex((byte) => byte !== 0);
  if (wrong >= 0) fields.push(field('payload', 'zeros', `byte ${wrong} is ${live.payload[wrong]}`));
  return fields;
}

/** A segment in the script's numbers, and as BSD would have sent it when the script comes from there. */
function comparable(
  spec: TcpSpec,
  live: TcpFields,
  map: ConnectionMap,
  profile: ScriptProfile,
): { seq: number; mapped: ReturnType<ConnectionMap['outbound']>; flags: string } {
  const mapped = map.outbound(live);
  const seq = spec.seqIsAbsolute ? live.seq : mapped.seq;
  const bareAck = live.flags === '.' && live.payload.length === 0;
  if (
    profile.repeatsFin &&
    bareAck &&
    spec.flags === 'F.' &&
    spec.seq !== null &&
    seq === (spec.seq + 1) >>> 0
  )
    return { seq: spec.seq, mapped, flags: 'F.' };
  return { seq, mapped, flags: live.flags };
}

function matchFlags(spec: TcpSpec, live: TcpFields, flags: string, lenient: boolean): MatchField[] {
  const plain = (flags: string): string => {
    let left = flags;
    if (lenient) left = left.replace('P', '');
    if (spec.ace >= 0) left = left.replace(/[AWE]/g, '');
    return formatFlags(left);
  };
  const fields = [field('flags', plain(spec.flags), plain(flags))];
  if (spec.ace >= 0) {
    const has = (flag: string, bit: number): number => (live.flags.includes(flag) ? bit : 0);
    fields.push(field('ace', `ace ${spec.ace}`, `ace ${has('A', 4) + has('W', 2) + has('E', 1)}`));
  }
  return fields;
}

function matchIp(spec: IpSpec, ip: IpFields): MatchField[] {
  const fields: MatchField[] = [];
  const ecn = ip.trafficClass & 3;
  if (spec.ecn !== null) {
    const fits = spec.ecn === 'ect01' ? ecn === 1 || ecn === 2 : ecn === ECN_BITS[spec.ecn];
    fields.push({ name: 'ecn', expected: `[${spec.ecn}]`, got: `[${ECN_NAMES[ecn]}]`, fits });
  }
  const hex = (value: number): string => `0x${value.toString(16)}`;
  if (spec.trafficClass !== null)
    fields.push(field('tos', `(tos ${hex(spec.trafficClass)})`, `(tos ${hex(ip.trafficClass)})`));
  if (spec.ttl !== null) fields.push(field('ttl', `(ttl ${spec.ttl})`, `(ttl ${ip.ttl})`));
  // Only whether there is one: the value is the stack's choice
  if (spec.flowLabel !== null)
    fields.push(field('flowlabel', '[flowlabel]', ip.flowLabel === 0 ? '[no flowlabel]' : '[flowlabel]'));
  return fields;
}

function matchOptions(
  spec: readonly OptionSpec[] | null,
  got: readonly OptionSpec[],
  asSet: boolean,
  options: MatchOptions,
): MatchField {
  const show = (list: readonly OptionSpec[]): string => `<${list.map(formatOption).join(',')}>`;
  if (spec === null) return { name: 'options', expected: '<...>', got: show(got), fits: true };
  const texts = (list: readonly OptionSpec[]): string[] =>
    list
      .filter((option) => !asSet || (option.kind !== 'nop' && option.kind !== 'eol'))
      .map((option) => (option.kind === 'TS' ? `TS ecr ${option.ecr}` : formatOption(option)));
  const wanted = texts(spec);
  const sent = texts(got);
  if (asSet) {
    wanted.sort();
    sent.sort();
  }
  const fits = wanted.join() === sent.join() && timestampsFit(spec, got, options);
  return { name: 'options', expected: show(spec), got: show(got), fits };
}

function timestampsFit(
  spec: readonly OptionSpec[],
  got: readonly OptionSpec[],
  options: MatchOptions,
): boolean {
  if (options.tsTickUs === 0) return true;
  const wanted = spec.find((option) => option.kind === 'TS');
  const sent = got.find((option) => option.kind === 'TS');
  if (wanted?.kind !== 'TS' || sent?.kind !== 'TS') return true;
  return Math.abs((sent.val - wanted.val) | 0) * options.tsTickUs <= options.tsToleranceUs;
}

/** Compares a datagram. */
export function matchUdp(spec: UdpSpec, packet: LivePacket): MatchField[] {
  const fields = matchIp(spec.ip, packet.ip);
  const { udp } = packet;
  if (spec.ports !== null)
    fields.push(field('ports', spec.ports.join(' > '), `${udp?.sourcePort} > ${udp?.destinationPort}`));
  fields.push(
    field('udp', `udp (${spec.payloadBytes})`, udp === null ? 'not UDP' : `udp (${udp.payload.length})`),
  );
  return fields;
}

/** Compares an ICMP message by type, code and MTU. */
export function matchIcmp(spec: IcmpSpec, packet: LivePacket): MatchField[] {
  const { family } = packet.ip.source;
  const wanted = icmpNumbers(spec, family);
  const { icmp } = packet;
  const fields = matchIp(spec.ip, packet.ip);
  const got = icmp === null ? 'not ICMP' : icmpName(icmp.type, icmp.code, family);
  fields.push(field('icmp', icmpName(wanted.type, wanted.code, family), got));
  if (spec.mtuBytes >= 0) fields.push(field('mtu', `mtu ${spec.mtuBytes}`, `mtu ${icmp?.rest ?? 0}`));
  return fields;
}

/** Any packet in short, for messages. */
export function describePacket(packet: LivePacket, map: ConnectionMap | null): string {
  if (packet.tcp !== null) {
    const { tcp } = packet;
    const mapped = map?.outbound(tcp) ?? tcp;
    const length = tcp.payload.length;
    const ack = tcp.flags.includes('.') ? ` ack ${mapped.ack}` : '';
    const options = mapped.options.length > 0 ? ` <${mapped.options.map(formatOption).join(',')}>` : '';
    const seq = `${mapped.seq}:${(mapped.seq + length) >>> 0}(${length})`;
    return `${formatFlags(tcp.flags)} ${seq}${ack} win ${tcp.window}${options}`;
  }
  if (packet.udp !== null) return `udp (${packet.udp.payload.length})`;
  if (packet.icmp !== null)
    return `icmp ${icmpName(packet.icmp.type, packet.icmp.code, packet.ip.source.family)}`;
  return `protocol ${packet.protocol}`;
}

/** Expected and got, one below the other, with the differing fields marked. */
export function showDifference(
  fields: readonly MatchField[],
  time: { expected: string; got: string },
): string[] {
  const expected = [time.expected];
  const got = [time.got];
  const marks = [''];
  for (const { expected: wanted, got: sent, fits } of fields) {
    const left = wanted ?? '';
    const width = Math.max(left.length, sent.length);
    expected.push(left.padEnd(width));
    got.push(sent.padEnd(width));
    marks.push((fits ? '' : '^'.repeat(Math.max(sent.length, 1))).padEnd(width));
  }
  const width = Math.max(time.expected.length, time.got.length);
  const line = (label: string, parts: readonly string[]): string =>
    `${label} ${[(parts[0] ?? '').padEnd(width), '>', ...parts.slice(1)].join(' ')}`.trimEnd();
  return [line('expected:', expected), line('     got:', got), line('         ', marks).replace('>', ' ')];
}
