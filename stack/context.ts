import type { Counters } from './counters.ts';
import type { EventQueue } from './endpoint.ts';
import type { Identification } from './ip/identification.ts';
import type { Interface } from './ip/interface.ts';
import type { RawSocket } from './ip/raw-socket.ts';
import type { TxPacket } from './link.ts';
import type { LocalPorts } from './local-ports.ts';
import type { RandomSource } from './random.ts';
import type { Ring } from './ring.ts';
import type { TcpConnection } from './tcp/connection.ts';
import type { TimerQueue } from './timers.ts';
import type { UdpSocket } from './udp/udp-socket.ts';
import { IpAddress } from './wire/ip-address.ts';
import type { Slab } from './wire/slab.ts';

/** What the layers of one stack share. The stack implements it and hands it to each layer. */
export interface StackContext extends EventQueue {
  /** Milliseconds of the injected monotonic clock; set at every entry into the stack. */
  readonly now: number;
  readonly random: RandomSource;
  /** Those that are chosen here. */
  readonly ports: LocalPorts;
  /** Four words that keyed hashes are made with. Drawn once, before anything else. */
  readonly secret: Int32Array;
  readonly counters: Counters;
  readonly timers: TimerQueue;
  readonly rings: RingSource;
  readonly ip: IpOutput;
  /** The one outgoing packet; see `IpOutput.begin`. */
  readonly tx: TxPacket;
  /** Puts a source of packets on the list that `Stack.transmit` works off; at most once. */
  wantsToTransmit(source: Transmitter): void;
}

/** Something that has packets to send when the device can take them. Kept in one singly linked list. */
export interface Transmitter {
  nextToTransmit: Transmitter | null;
  waitsToTransmit: boolean;
  /** Sends what it can. @returns false when the device was full: it stays on the list */
  transmit(): boolean;
}

/** Whatever has records in rings that stay as they are. */
export type DatagramEndpoint = UdpSocket | RawSocket;

/**
 * Where connections and UDP sockets get the memory for their data. The engine takes it from shared memory, tests from
 * the heap.
 */
export interface RingSource {
  /**
   * Admits an endpoint: sets `sendRing` and `recvRing`, or leaves those of a connection null when they are `elastic`.
   * @returns false when there is no memory: the connection is refused, and counted
   */
  open(endpoint: TcpConnection | DatagramEndpoint): boolean;
  /** The endpoint will not touch its rings again. */
  close(endpoint: TcpConnection | DatagramEndpoint): void;
  /** Memory for connections while data flows; null: their rings are as `open` made them, for good. */
  readonly elastic: ElasticRings | null;
}

/**
 * Rings that come when data flows, grow with it, and go. The application may be at work on the other end of a ring at the same
 * time: what cannot be done because of that is refused, and tried again later. Capacities are powers of two.
 */
export interface ElasticRings {
  /** Memory is running out: nobody is promised more than the least, and nothing grows. */
  readonly isScarce: boolean;
  /** Called whenever memory has come back; whoever waits for some sets it. Nothing may be taken in the call. */
  onFreed: () => void;
  /**
   * Sets `recvRing`, or moves it to other memory with the `keepBytes` bytes from its tail on.
   * @returns false when there is no memory
   */
  resizeReceive(connection: TcpConnection, capacityBytes: number, keepBytes: number): boolean;
  /**
   * Sets `sendRing` of a connection that has none; to the one that the application has taken by itself meanwhile, if it has.
   * @returns false when there is no memory
   */
  giveSend(connection: TcpConnection, capacityBytes: number): boolean;
  /**
   * Moves the send ring to other memory with what is in it.
   * @returns false when there is no memory, or the application is writing
   */
  resizeSend(connection: TcpConnection, capacityBytes: number): boolean;
  /** Sets `sendRing` to the one that the application has taken by itself. @returns false when it has not */
  attachSend(connection: TcpConnection): boolean;
  /** Takes the receive ring back, which is empty, and sets it null. */
  dropReceive(connection: TcpConnection): void;
  /** Takes the send ring back and sets it null. @returns false when it is not empty, or the application is writing */
  dropSend(connection: TcpConnection): boolean;
  /** `recvBufferBytes` of the connection has changed. */
  receiveBufferChanged(connection: TcpConnection): void;
}

/** Heap rings of a given size each: for tests and for stacks without an engine. */
export interface RingPair {
  sendRing: Ring;
  recvRing: Ring;
}

/**
 * How to reach a destination. Made once per connection; `pathMtuBytes` changes with path MTU discovery and is read
 * for every packet.
 */
export interface Route {
  readonly iface: Interface;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** The gateway, or the destination itself when it is on the link. */
  readonly nextHop: IpAddress;
  /** Largest IP packet the path takes, at most the interface's MTU. */
  pathMtuBytes: number;
  /** The interface has been configured anew since: whoever is free to choose asks for the way again. */
  readonly isStale: boolean;
  /** What flow labels are made with; 0 until the first one is (`FlowLabels`). */
  flowKey: number;
  /** When TCP last had an acknowledgment of something new by this way, in ms of the stack's clock (RFC 4861 §7.3.1). */
  progressAt: number;
  /** Numbers for what may come in fragments; null until something is sent that may. */
  identification: Identification | null;
}

/** The IP layer as TCP, UDP and ICMP see it when they send. */
export interface IpOutput {
  /**
   * Finds the way to `destination`. @param source a local address to keep, or null to have one chosen
   * @throws NetError NETWORK_UNREACHABLE, ADDRESS_NOT_AVAILABLE (phase route)
   */
  route(destination: IpAddress, source: IpAddress | null): Route;
  /** True when an interface of this stack has the address. */
  isOwnAddress(address: IpAddress): boolean;
  /**
   * Starts a packet in `context.tx`: resets it and leaves room for the IP header.
   * @returns the offset in `tx.head` where the transport header of `transportHeaderBytes` bytes is to be written
   */
  begin(route: Route, transportHeaderBytes: number): number;
  /**
   * Writes the IP header, completes or prepares the checksum (payload: `tx.body…`, set between begin and finish), sends.
   * @param protocol IP protocol number
   * @param csumOffset where the checksum field lies in the transport header; -1: the protocol has none, or it is written
   * @param trafficClass TOS / traffic class octet, ECN bits included
   * @param ttl hop limit; 0: that of the interface
   * @returns false when the device is full: nothing was sent
   */
  finish(route: Route, protocol: number, csumOffset: number, trafficClass: number, ttl: number): boolean;
  /**
   * Sends a whole IP packet as it is, that is not longer than the path takes.
   * @returns false when the device is full
   */
  sendWhole(route: Route, slab: Slab, lengthBytes: number): boolean;
  /**
   * Notes that the path takes packets of `mtuBytes` at most, for everybody who uses this route, for ten minutes. A
   * transport calls it for a TooBig about a packet that it did send (RFC 5927 §7), or when probes show it.
   * @returns false when the path MTU is not higher than that, or at its lower bound already: nothing changed
   */
  reducePathMtu(route: Route, mtuBytes: number): boolean;
  /**
   * From now on packets from `source` to `destination` go to `nextHop` first, if they go to `router` now. The way back to the routes: when
   * that neighbour does not answer, or an interface is configured anew.
   * @returns false when nothing goes that way, which makes the message a forgery, or late
   */
  redirect(
    iface: Interface,
    destination: IpAddress,
    source: IpAddress,
    router: IpAddress,
    nextHop: IpAddress,
  ): boolean;
}

/**
 * A received packet on its way up: one object per stack, filled by the IP layer for each packet, so that addresses and
 * offsets travel without allocation. Valid during the call only.
 */
export class RxPacket {
  slab: Slab;
  iface: Interface;
  family: 4 | 6 = 4;
  /** Offset of the IP header, and length of the IP packet (padding of the link cut off). */
  ipOff = 0;
  ipLen = 0;
  /** Offset and length of the transport header with its payload. */
  off = 0;
  len = 0;
  /** Addresses as words, see {@link IpAddress}. */
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  ttl = 0;
  trafficClass = 0;
  /** The transport checksum need not be verified. */
  checksumValid = false;
  /** Its field holds the pseudo-header sum only. */
  checksumPartial = false;
  /** The destination is not one of our unicast addresses (broadcast or multicast). */
  multicast = false;
  /** The frame went to a group of stations, or to all. */
  linkGroup = false;

  constructor(slab: Slab, iface: Interface) {
    this.slab = slab;
    this.iface = iface;
  }

  /** Where it came from; a link-local address with its zone. */
  get sender(): IpAddress {
    return new IpAddress(this.family, this.src0, this.src1, this.src2, this.src3, this.senderZone);
  }

  /** See {@link Interface.zone}; 0 for an address that is the same on all links. */
  get senderZone(): number {
    return this.zoneOf(this.src0);
  }

  /** The zone of an address on the link that the packet came by. @param w0 the address's first word */
  zoneOf(w0: number): number {
    // fe80::/10
    return this.family === 6 && w0 >>> 22 === 0x3fa ? this.iface.zone : 0;
  }
}

/** What an ICMP error reports, both versions mapped to one list. */
export const IcmpErrorKind = {
  UnreachableNet: 1,
  UnreachableHost: 2,
  UnreachableProtocol: 3,
  UnreachablePort: 4,
  /** Fragmentation needed (RFC 1191 §4), packet too big (RFC 4443 §3.2); `mtuBytes` is set. */
  TooBig: 5,
  TimeExceeded: 6,
  ParameterProblem: 7,
  AdminProhibited: 8,
} as const;
export type IcmpErrorKind = (typeof IcmpErrorKind)[keyof typeof IcmpErrorKind];

/**
 * A received ICMP error about a packet we sent, read from the quoted packet: one object per stack. Anybody can forge
 * one, so a transport acts only on what fits a connection (RFC 5927). Valid during the call only.
 */
export class IcmpError {
  /** The packet with the message, for what else it tells; null: there is none, nobody on the link answered. */
  message: RxPacket | null = null;
  kind: IcmpErrorKind = IcmpErrorKind.UnreachableNet;
  /** What the message says the path takes, for {@link IpOutput.reducePathMtu}; 0 unless `kind` is TooBig. */
  mtuBytes = 0;
  family: 4 | 6 = 4;
  /** IP protocol number of the quoted packet. */
  protocol = 0;
  /** Our address (the quoted packet's source) and the peer's, as words, see {@link IpAddress}. */
  local0 = 0;
  local1 = 0;
  local2 = 0;
  local3 = 0;
  remote0 = 0;
  remote1 = 0;
  remote2 = 0;
  remote3 = 0;
  /** The zone of the peer's address, see {@link RxPacket.senderZone}. */
  remoteZone = 0;
  /** Ports of the quoted packet; 0 for protocols without. */
  localPort = 0;
  remotePort = 0;
  /** Who sent the error: a router on the way, or the peer. */
  from0 = 0;
  from1 = 0;
  from2 = 0;
  from3 = 0;
  /** ICMP quoted: the type of the quoted message; -1 for other protocols. */
  icmpType = -1;
  /** The quoted bytes 4 … 7 of the transport header (TCP: the sequence number, int32); see `hasSeq`. */
  seq = 0;
  hasSeq = false;
}

/** A protocol above IP. */
export interface TransportHandler {
  /** Takes a packet addressed to us; `rx` is valid during the call only. */
  input(rx: RxPacket): void;
  /** Learns that a packet of this protocol did not arrive; `error` is valid during the call only. */
  icmpError(error: IcmpError): void;
}
