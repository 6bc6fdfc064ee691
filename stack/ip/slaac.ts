import type { RxPacket, StackContext } from '../context.ts';
import { TimerEntry, type TimerTarget } from '../timers.ts';
import { ethernetHigh, ethernetLow } from '../wire/ethernet.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { IPV6_MIN_MTU_BYTES } from '../wire/ipv6.ts';
import { findLinkAddress, NDP_HOP_LIMIT, NdpOption } from '../wire/ndp.ts';
import {
  type PrefixInformation,
  parseRouterAdvertisement,
  ROUTER_ADVERTISEMENT_BYTES,
} from '../wire/router-advertisement.ts';
import { AdvertisedRoutes } from './advertised-routes.ts';
import { TentativeAddress } from './duplicate-address-detection.ts';
import type { EthernetLink } from './ethernet-link.ts';
import { cameInFragments } from './extension-headers.ts';
import type { InterfaceSettings } from './interface.ts';
import { stableAddress } from './interface-identifier.ts';
import { TemporaryAddresses, TemporaryCounters } from './temporary-addresses.ts';

/** RFC 7559 §2: routers are asked until one answers, at first after this time, then twice as long each time up to the other, give or take. */
export const ROUTER_SOLICITATION_INTERVAL_MS = 4000;
export const MOST_SOLICITATION_INTERVAL_MS = 3_600_000;
const SOLICITATION_SPREAD = 0.1;
/** RFC 7217 §6 IDGEN_RETRIES: so many other addresses are tried when somebody has the first. */
export const IDENTIFIER_RETRIES = 3;
/** RFC 4862 §5.5.3 (e): no message makes what is left of an address's time shorter than this. */
export const LEAST_SHORTENED_MS: number = 2 * 3600 * 1000;
/** A lower hop limit is not believed: a forged one would cut us off. Nothing is farther away than some 30 routers. */
export const LEAST_ADVERTISED_HOP_LIMIT = 32;
/** What is remembered of each kind but of routes; more is counted and left out. */
export const MAX_LEARNED = 8;

const LINK_LOCAL = new IpAddress(6, 0xfe800000, 0, 0, 0);
const IDENTIFIER_BITS = 64;

/** What routers have said, on all links of a stack. */
export class SlaacCounters extends TemporaryCounters {
  solicitationsSent = 0;
  advertisementsReceived = 0;
  addressesMade = 0;
  addressesExpired = 0;
  /** Addresses that somebody on the link had. */
  duplicates = 0;
  /** Prefixes for which every address that was tried belonged to somebody. */
  failed = 0;
  /** Not from a router on this link, or malformed (RFC 4861 §6.1.2). */
  dropInvalid = 0;
  /** Prefixes that no address can be made with, or no route, or that say nonsense. */
  ignoredPrefix = 0;
  /** More of a kind than is remembered. */
  ignoredTooMany = 0;
}

/** Learns what an interface is to be; called while packets are received or timers run. */
export interface SlaacOwner {
  configured(settings: InterfaceSettings): void;
  /** A router says that a DHCPv6 server knows more. Called each time. */
  serverAdvertised(): void;
  nameServersLearned(servers: readonly IpAddress[], domains: readonly string[]): void;
}

export interface SlaacOptions {
  /** There are to be temporary addresses too (RFC 8981). Default false. */
  readonly temporary?: boolean;
  /** Stable addresses are used while the link is asked for them (RFC 4429); the link-local one is not. Default false. */
  readonly optimistic?: boolean;
}

/** An address made from a prefix. */
interface MadeAddress {
  readonly prefix: IpAddress;
  address: IpAddress;
  attempt: number;
  /** null: it is ours, or (with `isFailed`) never will be. An optimistic one is used all the same. */
  tentative: TentativeAddress | null;
  isFailed: boolean;
  preferredUntil: number;
  validUntil: number;
}

interface Learned<T> {
  readonly value: T;
  until: number;
}

/**
 * Router discovery (RFC 4861 §6.3) and stateless addresses (RFC 4862) for one Ethernet interface, with stable identifiers
 * (RFC 7217).
 */
export class Slaac implements TimerTarget {
  readonly counters: SlaacCounters;
  readonly #context: StackContext;
  readonly #link: EthernetLink;
  readonly #owner: SlaacOwner;
  readonly #secret: Int32Array;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #addresses = new Map<string, MadeAddress>();
  readonly #routes: AdvertisedRoutes;
  readonly #onLink = new Map<string, Learned<PrefixInformation>>();
  readonly #servers = new Map<string, Learned<IpAddress>>();
  readonly #domains = new Map<string, Learned<string>>();
  readonly #isOptimistic: boolean;
  /** null: none are wanted. */
  readonly #temporary: TemporaryAddresses | null;
  #mtuBytes = Infinity;
  #solicitIntervalMs = 0;
  #solicitAt = Infinity;
  /** What the owner was told last. */
  #told = '';
  #toldNames = '';

  /** @param secret four words that identifiers are made with: the same ones, the same addresses */
  constructor(
    context: StackContext,
    counters: SlaacCounters,
    link: EthernetLink,
    secret: Int32Array,
    owner: SlaacOwner,
    options: SlaacOptions = {},
  ) {
    this.#context = context;
    this.counters = counters;
    this.#routes = new AdvertisedRoutes(counters);
    this.#link = link;
    this.#secret = secret;
    this.#owner = owner;
    this.#isOptimistic = options.optimistic === true;
    this.#temporary = options.temporary
      ? new TemporaryAddresses(context, counters, link, () => this.#changed(context.now))
      : null;
    link.ndp.routers = this;
    this.#make(LINK_LOCAL, Infinity, Infinity);
  }

  /** True when there is an address for more than this link. */
  get hasGlobalAddress(): boolean {
    for (const made of this.#addresses.values()) if (isUsable(made) && !made.address.isLinkLocal) return true;
    return false;
  }

  /** Ends it. What was configured stays with the owner. */
  close(): void {
    for (const { tentative } of this.#addresses.values()) tentative?.cancel();
    this.#addresses.clear();
    this.#temporary?.close();
    this.#context.timers.remove(this.#timer);
    this.#link.ndp.routers = null;
  }

  /** Takes a Router Advertisement whose checksum is right. Never throws for what is in it. */
  input(rx: RxPacket): void {
    const { counters } = this;
    const { view } = rx.slab;
    const router = new IpAddress(6, rx.src0, rx.src1, rx.src2, rx.src3);
    // RFC 4861 §6.1.2; RFC 6980 §5
    const isValid =
      rx.ttl === NDP_HOP_LIMIT &&
      router.isLinkLocal &&
      view.getUint8(rx.off + 1) === 0 &&
      !cameInFragments(rx, this.#link.frame);
    const said = isValid ? parseRouterAdvertisement(view, rx.off, rx.off + rx.len) : null;
    if (said === null) {
      counters.dropInvalid++;
      return;
    }
    counters.advertisementsReceived++;
    const { now } = this.#context;
    this.#learnLinkAddress(rx, router);
    this.#routes.advertised(router, said, now);
    // RFC 4861 §6.3.4
    if (said.mtuBytes >= IPV6_MIN_MTU_BYTES) this.#mtuBytes = said.mtuBytes;
    if (said.hopLimit >= LEAST_ADVERTISED_HOP_LIMIT) this.#link.iface.advertisedHopLimit = said.hopLimit;
    this.#link.neighbours.routerSaid(said.reachableMs, said.retransmitMs);
    for (const information of said.prefixes) this.#prefix(information);
    for (const { address, lifetimeMs } of said.nameServers)
      this.#learn(this.#servers, address.toString(), address, lifetimeMs);
    for (const { name, lifetimeMs } of said.domains) this.#learn(this.#domains, name, name, lifetimeMs);
    if (said.hasServer) this.#owner.serverAdvertised();
    // RFC 4861 §6.3.7: an advertisement of a default router ends the questions
    if (said.lifetimeMs > 0) this.#solicitAt = Infinity;
    this.#changed(now);
  }

  /** RFC 4861 §6.3.4: a router that tells its link address is a neighbour, were it silent before. */
  #learnLinkAddress(rx: RxPacket, router: IpAddress): void {
    const { view } = rx.slab;
    const from = rx.off + ROUTER_ADVERTISEMENT_BYTES;
    const option = findLinkAddress(view, from, rx.off + rx.len, NdpOption.SourceLinkAddress);
    if (option < 0) return;
    const high = ethernetHigh(view, option);
    const low = ethernetLow(view, option);
    if (this.#link.isStation(high, low)) this.#link.neighbours.learn(router, high, low);
  }

  /** TimerTarget: something is over, or a question is due. */
  onDeadline(now: number): void {
    if (now >= this.#solicitAt) this.#solicit(now);
    this.#routes.expire(now);
    for (const map of [this.#onLink, this.#servers, this.#domains])
      for (const [key, { until }] of map) if (until <= now) map.delete(key);
    for (const [key, made] of this.#addresses) {
      if (made.validUntil > now) continue;
      made.tentative?.cancel();
      this.#addresses.delete(key);
      this.counters.addressesExpired++;
    }
    this.#temporary?.advance(now);
    this.#changed(now);
  }

  /** RFC 4862 §5.5.3, RFC 4861 §6.3.4 */
  #prefix(information: PrefixInformation): void {
    const { prefix, prefixLength, onLink, autonomous, validMs, preferredMs } = information;
    const isUnusable = prefix.isMulticast || prefix.isLinkLocal || prefix.isUnspecified || prefixLength > 128;
    if (isUnusable) {
      this.counters.ignoredPrefix++;
      return;
    }
    if (onLink) this.#learn(this.#onLink, `${prefix}/${prefixLength}`, information, validMs);
    if (!autonomous) return;
    const { now } = this.#context;
    const made = this.#addresses.get(keyOf(prefix));
    // RFC 4862 §5.5.3 (c), (d)
    if (preferredMs > validMs || prefixLength !== 128 - IDENTIFIER_BITS) {
      this.counters.ignoredPrefix++;
    } else if (made !== undefined) {
      made.preferredUntil = now + preferredMs;
      const leftMs = made.validUntil - now;
      // (e): whoever forges a message cannot take addresses away
      if (validMs > LEAST_SHORTENED_MS || validMs > leftMs) made.validUntil = now + validMs;
      else if (leftMs > LEAST_SHORTENED_MS) made.validUntil = now + LEAST_SHORTENED_MS;
    } else if (validMs > 0) {
      if (this.#addresses.size > MAX_LEARNED) this.counters.ignoredTooMany++;
      else this.#make(prefix, now + preferredMs, now + validMs);
    }
    const stable = this.#addresses.get(keyOf(prefix));
    if (stable !== undefined)
      this.#temporary?.advertised(stable.prefix, stable.preferredUntil, stable.validUntil);
  }

  #make(prefix: IpAddress, preferredUntil: number, validUntil: number): void {
    const made: MadeAddress = {
      prefix,
      address: this.#addressFor(prefix, 0),
      attempt: 0,
      tentative: null,
      isFailed: false,
      preferredUntil,
      validUntil,
    };
    this.#addresses.set(keyOf(prefix), made);
    this.#detect(made);
  }

  #detect(made: MadeAddress): void {
    const ended = (isFree: boolean): void => {
      made.tentative = null;
      if (isFree) this.#isOurs(made);
      else this.#isDuplicate(made);
    };
    const isOptimistic = this.#isOptimistic && made.prefix !== LINK_LOCAL;
    made.tentative = new TentativeAddress(this.#context, this.#link, made.address, ended, isOptimistic);
  }

  #isOurs(made: MadeAddress): void {
    const { now } = this.#context;
    this.counters.addressesMade++;
    if (made.prefix === LINK_LOCAL) this.#solicitAt = now;
    this.#changed(now);
  }

  /** RFC 7217 §6 */
  #isDuplicate(made: MadeAddress): void {
    this.counters.duplicates++;
    if (made.attempt >= IDENTIFIER_RETRIES) {
      made.isFailed = true;
      this.counters.failed++;
    } else {
      made.attempt++;
      made.address = this.#addressFor(made.prefix, made.attempt);
      this.#detect(made);
    }
    // an optimistic one was in use
    this.#changed(this.#context.now);
  }

  #addressFor(prefix: IpAddress, attempt: number): IpAddress {
    return stableAddress(prefix, this.#link.high, this.#link.low, attempt, this.#secret);
  }

  #solicit(now: number): void {
    const own = this.#addresses.get(keyOf(LINK_LOCAL));
    const before = this.#solicitIntervalMs;
    const next = before === 0 ? ROUTER_SOLICITATION_INTERVAL_MS : 2 * before;
    const spread = 1 + SOLICITATION_SPREAD * (2 * (this.#context.random.uint32() / 0x1_0000_0000) - 1);
    this.#solicitIntervalMs = Math.min(next, MOST_SOLICITATION_INTERVAL_MS) * spread;
    this.#solicitAt = now + this.#solicitIntervalMs;
    if (own === undefined) return;
    this.counters.solicitationsSent++;
    this.#link.ndp.solicitRouters(own.address);
  }

  #learn<T>(map: Map<string, Learned<T>>, key: string, value: T, lifetimeMs: number): void {
    const until = this.#context.now + lifetimeMs;
    const known = map.get(key);
    if (lifetimeMs === 0) map.delete(key);
    else if (known !== undefined) known.until = until;
    else if (map.size >= MAX_LEARNED) this.counters.ignoredTooMany++;
    else map.set(key, { value, until });
  }

  /** Tells the owner, if it is news, and sets the timer for what ends next. */
  #changed(now: number): void {
    let next = Math.min(this.#solicitAt, this.#routes.deadline);
    for (const map of [this.#onLink, this.#servers, this.#domains])
      for (const { until } of map.values()) next = Math.min(next, until);
    for (const { preferredUntil, validUntil } of this.#addresses.values())
      next = Math.min(next, validUntil, preferredUntil > now ? preferredUntil : Infinity);
    this.#context.timers.set(this.#timer, Math.min(next, this.#temporary?.next(now) ?? Infinity));

    const settings = this.#settings(now);
    const text = JSON.stringify([
      settings.mtuBytes,
      settings.addresses.map(({ address, isDeprecated }) => `${address} ${isDeprecated}`),
      settings.routes.map(({ prefix, gateway }) => `${prefix.address}/${prefix.prefixLength} ${gateway}`),
    ]);
    if (text !== this.#told) {
      this.#told = text;
      this.#owner.configured(settings);
    }
    const names = [...this.#servers.keys(), '', ...this.#domains.keys()].join(' ');
    if (names !== this.#toldNames) {
      this.#toldNames = names;
      const servers = [...this.#servers.values()].map(({ value }) => value);
      this.#owner.nameServersLearned(servers, [...this.#domains.keys()]);
    }
  }

  #settings(now: number): InterfaceSettings {
    const usable = [...this.#addresses.values()].filter(isUsable);
    const onLink = [...this.#onLink.values()].map(({ value }) => ({
      prefix: { address: value.prefix, prefixLength: value.prefixLength },
      gateway: null,
    }));
    return {
      // RFC 5942 §4: that an address has a prefix does not say that the prefix is on the link
      addresses: [
        ...usable.map(({ address, tentative, preferredUntil }) => ({
          address,
          prefixLength: 128,
          // RFC 4429 §2.1: one that is optimistic is avoided as those are that are deprecated
          isDeprecated: preferredUntil <= now || tentative !== null,
        })),
        ...(this.#temporary?.usable(now) ?? []),
      ],
      routes: [...onLink, ...this.#routes.routes],
      mtuBytes: this.#mtuBytes,
    };
  }
}

function isUsable({ tentative, isFailed }: MadeAddress): boolean {
  return (tentative === null || tentative.isOptimistic) && !isFailed;
}

function keyOf({ w0, w1 }: IpAddress): string {
  return `${w0} ${w1}`;
}
