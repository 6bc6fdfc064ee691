import type { StackContext } from '../context.ts';
import { IpAddress, type IpPrefix } from '../wire/ip-address.ts';
import { DUPLICATE_TRANSMITS, RETRANS_TIMER_MS, TentativeAddress } from './duplicate-address-detection.ts';
import type { EthernetLink } from './ethernet-link.ts';
import { isReservedIdentifier } from './interface-identifier.ts';

const DAY_MS = 86_400_000;
/** RFC 8981 §3.8 */
export const TEMP_VALID_LIFETIME_MS: number = 2 * DAY_MS;
export const TEMP_PREFERRED_LIFETIME_MS: number = DAY_MS;
export const TEMP_IDGEN_RETRIES = 3;
export const REGEN_ADVANCE_MS: number = 2000 + TEMP_IDGEN_RETRIES * DUPLICATE_TRANSMITS * RETRANS_TIMER_MS;
export const MAX_DESYNC_FACTOR_MS: number = 0.4 * TEMP_PREFERRED_LIFETIME_MS;

/** Temporary addresses of a stack. */
export class TemporaryCounters {
  temporaryMade = 0;
  temporaryExpired = 0;
  temporaryDuplicates = 0;
  /** Prefixes whose random addresses all belonged to somebody: there are no more of them. */
  temporaryFailed = 0;
}

interface TemporaryAddress {
  address: IpAddress;
  attempts: number;
  /** null: it is ours. */
  tentative: TentativeAddress | null;
  readonly preferredAtMost: number;
  readonly validAtMost: number;
  preferredUntil: number;
  validUntil: number;
}

interface Prefix {
  readonly prefix: IpAddress;
  preferredUntil: number;
  validUntil: number;
  /** The newest last. Only a new one's own time is over before the next is made, so there are at most four. */
  addresses: TemporaryAddress[];
  isFailed: boolean;
}

/** Addresses with random identifiers, each used for a day at most, beside the stable ones of an interface (RFC 8981). */
export class TemporaryAddresses {
  readonly #context: StackContext;
  readonly #counters: TemporaryCounters;
  readonly #link: EthernetLink;
  readonly #changed: () => void;
  readonly #prefixes = new Map<string, Prefix>();

  /** @param changed called when an address has become ours */
  constructor(context: StackContext, counters: TemporaryCounters, link: EthernetLink, changed: () => void) {
    this.#context = context;
    this.#counters = counters;
    this.#link = link;
    this.#changed = changed;
  }

  /** A router has told of a prefix. @param preferredUntil, validUntil of the stable address that it is used for */
  advertised(prefix: IpAddress, preferredUntil: number, validUntil: number): void {
    const key = prefix.toString();
    let known = this.#prefixes.get(key);
    if (known === undefined) {
      known = { prefix, preferredUntil, validUntil, addresses: [], isFailed: false };
      this.#prefixes.set(key, known);
    }
    known.preferredUntil = preferredUntil;
    known.validUntil = validUntil;
    // RFC 8981 §3.4 (1): no longer than their own lifetimes, whatever is advertised
    for (const each of known.addresses) {
      each.preferredUntil = Math.min(preferredUntil, each.preferredAtMost);
      each.validUntil = Math.min(validUntil, each.validAtMost);
    }
    this.#renew(known, this.#context.now);
  }

  /** Lets go of what is over, and makes new ones in time. */
  advance(now: number): void {
    for (const [key, known] of this.#prefixes) {
      const over = known.addresses.filter(({ validUntil }) => validUntil <= now);
      for (const { tentative } of over) tentative?.cancel();
      this.#counters.temporaryExpired += over.length;
      known.addresses = known.addresses.filter(({ validUntil }) => validUntil > now);
      if (known.validUntil > now) this.#renew(known, now);
      else if (known.addresses.length === 0) this.#prefixes.delete(key);
    }
  }

  /** When {@link advance} is to be called next; Infinity: there is nothing to wait for. */
  next(now: number): number {
    let next = Infinity;
    for (const { addresses } of this.#prefixes.values())
      for (const { preferredUntil, validUntil } of addresses)
        for (const at of [preferredUntil - REGEN_ADVANCE_MS, preferredUntil, validUntil])
          if (at > now && at < next) next = at;
    return next;
  }

  /** Those that are ours. */
  usable(now: number): IpPrefix[] {
    return [...this.#prefixes.values()]
      .flatMap(({ addresses }) => addresses)
      .filter(({ tentative }) => tentative === null)
      .map(({ address, preferredUntil }) => ({
        address,
        prefixLength: 128,
        isDeprecated: preferredUntil <= now,
        isTemporary: true,
      }));
  }

  close(): void {
    for (const { addresses } of this.#prefixes.values())
      for (const { tentative } of addresses) tentative?.cancel();
    this.#prefixes.clear();
  }

  /** RFC 8981 §3.4 (2) … (5), §3.5: the next one is made before the last one is deprecated. */
  #renew(known: Prefix, now: number): void {
    const newest = known.addresses.at(-1);
    const isNeeded =
      newest === undefined || (newest.tentative === null && newest.preferredUntil - REGEN_ADVANCE_MS <= now);
    if (!isNeeded || known.isFailed) return;
    const desyncMs = (this.#context.random.uint32() / 2 ** 32) * MAX_DESYNC_FACTOR_MS;
    const preferredAtMost = now + TEMP_PREFERRED_LIFETIME_MS - desyncMs;
    const preferredUntil = Math.min(known.preferredUntil, preferredAtMost);
    // one that would be replaced at once is not made
    if (preferredUntil - now <= REGEN_ADVANCE_MS) return;
    const validAtMost = now + TEMP_VALID_LIFETIME_MS;
    const made: TemporaryAddress = {
      address: this.#randomAddress(known.prefix),
      attempts: 0,
      tentative: null,
      preferredAtMost,
      validAtMost,
      preferredUntil,
      validUntil: Math.min(known.validUntil, validAtMost),
    };
    known.addresses.push(made);
    this.#detect(known, made);
  }

  #detect(known: Prefix, made: TemporaryAddress): void {
    made.tentative = new TentativeAddress(this.#context, this.#link, made.address, (isFree) => {
      made.tentative = null;
      if (isFree) {
        this.#counters.temporaryMade++;
        this.#changed();
        return;
      }
      // RFC 8981 §3.4 (6)
      this.#counters.temporaryDuplicates++;
      made.attempts++;
      if (made.attempts < TEMP_IDGEN_RETRIES) {
        made.address = this.#randomAddress(known.prefix);
        this.#detect(known, made);
        return;
      }
      known.isFailed = true;
      known.addresses = known.addresses.filter((each) => each !== made);
      this.#counters.temporaryFailed++;
      this.#changed();
    });
  }

  /** RFC 8981 §3.3.1 */
  #randomAddress({ w0, w1 }: IpAddress): IpAddress {
    const { random } = this.#context;
    for (;;) {
      const w2 = random.uint32() | 0;
      const w3 = random.uint32() | 0;
      if (!isReservedIdentifier(w2, w3)) return new IpAddress(6, w0, w1, w2, w3);
    }
  }
}
