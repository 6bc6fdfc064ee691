import type { StackContext } from '../context.ts';
import type { IpAddress, IpPrefix } from '../wire/ip-address.ts';
import { AddressProbe, type AddressProbeOwner } from './address-probe.ts';
import { TentativeAddress } from './duplicate-address-detection.ts';
import type { EthernetLink } from './ethernet-link.ts';

/** Learns of each address how its check ended. Called while frames are received or timers run. */
export interface AddressCheckOwner {
  /** Nobody has it; it may be used from now on. */
  addressIsFree(prefix: IpPrefix): void;
  addressIsTaken(address: IpAddress): void;
}

/** Asks a link for addresses that are to be ours, all at once, before they are used (RFC 4862 §5.4, RFC 5227 §2.1). */
export class AddressCheck implements AddressProbeOwner {
  readonly #owner: AddressCheckOwner;
  readonly #pending: IpPrefix[];
  readonly #checks: { cancel(): void }[];

  constructor(
    context: StackContext,
    link: EthernetLink,
    prefixes: readonly IpPrefix[],
    owner: AddressCheckOwner,
  ) {
    this.#owner = owner;
    this.#pending = [...prefixes];
    this.#checks = prefixes.map(({ address }) =>
      address.family === 4
        ? new AddressProbe(context, link, address, this)
        : new TentativeAddress(context, link, address, (isFree) => this.#ended(address, isFree)),
    );
  }

  /** Addresses that nothing is known of yet. */
  get pending(): readonly IpPrefix[] {
    return this.#pending;
  }

  close(): void {
    for (const check of this.#checks) check.cancel();
  }

  /** AddressProbeOwner */
  addressFree(address: IpAddress): void {
    this.#ended(address, true);
  }

  /** AddressProbeOwner */
  addressInUse(address: IpAddress): void {
    this.#ended(address, false);
  }

  #ended(address: IpAddress, isFree: boolean): void {
    const at = this.#pending.findIndex((each) => each.address.equals(address));
    const [prefix] = this.#pending.splice(at, 1);
    if (!isFree) this.#owner.addressIsTaken(address);
    else if (prefix !== undefined) this.#owner.addressIsFree(prefix);
  }
}
