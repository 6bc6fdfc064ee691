import type { RxPacket } from '../context.ts';
import { HEADROOM_BYTES } from '../link.ts';
import { foldChecksum, sumPseudoHeader, sumSlab } from '../wire/checksum.ts';
import { EtherType, ethernetHigh, ethernetLow, writeEthernetAddress } from '../wire/ethernet.ts';
import { Icmp, IcmpV6Type, writeIcmpHeader } from '../wire/icmp.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { IpProtocol } from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES, writeIpv6Header } from '../wire/ipv6.ts';
import {
  findLinkAddress,
  NDP_HOP_LIMIT,
  NDP_LINK_ADDRESS_BYTES,
  NDP_MALFORMED,
  NDP_NEIGHBOR_BYTES,
  Ndp,
  NdpFlag,
  NdpOption,
} from '../wire/ndp.ts';
import type { TentativeAddress } from './duplicate-address-detection.ts';
import type { EthernetLink } from './ethernet-link.ts';
import { cameInFragments } from './extension-headers.ts';
import { solicitedNode } from './mld.ts';
import type { Neighbour } from './neighbour.ts';
import { chooseSource } from './source-address.ts';

/** RFC 4291 §2.7.1 */
const ALL_NODES: IpAddress = new IpAddress(6, 0xff020000, 0, 0, 1);
const ALL_ROUTERS: IpAddress = new IpAddress(6, 0xff020000, 0, 0, 2);
const UNSPECIFIED: IpAddress = new IpAddress(6, 0, 0, 0, 0);
/** In the place of an option's type: the message has none. */
const NO_OPTION = 0;

/** Takes Router Advertisements whose checksum is right. */
export interface RouterListener {
  input(rx: RxPacket): void;
}

/** IPv6 addresses to Ethernet addresses: Neighbor Solicitation and Advertisement (RFC 4861 §7). */
export class NdpLayer {
  /** Who hears what routers advertise; null: nobody. */
  routers: RouterListener | null = null;
  readonly #link: EthernetLink;

  constructor(link: EthernetLink) {
    this.#link = link;
  }

  /** Takes an ICMPv6 message of one of the two types, whose checksum is right. */
  input(rx: RxPacket): void {
    const link = this.#link;
    const counters = link.neighbourCounters;
    const { view } = rx.slab;
    const end = rx.off + rx.len;
    // RFC 4861 §7.1.1, §7.1.2; RFC 6980 §5
    if (
      rx.ttl !== NDP_HOP_LIMIT ||
      rx.len < NDP_NEIGHBOR_BYTES ||
      view.getUint8(rx.off + Icmp.Code) !== 0 ||
      cameInFragments(rx, link.frame)
    ) {
      counters.dropNdpInvalid++;
      return;
    }
    const isSolicitation = view.getUint8(rx.off) === IcmpV6Type.NeighborSolicitation;
    const wanted = isSolicitation ? NdpOption.SourceLinkAddress : NdpOption.TargetLinkAddress;
    const option = findLinkAddress(view, rx.off + Ndp.Options, end, wanted);
    const target = IpAddress.read(view, rx.off + Ndp.Target, 6);
    if (option === NDP_MALFORMED || target.isMulticast) {
      counters.dropNdpInvalid++;
      return;
    }
    if (option >= 0 && !link.isStation(ethernetHigh(view, option), ethernetLow(view, option))) return;
    if (isSolicitation) this.#solicitation(rx, target, option);
    else this.#advertisement(rx, target, option);
  }

  #solicitation(rx: RxPacket, target: IpAddress, option: number): void {
    const link = this.#link;
    const counters = link.neighbourCounters;
    const { view } = rx.slab;
    counters.solicitationsReceived++;
    const source = new IpAddress(6, rx.src0, rx.src1, rx.src2, rx.src3);
    // RFC 4861 §7.1.1: who has no address yet asks the group, and has no link address to tell
    if (source.isUnspecified && (!rx.multicast || rx.dst3 >>> 24 !== 0xff || option >= 0)) {
      counters.dropNdpInvalid++;
      return;
    }
    const tentative = this.#tentative(target);
    if (tentative !== null) {
      // RFC 4862 §5.4.3: who asks from an address gets no answer, who has none wants the same one
      if (source.isUnspecified) tentative.duplicate();
      // RFC 4429 §2.2: of an optimistic address there is an answer, which overrides nobody's
      if (source.isUnspecified || !tentative.isOptimistic) return;
    }
    if (!this.#owns(target)) {
      counters.dropNotForUs++;
      return;
    }
    if (source.isUnspecified) {
      // RFC 4862 §5.4.3: it wants our address; telling everybody that it is taken makes it stop
      link.noteConflict(target, link.senderHigh, link.senderLow);
      this.#advertise(target, ALL_NODES, 0x3333, ALL_NODES.w3, false);
      return;
    }
    if (this.#owns(source)) {
      const { senderHigh, senderLow } = link;
      if (link.conflict(source, senderHigh, senderLow))
        this.#advertise(source, ALL_NODES, 0x3333, ALL_NODES.w3, false);
      return;
    }
    const high = option >= 0 ? ethernetHigh(view, option) : link.senderHigh;
    const low = option >= 0 ? ethernetLow(view, option) : link.senderLow;
    if (option >= 0) {
      if (link.isOnLink(source)) link.neighbours.learn(source, high, low);
      else counters.ignoredOffLink++;
    }
    this.#advertise(target, source, high, low, true);
  }

  #advertisement(rx: RxPacket, target: IpAddress, option: number): void {
    const link = this.#link;
    const counters = link.neighbourCounters;
    const { view } = rx.slab;
    counters.advertisementsReceived++;
    const flags = view.getUint8(rx.off + Ndp.Flags);
    const solicited = (flags & NdpFlag.Solicited) !== 0;
    // RFC 4861 §7.1.2: an answer goes to whoever asked
    if (solicited && rx.multicast) {
      counters.dropNdpInvalid++;
      return;
    }
    const tentative = this.#tentative(target);
    if (tentative !== null) {
      tentative.duplicate();
      return;
    }
    if (this.#owns(target)) {
      const { senderHigh, senderLow } = link;
      if (link.conflict(target, senderHigh, senderLow))
        this.#advertise(target, ALL_NODES, 0x3333, ALL_NODES.w3, false);
      return;
    }
    const neighbour = link.neighbours.find(target.w0, target.w1, target.w2, target.w3);
    if (neighbour === null) {
      // RFC 4861 §7.2.5: nobody sends to it
      counters.ignoredUnknown++;
      return;
    }
    const override = (flags & NdpFlag.Override) !== 0;
    const high = option >= 0 ? ethernetHigh(view, option) : 0;
    const low = option >= 0 ? ethernetLow(view, option) : 0;
    link.neighbours.advertised(neighbour, option >= 0, high, low, solicited, override);
  }

  /** Asks for the link address of a neighbour: its group, or itself whether it is still there. */
  solicit(neighbour: Neighbour, unicast: boolean): void {
    const { address } = neighbour;
    // RFC 4429 §2.2, §3.2: nobody is to take the link address of an optimistic one from a question. Differs from §3.2, which asks for nobody
    // meanwhile: with another source, as Linux has it, no harm is done.
    const sources = this.#link.iface.addresses.filter((own) => this.#tentative(own.address) === null);
    const source = chooseSource(sources, address);
    // an interface without an IPv6 address has no routes that lead here
    if (source === null) return;
    const to = unicast ? address : solicitedNode(address);
    const high = unicast ? neighbour.high : 0x3333;
    const low = unicast ? neighbour.low : to.w3;
    const type = IcmpV6Type.NeighborSolicitation;
    this.#send(type, 0, address, NdpOption.SourceLinkAddress, source, to, high, low);
  }

  /** RFC 4862 §5.4.2: asks for an address that is to be ours, from nobody, without a link address. */
  probe(address: IpAddress): void {
    const to = solicitedNode(address);
    this.#send(IcmpV6Type.NeighborSolicitation, 0, address, NO_OPTION, UNSPECIFIED, to, 0x3333, to.w3);
  }

  /** RFC 4861 §4.1: asks all routers to advertise themselves. */
  solicitRouters(source: IpAddress): void {
    const option = NdpOption.SourceLinkAddress;
    this.#send(IcmpV6Type.RouterSolicitation, 0, null, option, source, ALL_ROUTERS, 0x3333, ALL_ROUTERS.w3);
  }

  #tentative(address: IpAddress): TentativeAddress | null {
    for (const each of this.#link.iface.tentative) if (each.address.equals(address)) return each;
    return null;
  }

  #advertise(target: IpAddress, to: IpAddress, high: number, low: number, solicited: boolean): void {
    this.#link.neighbourCounters.advertisementsSent++;
    // RFC 4429 §2.2: whoever has the address keeps the entries of caches
    const override = this.#tentative(target) === null ? NdpFlag.Override : 0;
    const flags = (solicited ? NdpFlag.Solicited : 0) | override;
    const type = IcmpV6Type.NeighborAdvertisement;
    this.#send(type, flags << 24, target, NdpOption.TargetLinkAddress, target, to, high, low);
  }

  #send(
    type: number,
    rest: number,
    target: IpAddress | null,
    option: number,
    source: IpAddress,
    to: IpAddress,
    high: number,
    low: number,
  ): void {
    const link = this.#link;
    const optionAt = target === null ? Ndp.Target : Ndp.Options;
    const length = option === NO_OPTION ? optionAt : optionAt + NDP_LINK_ADDRESS_BYTES;
    const packet = link.control(IPV6_HEADER_BYTES + length);
    const { head } = packet;
    const { view } = head;
    const protocol = IpProtocol.Icmpv6;
    writeIpv6Header(view, HEADROOM_BYTES, length, protocol, 0, 0, NDP_HOP_LIMIT, source, to);
    const at = HEADROOM_BYTES + IPV6_HEADER_BYTES;
    writeIcmpHeader(view, at, type, 0, rest);
    target?.write(view, at + Ndp.Target);
    if (option !== NO_OPTION) {
      view.setUint8(at + optionAt, option);
      view.setUint8(at + optionAt + 1, NDP_LINK_ADDRESS_BYTES / 8);
      writeEthernetAddress(view, at + optionAt + 2, link.high, link.low);
    }
    const pseudo = sumPseudoHeader(source, to, protocol, length);
    view.setUint16(at + Icmp.Checksum, foldChecksum(sumSlab(head, at, length, pseudo)));
    link.transmit(packet, high, low, EtherType.Ipv6);
  }

  #owns(address: IpAddress): boolean {
    return this.#link.iface.owns(6, address.w0, address.w1, address.w2, address.w3);
  }
}
