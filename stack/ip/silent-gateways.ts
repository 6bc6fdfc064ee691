import type { IpAddress, IpPrefix } from '../wire/ip-address.ts';
import type { Interface } from './interface.ts';

/** The oldest is forgotten beyond. */
const MAX_SILENT_GATEWAYS = 64;

/** One way: a prefix on a link, or behind a gateway there. */
export interface Row {
  readonly prefix: IpPrefix;
  readonly iface: Interface;
  /** null: on the link. */
  readonly gateway: IpAddress | null;
}

/**
 * Which gateways did not answer when they were asked last, for the choice among several to one prefix: they are used in the order in
 * which they were given (RFC 1122 §3.3.1.6, RFC 2132 §3.5, RFC 4191), one that is silent gives way to the next, and when all are, to the
 * one that was found so first: by turns (RFC 4861 §6.3.6).
 */
export class SilentGateways {
  /** Since when, in ms. */
  readonly #since = new Map<string, number>();

  add(iface: Interface, gateway: IpAddress, now: number): void {
    const key = keyOf(iface, gateway);
    this.#since.delete(key);
    this.#since.set(key, now);
    if (this.#since.size <= MAX_SILENT_GATEWAYS) return;
    for (const oldest of this.#since.keys()) {
      this.#since.delete(oldest);
      break;
    }
  }

  /** @returns false when it was not silent */
  remove(iface: Interface, gateway: IpAddress): boolean {
    return this.#since.size > 0 && this.#since.delete(keyOf(iface, gateway));
  }

  has(iface: Interface, gateway: IpAddress): boolean {
    return this.#since.has(keyOf(iface, gateway));
  }

  /** True when `row` is to be taken in the place of `best`, which comes before it: it is more specific, or its gateway answers. */
  isBetter(row: Row, best: Row): boolean {
    const length = row.prefix.prefixLength;
    const bestLength = best.prefix.prefixLength;
    if (this.#since.size === 0 || row.iface !== best.iface) return length > bestLength;
    const since = this.#sinceOf(row);
    const bestSince = this.#sinceOf(best);
    // RFC 4191 §3.2: of routers that answer the one with the longest prefix. Routes of IPv4 are somebody's express wish.
    const answers = since === -Infinity;
    if (row.prefix.address.family === 6 && answers !== (bestSince === -Infinity)) return answers;
    return length === bestLength ? since < bestSince : length > bestLength;
  }

  /** Since when nobody answers there, in ms; -Infinity: somebody does. */
  #sinceOf({ iface, gateway }: Row): number {
    return gateway === null ? -Infinity : (this.#since.get(keyOf(iface, gateway)) ?? -Infinity);
  }
}

function keyOf({ name }: Interface, gateway: IpAddress): string {
  return `${gateway}%${name}`;
}
