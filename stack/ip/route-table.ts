import type { Route } from '../context.ts';
import { NetError, Phase } from '../errors.ts';
import { TimerEntry, type TimerQueue } from '../timers.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { IPV6_MIN_MTU_BYTES } from '../wire/ipv6.ts';
import type { IpCounters } from './counters.ts';
import type { Identification } from './identification.ts';
import type { Interface } from './interface.ts';
import { type Row, SilentGateways } from './silent-gateways.ts';
import { chooseSource } from './source-address.ts';

/** Routes remembered, so that connections to one destination share its path MTU. The oldest is forgotten. */
export const ROUTE_CACHE_ENTRIES = 4096;
/** Routes whose path MTU is reduced at the same time; the one reduced first gets its interface's MTU back. */
export const REDUCED_PATH_MTU_ENTRIES = 1024;
/** First hops that routers have named, one for each pair of destination and source. The oldest is forgotten. */
export const REDIRECT_ENTRIES = 1024;
/** RFC 1191 §6.3, RFC 8201 §4: after ten minutes a larger size is tried again. */
export const PATH_MTU_TIMEOUT_MS = 600_000;
/**
 * The smallest path MTU believed for IPv4, and then without Don't Fragment, so that smaller links still carry us. Differs from
 * RFC 1191 §3 (68) because forged messages must not make us send tiny packets (RFC 5927 §7.1); 552 is what Linux uses.
 */
export const IPV4_MIN_PATH_MTU_BYTES = 552;

/** A way to a destination, shared by all who go there from the same source address. */
class CachedRoute implements Route {
  readonly iface: Interface;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  nextHop: IpAddress;
  pathMtuBytes = 0;
  flowKey = 0;
  progressAt: number = -Infinity;
  identification: Identification | null = null;
  readonly #generation: number;

  constructor(iface: Interface, source: IpAddress, destination: IpAddress, nextHop: IpAddress) {
    this.iface = iface;
    this.source = source;
    this.destination = destination;
    this.nextHop = nextHop;
    this.pathMtuBytes = iface.mtuBytes(destination.family);
    this.#generation = iface.generation;
  }

  get isStale(): boolean {
    return this.#generation !== this.iface.generation;
  }
}

/** Where packets go: interfaces, prefixes on their links, gateways; and what is known of each path. */
export class RouteTable {
  readonly interfaces: Interface[] = [];
  readonly #rows: Row[] = [];
  /** By destination and source; in order of making. */
  readonly #cache = new Map<string, CachedRoute>();
  /** What was asked for last, and the answer. perf: who connects asks several times in a row, and a key is a string to be made. */
  #lastDestination: IpAddress | null = null;
  #lastSource: IpAddress | null = null;
  #lastRoute: CachedRoute | null = null;
  /** The redirected among them, with the first hop before; oldest first. */
  readonly #redirected = new Map<string, { readonly route: CachedRoute; readonly router: IpAddress }>();
  /** When each reduced route was reduced, oldest first. */
  readonly #reduced = new Map<Route, number>();
  /** Routes of before the last change, whose users keep their source address: their first hop follows. */
  readonly #former = new Set<CachedRoute>();
  readonly #silent: SilentGateways = new SilentGateways();
  readonly #timers: TimerQueue;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #counters: IpCounters;

  constructor(timers: TimerQueue, counters: IpCounters) {
    this.#timers = timers;
    this.#counters = counters;
  }

  /** Adds an interface, the prefixes on its link and its gateways as default routes. */
  addInterface(iface: Interface): void {
    this.interfaces.push(iface);
    if (this.interfaces.length > 1) for (const [i, each] of this.interfaces.entries()) each.zone = i + 1;
    this.update();
  }

  /** Takes over what has changed in the interfaces. Routes that somebody keeps say that they are stale. */
  update(): void {
    this.#rows.length = 0;
    for (const iface of this.interfaces) {
      for (const prefix of iface.addresses) this.#rows.push({ prefix, iface, gateway: null });
      for (const { prefix, gateway } of iface.routes) this.#rows.push({ prefix, iface, gateway });
    }
    for (const route of this.#cache.values()) this.#keepFormer(route);
    for (const route of this.#former) this.#choose(route);
    this.#cache.clear();
    this.#lastRoute = null;
    this.#redirected.clear();
  }

  #keepFormer(route: CachedRoute): void {
    this.#former.add(route);
    if (this.#former.size <= ROUTE_CACHE_ENTRIES) return;
    for (const oldest of this.#former) {
      this.#former.delete(oldest);
      break;
    }
  }

  /** The first hop of now: another gateway, or none. */
  #choose(route: CachedRoute): void {
    const row = this.#longestPrefix(route.destination, route.iface);
    if (row !== null) route.nextHop = row.gateway ?? route.destination;
  }

  /**
   * A first hop does not answer. If it is a gateway, what goes there takes another one (RFC 1122 §3.3.1.5 [RFC 1122 §3.3.1.5-1],
   * RFC 4861 §7.3.3), connections that are there included.
   */
  gatewaySilent(iface: Interface, address: IpAddress, now: number): void {
    if (!this.#rows.some((row) => row.iface === iface && row.gateway?.equals(address))) return;
    this.#silent.add(iface, address, now);
    for (const route of this.#all()) {
      if (route.iface !== iface || !route.nextHop.equals(address) || route.destination.equals(address))
        continue;
      this.#choose(route);
      if (!route.nextHop.equals(address)) this.#counters.gatewayChanged++;
    }
  }

  /** It does, or has shown itself: what is routed from now on may go there. Who has a route keeps its first hop. */
  gatewayHeard(iface: Interface, address: IpAddress): void {
    if (!this.#silent.remove(iface, address)) return;
    this.#lastRoute = null;
    for (const [key, route] of this.#cache) {
      const isChosen = route.iface !== iface || this.#redirected.has(key) || route.nextHop.equals(address);
      if (isChosen || !this.#longestPrefix(route.destination, iface)?.gateway?.equals(address)) continue;
      this.#keepFormer(route);
      this.#cache.delete(key);
    }
  }

  /** When a transport last heard from beyond a first hop, in ms; -Infinity: never. */
  progressAt(iface: Interface, nextHop: IpAddress): number {
    let last = -Infinity;
    for (const route of this.#all()) {
      if (route.progressAt > last && route.iface === iface && route.nextHop.equals(nextHop))
        last = route.progressAt;
    }
    return last;
  }

  *#all(): Generator<CachedRoute> {
    yield* this.#cache.values();
    yield* this.#former;
  }

  /** The way to `destination`; see {@link IpOutput.route}. */
  route(destination: IpAddress, source: IpAddress | null): Route {
    const last = this.#lastRoute;
    if (last !== null && destination === this.#lastDestination && source === this.#lastSource) return last;
    const route = this.#cached(destination, source);
    this.#lastDestination = destination;
    this.#lastSource = source;
    this.#lastRoute = route;
    return route;
  }

  #cached(destination: IpAddress, source: IpAddress | null): CachedRoute {
    const key = keyOf(destination, source);
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const found = this.#find(destination, source);
    // With the source chosen or given, it is one path with one MTU.
    const twin = source === null ? this.#cache.get(keyOf(destination, found.source)) : undefined;
    const route = twin?.iface === found.iface ? twin : found;
    this.#remember(key, route);
    if (source === null) this.#remember(keyOf(destination, route.source), route);
    return route;
  }

  /** The interface that has the address; null: none. */
  owner(address: IpAddress): Interface | null {
    const { family, w0, w1, w2, w3, zone } = address;
    if (zone !== 0) {
      const iface = this.interfaces[zone - 1];
      return iface?.owns(family, w0, w1, w2, w3) === true ? iface : null;
    }
    for (const iface of this.interfaces) if (iface.owns(family, w0, w1, w2, w3)) return iface;
    return null;
  }

  /** See {@link IpOutput.redirect}. */
  redirect(
    iface: Interface,
    destination: IpAddress,
    source: IpAddress,
    router: IpAddress,
    nextHop: IpAddress,
  ): boolean {
    const key = keyOf(destination, source);
    const route = this.#cache.get(key);
    if (route === undefined || route.iface !== iface || !route.nextHop.equals(router)) return false;
    const before = this.#redirected.get(key)?.router ?? router;
    this.#redirected.delete(key);
    if (this.#redirected.size >= REDIRECT_ENTRIES) {
      for (const oldest of this.#redirected.keys()) {
        this.#undoRedirect(oldest);
        break;
      }
    }
    route.nextHop = nextHop;
    this.#redirected.set(key, { route, router: before });
    return true;
  }

  /**
   * RFC 1122 §3.3.1.4, RFC 4861 §7.3.3: nobody answers at the first hop. If a router has named it, the one before is used again.
   * @returns a gateway that may answer, for the packet that could not leave; null: there is none
   */
  otherHop(iface: Interface, destination: IpAddress, source: IpAddress): IpAddress | null {
    this.#undoRedirect(keyOf(destination, source));
    const gateway = this.#longestPrefix(destination, iface)?.gateway ?? null;
    return gateway === null || this.#silent.has(iface, gateway) ? null : gateway;
  }

  #undoRedirect(key: string): void {
    const redirected = this.#redirected.get(key);
    if (redirected === undefined) return;
    redirected.route.nextHop = redirected.router;
    this.#redirected.delete(key);
  }

  /** See {@link IpOutput.reducePathMtu}. */
  reducePathMtu(route: Route, mtuBytes: number, now: number): boolean {
    // RFC 8201 §4: never below the minimum link MTU
    const floor = route.destination.family === 4 ? IPV4_MIN_PATH_MTU_BYTES : IPV6_MIN_MTU_BYTES;
    const mtu = Math.max(mtuBytes, floor);
    if (mtu >= route.pathMtuBytes) return false;
    route.pathMtuBytes = mtu;
    this.#counters.pathMtuReduced++;
    this.#reduced.delete(route);
    if (this.#reduced.size >= REDUCED_PATH_MTU_ENTRIES) {
      for (const oldest of this.#reduced.keys()) {
        this.#restore(oldest);
        break;
      }
    }
    this.#reduced.set(route, now);
    if (this.#timer.deadline === Infinity) this.#timers.set(this.#timer, now + PATH_MTU_TIMEOUT_MS);
    return true;
  }

  /** Path MTUs that have not been confirmed for ten minutes are forgotten. */
  onDeadline(now: number): void {
    for (const [route, since] of this.#reduced) {
      if (since + PATH_MTU_TIMEOUT_MS > now) {
        this.#timers.set(this.#timer, since + PATH_MTU_TIMEOUT_MS);
        return;
      }
      this.#restore(route);
    }
  }

  #remember(key: string, route: CachedRoute): void {
    if (this.#cache.size >= ROUTE_CACHE_ENTRIES) {
      for (const oldest of this.#cache.keys()) {
        this.#undoRedirect(oldest);
        this.#cache.delete(oldest);
        break;
      }
    }
    this.#cache.set(key, route);
  }

  #restore(route: Route): void {
    this.#reduced.delete(route);
    route.pathMtuBytes = route.iface.mtuBytes(route.destination.family);
    this.#counters.pathMtuRestored++;
  }

  #find(destination: IpAddress, source: IpAddress | null): CachedRoute {
    const { family } = destination;
    if (destination.isUnspecified)
      throw unreachable(destination, 'the destination is the unspecified address');
    if (destination.isLoopback) throw unreachable(destination, 'a stack has no loopback interface');
    if (this.owner(destination) !== null)
      throw unreachable(
        destination,
        "the destination is this stack's own address; a stack does not call itself",
      );
    const zone = this.#zoneOf(destination);
    // the same link-local address may be on several links
    const own = source !== null && zone !== null ? source.inZone(destination.zone) : source;
    const owner = own === null ? null : this.owner(own);
    if (source !== null && (owner === null || source.family !== family)) {
      const detail =
        owner === null
          ? `${source} is not an address of ${zone === null ? 'this stack' : `interface ${zone.name}`}`
          : `${source} cannot reach ${destination}: the address families differ`;
      throw new NetError('ADDRESS_NOT_AVAILABLE', { phase: Phase.Route, detail, address: source.toString() });
    }
    const via = owner ?? zone;
    const row = this.#longestPrefix(destination, via);
    if (row === null) {
      const links = this.interfaces.map((iface) => iface.name).join(', ') || 'none';
      throw unreachable(destination, `no interface (${links}) has a prefix or a gateway for ${destination}`);
    }
    const from = source?.inZone(0) ?? chooseSource(row.iface.addresses, destination);
    if (from === null) {
      throw new NetError('ADDRESS_NOT_AVAILABLE', {
        phase: Phase.Route,
        detail: `interface ${row.iface.name} has no IPv${family} address to send to ${destination} from`,
        address: destination.toString(),
      });
    }
    return new CachedRoute(row.iface, from, destination, row.gateway ?? destination);
  }

  /** RFC 4007 §6: the interface that a destination names; null: it names none. */
  #zoneOf(destination: IpAddress): Interface | null {
    if (destination.zone === 0) return null;
    const iface = this.interfaces[destination.zone - 1];
    if (iface !== undefined) return iface;
    const all = this.interfaces.map(({ name }, i) => `${name} (${i + 1})`).join(', ') || 'none';
    throw unreachable(destination, `there is no interface ${destination.zone}; there are: ${all}`);
  }

  #longestPrefix(destination: IpAddress, via: Interface | null): Row | null {
    // On every link: RFC 1112 §6.1, RFC 919 §7, RFC 4291 §2.5.6. The first interface of the family takes them, unless one is chosen by
    // the source address.
    const onEveryLink =
      destination.isMulticast ||
      destination.isLimitedBroadcast ||
      (destination.family === 6 && destination.isLinkLocal);
    // RFC 3927 §2.6.2: on the link, whatever addresses we have; by no router but one that has a route to just there
    const isLinkLocalV4 = destination.family === 4 && destination.isLinkLocal;
    let best: Row | null = null;
    let onLink: Row | null = null;
    for (const row of this.#rows) {
      if (row.prefix.address.family !== destination.family) continue;
      if (via !== null && row.iface !== via) continue;
      if (row.gateway === null) onLink ??= row;
      if (onEveryLink) {
        if (onLink !== null) return onLink;
      } else if (isLinkLocalV4 && row.gateway !== null && row.prefix.prefixLength === 0) {
        // the default router
      } else if (
        row.prefix.address.sharesPrefix(destination, row.prefix.prefixLength) &&
        (best === null || this.#silent.isBetter(row, best))
      ) {
        best = row;
      }
    }
    return best ?? (isLinkLocalV4 ? onLink : null);
  }
}

function keyOf(destination: IpAddress, source: IpAddress | null): string {
  return source === null ? destination.toString() : `${destination}<${source}`;
}

function unreachable(destination: IpAddress, detail: string): NetError {
  return new NetError('NETWORK_UNREACHABLE', { phase: Phase.Route, detail, address: destination.toString() });
}
