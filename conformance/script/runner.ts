import { NetError } from '../../stack/errors.ts';
import type { IpAddress } from '../../stack/wire/ip-address.ts';
import { AssertionFailure, Assertions } from './assertion.ts';
import { type Attempt, Calls, checkResult } from './calls.ts';
import { runCommand } from './commands.ts';
import { ScriptHost } from './host.ts';
import { encodeIcmp } from './icmp.ts';
import { ConnectionMap } from './mapping.ts';
import { describePacket, type MatchField, matchIcmp, matchTcp, matchUdp, showDifference } from './match.ts';
import { encodeTcp, encodeUdp, type IpFields, type LivePacket } from './packet.ts';
import { parseScript } from './parser.ts';
import { PROFILES, type ScriptProfile } from './profile.ts';
import type { CallResult, ScriptSocket } from './sockets.ts';
import {
  type CallSpec,
  type EventTime,
  type IpSpec,
  type PacketSpec,
  type Script,
  type ScriptEvent,
  ScriptFailure,
  ScriptSyntaxError,
  ScriptUnsupported,
  type TcpSpec,
} from './syntax.ts';
import { tcpInfo } from './tcp-info.ts';

/** packetdrill's tolerances: the larger of the two, the second of the time since the event before. */
const TOLERANCE_US = 4000;
const TOLERANCE_PERCENT = 12.5;
/** How long after its time an expected packet is waited for. */
const PATIENCE_US = 2_000_000;
/** What "any time" means at most: a day. */
const ANY_TIME_US = 24 * 3600 * 1_000_000;
const DEFAULT_MTU_BYTES = 1500;
/** What run_all.py of packetdrill gives scripts for IPv6. */
const V6_DEFAULTS = { ip_version: 'ipv6', mtu: '1520' };
const BIND_PORT = 8080;
const FIRST_REMOTE_PORT = 49_152;
/** The peer's sequence numbers begin here when the script's begin at 0: they wrap after 128 octets. */
const REMOTE_SHIFT = 0xffffff80;
const ECN_BITS = { noecn: 0, ect1: 1, ect0: 2, ect01: 2, ce: 3 } as const;

/** How a script is run. */
export interface RunOptions {
  /** Of {@link PROFILES}; 'default' when not given. */
  readonly profile?: string;
  /** Options as a set, PSH and windows not compared. */
  readonly lenient?: boolean;
  /** Symbols for `#ifdef`, and `NAME=VALUE` for words of the script. */
  readonly define?: readonly string[];
  /** Of the file. */
  readonly name?: string;
  /** What the stack draws its chance from. Default 1. */
  readonly seed?: number;
}

/** How it ended. */
export interface Verdict {
  /** 'differ': on the kernel only, which does otherwise for the reason that the script gives. 'gap': failed, as is known. */
  readonly kind: 'pass' | 'fail' | 'skip' | 'differ' | 'gap';
  /** '' for a pass; what failed, or why it was skipped. */
  readonly reason: string;
  /** 0 when no line is meant. */
  readonly line: number;
  /** Further lines about a failure: what was expected and what came. */
  readonly details: readonly string[];
  /** Virtual time the script took, s. */
  readonly seconds: number;
}

/** Reads and runs a script. Never throws for what a script does. */
export function runScript(source: string, options: RunOptions = {}): Verdict {
  const profile = PROFILES.get(options.profile ?? 'default');
  if (profile === undefined) throw new RangeError(`no profile ${options.profile}`);
  let runner: Runner | null = null;
  try {
    // Their parameters come from outside
    if (/^--psp_udp_port/m.test(source)) throw new ScriptUnsupported('PSP encryption');
    const script = parseScript(source, [...profile.symbols, ...(options.define ?? [])]);
    runner = new Runner(script, profile, options);
    runner.run();
    return { kind: 'pass', reason: '', line: 0, details: [], seconds: runner.seconds };
  } catch (error) {
    const seconds = runner?.seconds ?? 0;
    if (error instanceof ScriptUnsupported)
      return { kind: 'skip', reason: error.message, line: 0, details: [], seconds };
    if (error instanceof ScriptFailure)
      return { kind: 'fail', reason: error.message, line: error.line, details: error.details, seconds };
    if (error instanceof ScriptSyntaxError)
      return { kind: 'fail', reason: `syntax: ${error.message}`, line: error.line, details: [], seconds };
    if (error instanceof NetError)
      return { kind: 'fail', reason: error.message, line: runner?.line ?? 0, details: [], seconds };
    throw error;
  }
}

/** A blocking call that has not returned. */
interface Pending {
  readonly event: ScriptEvent;
  readonly spec: CallSpec;
  readonly attempt: Attempt;
  readonly startUs: number;
  readonly endUs: number;
  result: CallResult | null;
  finishedUs: number;
}

/** One run of one script. */
class Runner {
  readonly #script: Script;
  readonly #host: ScriptHost;
  readonly #calls: Calls;
  readonly #assertions: Assertions = new Assertions();
  readonly #lenient: boolean;
  readonly #toleranceUs: number;
  readonly #tolerancePercent: number;
  readonly #tsTickUs: number;
  /** The connection that packets belong to: the last one connected or listened for. */
  #map: ConnectionMap | null = null;
  #remotePort = FIRST_REMOTE_PORT;
  #pending: Pending | null = null;
  /** Scheduled time of the event before; -1: there was none. */
  #lastUs = -1;
  #lastWasInbound = false;
  line = 0;

  constructor(script: Script, profile: ScriptProfile, run: RunOptions) {
    const byName = profile.familyByName && /v6\.pkt$/.test(run.name ?? '');
    const defaults: Readonly<Record<string, string>> = byName ? V6_DEFAULTS : {};
    const option = (name: string): string | undefined => script.options.get(name) ?? defaults[name];
    const version = option('ip_version') ?? 'ipv4';
    if (version === 'ipv4-mapped-ipv6') throw new ScriptUnsupported('IPv4-mapped IPv6 addresses');
    if (option('udp_encapsulation') !== undefined) throw new ScriptUnsupported('TCP encapsulated in UDP');
    if (option('tcp_md5_secret') !== undefined)
      throw new ScriptUnsupported('TCP MD5 signatures (RFC 2385, obsolete)');
    this.#script = script;
    this.#lenient = run.lenient ?? false;
    this.#toleranceUs = Number(option('tolerance_usecs') ?? TOLERANCE_US);
    this.#tolerancePercent = Number(option('tolerance_percent') ?? TOLERANCE_PERCENT);
    this.#tsTickUs = Number(option('tcp_ts_tick_usecs') ?? 0);
    this.#host = new ScriptHost(profile, {
      family: version === 'ipv6' ? 6 : 4,
      mtuBytes: Number(option('mtu') ?? DEFAULT_MTU_BYTES),
      local: option('local_ip'),
      remote: option('remote_ip'),
      seed: run.seed,
    });
    this.#calls = new Calls(this.#host);
    this.#calls.onConnect = (socket, remote, port) => {
      this.#pendingConnect = { socket, remote, port };
    };
    this.#calls.peer = () => this.#map;
    this.#calls.onListen = () => {
      this.#map = null;
    };
    this.#host.afterStep = () => this.#tryPending();
    // A thread that waits to write is woken by the packet, and its data takes the ACK along
    this.#host.beforeTransmit = () => {
      if (/^(write|send)/.test(this.#pending?.spec.name ?? '')) this.#tryPending();
    };
  }

  #pendingConnect: { socket: ScriptSocket; remote: IpAddress; port: number } | null = null;

  get seconds(): number {
    return this.#host.nowUs / 1e6;
  }

  run(): void {
    const { init, events } = this.#script;
    if (init !== null) this.#command(init.text, init.line);
    let tail = events.length;
    while (tail > 0 && isCleanUp(events[tail - 1]!, this.#host.profile.looseEnd)) tail--;
    for (const [i, event] of events.entries()) {
      if (i === tail) this.#checkSurplus();
      this.line = event.line;
      this.#event(event);
    }
    this.#finishPending();
    if (tail === events.length) this.#checkSurplus();
  }

  #event(event: ScriptEvent): void {
    const { action, time } = event;
    const inbound = isPacket(action) && action.inbound;
    const anchored = this.#lastWasInbound && inbound;
    const offset = anchored ? this.#lastUs : this.#host.nowUs;
    const absolute = time.kind === 'absolute' || time.kind === 'absolute-range';
    const atUs = absolute ? time.fromUs : offset + time.fromUs;
    const toUs = absolute ? time.toUs : offset + time.toUs;
    if (action.kind === 'call') {
      this.#finishPending();
      this.#waitUntil(event, atUs);
      this.#call(
        event,
        action,
        action.endUs === null ? null : absolute ? action.endUs : offset + action.endUs,
      );
    } else if (isPacket(action) && !action.inbound) {
      this.#outbound(event, action, { ...time, fromUs: atUs, toUs });
    } else {
      this.#waitUntil(event, atUs);
      if (isPacket(action)) this.#inbound(action);
      else if (action.kind === 'command') this.#command(action.text, event.line);
      else this.#code(action.text, event.line);
    }
    this.#lastUs = time.kind === 'any' ? this.#host.nowUs : atUs;
    this.#lastWasInbound = inbound;
  }

  #waitUntil(event: ScriptEvent, us: number): void {
    this.#host.run(us, () => false);
    this.#checkTime(event, { kind: 'absolute', fromUs: us, toUs: us }, this.#host.nowUs, 'the event');
  }

  #checkTime(event: ScriptEvent, time: EventTime, actualUs: number, what: string): void {
    const problem = this.#timeError(time, actualUs, this.#lastUs);
    if (problem !== '') throw new ScriptFailure(event.line, `${what} ${problem}`);
  }

  /** @returns '' or what is wrong with the time */
  #timeError(time: EventTime, actualUs: number, sinceUs: number): string {
    if (time.kind === 'any') return '';
    const since = sinceUs < 0 ? 0 : time.fromUs - sinceUs;
    const tolerance = Math.max(this.#toleranceUs, (since * this.#tolerancePercent) / 100);
    if (actualUs >= time.fromUs - tolerance && actualUs <= time.toUs + tolerance) return '';
    const early = actualUs < time.fromUs;
    const offBy = early ? time.fromUs - actualUs : actualUs - time.toUs;
    return `came ${offBy} us ${early ? 'early' : 'late'} (tolerance ${Math.round(tolerance)} us)`;
  }

  // ---------------------------------------------------------------- calls

  #call(event: ScriptEvent, spec: CallSpec, endUs: number | null): void {
    const attempt = this.#calls.start(spec, event.line);
    const startUs = this.#host.nowUs;
    const result = attempt();
    this.#learnConnection();
    if (endUs === null) {
      if (result === null) throw new ScriptFailure(event.line, `${spec.name} blocks`);
      checkResult(spec, result, event.line);
      return;
    }
    this.#pending = { event, spec, attempt, startUs, endUs, result, finishedUs: startUs };
    // Also a call that returns at once must return at its time
    if (result !== null) this.#finishPending();
  }

  /** A connection attempt becomes the connection that packets belong to. */
  #learnConnection(): void {
    const begun = this.#pendingConnect;
    const connection = begun?.socket.connection;
    if (begun === null) return;
    this.#pendingConnect = null;
    const localPort = connection?.localPort ?? begun.socket.udp?.localPort ?? 0;
    const ends = { local: this.#host.local, remote: begun.remote, localPort, remotePort: begun.port };
    this.#map = new ConnectionMap(ends, 'connecting', REMOTE_SHIFT);
  }

  #tryPending(): void {
    const pending = this.#pending;
    if (pending === null || pending.result !== null) return;
    pending.result = pending.attempt();
    if (pending.result !== null) pending.finishedUs = this.#host.nowUs;
  }

  /** Waits for the blocking call under way, and judges when it returned and with what. */
  #finishPending(): void {
    const pending = this.#pending;
    if (pending === null) return;
    const { event, spec, startUs, endUs } = pending;
    this.#host.run(endUs + PATIENCE_US, () => pending.result !== null);
    this.#pending = null;
    if (pending.result === null) throw new ScriptFailure(event.line, `${spec.name} did not return`);
    const time: EventTime = { kind: 'absolute', fromUs: endUs, toUs: endUs };
    const problem = this.#timeError(time, pending.finishedUs, startUs);
    if (problem !== '') throw new ScriptFailure(event.line, `the end of ${spec.name} ${problem}`);
    checkResult(spec, pending.result, event.line);
  }

  // ---------------------------------------------------------------- commands and code

  #command(text: string, line: number): void {
    const failure = runCommand(text, { host: this.#host, sockets: () => this.#calls.sockets() });
    if (failure !== '') throw new ScriptFailure(line, failure);
  }

  #code(text: string, line: number): void {
    const socket = this.#calls.current;
    try {
      this.#assertions.run(text, (name) => tcpInfo(name, socket));
    } catch (error) {
      if (error instanceof AssertionFailure) throw new ScriptFailure(line, `not true: ${error.message}`);
      throw error;
    }
  }

  // ---------------------------------------------------------------- packets from the peer

  #inbound(spec: PacketSpec): void {
    if (spec.kind === 'unsupported') throw new ScriptUnsupported(spec.reason);
    const map = this.#mapFor(spec);
    const ip = { ...ipFields(spec.ip), source: map.remote, destination: map.local };
    const [sourcePort, destinationPort] = livePorts(spec, map.remotePort, map.localPort);
    if (spec.kind === 'udp') {
      this.#host.inject(encodeUdp(ip, sourcePort, destinationPort, new Uint8Array(spec.payloadBytes)));
      return;
    }
    if (spec.kind === 'icmp') {
      const seq = map.quotedSeq(spec.quoted?.protocol === 'tcp' ? spec.quoted.seq : 0);
      const quoted = {
        source: map.local,
        destination: map.remote,
        sourcePort: map.localPort,
        destinationPort: map.remotePort,
        seq,
      };
      this.#host.inject(encodeIcmp(spec, ip, quoted));
      return;
    }
    this.#host.inject(
      encodeTcp(ip, {
        ...map.inbound(spec),
        sourcePort,
        destinationPort,
        flags: withAce(spec),
        window: spec.window ?? 0,
        urgent: spec.urgent,
        payload: new Uint8Array(spec.payloadBytes),
      }),
    );
  }

  /** The connection a packet belongs to; a packet for a listener, or for nobody, begins one. */
  #mapFor(spec: PacketSpec): ConnectionMap {
    if (this.#map !== null) return this.#map;
    if (!spec.inbound) throw new ScriptFailure(this.line, 'no connection that could send this packet');
    const { local, remote } = this.#host;
    const ends = { local, remote, localPort: BIND_PORT, remotePort: this.#remotePort++ };
    this.#map = new ConnectionMap(ends, 'syn-received', REMOTE_SHIFT);
    return this.#map;
  }

  // ---------------------------------------------------------------- packets from the stack

  #outbound(event: ScriptEvent, spec: PacketSpec, time: EventTime): void {
    if (spec.kind === 'unsupported') throw new ScriptUnsupported(spec.reason);
    const map = this.#mapFor(spec);
    const limitUs = time.kind === 'any' ? this.#host.nowUs + ANY_TIME_US : time.toUs + PATIENCE_US;
    const first = this.#nextSent(map, limitUs);
    if (first === null)
      throw new ScriptFailure(event.line, 'no packet was sent', [`expected: ${describe(spec)}`]);
    const packet = spec.kind === 'tcp' ? this.#aggregate(spec, map, first, limitUs) : first;
    const fields = this.#compare(spec, map, packet);
    const problem = this.#timeError(time, packet.timeUs, this.#lastUs);
    const wrong = fields.filter((field) => !field.fits).map((field) => field.name);
    if (packet.checksumError !== '') wrong.push(packet.checksumError);
    if (wrong.length === 0 && problem === '') return;
    const shown = showDifference(fields, {
      expected: time.kind === 'any' ? '*' : seconds(time.fromUs),
      got: seconds(packet.timeUs),
    });
    const reasons = [];
    if (wrong.length > 0) reasons.push(`differs in ${wrong.join(', ')}`);
    if (problem !== '') reasons.push(problem);
    throw new ScriptFailure(event.line, `the packet ${reasons.join(' and ')}`, shown);
  }

  /** The next packet of the connection; others are passed over, as in packetdrill. */
  #nextSent(map: ConnectionMap, limitUs: number): LivePacket | null {
    for (;;) {
      if (!this.#host.run(limitUs, () => this.#host.sent.length > 0)) return null;
      const packet = this.#host.sent.shift()!;
      if (belongsTo(packet, map)) return packet;
    }
  }

  /** Segments that together make the one the script expects are taken as one, as if the device had cut it up. */
  #aggregate(spec: TcpSpec, map: ConnectionMap, first: LivePacket, limitUs: number): LivePacket {
    let whole = first;
    if (this.#script.options.has('strict_segments')) return whole;
    while (
      whole.tcp !== null &&
      whole.tcp.payload.length > 0 &&
      whole.tcp.payload.length < spec.payloadBytes
    ) {
      const next = this.#nextSent(map, limitUs);
      if (next?.tcp == null || !continues(whole, next)) {
        if (next !== null) this.#host.sent.unshift(next);
        return whole;
      }
      const { tcp } = whole;
      const payload = new Uint8Array(tcp.payload.length + next.tcp.payload.length);
      payload.set(tcp.payload, 0);
      payload.set(next.tcp.payload, tcp.payload.length);
      const last = [...next.tcp.flags]
        .filter((flag) => 'FP'.includes(flag) && !tcp.flags.includes(flag))
        .join('');
      whole = { ...whole, timeUs: next.timeUs, tcp: { ...tcp, payload, flags: tcp.flags + last } };
    }
    if (whole === first || whole.tcp === null || !this.#host.profile.pushesSuperSegments) return whole;
    const flags = whole.tcp.flags.replace('P', '') + (spec.flags.includes('P') ? 'P' : '');
    return { ...whole, tcp: { ...whole.tcp, flags } };
  }

  #compare(
    spec: Exclude<PacketSpec, { kind: 'unsupported' }>,
    map: ConnectionMap,
    packet: LivePacket,
  ): MatchField[] {
    if (spec.kind === 'udp') return matchUdp(spec, packet);
    if (spec.kind === 'icmp') return matchIcmp(spec, packet);
    if (packet.tcp === null) {
      const got = describePacket(packet, map);
      return [{ name: 'protocol', expected: describe(spec), got, fits: false }];
    }
    map.learn(spec, packet.tcp);
    const sinceStart = Math.max(this.#toleranceUs, (this.#host.nowUs * this.#tolerancePercent) / 100);
    return matchTcp(spec, packet, packet.tcp, map, {
      lenient: this.#lenient,
      profile: this.#host.profile,
      tsTickUs: this.#tsTickUs,
      tsToleranceUs: sinceStart,
    });
  }

  /** Everything that was sent must have been expected. What the calls at the end make the stack send is not judged. */
  #checkSurplus(): void {
    const map = this.#map;
    if (map === null) return;
    const surplus = this.#host.sent.filter((packet) => belongsTo(packet, map));
    const first = surplus[0];
    if (first === undefined) return;
    throw new ScriptFailure(this.line, 'a packet was sent that the script does not expect', [
      `     got: ${seconds(first.timeUs)} > ${describePacket(first, map)}`,
    ]);
  }
}

/** Calls and commands that only tidy up: what they cause after the last packet is of no interest. */
function isCleanUp(event: ScriptEvent, looseEnd: boolean): boolean {
  const { action } = event;
  if (looseEnd) return !isPacket(action) || action.inbound;
  return action.kind === 'command' || (action.kind === 'call' && action.name === 'close');
}

function isPacket(action: ScriptEvent['action']): action is PacketSpec {
  return action.kind !== 'call' && action.kind !== 'command' && action.kind !== 'code';
}

function belongsTo(packet: LivePacket, map: ConnectionMap): boolean {
  if (!packet.ip.destination.equals(map.remote)) return false;
  const transport = packet.tcp ?? packet.udp;
  if (transport === null) return packet.icmp !== null && !isNeighbourDiscovery(packet);
  return (
    transport.destinationPort === map.remotePort &&
    (map.localPort === 0 || transport.sourcePort === map.localPort)
  );
}

/** RFC 4861: types 133 … 137 */
function isNeighbourDiscovery(packet: LivePacket): boolean {
  const type = packet.icmp?.type ?? 0;
  return packet.ip.source.family === 6 && type >= 133 && type <= 137;
}

/** Two segments could have been one: the same header, and the second begins where the first ends. */
function continues(before: LivePacket, next: LivePacket): boolean {
  const a = before.tcp;
  const b = next.tcp;
  if (a === null || b === null) return false;
  const plain = (flags: string): string => flags.replace(/[FPW]/g, '');
  return (
    ((a.seq + a.payload.length) | 0) === (b.seq | 0) &&
    a.ack === b.ack &&
    a.window === b.window &&
    plain(a.flags) === plain(b.flags) &&
    b.payload.length > 0
  );
}

function ipFields(spec: IpSpec): Partial<IpFields> {
  const ecn = spec.ecn === null ? 0 : ECN_BITS[spec.ecn];
  return {
    trafficClass: spec.trafficClass ?? ecn,
    ...(spec.ttl === null ? {} : { ttl: spec.ttl }),
    ...(spec.flowLabel === null ? {} : { flowLabel: spec.flowLabel }),
  };
}

/** The ports a packet states, or those of the connection. */
function livePorts(spec: PacketSpec, source: number, destination: number): readonly [number, number] {
  if (spec.kind === 'icmp' || spec.kind === 'unsupported' || spec.ports === null)
    return [source, destination];
  return [spec.ports[0] || source, spec.ports[1] || destination];
}

/** The AccECN counter as the three flags it lies in. */
function withAce(spec: TcpSpec): string {
  if (spec.ace < 0) return spec.flags;
  return `${spec.flags}${spec.ace & 4 ? 'A' : ''}${spec.ace & 2 ? 'W' : ''}${spec.ace & 1 ? 'E' : ''}`;
}

function describe(spec: PacketSpec): string {
  if (spec.kind === 'tcp') {
    const ack = spec.ack === null ? '' : ` ack ${spec.ack}`;
    return `${spec.flags} ${spec.seq ?? '...'}(${spec.payloadBytes})${ack}`;
  }
  return spec.kind === 'icmp' ? `icmp ${spec.type} ${spec.code}` : spec.kind;
}

function seconds(us: number): string {
  return (us / 1e6).toFixed(6);
}
