import type { RxPacket, StackContext } from '../context.ts';
import { HEADROOM_BYTES, TxPacket } from '../link.ts';
import { foldChecksum, sumPseudoHeader, sumSlab } from '../wire/checksum.ts';
import { Icmp, IcmpV6Type, writeIcmpHeader } from '../wire/icmp.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { IpProtocol } from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES, IPV6_MIN_MTU_BYTES, Ipv6, Ipv6Next, writeIpv6Header } from '../wire/ipv6.ts';
import type { MembershipRecord } from '../wire/membership.ts';
import { MLD_V1_BYTES, Mld, mldRecordBytes, parseMldQuery, writeMldRecord } from '../wire/mld.ts';
import { Slab } from '../wire/slab.ts';
import { GroupMembership, type MembershipCounters, type MembershipProtocol } from './group-membership.ts';
import type { Interface } from './interface.ts';

/** RFC 3810 §5.2.14, RFC 2710 §3 */
const ALL_MLDV2_ROUTERS: IpAddress = new IpAddress(6, 0xff020000, 0, 0, 0x16);
const ALL_ROUTERS: IpAddress = new IpAddress(6, 0xff020000, 0, 0, 2);
const UNSPECIFIED: IpAddress = new IpAddress(6, 0, 0, 0, 0);
/** RFC 2711 §2.1: the Router Alert option for MLD, in a Hopopt header of eight bytes: what follows its first two. */
const ROUTER_ALERT_TYPE = 5;
const ROUTER_ALERT = 0x0502;
const PADDING = 0x0100;
const HOP_OPTIONS_BYTES = 8;
const HEADER_BYTES: number = IPV6_HEADER_BYTES + HOP_OPTIONS_BYTES;
const HOP_LIMIT = 1;

/** MLD, the host's part, on one interface: version 2 (RFC 3810), and 1 (RFC 2710) where routers speak that. */
export class MldHost implements MembershipProtocol {
  readonly groups: GroupMembership;
  readonly #iface: Interface;
  readonly #counters: MembershipCounters;
  readonly #packet: TxPacket = new TxPacket(Slab.alloc(HEADROOM_BYTES + IPV6_MIN_MTU_BYTES));
  /** Solicited-node groups that this interface reports. */
  #own = new Map<string, IpAddress>();

  constructor(context: StackContext, iface: Interface, counters: MembershipCounters) {
    this.#iface = iface;
    this.#counters = counters;
    this.groups = new GroupMembership(context, counters, this);
  }

  /**
   * Joins the solicited-node groups of the interface's addresses and leaves those of addresses that are gone (RFC 4861 §7.2.1, RFC 4862
   * §5.4.2): switches that listen in on MLD would keep questions about us away. Only a link with neighbours has such questions.
   */
  addressesChanged(): void {
    if (this.#iface.link === null) return;
    const wanted = new Map<string, IpAddress>();
    const add = (address: IpAddress): void => {
      if (address.family !== 6) return;
      const group = solicitedNode(address);
      wanted.set(group.toString(), group);
    };
    for (const { address } of this.#iface.addresses) add(address);
    for (const { address } of this.#iface.tentative) add(address);
    const before = this.#own;
    this.#own = wanted;
    // an interface has as many addresses as its owner gives it, and a refused group works where nobody listens in
    for (const [key, group] of wanted)
      if (!before.has(key) && !this.groups.join(group, null)) wanted.delete(key);
    for (const [key, group] of before) if (!wanted.has(key)) this.groups.leave(group, null);
  }

  /** Takes an MLD message whose ICMPv6 checksum is right. Never throws for what is in it. */
  input(rx: RxPacket): void {
    const { view } = rx.slab;
    switch (view.getUint8(rx.off)) {
      case IcmpV6Type.ListenerQuery: {
        const query = parseMldQuery(view, rx.off, rx.len);
        if (query === null || !isFromRouter(rx)) this.#counters.dropInvalid++;
        else this.groups.query(query);
        return;
      }
      case IcmpV6Type.ListenerReport:
        if (rx.len < MLD_V1_BYTES || !isFromRouter(rx)) this.#counters.dropInvalid++;
        else this.groups.heard(IpAddress.read(view, rx.off + Mld.Group, 6));
        return;
      default:
        this.#counters.ignoredOthers++;
    }
  }

  report(records: readonly MembershipRecord[]): void {
    const first = HEADROOM_BYTES + HEADER_BYTES;
    const { view } = this.#packet.head;
    let at = first + Mld.Records;
    let count = 0;
    for (const record of records) {
      if (at + mldRecordBytes(record) > HEADROOM_BYTES + IPV6_MIN_MTU_BYTES) {
        this.#sendReport(count, at - first);
        at = first + Mld.Records;
        count = 0;
      }
      at = writeMldRecord(view, at, record);
      count++;
    }
    this.#sendReport(count, at - first);
  }

  oldReport(group: IpAddress): void {
    this.#sendOld(IcmpV6Type.ListenerReport, group, group);
  }

  oldLeave(group: IpAddress): void {
    this.#sendOld(IcmpV6Type.ListenerDone, group, ALL_ROUTERS);
  }

  #sendReport(count: number, length: number): void {
    const { view } = this.#packet.head;
    writeIcmpHeader(view, HEADROOM_BYTES + HEADER_BYTES, IcmpV6Type.ListenerReportV2, 0, count);
    this.#counters.reportsSent++;
    this.#send(length, ALL_MLDV2_ROUTERS);
  }

  #sendOld(type: number, group: IpAddress, to: IpAddress): void {
    const { view } = this.#packet.head;
    const at = HEADROOM_BYTES + HEADER_BYTES;
    writeIcmpHeader(view, at, type, 0, 0);
    group.write(view, at + Mld.Group);
    this.#send(MLD_V1_BYTES, to);
  }

  #send(length: number, to: IpAddress): void {
    const packet = this.#packet;
    const { head } = packet;
    const { view } = head;
    const from = this.#linkLocal();
    packet.reset();
    packet.headLen = HEADER_BYTES + length;
    const off = HEADROOM_BYTES;
    const options = off + IPV6_HEADER_BYTES;
    const at = options + HOP_OPTIONS_BYTES;
    const payload = HOP_OPTIONS_BYTES + length;
    writeIpv6Header(view, off, payload, Ipv6Next.HopByHop, 0, 0, HOP_LIMIT, from, to);
    view.setUint16(options, IpProtocol.Icmpv6 << 8);
    view.setUint16(options + 2, ROUTER_ALERT);
    view.setUint16(options + 4, 0);
    view.setUint16(options + 6, PADDING);
    const pseudo = sumPseudoHeader(from, to, IpProtocol.Icmpv6, length);
    view.setUint16(at + Icmp.Checksum, 0);
    view.setUint16(at + Icmp.Checksum, foldChecksum(sumSlab(head, at, length, pseudo)));
    this.#iface.send(packet, to);
  }

  /** RFC 3810 §5.2.13: a link-local address, or none while there is none. */
  #linkLocal(): IpAddress {
    for (const { address } of this.#iface.addresses)
      if (address.family === 6 && address.isLinkLocal) return address;
    return UNSPECIFIED;
  }
}

/** The group that the owner of an address listens to (RFC 4291 §2.7.1): ff02::1:ffXX:XXXX. */
export function solicitedNode(address: IpAddress): IpAddress {
  return new IpAddress(6, 0xff020000, 0, 1, 0xff000000 | (address.w3 & 0xffffff));
}

/** RFC 3810 §6.2, RFC 2710 §5: from a link-local address, with hop limit 1 and a Router Alert option. */
function isFromRouter(rx: RxPacket): boolean {
  if (rx.ttl !== HOP_LIMIT || rx.src0 >>> 22 !== 0x3fa) return false;
  const { view } = rx.slab;
  if (view.getUint8(rx.ipOff + Ipv6.NextHeader) !== Ipv6Next.HopByHop) return false;
  const from = rx.ipOff + IPV6_HEADER_BYTES;
  // the walk over the headers has checked the options
  const end = Math.min(from + (view.getUint8(from + 1) + 1) * 8, rx.off);
  for (let at = from + 2; at + 1 < end; ) {
    const type = view.getUint8(at);
    if (type === ROUTER_ALERT_TYPE) return true;
    at += type === 0 ? 1 : 2 + view.getUint8(at + 1);
  }
  return false;
}
