import type { StackContext } from '../context.ts';
import { HEADROOM_BYTES, type LinkCapabilities, RxFlag, TxPacket } from '../link.ts';
import {
  BROADCAST_HIGH,
  BROADCAST_LOW,
  ETHERNET_HEADER_BYTES,
  Ethernet,
  EtherType,
  ethernetHigh,
  ethernetLow,
  formatEthernetAddress,
  isGroupAddress,
  VLAN_ID_MASK,
  VLAN_TAG_BYTES,
  writeEthernetHeader,
} from '../wire/ethernet.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { Slab } from '../wire/slab.ts';
import { ArpLayer } from './arp.ts';
import type { Interface } from './interface.ts';
import { NdpLayer } from './ndp.ts';
import { type Neighbour, type NeighbourCounters, NeighbourState } from './neighbour.ts';
import { NeighbourCache, type NeighbourLink } from './neighbour-cache.ts';

/** Room for an ARP packet or an IPv6 header with a neighbour message. */
const CONTROL_BYTES = 128;
/** RFC 5227 §2.4(c) and §1.1 DEFEND_INTERVAL: an address is defended at most so often, and kept. */
export const DEFEND_INTERVAL_MS = 10_000;

/** Frames received and dropped on all Ethernet links of a stack. */
export class EthernetCounters {
  dropTruncated = 0;
  /** For another station; seen because the device is promiscuous. */
  dropOtherStation = 0;
  /** Our own, come back through a loop or a mirror. */
  dropOwn = 0;
  /** Of another virtual LAN (802.1Q). */
  dropVlan = 0;
  dropUnknownType = 0;
}

/** Learns of trouble on a link. Called while a frame is received. */
export interface LinkObserver {
  /** Another station, `linkAddress`, uses an address of ours. */
  addressConflict(iface: Interface, address: IpAddress, linkAddress: string): void;
}

/** What a link hands on: IP packets, and packets that nobody takes. */
export interface EthernetUser {
  packet(iface: Interface, slab: Slab, off: number, len: number, flags: number): void;
  /** A neighbour does not answer any more: first hops may change. */
  silent(iface: Interface, address: IpAddress): void;
  /** It does, or has shown itself. */
  heard(iface: Interface, address: IpAddress): void;
  /** When transports last heard from beyond it, in ms; -Infinity: never. */
  progressAt(iface: Interface, address: IpAddress): number;
  /** Another station, `linkAddress`, uses an address of ours, or is about to. */
  addressConflict(iface: Interface, address: IpAddress, linkAddress: string): void;
  /** No neighbour answers for this IP packet of ours. @returns another first hop for it; null: there is none, and the transport was told */
  unreachable(iface: Interface, slab: Slab, off: number, len: number): IpAddress | null;
}

/**
 * Ethernet below an interface: finds the stations that IP packets go to, and puts the header in front. The packets of its sink are
 * frames.
 */
export class EthernetLink implements NeighbourLink {
  readonly iface: Interface;
  readonly counters: EthernetCounters;
  readonly neighbourCounters: NeighbourCounters;
  readonly neighbours: NeighbourCache;
  readonly arp: ArpLayer;
  readonly ndp: NdpLayer;
  /** The first two and last four bytes of our own address. */
  readonly high: number;
  readonly low: number;
  /** IEEE 802.1Q: of the frames that are ours; 0: those without. */
  readonly vlanId: number;
  readonly #headerBytes: number;
  /** The links of virtual LANs on the same device, which this one hands their frames to; null: there are none. */
  #vlans: Map<number, EthernetLink> | null = null;
  observer: LinkObserver | null = null;
  /** Of the frame that is being received: where it lies, and who sent it. */
  frame: Slab | null = null;
  senderHigh = 0;
  senderLow = 0;
  readonly #context: StackContext;
  readonly #user: EthernetUser;
  readonly #control: TxPacket = new TxPacket(Slab.alloc(HEADROOM_BYTES + CONTROL_BYTES));
  #lastHop: IpAddress | null = null;
  #lastNeighbour: Neighbour | null = null;
  #defendedAt: number = -Infinity;

  constructor(
    context: StackContext,
    iface: Interface,
    ethernet: NonNullable<LinkCapabilities['ethernet']>,
    counters: EthernetCounters,
    neighbourCounters: NeighbourCounters,
    user: EthernetUser,
  ) {
    const { view } = new Slab(ethernet.address);
    this.iface = iface;
    this.counters = counters;
    this.neighbourCounters = neighbourCounters;
    this.high = ethernetHigh(view, 0);
    this.low = ethernetLow(view, 0);
    this.vlanId = ethernet.vlanId ?? 0;
    this.#headerBytes = ETHERNET_HEADER_BYTES + (this.vlanId === 0 ? 0 : VLAN_TAG_BYTES);
    this.#context = context;
    this.#user = user;
    this.neighbours = new NeighbourCache(context, this, neighbourCounters);
    this.arp = new ArpLayer(this);
    this.ndp = new NdpLayer(this);
  }

  /** Takes a frame from the device. Never throws for what is in it. */
  receive(slab: Slab, off: number, len: number, flags: number): void {
    const { counters } = this;
    if (len < ETHERNET_HEADER_BYTES) {
      counters.dropTruncated++;
      return;
    }
    const { view } = slab;
    const toHigh = ethernetHigh(view, off + Ethernet.Destination);
    const isGroup = isGroupAddress(toHigh);
    if (!isGroup && !this.isOwn(toHigh, ethernetLow(view, off + Ethernet.Destination))) {
      counters.dropOtherStation++;
      return;
    }
    const senderHigh = ethernetHigh(view, off + Ethernet.Source);
    const senderLow = ethernetLow(view, off + Ethernet.Source);
    if (this.isOwn(senderHigh, senderLow)) {
      counters.dropOwn++;
      return;
    }
    let type = view.getUint16(off + Ethernet.Type);
    let headerBytes = ETHERNET_HEADER_BYTES;
    let link: EthernetLink | undefined = this;
    if (type === EtherType.Vlan || type === EtherType.ServiceVlan) {
      if (len < headerBytes + VLAN_TAG_BYTES) {
        counters.dropTruncated++;
        return;
      }
      const vlanId = view.getUint16(off + headerBytes) & VLAN_ID_MASK;
      if (vlanId !== 0) link = type === EtherType.Vlan ? this.#vlans?.get(vlanId) : undefined;
      type = view.getUint16(off + headerBytes + 2);
      headerBytes += VLAN_TAG_BYTES;
    }
    if (link === undefined) counters.dropVlan++;
    else {
      const known = isGroup ? flags | RxFlag.LinkGroup : flags;
      link.#take(slab, off + headerBytes, len - headerBytes, type, known, senderHigh, senderLow);
    }
  }

  /** Takes what a frame of this LAN carries. */
  #take(
    slab: Slab,
    at: number,
    length: number,
    type: number,
    flags: number,
    senderHigh: number,
    senderLow: number,
  ): void {
    this.senderHigh = senderHigh;
    this.senderLow = senderLow;
    this.frame = slab;
    switch (type) {
      case EtherType.Ipv4:
      case EtherType.Ipv6:
        this.#user.packet(this.iface, slab, at, length, flags);
        break;
      case EtherType.Arp:
        this.arp.input(slab, at, length);
        break;
      default:
        this.counters.dropUnknownType++;
    }
    this.frame = null;
  }

  /** Frames of its virtual LAN are from now on for another link of the device. */
  addVlan(link: EthernetLink): void {
    this.#vlans ??= new Map();
    this.#vlans.set(link.vlanId, link);
  }

  /** True when there is a link for a virtual LAN. */
  hasVlan(vlanId: number): boolean {
    return this.#vlans?.has(vlanId) === true;
  }

  /**
   * Sends an IP packet to a neighbour, or keeps a copy until that has told its address.
   * @returns false when the device is full
   */
  send(packet: TxPacket, nextHop: IpAddress): boolean {
    const { family, w3 } = nextHop;
    const type = family === 4 ? EtherType.Ipv4 : EtherType.Ipv6;
    if (nextHop.isMulticast) {
      return family === 4
        ? this.transmit(packet, 0x0100, 0x5e000000 | (w3 & 0x7fffff), type) // RFC 1112 §6.4
        : this.transmit(packet, 0x3333, w3, type); // RFC 2464 §7
    }
    if (family === 4 && this.iface.isBroadcast(w3))
      return this.transmit(packet, BROADCAST_HIGH, BROADCAST_LOW, type);
    const neighbour = this.#neighbour(nextHop);
    if (this.neighbours.use(neighbour)) return this.transmit(packet, neighbour.high, neighbour.low, type);
    this.neighbours.hold(neighbour, packet);
    return true;
  }

  #neighbour(nextHop: IpAddress): Neighbour {
    const last = this.#lastNeighbour;
    if (last !== null && this.#lastHop === nextHop && last.state !== NeighbourState.Gone) return last;
    const neighbour = this.neighbours.obtain(nextHop);
    this.#lastHop = nextHop;
    this.#lastNeighbour = neighbour;
    return neighbour;
  }

  /** Puts an Ethernet header before a packet and sends it. @returns false when the device is full */
  transmit(packet: TxPacket, high: number, low: number, type: number): boolean {
    const headerBytes = this.#headerBytes;
    packet.headOff -= headerBytes;
    packet.headLen += headerBytes;
    const partial = packet.csumStart >= 0;
    if (partial) packet.csumStart += headerBytes;
    const { view } = packet.head;
    const first = this.vlanId === 0 ? type : EtherType.Vlan;
    writeEthernetHeader(view, packet.headOff, high, low, this.high, this.low, first);
    if (this.vlanId !== 0) {
      view.setUint16(packet.headOff + ETHERNET_HEADER_BYTES, this.vlanId);
      view.setUint16(packet.headOff + ETHERNET_HEADER_BYTES + 2, type);
    }
    const sent = this.iface.emit(packet);
    // the packet is its maker's again, as it was
    packet.headOff += headerBytes;
    packet.headLen -= headerBytes;
    if (partial) packet.csumStart -= headerBytes;
    return sent;
  }

  /** The packet for ARP and neighbour messages of `lengthBytes` bytes; written from {@link HEADROOM_BYTES} on. */
  control(lengthBytes: number): TxPacket {
    const packet = this.#control;
    packet.reset();
    packet.headLen = lengthBytes;
    return packet;
  }

  isOwn(high: number, low: number): boolean {
    return low === this.low && high === this.high;
  }

  /** False for addresses that no other station can have as its own; counted. */
  isStation(high: number, low: number): boolean {
    const ok = !isGroupAddress(high) && !this.isOwn(high, low) && (high !== 0 || low !== 0);
    if (!ok) this.neighbourCounters.dropLinkAddress++;
    return ok;
  }

  /** True when the address is on a prefix of this link, or link-local. */
  isOnLink(address: IpAddress): boolean {
    if (address.family === 6 && address.isLinkLocal) return true;
    for (const prefix of this.iface.addresses)
      if (prefix.address.sharesPrefix(address, prefix.prefixLength)) return true;
    for (const { prefix, gateway } of this.iface.routes)
      if (gateway === null && prefix.address.sharesPrefix(address, prefix.prefixLength)) return true;
    return false;
  }

  /** Counts that another station wants `address`, which is ours, and tells it. */
  noteConflict(address: IpAddress, high: number, low: number): void {
    const linkAddress = formatEthernetAddress(high, low);
    this.neighbourCounters.conflicts++;
    this.observer?.addressConflict(this.iface, address, linkAddress);
    this.#user.addressConflict(this.iface, address, linkAddress);
  }

  /** Another station uses `address`, which is ours. @returns true when it is time to say so to all */
  conflict(address: IpAddress, high: number, low: number): boolean {
    this.noteConflict(address, high, low);
    const { now } = this.#context;
    if (now - this.#defendedAt < DEFEND_INTERVAL_MS) return false;
    this.#defendedAt = now;
    this.neighbourCounters.defended++;
    return true;
  }

  solicit(neighbour: Neighbour, unicast: boolean): void {
    if (neighbour.address.family === 4) this.arp.request(neighbour, unicast);
    else this.ndp.solicit(neighbour, unicast);
  }

  release(packet: TxPacket, neighbour: Neighbour): boolean {
    const type = neighbour.address.family === 4 ? EtherType.Ipv4 : EtherType.Ipv6;
    return this.transmit(packet, neighbour.high, neighbour.low, type);
  }

  unreachable(packet: TxPacket): void {
    const { head, headOff, lengthBytes } = packet;
    const way = this.#user.unreachable(this.iface, head, headOff, lengthBytes);
    // what a full device does not take is lost, as on the link
    if (way !== null) this.send(packet, way);
  }

  heard(address: IpAddress): void {
    this.#user.heard(this.iface, address);
  }

  progressAt(address: IpAddress): number {
    return this.#user.progressAt(this.iface, address);
  }

  silent(address: IpAddress): void {
    this.#user.silent(this.iface, address);
  }
}
