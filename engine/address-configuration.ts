import { DhcpClient, type DhcpClientOwner, DhcpCounters } from '../stack/dhcp/dhcp-client.ts';
import { type DhcpLease, settingsOf } from '../stack/dhcp/dhcp-lease.ts';
import {
  DhcpV6Counters,
  DhcpV6InformationClient,
  type DhcpV6Owner,
} from '../stack/dhcp/dhcpv6-information.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { AddressCheck, type AddressCheckOwner } from '../stack/ip/address-check.ts';
import type { EthernetLink } from '../stack/ip/ethernet-link.ts';
import type { Interface, InterfaceSettings } from '../stack/ip/interface.ts';
import { IDENTIFIER_SECRET_BYTES } from '../stack/ip/interface-identifier.ts';
import { LinkLocalAddress, LinkLocalCounters, type LinkLocalOwner } from '../stack/ip/link-local-address.ts';
import { Slaac, SlaacCounters, type SlaacOwner } from '../stack/ip/slaac.ts';
import { ownPrefix, type Stack } from '../stack/stack.ts';
import type { IpAddress, IpPrefix } from '../stack/wire/ip-address.ts';
import { IPV6_MIN_MTU_BYTES } from '../stack/wire/ipv6.ts';
import type { EngineOptions } from './options.ts';

/** In the list of an interface's addresses: one from a DHCP server. */
const DHCP = 'dhcp';
/** The same: one made of what routers advertise. */
const SLAAC = 'slaac';
/** The same: an IPv4 address of our own choice, when there is no DHCP server (RFC 3927). */
const LINK_LOCAL = 'link-local';
/** A DHCP server has so long to give an address before one is chosen: what is asked twice. */
const DHCP_PATIENCE_MS = 10_000;

/** What gives an interface addresses and routes: its options, and what is asked for here. */
export const CONFIGURATION_SOURCES: readonly string[] = ['static', 'checked', DHCP, SLAAC, LINK_LOCAL];

/** Learns what a network says of its name servers. */
export interface NameServerUser {
  /** @param search the domains for short names; empty: none is told */
  nameServers(servers: readonly IpAddress[], search: readonly string[]): void;
}

/** What a network says of its names. */
export interface NetworkNames {
  readonly servers: readonly IpAddress[];
  readonly search: readonly string[];
}

/** See {@link EngineOptions}. */
export type ConfigurationSettings = Pick<
  EngineOptions,
  'addresses' | 'slaacSecret' | 'temporaryAddresses' | 'optimisticAddresses' | 'checkAddresses'
>;

const NO_NAMES: NetworkNames = { servers: [], search: [] };

/** The addresses that are given as such. */
export function givenAddresses(addresses: readonly string[]): string[] {
  return addresses.filter((address) => address !== DHCP && address !== SLAAC && address !== LINK_LOCAL);
}

/** How an interface gets the addresses that it is not given: asks for them, and keeps them up to date. */
export class AddressConfiguration
  implements DhcpClientOwner, SlaacOwner, DhcpV6Owner, AddressCheckOwner, LinkLocalOwner
{
  readonly #stack: Stack;
  readonly #iface: Interface;
  readonly #user: NameServerUser;
  readonly #dhcp: DhcpClient | null;
  readonly #slaac: Slaac | null;
  readonly #linkLocal: LinkLocalAddress | null;
  readonly #check: AddressCheck | null;
  readonly #free: IpPrefix[] = [];
  #taken: IpAddress | null = null;
  #leased: NetworkNames = NO_NAMES;
  #advertised: NetworkNames = NO_NAMES;
  #informed: NetworkNames = NO_NAMES;
  #information: DhcpV6InformationClient | null = null;

  /**
   * @throws NetError ARGUMENT_INVALID for an address that is none, and when there is something to ask for on a device that is not Ethernet
   */
  constructor(stack: Stack, iface: Interface, settings: ConfigurationSettings, user: NameServerUser) {
    const { addresses, checkAddresses } = settings;
    this.#stack = stack;
    this.#iface = iface;
    this.#user = user;
    this.#dhcp = addresses.includes(DHCP) ? this.#startDhcp(this.#ethernet('an address by DHCP')) : null;
    this.#linkLocal = addresses.includes(LINK_LOCAL)
      ? this.#startLinkLocal(this.#ethernet('a link-local address'))
      : null;
    this.#slaac = addresses.includes(SLAAC)
      ? this.#startSlaac(this.#ethernet('an address by SLAAC'), settings)
      : null;
    this.#check =
      checkAddresses === true
        ? this.#startCheck(this.#ethernet('checkAddresses'), givenAddresses(addresses))
        : null;
  }

  /** What is still waited for; '': the interface has its addresses. @throws NetError ADDRESS_IN_USE */
  get awaited(): string {
    if (this.#taken !== null)
      throw new NetError('ADDRESS_IN_USE', {
        phase: Phase.Argument,
        detail: `another station on ${this.#iface.name} has the address ${this.#taken}`,
        address: this.#taken.toString(),
      });
    const [unchecked] = this.#check?.pending ?? [];
    if (unchecked !== undefined) return `an answer whether ${unchecked.address} is free`;
    const hasLinkLocal = this.#linkLocal !== null && this.#linkLocal.address !== null;
    if (this.#dhcp !== null && this.#dhcp.lease === null && !hasLinkLocal)
      return 'an address from a DHCP server';
    if (this.#dhcp === null && this.#linkLocal !== null && !hasLinkLocal)
      return 'a link-local address that nobody has';
    if (this.#slaac !== null && !this.#slaac.hasGlobalAddress) return 'a prefix from a router';
    return '';
  }

  /** Gives back what was given for a time. */
  close(): void {
    this.#dhcp?.close();
    this.#slaac?.close();
    this.#linkLocal?.close();
    this.#check?.close();
    this.#information?.close();
  }

  /** SlaacOwner */
  serverAdvertised(): void {
    const { link } = this.#iface;
    if (this.#information !== null || link === null) return;
    const counters = this.#stack.counters.group('dhcpv6', new DhcpV6Counters());
    this.#information = new DhcpV6InformationClient(this.#stack, this.#stack.udp, counters, link, this);
  }

  /** DhcpV6Owner */
  informed(servers: readonly IpAddress[], search: readonly string[]): void {
    this.#informed = { servers, search };
    this.#tellNames();
  }

  /** AddressCheckOwner */
  addressIsFree(prefix: IpPrefix): void {
    this.#free.push(prefix);
    const settings = { addresses: [...this.#free], routes: [], mtuBytes: Infinity };
    this.#stack.configure(this.#iface, 'checked', settings);
  }

  /** AddressCheckOwner */
  addressIsTaken(address: IpAddress): void {
    this.#taken = address;
  }

  /** DhcpClientOwner */
  leased(lease: DhcpLease): void {
    this.#linkLocal?.cease();
    this.#stack.configure(this.#iface, DHCP, settingsOf(lease));
    this.#leased = { servers: lease.nameServers, search: lease.domain === null ? [] : [lease.domain] };
    this.#tellNames();
  }

  /** DhcpClientOwner: the name servers stay, as there may be a way to them by another address. */
  leaseLost(): void {
    this.#stack.configure(this.#iface, DHCP, null);
    this.#linkLocal?.begin(DHCP_PATIENCE_MS);
  }

  /** LinkLocalOwner */
  linkLocalChanged(prefix: IpPrefix | null): void {
    const settings = prefix === null ? null : { addresses: [prefix], routes: [], mtuBytes: Infinity };
    this.#stack.configure(this.#iface, LINK_LOCAL, settings);
  }

  /** SlaacOwner */
  configured(settings: InterfaceSettings): void {
    this.#stack.configure(this.#iface, SLAAC, settings);
  }

  /** SlaacOwner */
  nameServersLearned(servers: readonly IpAddress[], search: readonly string[]): void {
    this.#advertised = { servers, search };
    this.#tellNames();
  }

  /** RFC 8106 §5.3.1: what DHCP says goes before what routers say. */
  #tellNames(): void {
    const all = [this.#leased, this.#informed, this.#advertised];
    const servers = new Map(all.flatMap((names) => names.servers.map((each) => [each.toString(), each])));
    this.#user.nameServers([...servers.values()], [...new Set(all.flatMap(({ search }) => search))]);
  }

  #startDhcp(link: EthernetLink): DhcpClient {
    const counters = this.#stack.counters.group('dhcp', new DhcpCounters());
    return new DhcpClient(this.#stack, this.#stack.udp, counters, this.#iface, link, this);
  }

  #startLinkLocal(link: EthernetLink): LinkLocalAddress {
    const counters = this.#stack.counters.group('linkLocal', new LinkLocalCounters());
    const linkLocal = new LinkLocalAddress(this.#stack, counters, link, this);
    linkLocal.begin(this.#dhcp === null ? 0 : DHCP_PATIENCE_MS);
    return linkLocal;
  }

  #startCheck(link: EthernetLink, addresses: readonly string[]): AddressCheck {
    const prefixes = addresses.map(ownPrefix);
    if (prefixes.some(({ address }) => address.family === 6)) this.#checkMtu();
    return new AddressCheck(this.#stack, link, prefixes, this);
  }

  #checkMtu(): void {
    const { name, capabilities } = this.#iface;
    if (capabilities.mtuBytes < IPV6_MIN_MTU_BYTES)
      throw invalid(`IPv6 needs an MTU of ${IPV6_MIN_MTU_BYTES} bytes; ${name} has ${capabilities.mtuBytes}`);
  }

  #startSlaac(link: EthernetLink, settings: ConfigurationSettings): Slaac {
    this.#checkMtu();
    const { slaacSecret: given, temporaryAddresses, optimisticAddresses } = settings;
    const secret = new Uint8Array(IDENTIFIER_SECRET_BYTES);
    if (given === undefined) this.#stack.random.fill(secret);
    else if (given.length === secret.length) secret.set(given);
    else throw invalid(`slaacSecret has ${secret.length} bytes, got ${given.length}`);
    const counters = this.#stack.counters.group('slaac', new SlaacCounters());
    return new Slaac(this.#stack, counters, link, new Int32Array(secret.buffer), this, {
      temporary: temporaryAddresses === true,
      optimistic: optimisticAddresses === true,
    });
  }

  #ethernet(what: string): EthernetLink {
    const { name, link } = this.#iface;
    if (link !== null) return link;
    throw invalid(`${what} takes an Ethernet device (raw:INTERFACE); ${name} is none`);
  }
}

function invalid(detail: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}
