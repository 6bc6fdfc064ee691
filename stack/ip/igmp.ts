import type { RxPacket, StackContext } from '../context.ts';
import { HEADROOM_BYTES, TxPacket } from '../link.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import {
  IGMP_BYTES,
  Igmp,
  IgmpType,
  igmpRecordBytes,
  parseIgmpQuery,
  writeIgmpRecord,
} from '../wire/igmp.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { IPV4_DONT_FRAGMENT, IPV4_HEADER_BYTES, IpProtocol, Ipv4, writeIpv4Header } from '../wire/ipv4.ts';
import type { MembershipRecord } from '../wire/membership.ts';
import { Slab } from '../wire/slab.ts';
import { GroupMembership, type MembershipCounters, type MembershipProtocol } from './group-membership.ts';
import type { Interface } from './interface.ts';
import { chooseSource } from './source-address.ts';

/** RFC 3376 §4.2.14, RFC 2236 §9 */
const ALL_IGMPV3_ROUTERS: IpAddress = IpAddress.v4(0xe0000016);
const ALL_ROUTERS: IpAddress = IpAddress.v4(0xe0000002);
const NOBODY: IpAddress = IpAddress.v4(0);
/** RFC 2113 §2.1, in the place of the options: type, length, value. */
const ROUTER_ALERT = 0x94040000 | 0;
const HEADER_BYTES: number = IPV4_HEADER_BYTES + 4;
/** RFC 3376 §4: Internetwork Control, and never beyond the link. */
const TRAFFIC_CLASS = 0xc0;
const TTL = 1;
/** Longer reports are split. RFC 1122 §3.3.3: every link of a host takes 576 bytes. */
const MAX_PACKET_BYTES = 576;

/** IGMP, the host's part, on one interface: version 3 (RFC 3376), and 2 and 1 where routers speak those. */
export class IgmpHost implements MembershipProtocol {
  readonly groups: GroupMembership;
  readonly #iface: Interface;
  readonly #counters: MembershipCounters;
  readonly #packet: TxPacket = new TxPacket(Slab.alloc(HEADROOM_BYTES + MAX_PACKET_BYTES));

  constructor(context: StackContext, iface: Interface, counters: MembershipCounters) {
    this.#iface = iface;
    this.#counters = counters;
    this.groups = new GroupMembership(context, counters, this);
  }

  /** Takes an IGMP message. Never throws for what is in it. */
  input(rx: RxPacket): void {
    const { slab, off, len } = rx;
    const counters = this.#counters;
    if (len < IGMP_BYTES) {
      counters.dropTruncated++;
      return;
    }
    if (foldChecksum(sumSlab(slab, off, len, 0)) !== 0) {
      counters.dropChecksum++;
      return;
    }
    const { view } = slab;
    switch (view.getUint8(off)) {
      case IgmpType.Query: {
        const query = parseIgmpQuery(view, off, len);
        // RFC 3376 §4: a query has never passed a router. §4.1.12: to all hosts, to the group, or to an address of ours
        const isFromLink = rx.ttl === TTL && !this.#iface.isBroadcast(rx.dst3);
        if (query === null || !isFromLink) counters.dropInvalid++;
        else this.groups.query(query);
        return;
      }
      case IgmpType.ReportV1:
      case IgmpType.ReportV2:
        this.groups.heard(IpAddress.read(view, off + Igmp.Group, 4));
        return;
      default:
        counters.ignoredOthers++;
    }
  }

  report(records: readonly MembershipRecord[]): void {
    const first = HEADROOM_BYTES + HEADER_BYTES;
    const { view } = this.#packet.head;
    let at = first + Igmp.Records;
    let count = 0;
    for (const record of records) {
      if (at + igmpRecordBytes(record) > HEADROOM_BYTES + MAX_PACKET_BYTES) {
        this.#sendReport(count, at - first);
        at = first + Igmp.Records;
        count = 0;
      }
      at = writeIgmpRecord(view, at, record);
      count++;
    }
    this.#sendReport(count, at - first);
  }

  oldReport(group: IpAddress, version: number): void {
    this.#sendOld(version === 1 ? IgmpType.ReportV1 : IgmpType.ReportV2, group, group);
  }

  oldLeave(group: IpAddress): void {
    this.#sendOld(IgmpType.Leave, group, ALL_ROUTERS);
  }

  #sendReport(count: number, length: number): void {
    const { view } = this.#packet.head;
    const at = HEADROOM_BYTES + HEADER_BYTES;
    view.setInt32(at, IgmpType.ReportV3 << 24);
    view.setInt32(at + 4, count);
    this.#counters.reportsSent++;
    this.#send(length, ALL_IGMPV3_ROUTERS);
  }

  #sendOld(type: number, group: IpAddress, to: IpAddress): void {
    const { view } = this.#packet.head;
    const at = HEADROOM_BYTES + HEADER_BYTES;
    view.setInt32(at, type << 24);
    group.write(view, at + Igmp.Group);
    this.#send(IGMP_BYTES, to);
  }

  /** A packet that the device does not take is lost, as it may be anywhere on a link: it is sent again, or asked for. */
  #send(length: number, to: IpAddress): void {
    const packet = this.#packet;
    const { head } = packet;
    const { view } = head;
    // RFC 3376 §4.2.13: an interface may have no address yet
    const from = chooseSource(this.#iface.addresses, to) ?? NOBODY;
    packet.reset();
    packet.headLen = HEADER_BYTES + length;
    const off = HEADROOM_BYTES;
    const at = off + HEADER_BYTES;
    view.setUint16(at + Igmp.Checksum, 0);
    view.setUint16(at + Igmp.Checksum, foldChecksum(sumSlab(head, at, length, 0)));
    const total = HEADER_BYTES + length;
    // RFC 6864 §4.1: whole, it needs no identification
    const flags = IPV4_DONT_FRAGMENT;
    writeIpv4Header(view, off, total, IpProtocol.Igmp, TRAFFIC_CLASS, TTL, 0, flags, from.w3, to.w3);
    view.setUint8(off + Ipv4.VersionIhl, 0x40 | (HEADER_BYTES / 4));
    view.setInt32(off + Ipv4.Options, ROUTER_ALERT);
    view.setUint16(off + Ipv4.Checksum, foldChecksum(sumSlab(head, off, HEADER_BYTES, 0)));
    this.#iface.send(packet, to);
  }
}
