import { DhcpClient, type DhcpClientOwner, DhcpCounters } from '../stack/dhcp/dhcp-client.ts';
import { type DhcpLease, settingsOf } from '../stack/dhcp/dhcp-lease.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { Interface } from '../stack/ip/interface.ts';
import type { Stack } from '../stack/stack.ts';
import type { IpAddress } from '../stack/wire/ip-address.ts';

/** In the list of an interface's addresses: one from a DHCP server. */
const DHCP = 'dhcp';

/** Learns what a network says of its name servers. */
export interface NameServerUser {
  /** @param search the domain for short names; empty: none is told */
  nameServers(servers: readonly IpAddress[], search: readonly string[]): void;
}

/** The addresses that are given as such. */
export function givenAddresses(addresses: readonly string[]): string[] {
  return addresses.filter((address) => address !== DHCP);
}

/** How an interface gets the addresses that it is not given: asks for them, and keeps them up to date. */
export class AddressConfiguration implements DhcpClientOwner {
  readonly #stack: Stack;
  readonly #iface: Interface;
  readonly #user: NameServerUser;
  readonly #dhcp: DhcpClient | null;

  /** @throws NetError ARGUMENT_INVALID when there is DHCP to be done on a device that is not Ethernet */
  constructor(stack: Stack, iface: Interface, addresses: readonly string[], user: NameServerUser) {
    this.#stack = stack;
    this.#iface = iface;
    this.#user = user;
    this.#dhcp = addresses.includes(DHCP) ? this.#startDhcp() : null;
  }

  /** What is still waited for; '': the interface has its addresses. */
  get awaited(): string {
    return this.#dhcp !== null && this.#dhcp.lease === null ? 'an address from a DHCP server' : '';
  }

  /** Gives back what was given for a time. */
  close(): void {
    this.#dhcp?.close();
  }

  /** DhcpClientOwner */
  leased(lease: DhcpLease): void {
    this.#stack.configure(this.#iface, DHCP, settingsOf(lease));
    this.#user.nameServers(lease.nameServers, lease.domain === null ? [] : [lease.domain]);
  }

  /** DhcpClientOwner: the name servers stay, as there may be a way to them by another address. */
  leaseLost(): void {
    this.#stack.configure(this.#iface, DHCP, null);
  }

  #startDhcp(): DhcpClient {
    const { name, link } = this.#iface;
    if (link === null) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `an address by DHCP takes an Ethernet device (raw:INTERFACE); ${name} is none`,
      });
    }
    const counters = this.#stack.counters.group('dhcp', new DhcpCounters());
    return new DhcpClient(this.#stack, this.#stack.udp, counters, this.#iface, link, this);
  }
}
