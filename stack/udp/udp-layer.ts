import {
  type IcmpError,
  type Route,
  RxPacket,
  type StackContext,
  type TransportHandler,
} from '../context.ts';
import { NetError, Phase } from '../errors.ts';
import type { FlowShare } from '../flow-share.ts';
import type { IcmpLayer } from '../ip/icmp.ts';
import { verifyTransportChecksum } from '../ip/transport-checksum.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { IP_MAX_PACKET_BYTES, IpProtocol } from '../wire/ipv4.ts';
import { copySlab, Slab } from '../wire/slab.ts';
import { UDP_HEADER_BYTES, Udp, udpLength, writeUdpHeader } from '../wire/udp.ts';
import { type DatagramReceiver, UdpSocket } from './udp-socket.ts';

/** Sockets open at one time. */
export const MAX_UDP_SOCKETS = 65_536;

/** What UDP received, sent and dropped. */
export class UdpCounters {
  received = 0;
  delivered = 0;
  sent = 0;
  /** Datagrams to groups that members on this stack got too. */
  loopedBack = 0;
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
  /** Hop limit, 1 … 255; default 64. Of datagrams to groups: default 1. */
  readonly ttl?: number;
  /** Others may have the same address and port, if they allow it too: each gets what is for a group. Default false. */
  readonly reuseAddress?: boolean;
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
  /** Which local ports are this stack's; null: all. */
  share: FlowShare | null = null;
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
    const reuse = options.reuseAddress === true;
    if (!this.#isFree(local, port, reuse)) {
      throw new NetError('ADDRESS_IN_USE', {
        phase: Phase.Connect,
        detail: `UDP ${local ?? '*'} port ${port}`,
        port,
        ...(local === null ? {} : { address: local.toString() }),
      });
    }
    const ttl = options.ttl ?? 0;
    const receiver = options.receiver ?? null;
    const { trafficClass = 0 } = options;
    const socket = new UdpSocket(this, local, port, broadcast, ttl, trafficClass, reuse, receiver);
    if (options.ttl !== undefined) socket.multicast.ttl = options.ttl;
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
        if (remote.zone !== error.remoteZone && remote.zone !== 0) continue;
      }
      socket.icmpError(error);
      return;
    }
    this.counters.icmpNoSocket++;
  }

  /**
   * Sends one datagram in up to two pieces, or several in one piece.
   * @param eachBytes length of each of several, of which the last may be shorter; 0: it is one
   * @returns false when the device was full
   */
  send(
    socket: UdpSocket,
    route: Route,
    port: number,
    body: Slab,
    off: number,
    len: number,
    off2: number,
    len2: number,
    eachBytes = 0,
  ): boolean {
    const { ip, tx } = this.context;
    const at = ip.begin(route, UDP_HEADER_BYTES);
    writeUdpHeader(tx.head.view, at, socket.localPort, port, UDP_HEADER_BYTES + len + len2);
    tx.body = body;
    tx.bodyOff = off;
    tx.bodyLen = len;
    tx.body2Off = off2;
    tx.body2Len = len2;
    tx.gsoBytes = eachBytes;
    const { multicast, trafficClass } = socket;
    const toGroup = route.destination.isMulticast;
    const ttl = toGroup ? multicast.ttl : socket.ttl;
    // RFC 1112 §6.1: with a TTL of 0 it does not leave the host
    if ((ttl > 0 || !toGroup) && !ip.finish(route, IpProtocol.Udp, Udp.Checksum, trafficClass, ttl))
      return false;
    this.counters.sent += eachBytes === 0 ? 1 : Math.ceil(len / eachBytes);
    if (toGroup && multicast.loop) this.#loopBack(route, socket, port, body, off, len, off2, len2);
    return true;
  }

  /** RFC 1112 §6.1: members on this stack get a datagram for their group too. */
  #loopBack(
    route: Route,
    socket: UdpSocket,
    port: number,
    body: Slab,
    off: number,
    len: number,
    off2: number,
    len2: number,
  ): void {
    const { source, destination, iface } = route;
    const { family, w0, w1, w2, w3 } = destination;
    if (!this.#ports.has(port) || !iface.isMember(family, w0, w1, w2, w3)) return;
    const slab = Slab.alloc(UDP_HEADER_BYTES + len + len2);
    copySlab(body, off, slab, UDP_HEADER_BYTES, len);
    copySlab(body, off2, slab, UDP_HEADER_BYTES + len, len2);
    const rx = new RxPacket(slab, iface);
    rx.family = family;
    rx.len = slab.lengthBytes;
    rx.src0 = source.w0;
    rx.src1 = source.w1;
    rx.src2 = source.w2;
    rx.src3 = source.w3;
    rx.dst0 = w0;
    rx.dst1 = w1;
    rx.dst2 = w2;
    rx.dst3 = w3;
    rx.multicast = true;
    this.counters.loopedBack++;
    this.#deliverToAll(rx, port, socket.localPort);
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

  /**
   * RFC 1122 §4.1.3.1 is silent on how many; as elsewhere, each socket for all addresses gets broadcasts, and what is for all hosts of the
   * link. What is for another group goes to those who have joined it.
   */
  #deliverToAll(rx: RxPacket, toPort: number, fromPort: number): void {
    let taken = 0;
    rx.off += UDP_HEADER_BYTES;
    rx.len -= UDP_HEADER_BYTES;
    const { off, len } = rx;
    const isForMembers = isOtherGroup(rx);
    let socket = this.#ports.get(toPort) ?? null;
    while (socket !== null) {
      // A receiver may close its socket.
      const next: UdpSocket | null = socket.nextOnPort;
      const isMeant = isForMembers ? socket.multicast.wants(rx) : socket.local === null;
      if (!socket.closed && isMeant && isFrom(socket, rx, fromPort)) {
        rx.off = off;
        rx.len = len;
        socket.deliver(rx, fromPort);
        taken++;
      }
      socket = next;
    }
    if (taken === 0) this.counters.dropNoPort++;
  }

  /** RFC 6056 §3.3.1: a random start, then the next free one. */
  #ephemeralPort(local: IpAddress | null): number {
    const { ports, random } = this.context;
    const start = random.uint32();
    for (let i = 0; i < ports.udp.count; i++) {
      const port = ports.udp.at(start + i);
      if (ports.isReserved(port)) continue;
      if (this.share?.ownsUdp(port) !== false && this.#isFree(local, port, false)) return port;
    }
    throw new NetError('ADDRESS_NOT_AVAILABLE', {
      phase: Phase.Connect,
      detail: `all UDP ports ${ports.udp} are in use`,
    });
  }

  #isFree(local: IpAddress | null, port: number, reuse: boolean): boolean {
    for (let socket = this.#ports.get(port) ?? null; socket !== null; socket = socket.nextOnPort) {
      if (reuse && socket.reuseAddress) continue;
      if (local === null || socket.local === null || socket.local.equals(local)) return false;
    }
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
    if (!isFrom(socket, rx, fromPort)) return -1;
    score += 2;
  }
  return score;
}

/** False for what comes from another than the connected peer. */
function isFrom({ remote, remotePort }: UdpSocket, rx: RxPacket, fromPort: number): boolean {
  if (remote === null) return true;
  if (remotePort !== fromPort || remote.family !== rx.family || remote.w3 !== rx.src3) return false;
  // RFC 4007 §6: the same address on another link is another host
  if (remote.zone !== 0 && remote.zone !== rx.senderZone) return false;
  return remote.w0 === rx.src0 && remote.w1 === rx.src1 && remote.w2 === rx.src2;
}

/** True for multicast groups that an interface does not belong to by itself: to all hosts, and to those of its own addresses. */
function isOtherGroup({ family, dst0, dst1, dst2, dst3 }: RxPacket): boolean {
  if (family === 4) return dst3 >>> 28 === 14 && dst3 !== (0xe0000001 | 0);
  if ((dst0 !== (0xff010000 | 0) && dst0 !== (0xff020000 | 0)) || dst1 !== 0) return dst0 >>> 24 === 0xff;
  return !(dst2 === 0 && dst3 === 1) && !(dst2 === 1 && dst3 >>> 24 === 0xff);
}
