import type { IcmpError, Route, RxPacket, StackContext, TransportHandler } from '../context.ts';
import { NetError, Phase } from '../errors.ts';
import { DEFAULT_TTL, type IcmpLayer } from '../ip/icmp.ts';
import { verifyTransportChecksum } from '../ip/transport-checksum.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { IP_MAX_PACKET_BYTES, IpProtocol } from '../wire/ipv4.ts';
import { Slab } from '../wire/slab.ts';
import { UDP_HEADER_BYTES, Udp, udpLength, writeUdpHeader } from '../wire/udp.ts';
import { type DatagramReceiver, UdpSocket } from './udp-socket.ts';

/** RFC 6335 §6: the dynamic ports. */
export const EPHEMERAL_FIRST_PORT = 49_152;
export const EPHEMERAL_LAST_PORT = 65_535;
/** Sockets open at one time. */
export const MAX_UDP_SOCKETS = 65_536;

/** What UDP received, sent and dropped. */
export class UdpCounters {
  received = 0;
  delivered = 0;
  sent = 0;
  opened = 0;
  closed = 0;
  icmpErrors = 0;
  /** ICMP errors about sockets without a peer, or about no socket: not delivered. */
  icmpUnconnected = 0;
  icmpNoSocket = 0;
  dropTruncated = 0;
  dropLength = 0;
  dropChecksum = 0;
  /** RFC 8200 §8.1: over IPv6 the checksum is not optional. */
  dropNoChecksum = 0;
  dropNoPort = 0;
  dropReceiveRingFull = 0;
  dropSendQueueFull = 0;
  dropSendFailed = 0;
}

/** How to open a UDP socket. */
export interface UdpOptions {
  /** An address of ours; null: all of them. */
  readonly local: IpAddress | null;
  /** 0: an unused port that cannot be guessed. */
  readonly localPort: number;
  /** The peer; null: none, datagrams come from and go to anybody. */
  readonly remote: IpAddress | null;
  readonly remotePort: number;
  /** Sending to broadcast addresses is allowed. */
  readonly broadcast: boolean;
  /** Hop limit, 1 … 255; default 64, and 1 for multicast. */
  readonly ttl?: number;
  readonly trafficClass?: number;
  /** Set: takes the datagrams, and the socket has no rings. */
  readonly receiver?: DatagramReceiver | null;
  /** The application's mark, set before the socket asks for its rings; default -1. */
  readonly owner?: number;
}

/** UDP (RFC 768, RFC 1122 §4.1, RFC 8085): finds the socket for a datagram, and a port for a socket. */
export class UdpLayer implements TransportHandler {
  readonly context: StackContext;
  readonly counters: UdpCounters;
  readonly #icmp: IcmpLayer;
  readonly #ports = new Map<number, UdpSocket>();
  #socketCount = 0;
  #scratch: Slab | null = null;

  constructor(context: StackContext, icmp: IcmpLayer) {
    this.context = context;
    this.#icmp = icmp;
    this.counters = context.counters.group('udp', new UdpCounters());
  }

  /** Open sockets now. */
  get socketCount(): number {
    return this.#socketCount;
  }

  /** Where datagrams wait for their headers that do not come from a ring. */
  get scratch(): Slab {
    this.#scratch ??= Slab.alloc(IP_MAX_PACKET_BYTES);
    return this.#scratch;
  }

  /**
   * Opens a socket.
   * @throws NetError ADDRESS_IN_USE, ADDRESS_NOT_AVAILABLE (no such local address, or no port is free), ACCESS_DENIED
   *   (broadcast peer without the option), NETWORK_UNREACHABLE, PORT_INVALID, NO_BUFFERS
   */
  open(options: UdpOptions): UdpSocket {
    const { local, localPort, remote, remotePort, broadcast } = options;
    if (!Number.isInteger(localPort) || localPort < 0 || localPort > 65_535)
      throw new NetError('PORT_INVALID', { phase: Phase.Argument, detail: `got local port ${localPort}` });
    if (local !== null && !this.context.ip.isOwnAddress(local)) {
      throw new NetError('ADDRESS_NOT_AVAILABLE', {
        phase: Phase.Route,
        detail: `${local} is not an address of this stack`,
        address: local.toString(),
      });
    }
    if (this.#socketCount >= MAX_UDP_SOCKETS)
      throw new NetError('NO_BUFFERS', {
        phase: Phase.Connect,
        detail: `${MAX_UDP_SOCKETS} UDP sockets are open`,
      });
    const port = localPort === 0 ? this.#ephemeralPort(local) : localPort;
    if (!this.#isFree(local, port)) {
      throw new NetError('ADDRESS_IN_USE', {
        phase: Phase.Connect,
        detail: `UDP ${local ?? '*'} port ${port}`,
        port,
        ...(local === null ? {} : { address: local.toString() }),
      });
    }
    const ttl = options.ttl ?? (remote?.isMulticast ? 1 : DEFAULT_TTL);
    const receiver = options.receiver ?? null;
    const socket = new UdpSocket(this, local, port, broadcast, ttl, options.trafficClass ?? 0, receiver);
    socket.owner = options.owner ?? -1;
    if (remote !== null) socket.connect(remote, remotePort);
    if (receiver === null && !this.context.rings.open(socket))
      throw new NetError('NO_BUFFERS', {
        phase: Phase.Connect,
        detail: 'no memory for the rings of a socket',
      });
    socket.nextOnPort = this.#ports.get(port) ?? null;
    this.#ports.set(port, socket);
    this.#socketCount++;
    this.counters.opened++;
    return socket;
  }

  input(rx: RxPacket): void {
    const { counters } = this;
    counters.received++;
    if (rx.len < UDP_HEADER_BYTES) {
      counters.dropTruncated++;
      return;
    }
    const { view } = rx.slab;
    const length = udpLength(view, rx.off);
    if (length < UDP_HEADER_BYTES || length > rx.len) {
      counters.dropLength++;
      return;
    }
    // What lies behind the datagram in its packet does not belong to it (RFC 768; RFC 9868 would call it options).
    rx.len = length;
    if (!rx.checksumValid) {
      if (view.getUint16(rx.off + Udp.Checksum) === 0) {
        // RFC 768: the sender made none; RFC 8200 §8.1: over IPv6 it must
        if (rx.family === 6) {
          counters.dropNoChecksum++;
          return;
        }
      } else if (!verifyTransportChecksum(rx, IpProtocol.Udp)) {
        counters.dropChecksum++;
        return;
      }
    }
    const fromPort = view.getUint16(rx.off + Udp.SourcePort);
    const toPort = view.getUint16(rx.off + Udp.DestinationPort);
    if (rx.multicast) {
      this.#deliverToAll(rx, toPort, fromPort);
      return;
    }
    const socket = this.#find(rx, toPort, fromPort);
    if (socket === null) {
      counters.dropNoPort++;
      this.#icmp.sendPortUnreachable(rx);
      return;
    }
    rx.off += UDP_HEADER_BYTES;
    rx.len -= UDP_HEADER_BYTES;
    socket.deliver(rx, fromPort);
  }

  icmpError(error: IcmpError): void {
    this.counters.icmpErrors++;
    const { family, remote0, remote1, remote2, remote3, remotePort, local3 } = error;
    for (let socket = this.#ports.get(error.localPort) ?? null; socket !== null; socket = socket.nextOnPort) {
      const { local, remote } = socket;
      if (local !== null && (local.w3 !== local3 || local.family !== family)) continue;
      if (remote !== null) {
        const { w0, w1, w2, w3 } = remote;
        if (socket.remotePort !== remotePort || remote.family !== family) continue;
        if (w3 !== remote3 || w2 !== remote2 || w1 !== remote1 || w0 !== remote0) continue;
      }
      socket.icmpError(error);
      return;
    }
    this.counters.icmpNoSocket++;
  }

  /** Sends one datagram in up to two pieces. @returns false when the device was full */
  send(
    socket: UdpSocket,
    route: Route,
    port: number,
    body: Slab,
    off: number,
    len: number,
    off2: number,
    len2: number,
  ): boolean {
    const { ip, tx } = this.context;
    const at = ip.begin(route, UDP_HEADER_BYTES);
    writeUdpHeader(tx.head.view, at, socket.localPort, port, UDP_HEADER_BYTES + len + len2);
    tx.body = body;
    tx.bodyOff = off;
    tx.bodyLen = len;
    tx.body2Off = off2;
    tx.body2Len = len2;
    if (!ip.finish(route, IpProtocol.Udp, Udp.Checksum, socket.trafficClass, socket.ttl)) return false;
    this.counters.sent++;
    return true;
  }

  /** Takes a closed socket out of the table and gives its rings back. */
  forget(socket: UdpSocket): void {
    const first = this.#ports.get(socket.localPort);
    if (first === socket) {
      if (socket.nextOnPort === null) this.#ports.delete(socket.localPort);
      else this.#ports.set(socket.localPort, socket.nextOnPort);
    } else {
      for (let at = first ?? null; at !== null; at = at.nextOnPort) {
        if (at.nextOnPort !== socket) continue;
        at.nextOnPort = socket.nextOnPort;
        break;
      }
    }
    socket.nextOnPort = null;
    this.#socketCount--;
    this.counters.closed++;
    if (socket.receiver === null) this.context.rings.close(socket);
  }

  /** The socket that fits best: one with this peer, then one bound to this address, then one for all addresses. */
  #find(rx: RxPacket, toPort: number, fromPort: number): UdpSocket | null {
    let best: UdpSocket | null = null;
    let bestScore = -1;
    for (let socket = this.#ports.get(toPort) ?? null; socket !== null; socket = socket.nextOnPort) {
      const score = scoreOf(socket, rx, fromPort);
      if (score > bestScore) {
        best = socket;
        bestScore = score;
      }
    }
    return best;
  }

  /** RFC 1122 §4.1.3.1 is silent on how many; as elsewhere, each socket for all addresses gets broadcasts and multicasts. */
  #deliverToAll(rx: RxPacket, toPort: number, fromPort: number): void {
    let taken = 0;
    rx.off += UDP_HEADER_BYTES;
    rx.len -= UDP_HEADER_BYTES;
    let socket = this.#ports.get(toPort) ?? null;
    while (socket !== null) {
      // A receiver may close its socket.
      const next: UdpSocket | null = socket.nextOnPort;
      if (!socket.closed && socket.local === null && scoreOf(socket, rx, fromPort) >= 0) {
        socket.deliver(rx, fromPort);
        taken++;
      }
      socket = next;
    }
    if (taken === 0) this.counters.dropNoPort++;
  }

  /** RFC 6056 §3.3.1: a random start, then the next free one. */
  #ephemeralPort(local: IpAddress | null): number {
    const count = EPHEMERAL_LAST_PORT - EPHEMERAL_FIRST_PORT + 1;
    const start = this.context.random.uint32() % count;
    for (let i = 0; i < count; i++) {
      const port = EPHEMERAL_FIRST_PORT + ((start + i) % count);
      if (this.#isFree(local, port)) return port;
    }
    throw new NetError('ADDRESS_NOT_AVAILABLE', {
      phase: Phase.Connect,
      detail: `all UDP ports ${EPHEMERAL_FIRST_PORT} to ${EPHEMERAL_LAST_PORT} are in use`,
    });
  }

  #isFree(local: IpAddress | null, port: number): boolean {
    for (let socket = this.#ports.get(port) ?? null; socket !== null; socket = socket.nextOnPort)
      if (local === null || socket.local === null || socket.local.equals(local)) return false;
    return true;
  }
}

function scoreOf(socket: UdpSocket, rx: RxPacket, fromPort: number): number {
  const { local, remote } = socket;
  let score = 0;
  if (local !== null) {
    if (local.w3 !== rx.dst3 || local.family !== rx.family) return -1;
    if (local.w0 !== rx.dst0 || local.w1 !== rx.dst1 || local.w2 !== rx.dst2) return -1;
    score = 1;
  }
  if (remote !== null) {
    if (socket.remotePort !== fromPort || remote.family !== rx.family || remote.w3 !== rx.src3) return -1;
    if (remote.w0 !== rx.src0 || remote.w1 !== rx.src1 || remote.w2 !== rx.src2) return -1;
    score += 2;
  }
  return score;
}
