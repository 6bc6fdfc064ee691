import type { Transmitter } from '../context.ts';
import { type IcmpError, IcmpErrorKind, type Route, type RxPacket, type StackContext } from '../context.ts';
import { EndpointEvent } from '../endpoint.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import { Icmp } from '../wire/icmp.ts';
import { type IcmpExtensions, readIcmpExtensions } from '../wire/icmp-extensions.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { IPV4_HEADER_BYTES, IpProtocol } from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES } from '../wire/ipv6.ts';
import type { Slab } from '../wire/slab.ts';
import {
  synOptionBytes,
  TCP_HEADER_BYTES,
  Tcp,
  TcpFlag,
  writeSynOptions,
  writeTcpHeader,
} from '../wire/tcp.ts';
import { UDP_HEADER_BYTES, Udp, writeUdpHeader } from '../wire/udp.ts';
import {
  carriesPayload,
  checkProbeRange,
  isAboutEcho,
  isAboutPacketTo,
  maxProbeBytes,
  type ProbeError,
  Prober,
  type Probes,
  probeErrorOf,
  probePayload,
  probeRoute,
  reporterOf,
  sendEchoRequest,
} from './probes.ts';

/** traceroute's first port: nobody should listen there. Each probe goes to the next one. */
export const TRACE_FIRST_PORT = 33_434;
/** Where TCP probes go, if nobody says: a port that few firewalls stop. */
const DEFAULT_TCP_PORT = 80;
const TCP_PROBE_HEADER_BYTES: number = TCP_HEADER_BYTES + synOptionBytes(false, false, false);
/** Of the connection that nobody wants: what Linux begins with. */
const TCP_PROBE_WINDOW_BYTES = 64_240;

export interface TraceOptions {
  readonly destination: IpAddress;
  /** An address of ours; null or missing: chosen by route. */
  readonly source?: IpAddress | null;
  /**
   * `udp`: datagrams to ports where nobody listens; `icmp`: echo requests, for networks that drop the former. A UDP service
   * on one of those ports answers with a datagram, which is not taken as an answer. `tcp`: SYNs to `port`, which firewalls let pass that
   * stop all else; whatever they are answered with, the connection is reset. Default `udp`.
   */
  readonly method?: 'udp' | 'icmp' | 'tcp';
  /** Where SYNs go, 1 … 65,535. Default 80. */
  readonly port?: number;
  /** Hops to try, 1 … 255. Default 30. */
  readonly maxHops?: number;
  /** Hop limit of the first probe, 1 … `maxHops`. Default 1. */
  readonly firstHop?: number;
  /** Probes for each hop, one after the other, 1 … 10. Default 3. */
  readonly probesPerHop?: number;
  /** How long the answer to each probe is waited for, from 1. Default 3000. */
  readonly timeoutMs?: number;
  /** Data in a probe, without headers. Default 32. */
  readonly payloadBytes?: number;
  /** The application's mark, see `Endpoint.owner`. */
  readonly owner?: number;
}

/** The answer to one probe. */
export interface TraceProbe {
  /** null: nobody answered in time. */
  readonly from: IpAddress | null;
  /** Milliseconds; NaN without an answer. */
  readonly rttMs: number;
  /** What the answer was when it was neither the destination's nor a router's `time-exceeded`; null otherwise. */
  readonly error: ProbeError | null;
  /** What the destination has said to a SYN; null for all other answers. */
  readonly tcp: 'open' | 'closed' | null;
  /** What a router told beside (RFC 4884): labels of MPLS, its interfaces; null: nothing. */
  readonly extensions: IcmpExtensions | null;
}

/** One hop with all its probes. */
export interface TraceHop {
  /** The hop limit, from 1. */
  readonly hop: number;
  readonly probes: readonly TraceProbe[];
  /** The destination itself answered. */
  readonly reached: boolean;
}

/**
 * The way to a host: probes with a rising hop limit, and who complains about them (RFC 1393 §1 describes it). Ends when the
 * destination answers, when a hop says that there is no way on, or after `maxHops`. Made by `IcmpLayer.trace`.
 */
export class Trace extends Prober implements TimerTarget, Transmitter {
  nextToTransmit: Transmitter | null = null;
  waitsToTransmit = false;
  readonly destination: IpAddress;
  /** Set when the destination has answered. */
  reached = false;
  closed = false;
  readonly #context: StackContext;
  readonly #probes: Probes;
  readonly #route: Route;
  readonly #method: 'udp' | 'icmp' | 'tcp';
  /** Of TCP probes. */
  readonly #port: number;
  readonly #maxHops: number;
  readonly #probesPerHop: number;
  readonly #timeoutMs: number;
  readonly #payload: Slab;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #hops: TraceHop[] = [];
  #current: TraceProbe[] = [];
  #currentReached = false;
  /** A hop says that there is no way on. */
  #deadEnd = false;
  #hop: number;
  /** Probes sent; the last one's number is its sequence number and its distance from the first port. */
  #sent = 0;
  #sentMs = 0;
  #waitsForAnswer = false;
  #localPort = 0;
  /** Of the last SYN. */
  #sequence = 0;

  /** @throws NetError, see `IcmpLayer.trace` */
  constructor(context: StackContext, probes: Probes, options: TraceOptions) {
    super(context);
    const { destination } = options;
    this.#context = context;
    this.#probes = probes;
    this.destination = destination;
    this.#method = options.method ?? 'udp';
    this.#port = options.port ?? DEFAULT_TCP_PORT;
    this.#maxHops = options.maxHops ?? 30;
    this.#hop = options.firstHop ?? 1;
    this.#probesPerHop = options.probesPerHop ?? 3;
    this.#timeoutMs = options.timeoutMs ?? 3000;
    this.owner = options.owner ?? -1;
    const payloadBytes = options.payloadBytes ?? 32;
    checkProbeRange('port', this.#port, 1, 65_535, true);
    checkProbeRange('maxHops', this.#maxHops, 1, 255, true);
    checkProbeRange('firstHop', this.#hop, 1, this.#maxHops, true);
    checkProbeRange('probesPerHop', this.#probesPerHop, 1, 10, true);
    checkProbeRange('timeoutMs', this.#timeoutMs, 1, 86_400_000, false);
    checkProbeRange('payloadBytes', payloadBytes, 0, maxProbeBytes(destination.family), true);
    this.#payload = probePayload(payloadBytes);
    this.#route = probeRoute(context, destination, options.source ?? null);
  }

  /** The next hop that is complete, in order; null: none now. */
  take(): TraceHop | null {
    return this.#hops.shift() ?? null;
  }

  /** Ends it now; hops not taken stay. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#waitsForAnswer = false;
    this.#context.timers.remove(this.#timer);
    this.#probes.remove(this);
    this.signal(EndpointEvent.Closed);
  }

  override start(): void {
    this.#localPort = this.#randomPort();
    this.#context.wantsToTransmit(this);
  }

  onDeadline(): void {
    if (this.#waitsForAnswer)
      this.#answered({ from: null, rttMs: NaN, error: null, tcp: null, extensions: null }, false);
  }

  transmit(): boolean {
    if (this.closed || this.#waitsForAnswer) return true;
    const number = this.#sent + 1;
    const { now } = this.#context;
    const taken = this.#send(number);
    if (!taken) return false;
    this.#sent = number;
    this.#sentMs = now;
    this.#waitsForAnswer = true;
    this.#context.timers.set(this.#timer, now + this.#timeoutMs);
    return true;
  }

  override echoReply(rx: RxPacket): boolean {
    if (!this.#waitsForAnswer || this.#method !== 'icmp') return false;
    const from = rx.sender;
    if (!from.equals(this.destination)) return false;
    if (rx.slab.view.getUint16(rx.off + Icmp.Sequence) !== this.#sent) return false;
    if (!carriesPayload(rx, this.#payload)) return false;
    this.#answered(
      { from, rttMs: this.#context.now - this.#sentMs, error: null, tcp: null, extensions: null },
      true,
    );
    return true;
  }

  override tcpAnswer(rx: RxPacket): boolean {
    const { view } = rx.slab;
    if (!this.#waitsForAnswer || this.#method !== 'tcp') return false;
    if (view.getUint16(rx.off + Tcp.DestinationPort) !== this.#localPort) return false;
    if (view.getUint16(rx.off + Tcp.SourcePort) !== this.#port) return false;
    const from = rx.sender;
    const flags = view.getUint8(rx.off + Tcp.Flags);
    // RFC 9293 §3.10.7.3: both an answer to a SYN and its refusal acknowledge it
    if ((flags & TcpFlag.Ack) === 0 || !from.equals(this.destination)) return false;
    if (view.getInt32(rx.off + Tcp.Acknowledgment) !== ((this.#sequence + 1) | 0)) return false;
    const tcp = (flags & TcpFlag.Rst) !== 0 ? 'closed' : (flags & TcpFlag.Syn) !== 0 ? 'open' : null;
    if (tcp === null) return false;
    this.#answered(
      { from, rttMs: this.#context.now - this.#sentMs, error: null, tcp, extensions: null },
      true,
    );
    return true;
  }

  override icmpError(error: IcmpError): boolean {
    const number = this.#numberOf(error);
    if (number < 0) return false;
    const { kind } = error;
    if (kind === IcmpErrorKind.TooBig) this.#context.ip.reducePathMtu(this.#route, error.mtuBytes);
    // about a probe that was given up
    if (!this.#waitsForAnswer || number !== this.#sent) return true;
    const from = reporterOf(error);
    // Of the destination, any answer tells that it was reached.
    const reached = from.equals(this.destination);
    const isWay = kind === IcmpErrorKind.TimeExceeded;
    const isEnd = reached && kind === IcmpErrorKind.UnreachablePort;
    if (!isWay && !reached && kind !== IcmpErrorKind.TooBig) this.#deadEnd = true;
    const rttMs = this.#context.now - this.#sentMs;
    const about = isWay || isEnd ? null : probeErrorOf(kind);
    this.#answered({ from, rttMs, error: about, tcp: null, extensions: extensionsOf(error) }, reached);
    return true;
  }

  /** Number of the probe that an error is about; -1: not one of ours. */
  #numberOf(error: IcmpError): number {
    if (this.#method === 'icmp')
      return isAboutEcho(error, this.destination, this.identifier) ? error.seq & 0xffff : -1;
    if (this.#method === 'tcp') {
      if (error.protocol !== IpProtocol.Tcp || error.remotePort !== this.#port) return -1;
      // probes before this one had other ports: nobody waits for their answers any more
      const isOurs = error.localPort === this.#localPort && error.seq === this.#sequence;
      return isOurs && isAboutPacketTo(error, this.destination) ? this.#sent : -1;
    }
    if (error.protocol !== IpProtocol.Udp || error.localPort !== this.#localPort) return -1;
    if (!isAboutPacketTo(error, this.destination)) return -1;
    const number = error.remotePort - TRACE_FIRST_PORT + 1;
    return number >= 1 && number <= this.#sent ? number : -1;
  }

  #answered(probe: TraceProbe, reached: boolean): void {
    this.#waitsForAnswer = false;
    this.#context.timers.cancel(this.#timer);
    this.#current.push(probe);
    if (reached) this.#currentReached = true;
    if (this.#current.length === this.#probesPerHop) this.#hopDone();
    if (!this.closed) this.#context.wantsToTransmit(this);
  }

  #hopDone(): void {
    this.#hops.push({ hop: this.#hop, probes: this.#current, reached: this.#currentReached });
    this.reached = this.#currentReached;
    this.#current = [];
    this.signal(EndpointEvent.Readable);
    if (this.reached || this.#deadEnd || this.#hop >= this.#maxHops) this.close();
    else this.#hop++;
  }

  #randomPort(): number {
    return this.#context.ports.random(this.#context.random);
  }

  #send(number: number): boolean {
    switch (this.#method) {
      case 'icmp':
        return this.#sendEcho(number);
      case 'tcp':
        return this.#sendSyn();
      default:
        return this.#sendDatagram(number);
    }
  }

  /** From another port each time: no host or firewall on the way has seen the connection before. */
  #sendSyn(): boolean {
    const { ip, tx, random } = this.#context;
    const share = this.#probes.tcpShare;
    do this.#localPort = this.#randomPort();
    while (share?.ownsTcp(this.#localPort, this.#port) === false);
    this.#sequence = random.uint32() | 0;
    const at = ip.begin(this.#route, TCP_PROBE_HEADER_BYTES);
    const { view } = tx.head;
    writeTcpHeader(
      view,
      at,
      this.#localPort,
      this.#port,
      this.#sequence,
      0,
      TCP_PROBE_HEADER_BYTES,
      TcpFlag.Syn,
      TCP_PROBE_WINDOW_BYTES,
    );
    const headers =
      TCP_HEADER_BYTES + (this.destination.family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES);
    const mssBytes = this.#route.pathMtuBytes - headers;
    writeSynOptions(view, at + Tcp.Options, mssBytes, -1, false, false, 0, 0);
    return ip.finish(this.#route, IpProtocol.Tcp, Tcp.Checksum, 0, this.#hop);
  }

  #sendEcho(number: number): boolean {
    const { identifier } = this;
    return sendEchoRequest(this.#context, this.#route, identifier, number, this.#payload, this.#hop, 0);
  }

  #sendDatagram(number: number): boolean {
    const { ip, tx } = this.#context;
    const at = ip.begin(this.#route, UDP_HEADER_BYTES);
    const length = UDP_HEADER_BYTES + this.#payload.lengthBytes;
    writeUdpHeader(tx.head.view, at, this.#localPort, TRACE_FIRST_PORT + number - 1, length);
    tx.body = this.#payload;
    tx.bodyOff = 0;
    tx.bodyLen = this.#payload.lengthBytes;
    return ip.finish(this.#route, IpProtocol.Udp, Udp.Checksum, 0, this.#hop);
  }
}

function extensionsOf({ message, family }: IcmpError): IcmpExtensions | null {
  return message === null ? null : readIcmpExtensions(message.slab, message.off, message.len, family);
}
