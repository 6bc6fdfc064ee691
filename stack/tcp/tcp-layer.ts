import {
  type IcmpError,
  IcmpErrorKind,
  type Route,
  type RxPacket,
  type StackContext,
  type TransportHandler,
} from '../context.ts';
import { NetError, Phase } from '../errors.ts';
import type { FlowShare } from '../flow-share.ts';
import { foldChecksum, sumPseudoHeaderV4, sumPseudoHeaderV6, sumSlab } from '../wire/checksum.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { IpProtocol } from '../wire/ipv4.ts';
import { TCP_HEADER_BYTES, Tcp, TcpFlag, writeTcpHeader } from '../wire/tcp.ts';
import type { CongestionControl } from './congestion/congestion-control.ts';
import { makeCongestionControl } from './congestion/congestion-controls.ts';
import { TcpConnection } from './connection.ts';
import { ConnectionTable } from './connection-table.ts';
import { DeferredAcks } from './deferred-ack.ts';
import { EcnField } from './ecn.ts';
import { EphemeralPorts } from './ephemeral-ports.ts';
import { FastOpenCache, FastOpenCookies, startFastOpen } from './fast-open.ts';
import { startActive } from './handshake.ts';
import { icmpErrorArrives } from './icmp-error.ts';
import { InitialSequence, type SequenceSource } from './isn.ts';
import type { KeepAlive } from './keepalive.ts';
import { TcpListener } from './listener.ts';
import { ParkedConnection, ParkingLot } from './parked-connection.ts';
import { RingKeeper } from './ring-keeper.ts';
import { Segment } from './segment.ts';
import { segmentArrives } from './segment-arrives.ts';
import { changedPolicy, type PolicyChange } from './send-policy.ts';
import { SynCookies } from './syn-cookies.ts';
import { TcpCounters } from './tcp-counters.ts';
import { TcpSettings } from './tcp-settings.ts';
import { TimeWait, TimeWaitList } from './time-wait.ts';

/** `localPort` of {@link ConnectOptions}: a reserved one (INET_OPTION_RESERVEDPORT). */
export const RESERVED_PORT = -1;

/** `port` of {@link ListenOptions}: every port that no other listener has. */
export const ANY_PORT = -1;

/** What an active open wants. */
export interface ConnectOptions {
  readonly remote: IpAddress;
  readonly remotePort: number;
  /** Null: chosen by route [MUST-43] [MUST-44]. */
  readonly local: IpAddress | null;
  /** 0: an ephemeral port; -1: an unused one of {@link LocalPorts.reserved}, from the last downwards. */
  readonly localPort: number;
  readonly noDelay: boolean;
  /** Null: off. */
  readonly keepAlive: KeepAlive | null;
  /** 'cubic', 'newreno', 'bbr' or 'none'; default: as the settings have it. */
  readonly congestion?: string;
  /** What differs from the settings in how it sends. */
  readonly policy?: PolicyChange | undefined;
  /**
   * RFC 7413: with a cookie of this server the SYN waits for the first write and carries it; without, it asks for one. The data
   * may reach the server's application twice when the SYN is duplicated in the network (§2.1). Default: off.
   */
  readonly fastOpen?: boolean;
  /** The application's mark, see {@link Endpoint.owner}. */
  readonly owner?: number;
}

/** What a passive open wants. */
export interface ListenOptions {
  /** Null: all local addresses. */
  readonly local: IpAddress | null;
  /** 0: an ephemeral port; -1: every port that no other listener has. */
  readonly port: number;
  /** Established connections that may wait to be accepted. */
  readonly backlog: number;
  /** Fast Open connections that may be there before their clients have confirmed them (RFC 7413 §5.1). Default 0: off. */
  readonly fastOpenQueue?: number;
  /** false: the port must have no connection left, not even one in TIME-WAIT (BSD sockets without SO_REUSEADDR). Default true. */
  readonly reuseAddress?: boolean;
}

/** TCP (RFC 9293): all connections and listeners of a stack. */
export class TcpLayer implements TransportHandler {
  readonly context: StackContext;
  readonly counters: TcpCounters;
  readonly table: ConnectionTable;
  readonly settings: TcpSettings = new TcpSettings();
  /** Tests put a source of known numbers here. */
  isn: SequenceSource;
  /** Cookies for clients (RFC 7413 §4.1.2) … */
  readonly fastOpenCookies: FastOpenCookies;
  /** … and those that servers gave us. */
  readonly fastOpenCache: FastOpenCache = new FastOpenCache();
  readonly synCookies: SynCookies;
  readonly #ports: EphemeralPorts;
  readonly timeWaits: TimeWaitList;
  /** The connections whose rings come and go. */
  readonly ringKeeper: RingKeeper = new RingKeeper(this);
  readonly deferredAcks: DeferredAcks;
  readonly parkingLot: ParkingLot = new ParkingLot();
  /**
   * Told when an idle connection with an owner is folded up, and when it is back: they are two objects. Null: connections stay as they are.
   */
  onReplaced: ((owner: number, by: TcpConnection | ParkedConnection) => void) | null = null;
  /** Which connections are this stack's; null: all. */
  share: FlowShare | null = null;
  /** Told of segments that belong to no connection and no listener, before they are answered; null: nobody. */
  onUnclaimed: ((rx: RxPacket) => void) | null = null;
  readonly #segment: Segment = new Segment();
  readonly #listeners: Map<number, TcpListener[]> = new Map();
  /** The packet being worked off. */
  #rx: RxPacket | null = null;

  constructor(context: StackContext) {
    this.context = context;
    this.counters = context.counters.group('tcp', new TcpCounters());
    this.deferredAcks = new DeferredAcks(context);
    this.timeWaits = new TimeWaitList(context);
    this.table = new ConnectionTable(context.random);
    this.isn = new InitialSequence(context.secret);
    this.#ports = new EphemeralPorts(context.random);
    this.synCookies = new SynCookies(context.random);
    this.fastOpenCookies = new FastOpenCookies(context.random);
  }

  /**
   * Active open. The connection is usable for writing at once; it is established when it signals Ready.
   * @throws NetError NETWORK_UNREACHABLE, ADDRESS_NOT_AVAILABLE, ADDRESS_IN_USE (phase route), NO_BUFFERS (phase connect)
   */
  connect(options: ConnectOptions): TcpConnection {
    const { remote, remotePort, local } = options;
    // RFC 9293 §3.9.2.3 [MUST-46]
    if (remote.isMulticast || remote.isLimitedBroadcast || remote.isUnspecified) {
      throw notAHost(remote, remotePort, `${remote} is not a host's address`);
    }
    const route = this.context.ip.route(remote, local);
    if (remote.family === 4 && route.iface.isBroadcast(remote.w3)) {
      throw notAHost(remote, remotePort, `${remote} is a broadcast address`);
    }
    const port = this.#localPort(route, options.localPort, remotePort);
    const connection = new TcpConnection(
      this,
      route,
      port,
      remotePort,
      this.congestionControl(options.congestion),
      null,
    );
    if (options.owner !== undefined) connection.owner = options.owner;
    connection.noDelay = options.noDelay;
    connection.policy = changedPolicy(this.settings, options.policy);
    connection.keepAlive = options.keepAlive;
    if (!connection.openRings()) {
      const address = remote.toString();
      throw new NetError('NO_BUFFERS', { phase: Phase.Connect, address, port: remotePort });
    }
    this.table.add(connection);
    if (options.fastOpen === true) startFastOpen(connection);
    startActive(connection);
    // The sequence number is known only now
    if (connection.sendRing !== null) {
      connection.sendBase = (connection.iss + 1 - connection.sendRing.tail) | 0;
    }
    return connection;
  }

  /** Passive open. @throws NetError ADDRESS_NOT_AVAILABLE, ADDRESS_IN_USE (phase route) */
  listen(options: ListenOptions): TcpListener {
    const { local } = options;
    if (local !== null && !this.context.ip.isOwnAddress(local)) {
      throw new NetError('ADDRESS_NOT_AVAILABLE', {
        phase: Phase.Route,
        detail: `${local} is not an address of this stack`,
        address: local.toString(),
      });
    }
    const port = options.port === 0 ? this.#freeListenPort(local) : options.port;
    if (options.port !== 0 && this.#listenerClashes(local, port)) {
      throw new NetError('ADDRESS_IN_USE', {
        phase: Phase.Route,
        detail: `somebody listens on ${port === ANY_PORT ? 'all ports' : `port ${port}`}`,
        ...(port === ANY_PORT ? {} : { port }),
      });
    }
    if (options.reuseAddress === false && port !== ANY_PORT && this.table.usesOfPort(port) > 0) {
      throw new NetError('ADDRESS_IN_USE', {
        phase: Phase.Route,
        detail: `a connection of port ${port} has not ended yet (TIME-WAIT lasts for a minute)`,
        port,
      });
    }
    const listener = new TcpListener(this, local, port, options.backlog);
    listener.fastOpenQueue = options.fastOpenQueue ?? 0;
    const others = this.#listeners.get(port);
    if (others === undefined) this.#listeners.set(port, [listener]);
    else others.push(listener);
    return listener;
  }

  /** @throws NetError ARGUMENT_INVALID for a name it does not know */
  congestionControl(name: string | undefined): CongestionControl {
    return makeCongestionControl(name ?? this.settings.congestionControl, this.context.random);
  }

  /** Called by the listener when it is closed. */
  removeListener(listener: TcpListener): void {
    const others = this.#listeners.get(listener.localPort);
    if (others === undefined) return;
    const left = others.filter((other) => other !== listener);
    if (left.length > 0) this.#listeners.set(listener.localPort, left);
    else this.#listeners.delete(listener.localPort);
  }

  /** Somebody takes connections of this port, or of all. */
  hasListener(local: IpAddress, port: number): boolean {
    const { family, w0, w1, w2, w3 } = local;
    return this.#findListener(family, w0, w1, w2, w3, port) !== null;
  }

  /** A connection that a listener makes of a SYN. @throws NetError when there is no route back */
  passiveConnection(parent: TcpListener, local: IpAddress, remote: IpAddress, seg: Segment): TcpConnection {
    const route = this.context.ip.route(remote, local);
    return new TcpConnection(
      this,
      route,
      seg.destinationPort,
      seg.sourcePort,
      this.congestionControl(undefined),
      parent,
    );
  }

  // ---------------------------------------------------------------- arriving packets

  input(rx: RxPacket): void {
    const { counters } = this;
    const seg = this.#segment;
    counters.segmentsIn++;
    if (rx.multicast) {
      // RFC 9293 §3.9.2.3 [MUST-57]
      counters.dropMulticast++;
      return;
    }
    if (rx.len < TCP_HEADER_BYTES) {
      counters.dropTooShort++;
      return;
    }
    if (!rx.checksumValid && !checksumFits(rx)) {
      counters.dropChecksum++;
      return;
    }
    if (!seg.read(rx.slab, rx.off, rx.len)) {
      counters.dropBadOffset++;
      return;
    }
    seg.ecn = rx.trafficClass & EcnField.Mask;
    this.#rx = rx;
    if (this.share?.ownsTcp(seg.destinationPort, seg.sourcePort) === false) {
      counters.dropNotOwn++;
      return;
    }
    const flow = this.table.findByPacket(rx, seg.destinationPort, seg.sourcePort);
    if (flow === null) this.#withoutConnection(rx, seg, 0);
    else if (flow instanceof TcpConnection) segmentArrives(flow, seg);
    else if (flow instanceof ParkedConnection) segmentArrives(flow.wake(), seg);
    // RFC 9293 §3.10.7.4 [MAY-2]: the new ISS must be larger than what the old connection used
    else if (!flow.arrives(seg)) this.#withoutConnection(rx, seg, (flow.sndNxt + 0xffff) | 0);
    this.#rx = null;
  }

  #withoutConnection(rx: RxPacket, seg: Segment, issFloor: number): void {
    if (!isHost(rx)) {
      // RFC 9293 §3.9.2.3 [MUST-63]
      this.counters.dropInvalidSource++;
      return;
    }
    const listener = this.#findListener(rx.family, rx.dst0, rx.dst1, rx.dst2, rx.dst3, seg.destinationPort);
    if (listener !== null) {
      listener.segmentArrives(rx, seg, issFloor);
      return;
    }
    // RFC 9293 §3.10.7.1: CLOSED
    this.counters.dropNoConnection++;
    this.onUnclaimed?.(rx);
    if ((seg.flags & TcpFlag.Rst) === 0) this.resetReply(seg);
  }

  icmpError(error: IcmpError): void {
    const flow = this.table.findByError(error);
    if (flow === null || flow instanceof TimeWait || error.kind > IcmpErrorKind.AdminProhibited) {
      this.counters.icmpIgnored++;
      return;
    }
    icmpErrorArrives(flow instanceof ParkedConnection ? flow.wake() : flow, error);
  }

  /**
   * Answers the segment being worked off with a reset (RFC 9293 §3.5.2, §3.10.7.1). Sent at once and not repeated: the
   * peer asks again if it gets lost.
   */
  resetReply(seg: Segment): void {
    const rx = this.#rx;
    if (rx === null) return;
    const { ip, tx } = this.context;
    const route = this.routeBack(rx);
    if (route === null) {
      this.counters.sendUnroutable++;
      return;
    }
    const off = ip.begin(route, TCP_HEADER_BYTES);
    const hasAck = (seg.flags & TcpFlag.Ack) !== 0;
    writeTcpHeader(
      tx.head.view,
      off,
      seg.destinationPort,
      seg.sourcePort,
      hasAck ? seg.ack : 0,
      hasAck ? 0 : (seg.seq + seg.lengthSeq) | 0,
      TCP_HEADER_BYTES,
      hasAck ? TcpFlag.Rst : TcpFlag.Rst | TcpFlag.Ack,
      0,
    );
    if (!ip.finish(route, IpProtocol.Tcp, Tcp.Checksum, 0, 0)) {
      this.counters.deviceFull++;
      return;
    }
    this.counters.segmentsOut++;
    this.counters.resetsOut++;
  }

  /** The way back to where a packet came from; null: there is none. */
  routeBack(rx: RxPacket): Route | null {
    try {
      return this.context.ip.route(rx.sender, new IpAddress(rx.family, rx.dst0, rx.dst1, rx.dst2, rx.dst3));
    } catch (error) {
      if (error instanceof NetError) return null;
      throw error;
    }
  }

  // ---------------------------------------------------------------- ports

  /** Of the port, or else of all ports. */
  #findListener(
    family: 4 | 6,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
  ): TcpListener | null {
    return (
      this.#listenerOf(family, w0, w1, w2, w3, port) ?? this.#listenerOf(family, w0, w1, w2, w3, ANY_PORT)
    );
  }

  #listenerOf(
    family: 4 | 6,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    port: number,
  ): TcpListener | null {
    const listeners = this.#listeners.get(port);
    if (listeners === undefined) return null;
    let any: TcpListener | null = null;
    for (const listener of listeners) {
      const { local } = listener;
      if (local === null) any = listener;
      else if (
        local.family === family &&
        local.w3 === w3 &&
        local.w2 === w2 &&
        local.w1 === w1 &&
        local.w0 === w0
      ) {
        return listener;
      }
    }
    return any;
  }

  /** True when another listener has the port for the same address, or all. */
  #listenerClashes(local: IpAddress | null, port: number): boolean {
    const listeners = this.#listeners.get(port);
    if (listeners === undefined) return false;
    return listeners.some(
      (other) =>
        other.local === local || (other.local !== null && local !== null && other.local.equals(local)),
    );
  }

  #localPort(route: Route, asked: number, remotePort: number): number {
    if (asked === 0) return this.#ephemeralPort(route, remotePort);
    if (asked === RESERVED_PORT) return this.#reservedPort(remotePort);
    if (!this.#isFree(route, asked, remotePort)) {
      throw new NetError('ADDRESS_IN_USE', {
        phase: Phase.Route,
        detail: `${route.source}:${asked}`,
        port: asked,
      });
    }
    return asked;
  }

  #ephemeralPort(route: Route, remotePort: number): number {
    const { ports } = this.context;
    const port = this.#ports.choose(
      ports.tcp,
      route.source,
      route.destination,
      remotePort,
      (candidate) =>
        !ports.isReserved(candidate) &&
        this.share?.ownsTcp(candidate, remotePort) !== false &&
        this.#isFree(route, candidate, remotePort),
    );
    if (port >= 0) return port;
    throw new NetError('ADDRESS_NOT_AVAILABLE', {
      phase: Phase.Route,
      detail: 'all ephemeral ports are in use',
    });
  }

  #reservedPort(remotePort: number): number {
    const { first, last } = this.context.ports.reserved;
    for (let port = last; port >= first; port--) {
      if (this.share?.ownsTcp(port, remotePort) === false) continue;
      if (this.table.usesOfPort(port) === 0 && !this.#listeners.has(port)) return port;
    }
    throw new NetError('ADDRESS_NOT_AVAILABLE', {
      phase: Phase.Route,
      detail: 'all reserved ports are in use',
    });
  }

  #isFree(route: Route, port: number, remotePort: number): boolean {
    if (this.table.usesOfPort(port) === 0 && !this.#listeners.has(port)) return true;
    const { family, w0, w1, w2, w3 } = route.source;
    // who listens on all ports takes what is left: own connections go first
    if (this.#listenerOf(family, w0, w1, w2, w3, port) !== null) return false;
    return this.table.find(route.source, port, route.destination, remotePort) === null;
  }

  #freeListenPort(local: IpAddress | null): number {
    const { ports, random } = this.context;
    const start = random.uint32();
    for (let i = 0; i < ports.tcp.count; i++) {
      const port = ports.tcp.at(start + i);
      if (ports.isReserved(port)) continue;
      if (this.table.usesOfPort(port) === 0 && !this.#listenerClashes(local, port)) return port;
    }
    throw new NetError('ADDRESS_NOT_AVAILABLE', {
      phase: Phase.Route,
      detail: 'all ephemeral ports are in use',
    });
  }
}

function notAHost(remote: IpAddress, port: number, detail: string): NetError {
  return new NetError('NETWORK_UNREACHABLE', {
    phase: Phase.Route,
    address: remote.toString(),
    port,
    detail,
  });
}

/** RFC 9293 §3.1 [MUST-3] */
function checksumFits(rx: RxPacket): boolean {
  const pseudo =
    rx.family === 4
      ? sumPseudoHeaderV4(rx.src3, rx.dst3, IpProtocol.Tcp, rx.len)
      : sumPseudoHeaderV6(
          rx.src0,
          rx.src1,
          rx.src2,
          rx.src3,
          rx.dst0,
          rx.dst1,
          rx.dst2,
          rx.dst3,
          IpProtocol.Tcp,
          rx.len,
        );
  return foldChecksum(sumSlab(rx.slab, rx.off, rx.len, pseudo)) === 0;
}

/** The source of a packet is an address that a host can have. */
function isHost(rx: RxPacket): boolean {
  if (rx.family === 6) {
    if (rx.src0 >>> 24 === 0xff) return false;
    return (rx.src0 | rx.src1 | rx.src2 | rx.src3) !== 0;
  }
  return rx.src3 >>> 28 !== 14 && rx.src3 !== 0 && !rx.iface.isBroadcast(rx.src3);
}
