import type { StackContext } from '../context.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { EthernetLink } from './ethernet-link.ts';

/** RFC 4862 §5.1 DupAddrDetectTransmits, and RFC 4861 §10 RETRANS_TIMER. */
export const DUPLICATE_TRANSMITS = 1;
export const RETRANS_TIMER_MS = 1000;
/** RFC 4862 §5.4.2: the first question waits up to so long. */
export const MAX_SOLICITATION_DELAY_MS = 1000;

/** An IPv6 address that is not ours yet: it receives nothing, unless it is optimistic, but the link is asked for it. */
export class TentativeAddress implements TimerTarget {
  readonly address: IpAddress;
  /** RFC 4429: it is used meanwhile, in a way that harms nobody who has it. */
  readonly isOptimistic: boolean;
  readonly #context: StackContext;
  readonly #link: EthernetLink;
  readonly #ended: (isFree: boolean) => void;
  readonly #timer: TimerEntry = new TimerEntry(this);
  #sent = 0;

  /**
   * Asks whether anybody has the address (RFC 4862 §5.4).
   * @param ended called once, unless {@link cancel} is
   */
  constructor(
    context: StackContext,
    link: EthernetLink,
    address: IpAddress,
    ended: (isFree: boolean) => void,
    isOptimistic = false,
  ) {
    this.#context = context;
    this.#link = link;
    this.address = address;
    this.isOptimistic = isOptimistic;
    this.#ended = ended;
    link.iface.tentative.push(this);
    link.iface.mld?.addressesChanged();
    const delayMs = (context.random.uint32() / 2 ** 32) * MAX_SOLICITATION_DELAY_MS;
    context.timers.set(this.#timer, context.now + delayMs);
  }

  cancel(): void {
    const { tentative } = this.#link.iface;
    const at = tentative.indexOf(this);
    if (at >= 0) tentative.splice(at, 1);
    this.#link.iface.mld?.addressesChanged();
    this.#context.timers.remove(this.#timer);
  }

  /** RFC 4862 §5.4.3, §5.4.4: somebody has it, or asks for it too. */
  duplicate(): void {
    this.cancel();
    this.#ended(false);
  }

  /** TimerTarget */
  onDeadline(now: number): void {
    if (this.#sent < DUPLICATE_TRANSMITS) {
      this.#sent++;
      this.#link.ndp.probe(this.address);
      // RFC 4862 §5.1: the time that routers may tell
      this.#context.timers.set(this.#timer, now + this.#link.neighbours.retransmitMs);
      return;
    }
    this.cancel();
    this.#ended(true);
  }
}
