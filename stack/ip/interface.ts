import type { LinkCapabilities, PacketSink, TxPacket } from '../link.ts';
import type { IpAddress, IpPrefix } from '../wire/ip-address.ts';
import { IPV6_MIN_MTU_BYTES } from '../wire/ipv6.ts';
import type { Slab } from '../wire/slab.ts';
import type { TentativeAddress } from './duplicate-address-detection.ts';
import type { EthernetLink } from './ethernet-link.ts';
import type { IgmpHost } from './igmp.ts';
import type { MldHost } from './mld.ts';

/** Takes the packets that an interface receives. The stack is one. */
export interface PacketReceiver {
  receive(iface: Interface, slab: Slab, off: number, len: number, flags: number, now: number): void;
}

/** A way to a network through an interface. */
export interface InterfaceRoute {
  readonly prefix: IpPrefix;
  /** null: on the link. */
  readonly gateway: IpAddress | null;
}

/** What one source of configuration (DHCP, router advertisements) gives an interface. */
export interface InterfaceSettings {
  readonly addresses: readonly IpPrefix[];
  readonly routes: readonly InterfaceRoute[];
  /** Largest IP packet that the link is said to take, in bytes; Infinity: nothing is said. */
  readonly mtuBytes: number;
}

/** RFC 1122 §3.2.1.7; IANA: of what is sent, when nobody says otherwise. */
const DEFAULT_HOP_LIMIT = 64;

/** A network interface: a device, its addresses and its gateways. */
export class Interface {
  readonly name: string;
  readonly capabilities: LinkCapabilities;
  /** Its number among several, from 1, which link-local addresses are told apart by; 0 while there is only one. */
  zone = 0;
  /** Where packets go; may be replaced by another one of the same device. */
  sink: PacketSink;
  /** Stands before the sink as long as the stack has a packet hook. */
  hook: PacketSink | null = null;
  /** Given at first and learned; replaced as a whole when they change. */
  addresses: readonly IpPrefix[];
  /** Ways through this interface beside those to the prefixes of its addresses. */
  routes: readonly InterfaceRoute[];
  /** Counts changes of addresses, routes and MTU: what was found before may not hold any more. */
  generation = 0;
  /** Addresses that may become ours: their groups are listened to (RFC 4862 §5.4.2). */
  readonly tentative: TentativeAddress[] = [];
  /**
   * A DHCP server may send to the address that it is going to give (RFC 2131 §4.1), whatever the client can receive: as long as this is
   * set, packets for any address are taken as broadcasts are.
   */
  awaitsAddress = false;
  /** The multicast groups that it belongs to; set by the stack. */
  igmp: IgmpHost | null = null;
  mld: MldHost | null = null;
  /** Set by the stack when the device is an Ethernet device. */
  link: EthernetLink | null = null;
  /** What routers say of IPv6 packets (RFC 4861 §6.3.2 CurHopLimit). */
  advertisedHopLimit: number = DEFAULT_HOP_LIMIT;
  readonly #receiver: PacketReceiver;
  readonly #settings = new Map<string, InterfaceSettings>();
  #mtuBytes: number;

  constructor(
    receiver: PacketReceiver,
    name: string,
    sink: PacketSink,
    capabilities: LinkCapabilities,
    addresses: readonly IpPrefix[],
    gateways: readonly IpAddress[],
  ) {
    this.#receiver = receiver;
    this.name = name;
    this.sink = sink;
    this.capabilities = capabilities;
    const routes = gateways.map((gateway) => ({ prefix: { address: gateway, prefixLength: 0 }, gateway }));
    this.addresses = addresses;
    this.routes = routes;
    this.#mtuBytes = capabilities.mtuBytes;
    this.#settings.set('static', { addresses, routes, mtuBytes: Infinity });
  }

  /** Takes the settings of one source instead of its last ones; null: it has none. `Stack.configure` is what others call. */
  configure(source: string, settings: InterfaceSettings | null): void {
    if (settings === null) this.#settings.delete(source);
    else this.#settings.set(source, settings);
    const all = [...this.#settings.values()];
    this.addresses = all.flatMap(({ addresses }) => addresses);
    this.routes = all.flatMap(({ routes }) => routes);
    this.#mtuBytes = Math.min(this.capabilities.mtuBytes, ...all.map(({ mtuBytes }) => mtuBytes));
    this.generation++;
    this.mld?.addressesChanged();
  }

  /** Largest packet of a family that this link takes, in bytes. */
  mtuBytes(family: 4 | 6): number {
    // RFC 8200 §5: a DHCPv4 server may ask for less than IPv6 needs
    return family === 4 ? this.#mtuBytes : Math.max(this.#mtuBytes, IPV6_MIN_MTU_BYTES);
  }

  /** The hop limit of packets whose sender has chosen none. */
  hopLimit(family: 4 | 6): number {
    return family === 4 ? DEFAULT_HOP_LIMIT : this.advertisedHopLimit;
  }

  /**
   * Sends an IP packet towards a neighbour, which point-to-point links do not care about.
   * @returns false when the device is full
   */
  send(packet: TxPacket, nextHop: IpAddress): boolean {
    return this.link === null ? this.emit(packet) : this.link.send(packet, nextHop);
  }

  /** Hands a packet, on Ethernet a whole frame, to the device. @returns false when that is full */
  emit(packet: TxPacket): boolean {
    return this.hook === null ? this.sink.send(packet) : this.hook.send(packet);
  }

  /**
   * Takes one IP packet, or one frame of an Ethernet device. Nothing of `slab` is referenced after the return.
   * @param flags bits of {@link RxFlag}
   * @param now ms of the stack's clock
   */
  input(slab: Slab, off: number, len: number, flags: number, now: number): void {
    this.#receiver.receive(this, slab, off, len, flags, now);
  }

  /** True when the address (as words) is one of this interface's own unicast addresses. */
  owns(family: 4 | 6, w0: number, w1: number, w2: number, w3: number): boolean {
    for (let i = 0; i < this.addresses.length; i++) {
      const own = this.addresses[i]!.address;
      if (own.w3 === w3 && own.family === family && own.w0 === w0 && own.w1 === w1 && own.w2 === w2)
        return true;
    }
    return false;
  }

  /** True for 255.255.255.255 and the directed broadcast addresses of this link (RFC 1122 §3.2.1.3). */
  isBroadcast(word: number): boolean {
    if (word === -1) return true;
    for (let i = 0; i < this.addresses.length; i++) {
      const { address, prefixLength } = this.addresses[i]!;
      // RFC 3021 §2.2: a link of two addresses has no broadcast address; neither has one of a single address
      if (address.family !== 4 || prefixLength > 30 || prefixLength === 0) continue;
      const hostBits = 0xffffffff >>> prefixLength;
      if ((word | 0) === (address.w3 | hostBits)) return true;
    }
    return false;
  }

  /** True for the multicast groups that this interface belongs to. */
  isMember(family: 4 | 6, w0: number, w1: number, w2: number, w3: number): boolean {
    // RFC 1112 §4: 224.0.0.1 on every interface
    if (family === 4) return w3 === (0xe0000001 | 0) || this.igmp?.groups.has(w0, w1, w2, w3) === true;
    // RFC 4291 §2.8: all nodes, interface-local and link-local
    if ((w0 === (0xff010000 | 0) || w0 === (0xff020000 | 0)) && w1 === 0 && w2 === 0 && w3 === 1) return true;
    // RFC 4291 §2.7.1: the solicited-node addresses of our own, ff02::1:ffXX:XXXX
    if (w0 === (0xff020000 | 0) && w1 === 0 && w2 === 1 && w3 >>> 24 === 0xff) {
      for (let i = 0; i < this.addresses.length; i++) {
        const own = this.addresses[i]!.address;
        if (own.family === 6 && ((own.w3 ^ w3) & 0xffffff) === 0) return true;
      }
      for (const { address } of this.tentative) if (((address.w3 ^ w3) & 0xffffff) === 0) return true;
    }
    return this.mld?.groups.has(w0, w1, w2, w3) === true;
  }
}
