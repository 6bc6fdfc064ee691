import type { StackContext } from '../context.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { ProbeWatcher } from './arp.ts';
import type { EthernetLink } from './ethernet-link.ts';

/** RFC 5227 §1.1 */
export const PROBE_WAIT_MS = 1000;
export const PROBE_NUM = 3;
export const PROBE_MIN_MS = 1000;
export const PROBE_MAX_MS = 2000;
export const ANNOUNCE_WAIT_MS = 2000;
export const ANNOUNCE_NUM = 2;
export const ANNOUNCE_INTERVAL_MS = 2000;

/** Is told how a probe ended. Called once. */
export interface AddressProbeOwner {
  /** Nobody has the address: it may be used, and is announced after the call. */
  addressFree(address: IpAddress): void;
  addressInUse(address: IpAddress): void;
}

/** Asks a link whether an IPv4 address is free before it is used, and announces it then (RFC 5227 §2.1, §2.3). */
export class AddressProbe implements ProbeWatcher, TimerTarget {
  readonly probed: number;
  readonly #address: IpAddress;
  readonly #context: StackContext;
  readonly #link: EthernetLink;
  readonly #owner: AddressProbeOwner;
  readonly #timer: TimerEntry = new TimerEntry(this);
  #probes = 0;
  #announcements = 0;
  #isOver = false;

  constructor(context: StackContext, link: EthernetLink, address: IpAddress, owner: AddressProbeOwner) {
    this.#context = context;
    this.#link = link;
    this.#address = address;
    this.#owner = owner;
    this.probed = address.w3;
    link.arp.watchers.push(this);
    context.timers.set(this.#timer, context.now + this.#between(0, PROBE_WAIT_MS));
  }

  /** Ends it: nothing more is sent or told. */
  cancel(): void {
    this.#isOver = true;
    this.#context.timers.remove(this.#timer);
    this.#unwatch();
  }

  /** ProbeWatcher */
  probeAnswered(): void {
    if (this.#isOver) return;
    this.cancel();
    this.#owner.addressInUse(this.#address);
  }

  /** TimerTarget: the next probe, or announcement. */
  onDeadline(now: number): void {
    const { arp } = this.#link;
    if (this.#probes < PROBE_NUM) {
      this.#probes++;
      arp.probe(this.probed);
      const isLast = this.#probes === PROBE_NUM;
      this.#setTimer(now + (isLast ? ANNOUNCE_WAIT_MS : this.#between(PROBE_MIN_MS, PROBE_MAX_MS)));
      return;
    }
    if (this.#announcements === 0) {
      this.#unwatch();
      this.#owner.addressFree(this.#address);
      if (this.#isOver) return;
    }
    arp.announce(this.probed);
    this.#announcements++;
    if (this.#announcements < ANNOUNCE_NUM) this.#setTimer(now + ANNOUNCE_INTERVAL_MS);
    else this.#isOver = true;
  }

  #setTimer(deadline: number): void {
    this.#context.timers.set(this.#timer, deadline);
  }

  #unwatch(): void {
    const { watchers } = this.#link.arp;
    const at = watchers.indexOf(this);
    if (at >= 0) watchers.splice(at, 1);
  }

  #between(fromMs: number, toMs: number): number {
    return fromMs + (this.#context.random.uint32() / 2 ** 32) * (toMs - fromMs);
  }
}
