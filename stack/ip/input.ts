import { RxPacket, type StackContext, type TransportHandler } from '../context.ts';
import { RxFlag } from '../link.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import {
  IcmpTimeExceeded,
  IcmpV4Type,
  IcmpV4Unreachable,
  IcmpV6Parameter,
  IcmpV6Type,
} from '../wire/icmp.ts';
import {
  IPV4_HEADER_BYTES,
  IPV4_MORE_FRAGMENTS,
  IPV4_OFFSET_MASK,
  IpProtocol,
  Ipv4,
  Ipv4Option,
  ipVersion,
  ipv4HeaderBytes,
  ipv4TotalLength,
} from '../wire/ipv4.ts';
import {
  IPV6_FRAGMENT_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  Ipv6,
  Ipv6Fragment,
  ipv6PayloadLength,
  ipv6TrafficClass,
} from '../wire/ipv6.ts';
import { NDP_HOP_LIMIT } from '../wire/ndp.ts';
import type { Slab } from '../wire/slab.ts';
import type { IpCounters } from './counters.ts';
import { ExtensionWalk, WalkResult } from './extension-headers.ts';
import type { IcmpLayer } from './icmp.ts';
import type { Interface } from './interface.ts';
import type { RawLayer } from './raw-layer.ts';
import { Reassembler, type ReassemblyObserver } from './reassembly.ts';

/** The receiving half of the IP layer: validates, reassembles, and hands to the transports. */
export class IpInput implements ReassemblyObserver {
  readonly #counters: IpCounters;
  readonly #icmp: IcmpLayer;
  readonly #handlers: (TransportHandler | null)[] = new Array<TransportHandler | null>(256).fill(null);
  readonly #walk: ExtensionWalk = new ExtensionWalk();
  readonly reassembler: Reassembler;
  /** Raw sockets get copies. null: there was none yet. */
  raw: RawLayer | null = null;
  #rx: RxPacket | null = null;

  constructor(context: StackContext, counters: IpCounters, icmp: IcmpLayer) {
    this.#counters = counters;
    this.#icmp = icmp;
    this.reassembler = new Reassembler(context, counters, this);
  }

  /** Gives all packets of an IP protocol to `handler`. */
  register(protocol: number, handler: TransportHandler): void {
    this.#handlers[protocol] = handler;
  }

  /** Takes one packet from an interface. Never throws for what is in it. */
  receive(iface: Interface, slab: Slab, off: number, len: number, flags: number): void {
    this.#counters.received++;
    this.#counters.receivedBytes += len;
    this.#rx ??= new RxPacket(slab, iface);
    const rx = this.#rx;
    rx.iface = iface;
    rx.checksumValid = (flags & RxFlag.ChecksumValid) !== 0;
    rx.checksumPartial = (flags & RxFlag.ChecksumPartial) !== 0;
    rx.linkGroup = (flags & RxFlag.LinkGroup) !== 0;
    this.#packet(rx, slab, off, len, false);
  }

  /** Tells the handler of `protocol`, if there is one. */
  handlerOf(protocol: number): TransportHandler | null {
    return this.#handlers[protocol] ?? null;
  }

  /** RFC 792, RFC 4443 §3.3: reassembly time exceeded, when the first fragment is there. */
  reassemblyTimedOut(rx: RxPacket): void {
    const type = rx.family === 4 ? IcmpV4Type.TimeExceeded : IcmpV6Type.TimeExceeded;
    this.#icmp.sendError(rx, type, IcmpTimeExceeded.Reassembly, 0, false);
  }

  #packet(rx: RxPacket, slab: Slab, off: number, len: number, reassembled: boolean): void {
    rx.slab = slab;
    rx.ipOff = off;
    if (len < IPV4_HEADER_BYTES) {
      this.#counters.dropTruncated++;
      return;
    }
    const version = ipVersion(slab.view, off);
    if (version === 4) this.#packetV4(rx, off, len, reassembled);
    else if (version === 6) this.#packetV6(rx, off, len, reassembled);
    else this.#counters.dropVersion++;
  }

  #packetV4(rx: RxPacket, off: number, len: number, reassembled: boolean): void {
    const counters = this.#counters;
    const { view } = rx.slab;
    const headerBytes = ipv4HeaderBytes(view, off);
    const total = ipv4TotalLength(view, off);
    if (headerBytes < IPV4_HEADER_BYTES || headerBytes > len) {
      counters.dropHeaderLength++;
      return;
    }
    if (total < headerBytes || total > len) {
      counters.dropTotalLength++;
      return;
    }
    // RFC 1122 §3.2.1.2: a host MUST verify the header checksum. A reassembled packet's header is our own work.
    if (!reassembled && foldChecksum(sumSlab(rx.slab, off, headerBytes, 0)) !== 0) {
      counters.dropHeaderChecksum++;
      return;
    }
    rx.family = 4;
    rx.ipLen = total;
    rx.src0 = 0;
    rx.src1 = 0;
    rx.src2 = 0xffff;
    rx.src3 = view.getInt32(off + Ipv4.Source);
    rx.dst0 = 0;
    rx.dst1 = 0;
    rx.dst2 = 0xffff;
    rx.dst3 = view.getInt32(off + Ipv4.Destination);
    rx.trafficClass = view.getUint8(off + Ipv4.TrafficClass);
    rx.ttl = view.getUint8(off + Ipv4.Ttl);
    if (isMartianSourceV4(rx.iface, rx.src3)) {
      counters.dropMartianSource++;
      return;
    }
    if (!this.#isForUs(rx)) return;
    rx.off = off + headerBytes;
    rx.len = total - headerBytes;
    if (headerBytes > IPV4_HEADER_BYTES && !this.#optionsV4(rx, off + IPV4_HEADER_BYTES, rx.off)) return;
    const protocol = view.getUint8(off + Ipv4.Protocol);
    const fragment = view.getUint16(off + Ipv4.FlagsFragment);
    if ((fragment & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) !== 0) {
      const at = (fragment & IPV4_OFFSET_MASK) << 3;
      const more = (fragment & IPV4_MORE_FRAGMENTS) !== 0;
      const id = view.getUint16(off + Ipv4.Identification);
      this.#fragment(rx, protocol, id, at, more, headerBytes, protocol, Ipv4.Protocol);
      return;
    }
    this.#deliver(rx, protocol, Ipv4.Protocol);
  }

  /** Walks the options. @returns false when the packet was dropped and counted */
  #optionsV4(rx: RxPacket, from: number, end: number): boolean {
    const { view } = rx.slab;
    let at = from;
    while (at < end) {
      const type = view.getUint8(at);
      if (type === Ipv4Option.End) return true;
      if (type === Ipv4Option.NoOperation) {
        at++;
        continue;
      }
      const length = at + 1 < end ? view.getUint8(at + 1) : 0;
      if (length < 2 || length > end - at) {
        this.#counters.dropOptions++;
        // RFC 1122 §3.2.2.5 [RFC 1122 §3.2.2.5-1]; RFC 792: the octet with the error
        const wrong = Math.min(at + 1, end - 1) - rx.ipOff;
        this.#icmp.sendError(rx, IcmpV4Type.ParameterProblem, 0, wrong << 24, false);
        return false;
      }
      if (type === Ipv4Option.LooseSourceRoute || type === Ipv4Option.StrictSourceRoute) {
        // RFC 7126 §4.3, §4.4: packets with source routes are dropped.
        this.#counters.dropSourceRoute++;
        return false;
      }
      at += length;
    }
    return true;
  }

  #packetV6(rx: RxPacket, off: number, len: number, reassembled: boolean): void {
    const counters = this.#counters;
    const { view } = rx.slab;
    if (len < IPV6_HEADER_BYTES) {
      counters.dropTruncated++;
      return;
    }
    // RFC 2675 jumbograms (length 0 with an option) are not for links of our sizes: they end as cut off.
    const total = IPV6_HEADER_BYTES + ipv6PayloadLength(view, off);
    if (total > len) {
      counters.dropTotalLength++;
      return;
    }
    rx.family = 6;
    rx.ipLen = total;
    rx.src0 = view.getInt32(off + Ipv6.Source);
    rx.src1 = view.getInt32(off + Ipv6.Source + 4);
    rx.src2 = view.getInt32(off + Ipv6.Source + 8);
    rx.src3 = view.getInt32(off + Ipv6.Source + 12);
    rx.dst0 = view.getInt32(off + Ipv6.Destination);
    rx.dst1 = view.getInt32(off + Ipv6.Destination + 4);
    rx.dst2 = view.getInt32(off + Ipv6.Destination + 8);
    rx.dst3 = view.getInt32(off + Ipv6.Destination + 12);
    rx.trafficClass = ipv6TrafficClass(view, off);
    rx.ttl = view.getUint8(off + Ipv6.HopLimit);
    if (isMartianSourceV6(rx) && !isNeighbourMessage(rx, view, off)) {
      counters.dropMartianSource++;
      return;
    }
    if (!this.#isForUs(rx)) return;

    const walk = this.#walk;
    const end = off + total;
    const nextHeader = view.getUint8(off + Ipv6.NextHeader);
    const first = off + IPV6_HEADER_BYTES;
    const result = walk.walk(view, first, end, nextHeader, off + Ipv6.NextHeader, true);
    if (result === WalkResult.Fragment && !reassembled)
      this.#fragmentV6(rx, view, walk.off, end, walk.nextHeaderAt - off);
    else this.#walked(rx, result, end);
  }

  /** Takes what the walk over the extension headers of a whole packet has led to. */
  #walked(rx: RxPacket, result: WalkResult, end: number): void {
    const counters = this.#counters;
    const walk = this.#walk;
    switch (result) {
      case WalkResult.Transport:
        rx.off = walk.off;
        rx.len = end - walk.off;
        this.#deliver(rx, walk.nextHeader, walk.nextHeaderAt - rx.ipOff);
        return;
      case WalkResult.Nothing:
        counters.dropNoNextHeader++;
        return;
      case WalkResult.Problem:
        counters.dropExtensionHeaders++;
        rx.off = walk.off;
        rx.len = end - walk.off;
        this.#icmp.sendError(
          rx,
          IcmpV6Type.ParameterProblem,
          walk.code,
          walk.pointer - rx.ipOff,
          walk.alsoMulticast,
        );
        return;
      default:
        counters.dropExtensionHeaders++;
    }
  }

  #fragmentV6(rx: RxPacket, view: DataView, at: number, end: number, announcedAt: number): void {
    const nextHeader = view.getUint8(at + Ipv6Fragment.NextHeader);
    const offsetMore = view.getUint16(at + Ipv6Fragment.OffsetMore);
    const offset = offsetMore & 0xfff8;
    const more = (offsetMore & 1) !== 0;
    const headerBytes = at - rx.ipOff;
    rx.off = at + IPV6_FRAGMENT_HEADER_BYTES;
    rx.len = end - rx.off;
    if (offset === 0 && !more) {
      // RFC 6946 §4: a fragment that is the whole packet is processed by itself, whatever else is in reassembly.
      this.#counters.atomicFragments++;
      const result = this.#walk.walk(view, rx.off, end, nextHeader, at + Ipv6Fragment.NextHeader, false);
      this.#walked(rx, result, end);
      return;
    }
    // RFC 7112 §5: the first fragment holds the whole chain of headers, the upper-layer header included.
    if (offset === 0 && !this.#hasWholeChain(rx, view, nextHeader, at, end)) {
      this.#counters.dropExtensionHeaders++;
      this.#icmp.sendError(rx, IcmpV6Type.ParameterProblem, IcmpV6Parameter.FirstFragment, 0, false);
      return;
    }
    const id = view.getInt32(at + Ipv6Fragment.Identification);
    this.#fragment(rx, 0, id, offset, more, headerBytes, nextHeader, announcedAt);
  }

  #hasWholeChain(rx: RxPacket, view: DataView, nextHeader: number, at: number, end: number): boolean {
    const walk = this.#walk;
    const result = walk.walk(view, rx.off, end, nextHeader, at, false);
    if (result === WalkResult.Nothing) return true;
    // The smallest upper-layer headers have 8 bytes; TCP's is looked for in full.
    const needed = walk.nextHeader === IpProtocol.Tcp ? 20 : 8;
    return result === WalkResult.Transport && end - walk.off >= needed;
  }

  #fragment(
    rx: RxPacket,
    protocol: number,
    id: number,
    at: number,
    more: boolean,
    headerBytes: number,
    nextHeader: number,
    nextHeaderAt: number,
  ): void {
    const { reassembler } = this;
    const length = reassembler.add(rx, protocol, id, at, more, headerBytes, nextHeader, nextHeaderAt);
    if (length === 0 || reassembler.packet === null) return;
    // What the device verified was, at most, the fragment.
    rx.checksumValid = false;
    rx.checksumPartial = false;
    this.#packet(rx, reassembler.packet, 0, length, true);
  }

  /** Judges the destination; counts when it is not ours. */
  #isForUs(rx: RxPacket): boolean {
    const { iface, family, dst0, dst1, dst2, dst3 } = rx;
    rx.multicast = false;
    if (iface.owns(family, dst0, dst1, dst2, dst3)) {
      // RFC 1122 §3.3.6 [RFC 1122 §3.3.6-3] [RFC 1122 §3.2.2-8]; for IPv6, too, as nothing but forgeries comes so (RFC 4443 §2.4 (e.4))
      if (rx.linkGroup) this.#counters.dropLinkGroup++;
      return !rx.linkGroup;
    }
    rx.multicast = true;
    if (family === 4) {
      if (iface.isBroadcast(dst3)) return true;
      if (dst3 >>> 28 === 14) {
        if (iface.isMember(4, dst0, dst1, dst2, dst3)) return true;
      } else if (dst3 >>> 24 === 0 || dst3 >>> 24 === 127 || dst3 >>> 28 === 15) {
        // RFC 1122 §3.2.1.3 (a), (b), (g); RFC 1112 §4: never on a wire as a destination
        this.#counters.dropMartianDestination++;
        return false;
      } else if (iface.awaitsAddress) {
        // RFC 1122 §3.3.1.6, RFC 2131 §4.1
        return true;
      }
    } else if (dst0 >>> 24 === 0xff) {
      if (iface.isMember(6, dst0, dst1, dst2, dst3)) return true;
    } else if (dst0 === 0 && dst1 === 0 && (dst2 === 0 || dst2 === 0xffff)) {
      // RFC 4291 §2.5.2, §2.5.3: unspecified, loopback; §2.5.5: embedded IPv4 addresses
      this.#counters.dropMartianDestination++;
      return false;
    }
    this.#counters.dropNotForUs++;
    return false;
  }

  /** @param nextHeaderAt where the protocol number stands in the packet, for an ICMPv6 error */
  #deliver(rx: RxPacket, protocol: number, nextHeaderAt: number): void {
    const copied = this.raw !== null && this.raw.socketCount > 0 && this.raw.copy(rx, protocol);
    const handler = this.#handlers[protocol] ?? null;
    // ICMP and IGMP belong to one version each.
    const wrongVersion =
      rx.family === 4
        ? protocol === IpProtocol.Icmpv6
        : protocol === IpProtocol.Icmp || protocol === IpProtocol.Igmp;
    if (handler === null || wrongVersion) {
      if (copied) {
        this.#counters.delivered++;
        return;
      }
      this.#counters.dropUnknownProtocol++;
      // RFC 1122 §3.2.2.1; RFC 8200 §4
      if (rx.family === 4)
        this.#icmp.sendError(rx, IcmpV4Type.Unreachable, IcmpV4Unreachable.Protocol, 0, false);
      else
        this.#icmp.sendError(
          rx,
          IcmpV6Type.ParameterProblem,
          IcmpV6Parameter.NextHeader,
          nextHeaderAt,
          false,
        );
      return;
    }
    this.#counters.delivered++;
    handler.input(rx);
  }
}

/** RFC 1122 §3.2.1.3: addresses that cannot be anybody's source; our own is nobody else's. */
function isMartianSourceV4(iface: Interface, src: number): boolean {
  const first = src >>> 24;
  // 0.0.0.0/8, 127.0.0.0/8, multicast, 240.0.0.0/4 with the limited broadcast address
  if (first === 0 || first === 127 || first >= 224) return true;
  return iface.isBroadcast(src) || iface.owns(4, 0, 0, 0xffff, src);
}

/**
 * RFC 4862 §5.4: who checks whether an address is free has none to send from, and who has the same address as we sends from that. Neighbour
 * discovery judges both.
 */
function isNeighbourMessage(rx: RxPacket, view: DataView, off: number): boolean {
  if (rx.iface.link === null || rx.ttl !== NDP_HOP_LIMIT || rx.ipLen <= IPV6_HEADER_BYTES) return false;
  if (view.getUint8(off + Ipv6.NextHeader) !== IpProtocol.Icmpv6) return false;
  const type = view.getUint8(off + IPV6_HEADER_BYTES);
  if (type !== IcmpV6Type.NeighborSolicitation && type !== IcmpV6Type.NeighborAdvertisement) return false;
  const { src0, src1, src2, src3 } = rx;
  return (src0 | src1 | src2 | src3) === 0 || rx.iface.owns(6, src0, src1, src2, src3);
}

/** RFC 4291 §2.5.2, §2.5.3, §2.7: unspecified, loopback, multicast; RFC 4942 §2.2: mapped addresses; our own. */
function isMartianSourceV6(rx: RxPacket): boolean {
  const { src0, src1, src2, src3 } = rx;
  if (src0 >>> 24 === 0xff) return true;
  if (src0 === 0 && src1 === 0 && (src2 === 0xffff || (src2 === 0 && src3 >>> 0 <= 1))) return true;
  return rx.iface.owns(6, src0, src1, src2, src3);
}
