import type { IpAddress, IpPrefix } from '../wire/ip-address.ts';
import type { RouterAdvertisement, RouterPreference } from '../wire/router-advertisement.ts';
import type { InterfaceRoute } from './interface.ts';

/** Default routers that are remembered. */
export const MAX_DEFAULT_ROUTERS = 8;
/** Routes to prefixes that are remembered, of all routers together. */
export const MAX_ADVERTISED_ROUTES = 32;

/** What is left out. */
export interface RouteCounters {
  ignoredPrefix: number;
  ignoredTooMany: number;
}

interface AdvertisedRoute {
  readonly prefix: IpPrefix;
  readonly gateway: IpAddress;
  preference: RouterPreference;
  until: number;
}

/**
 * The routes that routers advertise on one link: by default (RFC 4861 §6.3.4) and to prefixes, by preference (RFC 4191). Which of the
 * routers answer is the route table's matter.
 */
export class AdvertisedRoutes {
  readonly #counters: RouteCounters;
  readonly #defaults = new Map<string, AdvertisedRoute>();
  readonly #specific = new Map<string, AdvertisedRoute>();

  constructor(counters: RouteCounters) {
    this.#counters = counters;
  }

  /** Takes what a router has said. */
  advertised(router: IpAddress, said: RouterAdvertisement, now: number): void {
    this.#learnDefault(router, said.preference, said.lifetimeMs, now);
    for (const { prefix, preference, lifetimeMs } of said.routes) {
      const { address, prefixLength } = prefix;
      // RFC 4191 §3.1: as if the header had said it
      if (prefixLength === 0) this.#learnDefault(router, preference, lifetimeMs, now);
      else if (address.isMulticast || address.isLinkLocal) this.#counters.ignoredPrefix++;
      else {
        const key = `${address}/${prefixLength} ${router}`;
        const route = { prefix, gateway: router, preference, until: now + lifetimeMs };
        this.#learn(this.#specific, MAX_ADVERTISED_ROUTES, key, route, now);
      }
    }
  }

  #learnDefault(gateway: IpAddress, preference: RouterPreference, lifetimeMs: number, now: number): void {
    const prefix = { address: gateway, prefixLength: 0 };
    const route = { prefix, gateway, preference, until: now + lifetimeMs };
    this.#learn(this.#defaults, MAX_DEFAULT_ROUTERS, gateway.toString(), route, now);
  }

  #learn(
    map: Map<string, AdvertisedRoute>,
    most: number,
    key: string,
    route: AdvertisedRoute,
    now: number,
  ): void {
    const known = map.get(key);
    if (route.until <= now) map.delete(key);
    else if (known !== undefined) {
      known.preference = route.preference;
      known.until = route.until;
    } else if (map.size >= most) this.#counters.ignoredTooMany++;
    else map.set(key, route);
  }

  /** Forgets what is over. */
  expire(now: number): void {
    for (const map of [this.#defaults, this.#specific])
      for (const [key, { until }] of map) if (until <= now) map.delete(key);
  }

  /** When something ends next, in ms; Infinity: nothing does. */
  get deadline(): number {
    let next = Infinity;
    for (const map of [this.#defaults, this.#specific])
      for (const { until } of map.values()) next = Math.min(next, until);
    return next;
  }

  /** Those that are preferred come first, others in the order in which they were heard first. */
  get routes(): InterfaceRoute[] {
    return [...this.#specific.values(), ...this.#defaults.values()]
      .sort((a, b) => b.preference - a.preference)
      .map(({ prefix, gateway }) => ({ prefix, gateway }));
  }
}
