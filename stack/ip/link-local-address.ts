import type { StackContext } from '../context.ts';
import { sipHash } from '../tcp/siphash.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import { IpAddress, type IpPrefix } from '../wire/ip-address.ts';
import { AddressProbe, type AddressProbeOwner } from './address-probe.ts';
import { DEFEND_INTERVAL_MS, type EthernetLink, type LinkObserver } from './ethernet-link.ts';
import type { Interface } from './interface.ts';

/** RFC 3927 §9: after more addresses than these that somebody had, one is tried a minute. */
export const MAX_CONFLICTS = 10;
export const RATE_LIMIT_INTERVAL_MS = 60_000;

/** RFC 3927 §2.1: 169.254.1.0 … 169.254.254.255 */
const FIRST = 0xa9fe0100;
const COUNT: number = 254 * 256;
const PREFIX_LENGTH = 16;
/** The same on every machine: a station's address alone decides which addresses it tries (RFC 3927 §2.1). */
const KEY: Int32Array = Int32Array.of(0x169, 0x254, 0x3927, 0);

/** What became of the IPv4 link-local addresses of a stack. */
export class LinkLocalCounters {
  configured = 0;
  /** Addresses that somebody on the link had, or wanted at the same time. */
  conflicts = 0;
  /** Addresses in use that another station insisted on. */
  givenUp = 0;
}

/** Is told what the address is; called while packets are received or timers run. */
export interface LinkLocalOwner {
  /** @param prefix null: there is none any more */
  linkLocalChanged(prefix: IpPrefix | null): void;
}

/**
 * An IPv4 link-local address for one Ethernet interface (RFC 3927): asked for before it is used, defended once, and given up for
 * another one when somebody insists on it. Does nothing before {@link begin}.
 */
export class LinkLocalAddress implements AddressProbeOwner, TimerTarget, LinkObserver {
  readonly counters: LinkLocalCounters;
  /** In use; null: none yet. */
  address: IpAddress | null = null;
  readonly #context: StackContext;
  readonly #link: EthernetLink;
  readonly #owner: LinkLocalOwner;
  readonly #timer: TimerEntry = new TimerEntry(this);
  #probe: AddressProbe | null = null;
  #attempt = 0;
  #conflicts = 0;
  #attackedAt: number = -Infinity;

  constructor(context: StackContext, counters: LinkLocalCounters, link: EthernetLink, owner: LinkLocalOwner) {
    this.#context = context;
    this.counters = counters;
    this.#link = link;
    this.#owner = owner;
    link.observer = this;
  }

  /** Looks for an address after a time, if there is none. */
  begin(delayMs: number): void {
    if (this.address === null && this.#probe === null)
      this.#context.timers.set(this.#timer, this.#context.now + delayMs);
  }

  /** Stops looking; an address that is in use stays (RFC 3927 §1.9: connections that are there go on). */
  cease(): void {
    this.#context.timers.remove(this.#timer);
    if (this.address !== null) return;
    this.#probe?.cancel();
    this.#probe = null;
  }

  /** Ends it. What was configured stays with the owner. */
  close(): void {
    this.#context.timers.remove(this.#timer);
    this.#probe?.cancel();
    if (this.#link.observer === this) this.#link.observer = null;
  }

  /** TimerTarget */
  onDeadline(): void {
    const { high, low } = this.#link;
    const out = new Int32Array(2);
    sipHash(KEY, Int32Array.of(high, low, this.#attempt), out);
    const candidate = IpAddress.v4(FIRST + ((out[0]! >>> 0) % COUNT));
    this.#probe = new AddressProbe(this.#context, this.#link, candidate, this);
  }

  /** AddressProbeOwner */
  addressFree(address: IpAddress): void {
    this.counters.configured++;
    this.#conflicts = 0;
    this.address = address;
    this.#owner.linkLocalChanged({ address, prefixLength: PREFIX_LENGTH });
  }

  /** AddressProbeOwner: RFC 3927 §2.2.1 */
  addressInUse(): void {
    this.counters.conflicts++;
    this.#another(++this.#conflicts > MAX_CONFLICTS ? RATE_LIMIT_INTERVAL_MS : 0);
  }

  /** LinkObserver: RFC 3927 §2.5 (b). The link defends an address once in that time, by itself. */
  addressConflict(_iface: Interface, address: IpAddress): void {
    if (this.address === null || !address.equals(this.address)) return;
    const { now } = this.#context;
    const isInsisting = now - this.#attackedAt < DEFEND_INTERVAL_MS;
    this.#attackedAt = now;
    if (!isInsisting) return;
    this.counters.givenUp++;
    this.address = null;
    this.#another(0);
    this.#owner.linkLocalChanged(null);
  }

  #another(delayMs: number): void {
    this.#probe?.cancel();
    this.#probe = null;
    this.#attempt++;
    this.begin(delayMs);
  }
}
