import { type IcmpError, IcmpErrorKind, type Route, type RxPacket, type Transmitter } from '../context.ts';
import { Endpoint, EndpointEvent } from '../endpoint.ts';
import { type ErrorCode, NetError, Phase } from '../errors.ts';
import type { Ring } from '../ring.ts';
import { copyBytes } from '../wire/copy.ts';
import { IpAddress } from '../wire/ip-address.ts';
import type { Slab } from '../wire/slab.ts';
import { UDP_MAX_PAYLOAD_V4_BYTES, UDP_MAX_PAYLOAD_V6_BYTES } from '../wire/udp.ts';
import { gatherDatagrams } from './datagram-batch.ts';
import {
  DatagramHeader,
  peekDatagram,
  pushReceived,
  SETTING_FAMILY,
  shiftDatagram,
} from './datagram-ring.ts';
import { MulticastSettings } from './multicast.ts';
import { settingAddress, UdpSetting } from './setting-record.ts';
import type { UdpLayer } from './udp-layer.ts';

/** Datagrams that a socket without rings keeps while the device is full; more are dropped and counted. */
export const MAX_PENDING_DATAGRAMS = 16;

/** Takes a socket's datagrams as they arrive, instead of a receive ring. */
export interface DatagramReceiver {
  /** The payload is valid during the call only. */
  datagram(
    socket: UdpSocket,
    slab: Slab,
    off: number,
    lengthBytes: number,
    from: IpAddress,
    fromPort: number,
  ): void;
}

interface PendingDatagram {
  readonly bytes: Uint8Array;
  readonly to: IpAddress;
  readonly port: number;
}

/**
 * A UDP socket. Datagrams lie as records (datagram-ring.ts) in `sendRing` and `recvRing`, or go to a receiver and come from
 * {@link sendTo}. A connected socket hears its peer only. An ICMP error about a connected socket's datagram, and a failure to
 * send a record, are left in `pendingError` and signalled as Readable: the socket stays open, as the error may be
 * somebody's forgery or pass (RFC 1122 §4.1.3.3).
 */
export class UdpSocket extends Endpoint implements Transmitter {
  nextToTransmit: Transmitter | null = null;
  waitsToTransmit = false;
  sendRing: Ring | null = null;
  recvRing: Ring | null = null;
  /** The address bound; null: any of ours. */
  readonly local: IpAddress | null;
  readonly localPort: number;
  /** The connected peer; null: none. */
  remote: IpAddress | null = null;
  remotePort = 0;
  /** Sending to broadcast addresses is allowed. */
  broadcast: boolean;
  /** Hop limit of what goes to single hosts; 0: the interface's. */
  ttl: number;
  trafficClass: number;
  /** Other sockets may have the same address and port, if they allow it too. */
  readonly reuseAddress: boolean;
  readonly multicast: MulticastSettings;
  /** Settings that came through the send ring so far, modulo 2^16, and what the last one failed with; null: it did not. */
  settingsDone = 0;
  settingError: ErrorCode | null = null;
  readonly receiver: DatagramReceiver | null;
  /** What went wrong since {@link takeError}; null: nothing. */
  pendingError: ErrorCode | null = null;
  /** What is known about it, in words. */
  pendingDetail = '';
  closed = false;
  /** The next socket with the same local port. */
  nextOnPort: UdpSocket | null = null;
  readonly #layer: UdpLayer;
  /** The way to the last destination. */
  #route: Route | null = null;
  readonly #record: DatagramHeader = new DatagramHeader();
  readonly #next: DatagramHeader = new DatagramHeader();
  readonly #pending: PendingDatagram[] = [];

  /** Made by {@link UdpLayer.open}. */
  constructor(
    layer: UdpLayer,
    local: IpAddress | null,
    localPort: number,
    broadcast: boolean,
    ttl: number,
    trafficClass: number,
    reuseAddress: boolean,
    receiver: DatagramReceiver | null,
  ) {
    super(layer.context);
    this.#layer = layer;
    this.local = local;
    this.localPort = localPort;
    this.broadcast = broadcast;
    this.ttl = ttl;
    this.trafficClass = trafficClass;
    this.reuseAddress = reuseAddress;
    this.multicast = new MulticastSettings(layer.context);
    this.receiver = receiver;
  }

  /** The address datagrams to the connected peer are sent from; else the bound one; null: chosen for each. */
  get localAddress(): IpAddress | null {
    return this.remote !== null && this.#route !== null ? this.#route.source : this.local;
  }

  /**
   * Chooses the peer: only its datagrams are received, and it is where datagrams without a destination go.
   * @throws NetError NETWORK_UNREACHABLE, ADDRESS_NOT_AVAILABLE, ACCESS_DENIED, PORT_INVALID, SHUT_DOWN
   */
  connect(remote: IpAddress, port: number): void {
    this.remote = null;
    this.#route = this.#wayTo(remote, port);
    this.remote = remote;
    this.remotePort = port;
    this.pendingError = null;
  }

  /**
   * Sends one datagram now, or when the device can take it.
   * @param to null: the connected peer, and `port` is not looked at
   * @throws NetError NOT_CONNECTED, MESSAGE_TOO_LONG, and what {@link connect} throws
   */
  sendTo(bytes: Uint8Array, off: number, lengthBytes: number, to: IpAddress | null, port: number): void {
    const address = to ?? this.remote;
    const toPort = to === null ? this.remotePort : port;
    if (address === null) throw noPeer();
    const route = this.#wayTo(address, toPort);
    checkLength(lengthBytes, address, toPort);
    if (this.#pending.length === 0) {
      const slab = this.#layer.scratch;
      copyBytes(bytes, off, slab.bytes, 0, lengthBytes);
      if (this.#layer.send(this, route, toPort, slab, 0, lengthBytes, 0, 0)) return;
    }
    if (this.#pending.length >= MAX_PENDING_DATAGRAMS) {
      this.#layer.counters.dropSendQueueFull++;
      return;
    }
    this.#pending.push({ bytes: bytes.slice(off, off + lengthBytes), to: address, port: toPort });
    this.#layer.context.wantsToTransmit(this);
  }

  /** The application has put records into `sendRing`. */
  appWrote(): void {
    if (!this.closed) this.#layer.context.wantsToTransmit(this);
  }

  /** The application has taken records from `recvRing`. There is nothing to do: UDP tells nobody about room. */
  appRead(): void {}

  /** The error noted last, once. */
  takeError(): ErrorCode | null {
    const error = this.pendingError;
    this.pendingError = null;
    return error;
  }

  /** Ends the socket. What lies in `sendRing` is sent if the device takes it now. */
  close(): void {
    if (this.closed) return;
    this.transmit();
    this.closed = true;
    this.#pending.length = 0;
    this.multicast.close();
    this.#layer.forget(this);
    this.signal(EndpointEvent.Closed);
  }

  transmit(): boolean {
    if (this.closed) return true;
    return this.#transmitPending() && this.#transmitRing();
  }

  /** Takes a datagram whose header was verified. `rx.off`, `rx.len` is the payload. */
  deliver(rx: RxPacket, fromPort: number): void {
    const { counters } = this.#layer;
    if (this.receiver !== null) {
      counters.delivered++;
      const from = rx.sender;
      this.receiver.datagram(this, rx.slab, rx.off, rx.len, from, fromPort);
      return;
    }
    const ring = this.recvRing;
    if (ring === null || !pushReceived(ring, rx, fromPort, rx.off, rx.len)) {
      counters.dropReceiveRingFull++;
      return;
    }
    counters.delivered++;
    this.signal(EndpointEvent.Readable);
  }

  /** Takes an ICMP error about a datagram of this socket. */
  icmpError(error: IcmpError): void {
    if (error.kind === IcmpErrorKind.TooBig) {
      const route = this.#route;
      const zone = route?.destination.zone ?? 0;
      if (
        route !== null &&
        leadsTo(route, error.family, error.remote0, error.remote1, error.remote2, error.remote3, zone)
      )
        this.#layer.context.ip.reducePathMtu(route, error.mtuBytes);
      return;
    }
    if (this.remote === null) {
      this.#layer.counters.icmpUnconnected++;
      return;
    }
    this.#fail(errorCodeOfIcmp(error.kind), ICMP_DETAILS[error.kind]);
  }

  #fail(code: ErrorCode, detail: string): void {
    this.pendingError = code;
    this.pendingDetail = detail;
    this.signal(EndpointEvent.Readable);
  }

  #transmitPending(): boolean {
    for (;;) {
      const first = this.#pending[0];
      if (first === undefined) return true;
      const slab = this.#layer.scratch;
      slab.bytes.set(first.bytes, 0);
      try {
        const route = this.#wayTo(first.to, first.port);
        if (!this.#layer.send(this, route, first.port, slab, 0, first.bytes.length, 0, 0)) return false;
      } catch (error) {
        this.#sendFailed(error);
      }
      this.#pending.shift();
    }
  }

  #transmitRing(): boolean {
    const ring = this.sendRing;
    if (ring === null) return true;
    const record = this.#record;
    while (peekDatagram(ring, record)) {
      let done = 1;
      try {
        done = this.#transmitRecord(ring, record);
        if (done === 0) return false;
      } catch (error) {
        this.#sendFailed(error);
      }
      for (shiftDatagram(ring, record); --done > 0; shiftDatagram(ring, record)) peekDatagram(ring, record);
      this.signal(EndpointEvent.Writable);
    }
    return true;
  }

  /** @returns records that are done with; 0: the device was full */
  #transmitRecord(ring: Ring, record: DatagramHeader): number {
    const { family, w0, w1, w2, w3, zone, lengthBytes } = record;
    let route = this.#route;
    let port = record.port;
    if (family === SETTING_FAMILY) {
      this.#setting(ring, record);
      return 1;
    }
    if (family === 0) {
      if (this.remote === null || route === null) throw noPeer();
      port = this.remotePort;
    } else if (
      route === null ||
      route.isStale ||
      port === 0 ||
      !leadsTo(route, family, w0, w1, w2, w3, zone)
    ) {
      route = this.#wayTo(new IpAddress(family, w0, w1, w2, w3, zone), port);
    }
    checkLength(lengthBytes, route.destination, port);
    const layer = this.#layer;
    const together = gatherDatagrams(ring, record, this.#next, route, layer);
    if (together > lengthBytes) {
      const { scratch } = layer;
      if (!layer.send(this, route, port, scratch, 0, together, 0, 0, lengthBytes)) return 0;
      return Math.ceil(together / lengthBytes);
    }
    const first = ring.contiguous(record.position, lengthBytes);
    const at = ring.offsetOf(record.position);
    return layer.send(this, route, port, ring.slab, at, first, ring.base, lengthBytes - first) ? 1 : 0;
  }

  #setting(ring: Ring, record: DatagramHeader): void {
    this.settingsDone = (this.settingsDone + 1) & 0xffff;
    this.settingError = null;
    try {
      this.#applySetting(ring, record);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      this.settingError = error.tunwireCode;
    }
  }

  #applySetting(ring: Ring, record: DatagramHeader): void {
    const { multicast } = this;
    const address = (index: number): IpAddress | null => settingAddress(ring, record, index);
    const value = record.w0;
    switch (record.port) {
      case UdpSetting.Join:
        multicast.join(address(0)!, address(1), address(2));
        return;
      case UdpSetting.Leave:
        multicast.leave(address(0)!, address(1), address(2));
        return;
      case UdpSetting.MulticastTtl:
        multicast.ttl = value;
        return;
      case UdpSetting.MulticastLoop:
        multicast.loop = value !== 0;
        return;
      case UdpSetting.MulticastInterface:
        this.sendMulticastBy(address(0));
        return;
      case UdpSetting.Ttl:
        this.ttl = value;
        return;
      case UdpSetting.TypeOfService:
        this.trafficClass = value;
        return;
      default:
        this.broadcast = value !== 0;
    }
  }

  /**
   * Chooses the interface that datagrams to groups leave by. @param address one of its own addresses; null: as routes say
   * @throws NetError ADDRESS_NOT_AVAILABLE
   */
  sendMulticastBy(address: IpAddress | null): void {
    if (address !== null && !this.#layer.context.ip.isOwnAddress(address))
      throw new NetError('ADDRESS_NOT_AVAILABLE', {
        phase: Phase.Argument,
        detail: `${address} is not an address of this stack`,
        address: address.toString(),
      });
    this.multicast.source = address;
    this.#route = this.remote === null ? null : this.#route;
  }

  /** A datagram that cannot be sent is dropped, and the reason is left for the application. */
  #sendFailed(error: unknown): void {
    if (!(error instanceof NetError)) throw error;
    this.#layer.counters.dropSendFailed++;
    this.#fail(error.tunwireCode, error.detail);
  }

  #wayTo(address: IpAddress, port: number): Route {
    if (this.closed)
      throw new NetError('SHUT_DOWN', { phase: Phase.Transfer, detail: 'the socket is closed' });
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw new NetError('PORT_INVALID', { phase: Phase.Argument, detail: `got ${port}` });
    const known = this.#route;
    const route =
      known !== null &&
      !known.isStale &&
      known.destination.equals(address) &&
      known.destination.zone === address.zone
        ? known
        : this.#layer.context.ip.route(address, this.#sourceFor(address));
    if (!this.broadcast && address.family === 4 && route.iface.isBroadcast(address.w3)) {
      throw new NetError('ACCESS_DENIED', {
        phase: Phase.Argument,
        detail: `${address} is a broadcast address, and the socket is not open for broadcast`,
        address: address.toString(),
        port,
      });
    }
    // A connected socket keeps the way to its peer.
    if (this.remote === null) this.#route = route;
    return route;
  }

  #sourceFor(address: IpAddress): IpAddress | null {
    const { source } = this.multicast;
    const isChosen = this.local === null && source !== null && address.isMulticast;
    return isChosen && source.family === address.family ? source : this.local;
  }
}

/** Largest payload for a family of addresses, in bytes. */
export function maxDatagramBytes(family: 4 | 6): number {
  // 65,535 - 8: the payload length field of IPv6 does not count the IPv6 header.
  return family === 4 ? UDP_MAX_PAYLOAD_V4_BYTES : UDP_MAX_PAYLOAD_V6_BYTES;
}

function noPeer(): NetError {
  return new NetError('NOT_CONNECTED', {
    phase: Phase.Transfer,
    detail: 'the datagram names no destination, and the socket has no peer',
  });
}

function checkLength(lengthBytes: number, to: IpAddress, port: number): void {
  const most = maxDatagramBytes(to.family);
  if (lengthBytes <= most) return;
  throw new NetError('MESSAGE_TOO_LONG', {
    phase: Phase.Transfer,
    detail: `a datagram over IPv${to.family} carries at most ${most} bytes, got ${lengthBytes}`,
    address: to.toString(),
    port,
  });
}

function leadsTo(
  route: Route,
  family: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  zone: number,
): boolean {
  const to = route.destination;
  if (to.zone !== zone) return false;
  return to.w3 === w3 && to.family === family && to.w0 === w0 && to.w1 === w1 && to.w2 === w2;
}

const ICMP_DETAILS: Readonly<Record<IcmpErrorKind, string>> = {
  [IcmpErrorKind.UnreachableNet]: 'a router reports that it knows no way to the network',
  [IcmpErrorKind.UnreachableHost]: 'a router reports that the host does not answer',
  [IcmpErrorKind.UnreachableProtocol]: 'the peer reports that it does not speak UDP',
  [IcmpErrorKind.UnreachablePort]: 'the peer reports that nothing listens on its port',
  [IcmpErrorKind.TooBig]: 'a router reports that the datagram is too long for the path',
  [IcmpErrorKind.TimeExceeded]: 'a router reports that the datagram was under way for too many hops',
  [IcmpErrorKind.ParameterProblem]: 'the datagram was refused for its IP header',
  [IcmpErrorKind.AdminProhibited]: 'a filter on the way refuses the datagram',
};

function errorCodeOfIcmp(kind: IcmpErrorKind): ErrorCode {
  switch (kind) {
    // RFC 1122 §4.2.3.9 names the hard errors; port and protocol unreachable both mean that nobody is there.
    case IcmpErrorKind.UnreachablePort:
    case IcmpErrorKind.UnreachableProtocol:
      return 'CONNECT_REFUSED';
    case IcmpErrorKind.UnreachableNet:
      return 'NETWORK_UNREACHABLE';
    default:
      return 'HOST_UNREACHABLE';
  }
}
