import type { Route, RxPacket, StackContext, Transmitter } from '../context.ts';
import { Endpoint, EndpointEvent } from '../endpoint.ts';
import { type ErrorCode, NetError, Phase } from '../errors.ts';
import type { Ring } from '../ring.ts';
import { DatagramHeader, peekDatagram, pushReceived, shiftDatagram } from '../udp/datagram-ring.ts';
import { foldChecksum, sumPseudoHeader, sumSlab } from '../wire/checksum.ts';
import { IpAddress } from '../wire/ip-address.ts';
import {
  IP_MAX_PACKET_BYTES,
  IPV4_HEADER_BYTES,
  IpProtocol,
  Ipv4,
  ipVersion,
  ipv4HeaderBytes,
} from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES, Ipv6, ipv6PayloadLength } from '../wire/ipv6.ts';
import type { Slab } from '../wire/slab.ts';
import type { RawLayer } from './raw-layer.ts';

/** Packets that a socket without rings keeps while the device is full; more are dropped and counted. */
export const MAX_PENDING_PACKETS = 16;

/** Takes a socket's packets as they arrive, instead of a receive ring. */
export interface RawReceiver {
  /** The bytes are valid during the call only: what {@link RawSocket.wholePackets} says. */
  packet(socket: RawSocket, slab: Slab, off: number, lengthBytes: number, from: IpAddress): void;
}

/** How a raw socket is opened. */
export interface RawOptions {
  /** IP protocol number, 0 … 255. */
  readonly protocol: number;
  /** Receives and sends only as this address of ours. Default null: any. */
  readonly local?: IpAddress | null;
  /**
   * false: payloads, and the stack makes the IP header. true: whole packets in both directions, with headers of one's own; of an IPv4 header the
   * total length and the checksum are filled in, and the source when it is 0.0.0.0. Default false.
   */
  readonly wholePackets?: boolean;
  /** Sending to broadcast addresses is allowed. Default false. */
  readonly broadcast?: boolean;
  /** Default 64, and 1 for multicast. */
  readonly ttl?: number;
  /** TOS or traffic class octet. Default 0. */
  readonly trafficClass?: number;
  /**
   * Where over IPv6 a checksum with the pseudo-header goes in the payload, an even number (RFC 3542 §3.1); -1: none. ICMPv6 always has its
   * own, at 2. Default -1.
   */
  readonly checksumOffset?: number;
  readonly receiver?: RawReceiver | null;
  /** See `Endpoint.owner`. */
  readonly owner?: number;
}

interface PendingPacket {
  readonly bytes: Uint8Array;
  readonly to: IpAddress | null;
}

/** RFC 4443 §2.1 */
const ICMPV6_CHECKSUM_OFFSET = 2;

/**
 * A socket for packets of any IP protocol, as SOCK_RAW elsewhere: it gets a copy of each that is addressed to us, also of those that the stack
 * takes itself, reassembled, before any checksum but that of the IP header was looked at. Records lie in `sendRing` and `recvRing` as those of UDP
 * (datagram-ring.ts), with port 0.
 */
export class RawSocket extends Endpoint implements Transmitter {
  nextToTransmit: Transmitter | null = null;
  waitsToTransmit = false;
  sendRing: Ring | null = null;
  recvRing: Ring | null = null;
  readonly protocol: number;
  readonly local: IpAddress | null;
  readonly wholePackets: boolean;
  readonly broadcast: boolean;
  readonly receiver: RawReceiver | null;
  /** What went wrong with a packet sent; null: nothing. Signalled as Readable. */
  pendingError: ErrorCode | null = null;
  /** What is known about it, in words. */
  pendingDetail = '';
  closed = false;
  readonly #layer: RawLayer;
  readonly #context: StackContext;
  readonly #ttl: number;
  readonly #trafficClass: number;
  readonly #checksumOffset: number;
  #route: Route | null = null;
  readonly #record: DatagramHeader = new DatagramHeader();
  readonly #pending: PendingPacket[] = [];

  /** Made by {@link RawLayer.open}. */
  constructor(layer: RawLayer, context: StackContext, options: RawOptions) {
    super(context);
    this.#layer = layer;
    this.#context = context;
    this.protocol = options.protocol;
    this.local = options.local ?? null;
    this.wholePackets = options.wholePackets ?? false;
    this.broadcast = options.broadcast ?? false;
    this.receiver = options.receiver ?? null;
    this.#ttl = options.ttl ?? 0;
    this.#trafficClass = options.trafficClass ?? 0;
    this.#checksumOffset =
      options.protocol === IpProtocol.Icmpv6 ? ICMPV6_CHECKSUM_OFFSET : (options.checksumOffset ?? -1);
  }

  /**
   * Sends one packet now, or when the device can take it.
   * @param to null with `wholePackets`: the header's destination
   * @throws NetError ARGUMENT_INVALID (no packet with a header of its own), MESSAGE_TOO_LONG, ACCESS_DENIED (broadcast), NETWORK_UNREACHABLE,
   *   ADDRESS_NOT_AVAILABLE, SHUT_DOWN
   */
  sendTo(bytes: Uint8Array, to: IpAddress | null): void {
    if (this.#pending.length === 0) {
      const slab = this.#fill(bytes.length);
      slab.bytes.set(bytes, 0);
      if (this.#send(slab, bytes.length, to)) return;
    }
    if (this.#pending.length >= MAX_PENDING_PACKETS) {
      this.#layer.counters.dropSendQueueFull++;
      return;
    }
    this.#pending.push({ bytes: bytes.slice(), to });
    this.#context.wantsToTransmit(this);
  }

  /** The application has put records into `sendRing`. */
  appWrote(): void {
    if (!this.closed) this.#context.wantsToTransmit(this);
  }

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
    this.#layer.forget(this);
    this.signal(EndpointEvent.Closed);
  }

  transmit(): boolean {
    if (this.closed) return true;
    return this.#transmitPending() && this.#transmitRing();
  }

  /** Takes a copy of a packet of its protocol. */
  deliver(rx: RxPacket): void {
    const { counters } = this.#layer;
    const off = this.wholePackets ? rx.ipOff : rx.off;
    const len = this.wholePackets ? rx.ipLen : rx.len;
    if (this.receiver !== null) {
      counters.delivered++;
      this.receiver.packet(this, rx.slab, off, len, rx.sender);
      return;
    }
    const ring = this.recvRing;
    if (ring === null || !pushReceived(ring, rx, 0, off, len)) {
      counters.dropReceiveRingFull++;
      return;
    }
    counters.delivered++;
    this.signal(EndpointEvent.Readable);
  }

  #transmitPending(): boolean {
    for (;;) {
      const first = this.#pending[0];
      if (first === undefined) return true;
      try {
        const slab = this.#fill(first.bytes.length);
        slab.bytes.set(first.bytes, 0);
        if (!this.#send(slab, first.bytes.length, first.to)) return false;
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
      try {
        const { family, w0, w1, w2, w3, lengthBytes } = record;
        const slab = this.#fill(lengthBytes);
        ring.copyOut(record.position, slab.bytes, 0, lengthBytes);
        const to = family !== 4 && family !== 6 ? null : new IpAddress(family, w0, w1, w2, w3);
        if (!this.#send(slab, lengthBytes, to)) return false;
      } catch (error) {
        this.#sendFailed(error);
      }
      shiftDatagram(ring, record);
      this.signal(EndpointEvent.Writable);
    }
    return true;
  }

  /** A packet that cannot be sent is dropped, and the reason is left for the application. */
  #sendFailed(error: unknown): void {
    if (!(error instanceof NetError)) throw error;
    this.#layer.counters.dropSendFailed++;
    this.pendingError = error.tunwireCode;
    this.pendingDetail = error.detail;
    this.signal(EndpointEvent.Readable);
  }

  /** Where a packet of `lengthBytes` bytes is put together. */
  #fill(lengthBytes: number): Slab {
    if (lengthBytes > IP_MAX_PACKET_BYTES + IPV6_HEADER_BYTES)
      throw tooLong(lengthBytes, IP_MAX_PACKET_BYTES);
    return this.#layer.scratch;
  }

  #send(slab: Slab, lengthBytes: number, to: IpAddress | null): boolean {
    const sent = this.wholePackets
      ? this.#sendWhole(slab, lengthBytes)
      : this.#sendPayload(slab, lengthBytes, to);
    if (sent) this.#layer.counters.sent++;
    return sent;
  }

  #sendPayload(slab: Slab, lengthBytes: number, to: IpAddress | null): boolean {
    if (to === null) throw invalid('the packet names no destination');
    const route = this.#wayTo(to);
    const most = to.family === 4 ? IP_MAX_PACKET_BYTES - IPV4_HEADER_BYTES : IP_MAX_PACKET_BYTES;
    if (lengthBytes > most) throw tooLong(lengthBytes, most);
    const at = this.#checksumOffset;
    if (to.family === 6 && at >= 0) {
      if (lengthBytes < at + 2)
        throw invalid(`a packet with a checksum at ${at} has ${at + 2} bytes at least, got ${lengthBytes}`);
      slab.view.setUint16(at, 0);
      const pseudo = sumPseudoHeader(route.source, to, this.protocol, lengthBytes);
      slab.view.setUint16(at, foldChecksum(sumSlab(slab, 0, lengthBytes, pseudo)));
    }
    const { ip, tx } = this.#context;
    ip.begin(route, 0);
    tx.body = slab;
    tx.bodyOff = 0;
    tx.bodyLen = lengthBytes;
    const ttl = this.#ttl > 0 ? this.#ttl : to.isMulticast ? 1 : 0;
    return ip.finish(route, this.protocol, -1, this.#trafficClass, ttl);
  }

  #sendWhole(slab: Slab, lengthBytes: number): boolean {
    const { view } = slab;
    const version = lengthBytes >= IPV4_HEADER_BYTES ? ipVersion(view, 0) : 0;
    const isV4 =
      version === 4 &&
      ipv4HeaderBytes(view, 0) >= IPV4_HEADER_BYTES &&
      ipv4HeaderBytes(view, 0) <= lengthBytes;
    const isV6 =
      version === 6 &&
      lengthBytes >= IPV6_HEADER_BYTES &&
      ipv6PayloadLength(view, 0) === lengthBytes - IPV6_HEADER_BYTES;
    if (!isV4 && !isV6)
      throw invalid(`expected an IPv4 or IPv6 packet with its header, got ${lengthBytes} other bytes`);
    const to = isV4 ? IpAddress.read(view, Ipv4.Destination, 4) : IpAddress.read(view, Ipv6.Destination, 6);
    const route = this.#wayTo(to);
    if (lengthBytes > route.pathMtuBytes) throw tooLong(lengthBytes, route.pathMtuBytes);
    if (isV4) {
      // as ip(7) does with IP_HDRINCL
      if (view.getUint32(Ipv4.Source) === 0) view.setInt32(Ipv4.Source, route.source.w3);
      view.setUint16(Ipv4.TotalLength, lengthBytes);
      view.setUint16(Ipv4.Checksum, 0);
      view.setUint16(Ipv4.Checksum, foldChecksum(sumSlab(slab, 0, ipv4HeaderBytes(view, 0), 0)));
    }
    return this.#context.ip.sendWhole(route, slab, lengthBytes);
  }

  #wayTo(to: IpAddress): Route {
    if (this.closed)
      throw new NetError('SHUT_DOWN', { phase: Phase.Transfer, detail: 'the socket is closed' });
    let route = this.#route;
    const isKnown = route?.destination.equals(to) === true && route.destination.zone === to.zone;
    if (route === null || route.isStale || !isKnown) {
      route = this.#context.ip.route(to, this.local);
      this.#route = route;
    }
    if (this.broadcast || to.family === 6 || !route.iface.isBroadcast(to.w3)) return route;
    throw new NetError('ACCESS_DENIED', {
      phase: Phase.Argument,
      detail: `${to} is a broadcast address, and the socket is not open for broadcast`,
      address: to.toString(),
    });
  }
}

function tooLong(lengthBytes: number, most: number): NetError {
  return new NetError('MESSAGE_TOO_LONG', {
    phase: Phase.Transfer,
    detail: `at most ${most} bytes, got ${lengthBytes}`,
  });
}

function invalid(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
