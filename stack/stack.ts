import type { RingSource, StackContext, Transmitter } from './context.ts';
import { Counters } from './counters.ts';
import type { Endpoint } from './endpoint.ts';
import { NetError, Phase } from './errors.ts';
import { IpCounters } from './ip/counters.ts';
import { EthernetCounters, EthernetLink } from './ip/ethernet-link.ts';
import { MembershipCounters } from './ip/group-membership.ts';
import { IcmpLayer } from './ip/icmp.ts';
import { IgmpHost } from './ip/igmp.ts';
import { IpInput } from './ip/input.ts';
import { Interface, type InterfaceSettings, type PacketReceiver } from './ip/interface.ts';
import { MldHost } from './ip/mld.ts';
import { NeighbourCounters } from './ip/neighbour.ts';
import { IpSender } from './ip/output.ts';
import { RawLayer } from './ip/raw-layer.ts';
import { RouteTable } from './ip/route-table.ts';
import {
  type EthernetCapabilities,
  HEADER_BYTES,
  HEADROOM_BYTES,
  type LinkCapabilities,
  type PacketSink,
  TxPacket,
} from './link.ts';
import { LocalPorts } from './local-ports.ts';
import { HookCounters, HookRunner, type PacketHook, type PacketInjector } from './packet-hook.ts';
import { drawSecret, type RandomSource } from './random.ts';
import { TcpLayer } from './tcp/tcp-layer.ts';
import { TimerQueue } from './timers.ts';
import { UdpLayer } from './udp/udp-layer.ts';
import { ETHERNET_ADDRESS_BYTES, isGroupAddress, MAX_VLAN_ID } from './wire/ethernet.ts';
import { IpAddress, type IpPrefix, parsePrefix } from './wire/ip-address.ts';
import { IP_MAX_PACKET_BYTES, IpProtocol, Ipv4, ipVersion } from './wire/ipv4.ts';
import { IPV6_MIN_MTU_BYTES, Ipv6 } from './wire/ipv6.ts';
import { Slab } from './wire/slab.ts';

/** RFC 791 §3.2: every link carries packets of this size. */
export const IPV4_MIN_MTU_BYTES = 68;

/** What a stack needs from outside. */
export interface StackOptions {
  readonly random: RandomSource;
  readonly rings: RingSource;
  /** Milliseconds of the monotonic clock that all later times are of. */
  readonly now: number;
  /** See {@link Stack.packetHook}. */
  readonly packetHook?: PacketHook | null;
}

/** What an interface is made of. */
export interface InterfaceOptions {
  readonly name: string;
  readonly sink: PacketSink;
  readonly capabilities: LinkCapabilities;
  /** In CIDR notation: `192.0.2.2/24`, `2001:db8::2/64`. */
  readonly addresses: readonly string[];
  /** Routers on the link for everything that is not on it. */
  readonly gateways: readonly string[];
}

/** What an interface of a virtual LAN (IEEE 802.1Q) is made of. */
export interface VlanOptions {
  /** 1 … 4094 */
  readonly id: number;
  /** As those of an interface. */
  readonly addresses: readonly string[];
  readonly gateways?: readonly string[];
}

/**
 * A TCP/IP stack without I/O. A driver calls `Interface.input` for packets, {@link advance} when {@link nextDeadline} has come, and
 * the layers on behalf of applications; after any of these it calls {@link pollEvent} until null, then {@link transmit}. Same inputs,
 * same random source: same packets.
 */
export class Stack implements StackContext, PacketReceiver {
  now: number;
  readonly random: RandomSource;
  readonly ports: LocalPorts = new LocalPorts();
  readonly secret: Int32Array;
  readonly rings: RingSource;
  readonly counters: Counters = new Counters();
  readonly timers: TimerQueue = new TimerQueue();
  readonly tx: TxPacket = new TxPacket(Slab.alloc(HEADROOM_BYTES + HEADER_BYTES));
  readonly routes: RouteTable;
  /** Told of each {@link configure}; null: nobody is. */
  onConfigured: ((iface: Interface, source: string, settings: InterfaceSettings | null) => void) | null =
    null;
  /** Told when another station on a link uses an address of ours (RFC 5227 §2.4, RFC 4862 §5.4); null: nobody is. */
  onAddressConflict: ((iface: Interface, address: IpAddress, linkAddress: string) => void) | null = null;
  readonly ip: IpSender;
  readonly ipInput: IpInput;
  readonly icmp: IcmpLayer;
  readonly udp: UdpLayer;
  readonly tcp: TcpLayer;
  /** Made with the first Ethernet interface. */
  #ethernetCounters: EthernetCounters | null = null;
  #neighbourCounters: NeighbourCounters | null = null;
  #raw: RawLayer | null = null;
  #packetHook: PacketHook | null = null;
  #hookRunner: HookRunner | null = null;
  #hookCounters: HookCounters | null = null;
  readonly #membershipCounters: MembershipCounters;
  #transmitters: Transmitter | null = null;
  #lastTransmitter: Transmitter | null = null;
  #endpoints: Endpoint | null = null;
  #lastEndpoint: Endpoint | null = null;

  constructor(options: StackOptions) {
    this.now = options.now;
    this.random = options.random;
    this.secret = drawSecret(options.random);
    this.rings = options.rings;
    const ipCounters = this.counters.group('ip', new IpCounters());
    this.routes = new RouteTable(this.timers, ipCounters);
    this.ip = new IpSender(this, this.routes, ipCounters);
    this.icmp = new IcmpLayer(this, (protocol) => this.ipInput.handlerOf(protocol));
    this.ipInput = new IpInput(this, ipCounters, this.icmp);
    this.udp = new UdpLayer(this, this.icmp);
    this.tcp = new TcpLayer(this);
    this.tcp.onUnclaimed = (rx) => this.icmp.probes.tcpAnswer(rx);
    this.#membershipCounters = this.counters.group('multicast', new MembershipCounters());
    this.ipInput.register(IpProtocol.Igmp, {
      input: (rx) => rx.iface.igmp?.input(rx),
      icmpError: () => {},
    });
    this.ipInput.register(IpProtocol.Icmp, this.icmp.v4);
    this.ipInput.register(IpProtocol.Icmpv6, this.icmp.v6);
    this.ipInput.register(IpProtocol.Udp, this.udp);
    this.ipInput.register(IpProtocol.Tcp, this.tcp);
    this.packetHook = options.packetHook ?? null;
  }

  /**
   * Sees and may alter, drop or add any packet, in either direction; null: there is none, and nothing is done for it. Interfaces that carry
   * several segments as one packet (`txSegmentBytes`) take none: open their devices without offload.
   * @throws NetError ARGUMENT_INVALID, when set with such an interface
   */
  get packetHook(): PacketHook | null {
    return this.#packetHook;
  }

  set packetHook(hook: PacketHook | null) {
    if (hook !== null) for (const iface of this.interfaces) checkHookable(iface.name, iface.capabilities);
    this.#hookRunner?.close();
    this.#packetHook = hook;
    this.#hookRunner = hook === null ? null : this.#runnerOf(hook);
    for (const iface of this.interfaces) iface.hook = this.#hookOf(iface);
  }

  /** Adds packets, as a hook does; null: there is no hook. */
  get packetInjector(): PacketInjector | null {
    return this.#hookRunner;
  }

  /** Packets of virtual LANs pass the hook of the interface below. */
  #hookOf(iface: Interface): PacketSink | null {
    const isVlan = iface.capabilities.ethernet?.vlanId !== undefined;
    return isVlan ? null : (this.#hookRunner?.sinkOf(iface) ?? null);
  }

  #runnerOf(hook: PacketHook): HookRunner {
    this.#hookCounters ??= this.counters.group('hook', new HookCounters());
    return new HookRunner(
      hook,
      this.#hookCounters,
      this,
      () => this.interfaces,
      (iface, slab, off, len) => this.#receive(iface, slab, off, len, 0),
    );
  }

  /** Sockets for packets of any IP protocol. */
  get raw(): RawLayer {
    this.#raw ??= new RawLayer(this);
    this.ipInput.raw = this.#raw;
    return this.#raw;
  }

  /** The interfaces, in the order they were added. */
  get interfaces(): readonly Interface[] {
    return this.routes.interfaces;
  }

  /**
   * Adds an interface. Its device calls `input` of the interface returned.
   * @throws NetError ARGUMENT_INVALID
   */
  addInterface(options: InterfaceOptions): Interface {
    const { name, sink, capabilities } = options;
    const addresses = options.addresses.map(ownPrefix);
    const gateways = options.gateways.map(gatewayAddress);
    const { mtuBytes } = capabilities;
    // RFC 8200 §5: a link with less than 1280 bytes is no link for IPv6.
    const least = addresses.some((prefix) => prefix.address.family === 6)
      ? IPV6_MIN_MTU_BYTES
      : IPV4_MIN_MTU_BYTES;
    if (!Number.isInteger(mtuBytes) || mtuBytes < least || mtuBytes > IP_MAX_PACKET_BYTES)
      throw invalid(
        `interface ${name} needs an MTU of ${least} to ${IP_MAX_PACKET_BYTES} bytes, got ${mtuBytes}`,
      );
    if (this.#packetHook !== null) checkHookable(name, capabilities);
    const iface = new Interface(this, name, sink, capabilities, addresses, gateways);
    if (capabilities.ethernet !== undefined) iface.link = this.#ethernet(iface, capabilities.ethernet);
    iface.hook = this.#hookOf(iface);
    iface.igmp = new IgmpHost(this, iface, this.#membershipCounters);
    iface.mld = new MldHost(this, iface, this.#membershipCounters);
    iface.mld.addressesChanged();
    this.routes.addInterface(iface);
    return iface;
  }

  /**
   * Adds an interface for the frames of a virtual LAN on the device of another, named `eth0.10`. It gets its frames from there: the
   * device calls `input` of the other one. Checksums and segments are made here.
   * @throws NetError ARGUMENT_INVALID
   */
  addVlan(parent: Interface, { id, addresses, gateways = [] }: VlanOptions): Interface {
    const { link, capabilities } = parent;
    const { ethernet } = capabilities;
    if (link === null || ethernet === undefined)
      throw invalid(`a virtual LAN takes an Ethernet device (raw:INTERFACE); ${parent.name} is none`);
    if (!Number.isInteger(id) || id < 1 || id > MAX_VLAN_ID || link.vlanId !== 0 || link.hasVlan(id))
      throw invalid(
        `the number of a virtual LAN is 1 … ${MAX_VLAN_ID}, each once on a device; got ${id} on ${parent.name}`,
      );
    const iface = this.addInterface({
      name: `${parent.name}.${id}`,
      sink: { send: (packet) => parent.emit(packet) },
      capabilities: {
        mtuBytes: capabilities.mtuBytes,
        txChecksum: false,
        txSegmentBytes: 0,
        ethernet: { address: ethernet.address, vlanId: id },
      },
      addresses,
      gateways,
    });
    link.addVlan(iface.link!);
    return iface;
  }

  /**
   * Gives an interface the addresses, routes and MTU that one source (`'dhcp'`) says, instead of what it said before; null takes them
   * away. Connections from an address that is gone are not told: they hear nothing more, and end by their timers.
   */
  configure(iface: Interface, source: string, settings: InterfaceSettings | null): void {
    iface.configure(source, settings);
    this.routes.update();
    this.onConfigured?.(iface, source, settings);
  }

  #ethernet(iface: Interface, ethernet: EthernetCapabilities): EthernetLink {
    const { address } = ethernet;
    if (address.length !== ETHERNET_ADDRESS_BYTES || isGroupAddress((address[0] ?? 0) << 8))
      throw invalid(`interface ${iface.name} needs a station address of 6 bytes, got ${address.join(' ')}`);
    this.#ethernetCounters ??= this.counters.group('ethernet', new EthernetCounters());
    this.#neighbourCounters ??= this.counters.group('neighbour', new NeighbourCounters());
    return new EthernetLink(this, iface, ethernet, this.#ethernetCounters, this.#neighbourCounters, {
      packet: (from, slab, off, len, flags) => this.ipInput.receive(from, slab, off, len, flags),
      silent: (on, address) => this.routes.gatewaySilent(on, address, this.now),
      heard: (on, address) => this.routes.gatewayHeard(on, address),
      progressAt: (on, address) => this.routes.progressAt(on, address),
      addressConflict: (on, address, by) => this.onAddressConflict?.(on, address, by),
      unreachable: (from, slab, off, len) => {
        const way = this.#otherWay(from, slab, off);
        if (way === null) this.icmp.neighbourUnreachable(from, slab, off, len);
        return way;
      },
    });
  }

  /** Another first hop for an IP packet of ours, at `off`, whose own is silent. */
  #otherWay(iface: Interface, { view }: Slab, off: number): IpAddress | null {
    const family = ipVersion(view, off) === 4 ? 4 : 6;
    const destination = IpAddress.read(
      view,
      off + (family === 4 ? Ipv4.Destination : Ipv6.Destination),
      family,
    );
    const source = IpAddress.read(view, off + (family === 4 ? Ipv4.Source : Ipv6.Source), family);
    return this.routes.otherHop(iface, destination, source);
  }

  /** Takes a packet from an interface; see `Interface.input`. */
  receive(iface: Interface, slab: Slab, off: number, len: number, flags: number, now: number): void {
    this.now = now;
    if (this.#hookRunner === null) this.#receive(iface, slab, off, len, flags);
    else this.#hookRunner.input(iface, slab, off, len, flags);
  }

  #receive(iface: Interface, slab: Slab, off: number, len: number, flags: number): void {
    if (iface.link === null) this.ipInput.receive(iface, slab, off, len, flags);
    else iface.link.receive(slab, off, len, flags);
  }

  /** Runs what is due at `now`. */
  advance(now: number): void {
    this.now = now;
    this.timers.expire(now);
  }

  /** When {@link advance} is to be called next, at the latest; Infinity: nothing waits for a time. */
  nextDeadline(): number {
    return this.timers.next();
  }

  /** Lets everybody send who wants to. @returns false when a device was full: call again when it can take more */
  transmit(now: number): boolean {
    this.now = now;
    let source = this.#transmitters;
    const last = this.#lastTransmitter;
    this.#transmitters = null;
    this.#lastTransmitter = null;
    let done = true;
    while (source !== null) {
      const next: Transmitter | null = source.nextToTransmit;
      source.nextToTransmit = null;
      source.waitsToTransmit = false;
      if (!source.transmit()) {
        done = false;
        this.wantsToTransmit(source);
        // With one device the others need not try; they are first next time. Others may have another device.
        if (this.interfaces.length === 1 && next !== null && last !== null) {
          last.nextToTransmit = this.#transmitters;
          this.#transmitters = next;
          break;
        }
      }
      source = next;
    }
    return done;
  }

  /**
   * Gives events to observers, and the next endpoint that has none to the driver, who takes its events
   * (`Endpoint.takeEvents`) before anything else happens to it. @returns null when there are no more
   */
  pollEvent(): Endpoint | null {
    for (;;) {
      const endpoint = this.#endpoints;
      if (endpoint === null) return null;
      this.#endpoints = endpoint.nextWithEvents;
      if (this.#endpoints === null) this.#lastEndpoint = null;
      endpoint.nextWithEvents = null;
      // Taken meanwhile by somebody else
      if (endpoint.events === 0) continue;
      if (endpoint.observer === null) return endpoint;
      endpoint.observer.endpointEvents(endpoint, endpoint.takeEvents(), this.now);
    }
  }

  wantsToTransmit(source: Transmitter): void {
    if (source.waitsToTransmit) return;
    source.waitsToTransmit = true;
    if (this.#lastTransmitter === null) this.#transmitters = source;
    else this.#lastTransmitter.nextToTransmit = source;
    this.#lastTransmitter = source;
  }

  enqueue(endpoint: Endpoint): void {
    // Its events were taken while it waited, and now it has new ones: it is in the queue already.
    if (endpoint.nextWithEvents !== null || endpoint === this.#lastEndpoint) return;
    if (this.#lastEndpoint === null) this.#endpoints = endpoint;
    else this.#lastEndpoint.nextWithEvents = endpoint;
    this.#lastEndpoint = endpoint;
  }
}

function checkHookable(name: string, capabilities: LinkCapabilities): void {
  if (capabilities.txSegmentBytes > 0)
    throw invalid(
      `interface ${name} carries several segments as one; a packet hook needs it without offload`,
    );
}

/** Reads an own address with its prefix length. @throws NetError ARGUMENT_INVALID */
export function ownPrefix(text: string): IpPrefix {
  const prefix = parsePrefix(text);
  if (prefix === null) throw invalid(`expected an address like 192.0.2.2/24 or 2001:db8::2/64, got ${text}`);
  const { address } = prefix;
  if (address.isMulticast || address.isUnspecified || address.isLoopback || address.isLimitedBroadcast)
    throw invalid(`${text} cannot be the address of an interface`);
  return prefix;
}

function gatewayAddress(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === null || address.isMulticast || address.isUnspecified)
    throw invalid(`expected the address of a gateway, got ${text}`);
  return address;
}

function invalid(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
