import { IcmpError, IcmpErrorKind, RxPacket, type StackContext, type TransportHandler } from '../context.ts';
import { NetError } from '../errors.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import { copyBytes } from '../wire/copy.ts';
import {
  ICMP_HEADER_BYTES,
  Icmp,
  IcmpV4Type,
  IcmpV4Unreachable,
  IcmpV6Parameter,
  IcmpV6Type,
  IcmpV6Unreachable,
  isIcmpError,
  writeIcmpHeader,
} from '../wire/icmp.ts';
import { quoteEnd } from '../wire/icmp-extensions.ts';
import { IpAddress } from '../wire/ip-address.ts';
import {
  IPV4_HEADER_BYTES,
  IPV4_OFFSET_MASK,
  IpProtocol,
  Ipv4,
  ipVersion,
  ipv4HeaderBytes,
  ipv4TotalLength,
} from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES, IPV6_MIN_MTU_BYTES, Ipv6, Ipv6Fragment } from '../wire/ipv6.ts';
import { completePacket } from '../wire/partial-checksum.ts';
import { Slab } from '../wire/slab.ts';
import { ExtensionWalk, WalkResult } from './extension-headers.ts';
import type { Interface } from './interface.ts';
import { Ping, type PingOptions } from './ping.ts';
import { Probes } from './probes.ts';
import { followRedirectV4, followRedirectV6 } from './redirect.ts';
import { Trace, type TraceOptions } from './trace.ts';
import { verifyTransportChecksum } from './transport-checksum.ts';

/** RFC 4443 §2.4(f), RFC 1812 §4.3.2.8: error messages sent per second, and in one burst. */
export const ICMP_ERRORS_PER_SECOND = 100;
export const ICMP_ERROR_BURST = 50;
/** RFC 1812 §4.3.2.3: an ICMPv4 error quotes as much as fits in 576 bytes. */
export const ICMPV4_ERROR_BYTES = 576;

/** What ICMP received, sent and ignored, both versions together. */
export class IcmpCounters {
  received = 0;
  echoRequests = 0;
  echoRepliesSent = 0;
  echoReplies = 0;
  errorsReceived = 0;
  errorsDelivered = 0;
  errorsSent = 0;
  errorsRateLimited = 0;
  /** RFC 1122 §3.2.2, RFC 4443 §2.4(e): no error about this packet. */
  errorsSuppressed = 0;
  errorsUnroutable = 0;
  deviceFull = 0;
  dropTruncated = 0;
  dropChecksum = 0;
  dropEchoMulticast = 0;
  /** Replies to no echo request of ours, or late, or with other data. */
  dropEchoReplyUnexpected = 0;
  /** "Packet too big" with less than every IPv6 link carries. */
  dropMtuBelowMinimum = 0;
  dropQuoteTruncated = 0;
  dropQuoteNotOurs = 0;
  dropQuoteUnknownProtocol = 0;
  redirectsFollowed = 0;
  /** Redirects that are malformed, or not from the first hop of a way that is in use: anybody can forge them. */
  ignoredRedirect = 0;
  /** RFC 6633: source quench is ignored. */
  ignoredSourceQuench = 0;
  ignoredNeighborDiscovery = 0;
  ignoredOther = 0;
}

/** ICMP for both versions: answers echo requests, tells errors to transports, and sends errors about what we receive. */
export class IcmpLayer {
  readonly counters: IcmpCounters;
  readonly v4: TransportHandler;
  readonly v6: TransportHandler;
  /** Pings and traces under way. */
  readonly probes: Probes;
  readonly #context: StackContext;
  readonly #handlerOf: (protocol: number) => TransportHandler | null;
  readonly #error: IcmpError = new IcmpError();
  readonly #walk: ExtensionWalk = new ExtensionWalk();
  #tokens: number = ICMP_ERROR_BURST;
  #tokensAt = 0;

  /** @param handlerOf finds the transport that a quoted packet belongs to */
  constructor(context: StackContext, handlerOf: (protocol: number) => TransportHandler | null) {
    this.#context = context;
    this.#handlerOf = handlerOf;
    this.counters = context.counters.group('icmp', new IcmpCounters());
    this.probes = new Probes(context);
    const icmpError = (): void => {
      this.counters.ignoredOther++;
    };
    this.v4 = { input: (rx) => this.#inputV4(rx), icmpError };
    this.v6 = { input: (rx) => this.#inputV6(rx), icmpError };
  }

  /**
   * Asks a host for echoes. The endpoint signals Readable when it has results, Closed after the last.
   * @throws NetError ARGUMENT_INVALID, ACCESS_DENIED (a broadcast address), NETWORK_UNREACHABLE, ADDRESS_NOT_AVAILABLE, NO_BUFFERS
   */
  ping(options: PingOptions): Ping {
    return this.probes.add(new Ping(this.#context, this.probes, options));
  }

  /**
   * Finds the routers on the way to a host. The endpoint signals Readable when it has hops, Closed after the last.
   * @throws NetError as {@link ping}
   */
  trace(options: TraceOptions): Trace {
    return this.probes.add(new Trace(this.#context, this.probes, options));
  }

  /** Tells the sender of a UDP datagram that nobody listens on that port (RFC 1122 §4.1.3.1, RFC 4443 §3.1). */
  sendPortUnreachable(rx: RxPacket): void {
    if (rx.family === 4) this.sendError(rx, IcmpV4Type.Unreachable, IcmpV4Unreachable.Port, 0, false);
    else this.sendError(rx, IcmpV6Type.Unreachable, IcmpV6Unreachable.Port, 0, false);
  }

  /**
   * Sends an error about a received packet, if one may be sent.
   * @param rest the second word of the message: pointer or MTU
   * @param alsoMulticast the exception of RFC 4443 §2.4(e.3)
   */
  sendError(rx: RxPacket, type: number, code: number, rest: number, alsoMulticast: boolean): void {
    const { counters } = this;
    if ((rx.multicast && !alsoMulticast) || !this.#mayComplainAbout(rx)) {
      counters.errorsSuppressed++;
      return;
    }
    if (!this.#takeToken()) {
      counters.errorsRateLimited++;
      return;
    }
    const v4 = rx.family === 4;
    const limit = v4 ? ICMPV4_ERROR_BYTES - IPV4_HEADER_BYTES : IPV6_MIN_MTU_BYTES - IPV6_HEADER_BYTES;
    const quoted = Math.min(rx.ipLen, limit - ICMP_HEADER_BYTES);
    const { slab, off } = wholeChecksum(rx);
    if (this.#send(rx, type, code, rest, slab, off, quoted, 0)) counters.errorsSent++;
  }

  /**
   * Tells the transport of a packet of ours that no neighbour takes it (RFC 1122 §2.3.2.1, RFC 4861 §7.2.2): what an ICMP error from
   * ourselves would say. There are at least 8 bytes in front of the packet in its slab.
   */
  neighbourUnreachable(iface: Interface, slab: Slab, off: number, len: number): void {
    const quoted = new RxPacket(slab, iface);
    quoted.off = off - Icmp.Data;
    quoted.len = len + Icmp.Data;
    this.#error.message = null;
    const { view } = slab;
    if (ipVersion(view, off) === 4) {
      setOwnEnds(quoted, IpAddress.read(view, off + Ipv4.Source, 4));
      this.#aboutV4(quoted, off + len, IcmpErrorKind.UnreachableHost, 0);
    } else {
      setOwnEnds(quoted, IpAddress.read(view, off + Ipv6.Source, 6));
      this.#aboutV6(quoted, off + len, IcmpErrorKind.UnreachableHost, 0);
    }
  }

  #inputV4(rx: RxPacket): void {
    const { counters } = this;
    counters.received++;
    if (rx.len < ICMP_HEADER_BYTES) {
      counters.dropTruncated++;
      return;
    }
    if (foldChecksum(sumSlab(rx.slab, rx.off, rx.len, 0)) !== 0) {
      counters.dropChecksum++;
      return;
    }
    const { view } = rx.slab;
    const type = view.getUint8(rx.off);
    const code = view.getUint8(rx.off + Icmp.Code);
    switch (type) {
      case IcmpV4Type.Echo:
        this.#echo(rx, IcmpV4Type.EchoReply);
        return;
      case IcmpV4Type.EchoReply:
        this.#echoReply(rx);
        return;
      case IcmpV4Type.Unreachable:
        if (code === IcmpV4Unreachable.FragmentationNeeded) this.#tooBigV4(rx);
        else this.#quotedV4(rx, unreachableKindV4(code), 0);
        return;
      case IcmpV4Type.TimeExceeded:
        this.#quotedV4(rx, IcmpErrorKind.TimeExceeded, 0);
        return;
      case IcmpV4Type.ParameterProblem:
        this.#quotedV4(rx, IcmpErrorKind.ParameterProblem, 0);
        return;
      case IcmpV4Type.Redirect:
        if (followRedirectV4(this.#context.ip, rx)) counters.redirectsFollowed++;
        else counters.ignoredRedirect++;
        return;
      case IcmpV4Type.SourceQuench:
        counters.ignoredSourceQuench++;
        return;
      default:
        counters.ignoredOther++;
    }
  }

  #inputV6(rx: RxPacket): void {
    const { counters } = this;
    counters.received++;
    if (rx.len < ICMP_HEADER_BYTES) {
      counters.dropTruncated++;
      return;
    }
    if (!verifyTransportChecksum(rx, IpProtocol.Icmpv6)) {
      counters.dropChecksum++;
      return;
    }
    const { view } = rx.slab;
    const type = view.getUint8(rx.off);
    const code = view.getUint8(rx.off + Icmp.Code);
    switch (type) {
      case IcmpV6Type.EchoRequest:
        this.#echo(rx, IcmpV6Type.EchoReply);
        return;
      case IcmpV6Type.EchoReply:
        this.#echoReply(rx);
        return;
      case IcmpV6Type.Unreachable:
        this.#quotedV6(rx, unreachableKindV6(code), 0);
        return;
      case IcmpV6Type.TooBig:
        // RFC 8201 §4 [RFC 8201 §4-2]: no IPv6 link is that small, and such a message is dropped
        if (view.getUint32(rx.off + Icmp.MtuV6) < IPV6_MIN_MTU_BYTES) counters.dropMtuBelowMinimum++;
        else this.#quotedV6(rx, IcmpErrorKind.TooBig, view.getUint32(rx.off + Icmp.MtuV6));
        return;
      case IcmpV6Type.TimeExceeded:
        this.#quotedV6(rx, IcmpErrorKind.TimeExceeded, 0);
        return;
      case IcmpV6Type.ParameterProblem:
        // RFC 4443 §3.4: code 1 means that the peer does not know our next header, that is our protocol.
        this.#quotedV6(
          rx,
          code === IcmpV6Parameter.NextHeader
            ? IcmpErrorKind.UnreachableProtocol
            : IcmpErrorKind.ParameterProblem,
          0,
        );
        return;
      case IcmpV6Type.RouterAdvertisement: {
        const routers = rx.iface.link?.ndp.routers ?? null;
        if (routers === null) counters.ignoredNeighborDiscovery++;
        else routers.input(rx);
        return;
      }
      case IcmpV6Type.RouterSolicitation:
        counters.ignoredNeighborDiscovery++;
        return;
      case IcmpV6Type.NeighborSolicitation:
      case IcmpV6Type.NeighborAdvertisement:
        if (rx.iface.link === null) counters.ignoredNeighborDiscovery++;
        else rx.iface.link.ndp.input(rx);
        return;
      case IcmpV6Type.Redirect:
        if (followRedirectV6(this.#context.ip, rx)) counters.redirectsFollowed++;
        else counters.ignoredRedirect++;
        return;
      case IcmpV6Type.ListenerQuery:
      case IcmpV6Type.ListenerReport:
      case IcmpV6Type.ListenerDone:
      case IcmpV6Type.ListenerReportV2:
        rx.iface.mld?.input(rx);
        return;
      default:
        counters.ignoredOther++;
    }
  }

  /** RFC 1122 §3.2.2.6, RFC 4443 §4.2: the same identifier, sequence number and data, all of it, come back. */
  #echo(rx: RxPacket, replyType: number): void {
    this.counters.echoRequests++;
    if (rx.multicast) {
      // RFC 1122 §3.2.2.6 allows it; differs from RFC 4443 §4.2 (SHOULD answer) because one forged packet would make
      // every stack on a link answer its victim.
      this.counters.dropEchoMulticast++;
      return;
    }
    const rest = rx.slab.view.getInt32(rx.off + Icmp.Rest);
    const data = rx.off + ICMP_HEADER_BYTES;
    // RFC 1122 §3.2.2.6 lets the reply take over the request's class; ECN bits are not the application's (RFC 3168 §5).
    const trafficClass = rx.trafficClass & 0xfc;
    const length = rx.len - ICMP_HEADER_BYTES;
    if (this.#send(rx, replyType, 0, rest, rx.slab, data, length, trafficClass))
      this.counters.echoRepliesSent++;
  }

  #echoReply(rx: RxPacket): void {
    this.counters.echoReplies++;
    if (!this.probes.echoReply(rx)) this.counters.dropEchoReplyUnexpected++;
  }

  /** Sends a message back to the source of `rx`, with a piece of a slab as data. @returns false when it was not sent */
  #send(
    rx: RxPacket,
    type: number,
    code: number,
    rest: number,
    data: Slab,
    dataOff: number,
    dataLen: number,
    trafficClass: number,
  ): boolean {
    const { ip, tx } = this.#context;
    const v4 = rx.family === 4;
    const to = rx.sender;
    const from = rx.multicast ? null : new IpAddress(rx.family, rx.dst0, rx.dst1, rx.dst2, rx.dst3);
    let sent = false;
    try {
      const route = ip.route(to, from);
      const at = ip.begin(route, ICMP_HEADER_BYTES);
      writeIcmpHeader(tx.head.view, at, type, code, rest);
      tx.body = data;
      tx.bodyOff = dataOff;
      tx.bodyLen = dataLen;
      if (v4) {
        const head = sumSlab(tx.head, at, ICMP_HEADER_BYTES, 0);
        const sum = foldChecksum(sumSlab(data, dataOff, dataLen, head));
        tx.head.view.setUint16(at + Icmp.Checksum, sum);
      }
      const protocol = v4 ? IpProtocol.Icmp : IpProtocol.Icmpv6;
      sent = ip.finish(route, protocol, v4 ? -1 : Icmp.Checksum, trafficClass, 0);
      if (!sent) this.counters.deviceFull++;
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      this.counters.errorsUnroutable++;
    }
    return sent;
  }

  /** RFC 1122 §3.2.2, RFC 4443 §2.4(e): not about errors, nor about any fragment but the first. */
  #mayComplainAbout(rx: RxPacket): boolean {
    const { view } = rx.slab;
    if (rx.family === 4) {
      if ((view.getUint16(rx.ipOff + Ipv4.FlagsFragment) & IPV4_OFFSET_MASK) !== 0) return false;
      if (view.getUint8(rx.ipOff + Ipv4.Protocol) !== IpProtocol.Icmp) return true;
      const header = ipv4HeaderBytes(view, rx.ipOff);
      return rx.ipLen > header && !isIcmpError(4, view.getUint8(rx.ipOff + header));
    }
    const end = rx.ipOff + rx.ipLen;
    const at = this.#transportV6(view, rx.ipOff, end);
    if (at < 0) return at !== NOT_FIRST_FRAGMENT;
    if (this.#walk.nextHeader !== IpProtocol.Icmpv6) return true;
    return at < end && !isIcmpError(6, view.getUint8(at));
  }

  /** Finds the transport header of a whole or quoted IPv6 packet. @returns -1 not to be found, -2 not in this fragment */
  #transportV6(view: DataView, off: number, end: number): number {
    const walk = this.#walk;
    const nextHeader = view.getUint8(off + Ipv6.NextHeader);
    let result = walk.walk(view, off + IPV6_HEADER_BYTES, end, nextHeader, off + Ipv6.NextHeader, true);
    if (result === WalkResult.Fragment) {
      const at = walk.off;
      if ((view.getUint16(at + Ipv6Fragment.OffsetMore) & 0xfff8) !== 0) return NOT_FIRST_FRAGMENT;
      result = walk.walk(view, at + 8, end, view.getUint8(at), at, false);
    }
    return result === WalkResult.Transport ? walk.off : NO_TRANSPORT;
  }

  #takeToken(): boolean {
    const { now } = this.#context;
    const earned = ((now - this.#tokensAt) * ICMP_ERRORS_PER_SECOND) / 1000;
    this.#tokens = Math.min(ICMP_ERROR_BURST, this.#tokens + earned);
    this.#tokensAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  #tooBigV4(rx: RxPacket): void {
    const { view } = rx.slab;
    let mtu = view.getUint16(rx.off + Icmp.MtuV4);
    const quoted = rx.off + Icmp.Data;
    // RFC 1191 §5: a router that does not know the field leaves it 0; the next lower plateau of §7.1 is tried.
    if (mtu === 0 && rx.len >= ICMP_HEADER_BYTES + IPV4_HEADER_BYTES)
      mtu = plateauBelow(ipv4TotalLength(view, quoted));
    this.#quotedV4(rx, IcmpErrorKind.TooBig, mtu);
  }

  #quotedV4(rx: RxPacket, kind: IcmpErrorKind, mtuBytes: number): void {
    this.counters.errorsReceived++;
    this.#error.message = rx;
    this.#aboutV4(rx, quoteEnd(rx.slab.view, rx.off, rx.len, 4), kind, mtuBytes);
  }

  /** @param end where the quoted packet ends */
  #aboutV4(rx: RxPacket, end: number, kind: IcmpErrorKind, mtuBytes: number): void {
    const { counters } = this;
    const { view } = rx.slab;
    const at = rx.off + Icmp.Data;
    // RFC 792: the IP header and at least 8 bytes of what follows
    if (end - at < IPV4_HEADER_BYTES || ipVersion(view, at) !== 4) {
      counters.dropQuoteTruncated++;
      return;
    }
    const headerBytes = ipv4HeaderBytes(view, at);
    if (headerBytes < IPV4_HEADER_BYTES || end - at < headerBytes + 8) {
      counters.dropQuoteTruncated++;
      return;
    }
    const fragmentOffset = view.getUint16(at + Ipv4.FlagsFragment) & IPV4_OFFSET_MASK;
    const local = view.getInt32(at + Ipv4.Source);
    // What we sent came from the address that the error is sent to.
    if (fragmentOffset !== 0 || local !== rx.dst3 || rx.multicast) {
      counters.dropQuoteNotOurs++;
      return;
    }
    const error = this.#error;
    error.family = 4;
    error.local0 = 0;
    error.local1 = 0;
    error.local2 = 0xffff;
    error.local3 = local;
    error.remote0 = 0;
    error.remote1 = 0;
    error.remote2 = 0xffff;
    error.remote3 = view.getInt32(at + Ipv4.Destination);
    this.#tell(rx, at + headerBytes, view.getUint8(at + Ipv4.Protocol), kind, mtuBytes);
  }

  #quotedV6(rx: RxPacket, kind: IcmpErrorKind, mtuBytes: number): void {
    this.counters.errorsReceived++;
    this.#error.message = rx;
    this.#aboutV6(rx, quoteEnd(rx.slab.view, rx.off, rx.len, 6), kind, mtuBytes);
  }

  /** @param end where the quoted packet ends */
  #aboutV6(rx: RxPacket, end: number, kind: IcmpErrorKind, mtuBytes: number): void {
    const { counters } = this;
    const { view } = rx.slab;
    const at = rx.off + Icmp.Data;
    if (end - at < IPV6_HEADER_BYTES || ipVersion(view, at) !== 6) {
      counters.dropQuoteTruncated++;
      return;
    }
    const error = this.#error;
    error.family = 6;
    error.local0 = view.getInt32(at + Ipv6.Source);
    error.local1 = view.getInt32(at + Ipv6.Source + 4);
    error.local2 = view.getInt32(at + Ipv6.Source + 8);
    error.local3 = view.getInt32(at + Ipv6.Source + 12);
    error.remote0 = view.getInt32(at + Ipv6.Destination);
    error.remote1 = view.getInt32(at + Ipv6.Destination + 4);
    error.remote2 = view.getInt32(at + Ipv6.Destination + 8);
    error.remote3 = view.getInt32(at + Ipv6.Destination + 12);
    const ours =
      error.local3 === rx.dst3 &&
      error.local2 === rx.dst2 &&
      error.local1 === rx.dst1 &&
      error.local0 === rx.dst0;
    if (!ours || rx.multicast) {
      counters.dropQuoteNotOurs++;
      return;
    }
    const transport = this.#transportV6(view, at, end);
    if (transport < 0 || end - transport < 8) {
      if (transport === NOT_FIRST_FRAGMENT) counters.dropQuoteNotOurs++;
      else counters.dropQuoteTruncated++;
      return;
    }
    this.#tell(rx, transport, this.#walk.nextHeader, kind, mtuBytes);
  }

  /** Completes the error from the quoted transport header, of which 8 bytes are there, and hands it on. */
  #tell(rx: RxPacket, at: number, protocol: number, kind: IcmpErrorKind, mtuBytes: number): void {
    const { view } = rx.slab;
    const error = this.#error;
    error.from0 = rx.src0;
    error.from1 = rx.src1;
    error.from2 = rx.src2;
    error.from3 = rx.src3;
    error.remoteZone = rx.zoneOf(error.remote0);
    error.kind = kind;
    error.mtuBytes = mtuBytes;
    error.protocol = protocol;
    const hasPorts = protocol === IpProtocol.Tcp || protocol === IpProtocol.Udp;
    error.localPort = hasPorts ? view.getUint16(at) : 0;
    error.remotePort = hasPorts ? view.getUint16(at + 2) : 0;
    error.seq = view.getInt32(at + 4);
    error.hasSeq = protocol === IpProtocol.Tcp;
    const isIcmp = protocol === (error.family === 4 ? IpProtocol.Icmp : IpProtocol.Icmpv6);
    error.icmpType = isIcmp ? view.getUint8(at) : -1;
    if (this.probes.icmpError(error)) {
      this.counters.errorsDelivered++;
      return;
    }
    const handler = this.#handlerOf(protocol);
    if (handler === null) {
      this.counters.dropQuoteUnknownProtocol++;
      return;
    }
    this.counters.errorsDelivered++;
    handler.icmpError(error);
  }
}

/** The packet as it would be on a wire: the device has left its checksum to nobody, and an error quotes it. */
function wholeChecksum({ slab, ipOff, ipLen, checksumPartial }: RxPacket): { slab: Slab; off: number } {
  if (!checksumPartial) return { slab, off: ipOff };
  const copy = Slab.alloc(ipLen);
  copyBytes(slab.bytes, ipOff, copy.bytes, 0, ipLen);
  completePacket(copy, 0, ipLen);
  return { slab: copy, off: 0 };
}

/** The error comes from us and goes to us. */
function setOwnEnds(quoted: RxPacket, own: IpAddress): void {
  quoted.family = own.family;
  quoted.src0 = own.w0;
  quoted.src1 = own.w1;
  quoted.src2 = own.w2;
  quoted.src3 = own.w3;
  quoted.dst0 = own.w0;
  quoted.dst1 = own.w1;
  quoted.dst2 = own.w2;
  quoted.dst3 = own.w3;
}

const NO_TRANSPORT = -1;
const NOT_FIRST_FRAGMENT = -2;

/** RFC 1191 §7.1, table 7-1. */
const PLATEAUS: readonly number[] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

function plateauBelow(lengthBytes: number): number {
  for (const plateau of PLATEAUS) if (plateau < lengthBytes) return plateau;
  return 68;
}

/** RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1 */
function unreachableKindV4(code: number): IcmpErrorKind {
  switch (code) {
    case IcmpV4Unreachable.Protocol:
      return IcmpErrorKind.UnreachableProtocol;
    case IcmpV4Unreachable.Port:
      return IcmpErrorKind.UnreachablePort;
    case IcmpV4Unreachable.Net:
    case IcmpV4Unreachable.NetUnknown:
    case IcmpV4Unreachable.NetTos:
      return IcmpErrorKind.UnreachableNet;
    case IcmpV4Unreachable.NetProhibited:
    case IcmpV4Unreachable.HostProhibited:
    case IcmpV4Unreachable.Prohibited:
      return IcmpErrorKind.AdminProhibited;
    default:
      return IcmpErrorKind.UnreachableHost;
  }
}

/** RFC 4443 §3.1 */
function unreachableKindV6(code: number): IcmpErrorKind {
  switch (code) {
    case IcmpV6Unreachable.NoRoute:
    case IcmpV6Unreachable.RejectRoute:
      return IcmpErrorKind.UnreachableNet;
    case IcmpV6Unreachable.Prohibited:
    case IcmpV6Unreachable.PolicyFailed:
      return IcmpErrorKind.AdminProhibited;
    case IcmpV6Unreachable.Port:
      return IcmpErrorKind.UnreachablePort;
    default:
      return IcmpErrorKind.UnreachableHost;
  }
}
