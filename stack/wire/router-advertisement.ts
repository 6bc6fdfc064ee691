import { IpAddress, type IpPrefix } from './ip-address.ts';

/** A Router Advertisement (RFC 4861 §4.2): where its fields lie in the ICMPv6 message. */
const Field = { HopLimit: 4, Flags: 5, Lifetime: 6, Reachable: 8, Retransmit: 12 } as const;
/** Where its options begin. */
export const ROUTER_ADVERTISEMENT_BYTES = 16;

const Option = { Prefix: 3, Mtu: 5, Route: 24, NameServers: 25, Domains: 31 } as const;
const PREFIX_BYTES = 32;
/** RFC 4861 §4.2: M and O. A server of addresses knows the rest too. */
const SERVERS = 0xc0;
const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;
const FOREVER_SECONDS = 0xffffffff;

/** RFC 4191 §2.1: two bits of the flags, here and in routes, a signed number. */
const PREFERENCE_SHIFT = 3;
const RESERVED_PREFERENCE = -2;

/** RFC 4191 §2.1: which of several routers, or routes, is to be taken; the greater one. */
export const RouterPreference = { Low: -1, Medium: 0, High: 1 } as const;
export type RouterPreference = (typeof RouterPreference)[keyof typeof RouterPreference];

/** RFC 4191 §2.3. */
export interface RouteInformation {
  /** Of length 0: by default. */
  readonly prefix: IpPrefix;
  readonly preference: RouterPreference;
  /** 0: there is none any more. */
  readonly lifetimeMs: number;
}

/** RFC 4861 §4.6.2. Lifetimes in ms, Infinity: for ever. */
export interface PrefixInformation {
  readonly prefix: IpAddress;
  readonly prefixLength: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
  readonly validMs: number;
  readonly preferredMs: number;
}

/** What a router says; lists in its order. */
export interface RouterAdvertisement {
  /** Of packets that are sent here; 0: not said. */
  readonly hopLimit: number;
  /** 0: it is no default router. */
  readonly lifetimeMs: number;
  /** As a default router. */
  readonly preference: RouterPreference;
  /** How long neighbours that have answered are there, and how long an answer is waited for; 0: not said. */
  readonly reachableMs: number;
  readonly retransmitMs: number;
  /** There is a DHCPv6 server. */
  readonly hasServer: boolean;
  readonly prefixes: readonly PrefixInformation[];
  readonly routes: readonly RouteInformation[];
  /** 0: not said. */
  readonly mtuBytes: number;
  /** RFC 8106 §5.1 */
  readonly nameServers: readonly { readonly address: IpAddress; readonly lifetimeMs: number }[];
  /** RFC 8106 §5.2 */
  readonly domains: readonly { readonly name: string; readonly lifetimeMs: number }[];
}

/** Reads the ICMPv6 message from `off` to `end`. @returns null when it is cut off, or an option's length is wrong */
export function parseRouterAdvertisement(
  view: DataView,
  off: number,
  end: number,
): RouterAdvertisement | null {
  if (end - off < ROUTER_ADVERTISEMENT_BYTES) return null;
  const prefixes: PrefixInformation[] = [];
  const routes: RouteInformation[] = [];
  const nameServers: { address: IpAddress; lifetimeMs: number }[] = [];
  const domains: { name: string; lifetimeMs: number }[] = [];
  let mtuBytes = 0;
  for (let at = off + ROUTER_ADVERTISEMENT_BYTES; at < end; ) {
    // RFC 4861 §6.1.2
    const length = at + 2 <= end ? view.getUint8(at + 1) * 8 : 0;
    if (length === 0 || at + length > end) return null;
    const next = at + length;
    const type = view.getUint8(at);
    if (type === Option.Prefix && length === PREFIX_BYTES) prefixes.push(prefixAt(view, at));
    else if (type === Option.Route) {
      const route = routeAt(view, at, length);
      if (route !== null) routes.push(route);
    } else if (type === Option.Mtu && length === 8) mtuBytes = view.getUint32(at + 4);
    else if (type === Option.NameServers && length >= 24 && length % 16 === 8) {
      const lifetimeMs = lifetime(view, at + 4);
      for (let each = at + 8; each < next; each += 16)
        nameServers.push({ address: IpAddress.read(view, each, 6), lifetimeMs });
    } else if (type === Option.Domains && length >= 16) {
      const lifetimeMs = lifetime(view, at + 4);
      for (const name of namesAt(view, at + 8, next)) domains.push({ name, lifetimeMs });
    }
    at = next;
  }
  const lifetimeMs = view.getUint16(off + Field.Lifetime) * 1000;
  const flags = view.getUint8(off + Field.Flags);
  const preference = preferenceOf(flags);
  return {
    hopLimit: view.getUint8(off + Field.HopLimit),
    lifetimeMs,
    reachableMs: view.getUint32(off + Field.Reachable),
    retransmitMs: view.getUint32(off + Field.Retransmit),
    // RFC 4191 §2.2
    preference: preference ?? RouterPreference.Medium,
    hasServer: (flags & SERVERS) !== 0,
    prefixes,
    routes,
    mtuBytes,
    nameServers,
    domains,
  };
}

function prefixAt(view: DataView, at: number): PrefixInformation {
  const flags = view.getUint8(at + 3);
  return {
    prefix: IpAddress.read(view, at + 16, 6),
    prefixLength: view.getUint8(at + 2),
    onLink: (flags & ON_LINK) !== 0,
    autonomous: (flags & AUTONOMOUS) !== 0,
    validMs: lifetime(view, at + 4),
    preferredMs: lifetime(view, at + 8),
  };
}

/** @returns null for one that is to be ignored: of a length that cannot be, or with a preference that is none */
function routeAt(view: DataView, at: number, length: number): RouteInformation | null {
  const prefixLength = view.getUint8(at + 2);
  const preference = preferenceOf(view.getUint8(at + 3));
  // RFC 4191 §2.3: the zeros at the end may be left out, eight bytes at a time
  if (preference === null || prefixLength > 128 || length > 24 || (length - 8) * 8 < prefixLength)
    return null;
  const word = (i: number): number => {
    const bits = Math.min(Math.max(prefixLength - 32 * i, 0), 32);
    return bits === 0 ? 0 : view.getInt32(at + 8 + 4 * i) & (-1 << (32 - bits));
  };
  const address = new IpAddress(6, word(0), word(1), word(2), word(3));
  return { prefix: { address, prefixLength }, preference, lifetimeMs: lifetime(view, at + 4) };
}

function preferenceOf(flags: number): RouterPreference | null {
  const value = ((flags >> PREFERENCE_SHIFT) << 30) >> 30;
  return value === RESERVED_PREFERENCE ? null : (value as RouterPreference);
}

function lifetime(view: DataView, at: number): number {
  const seconds = view.getUint32(at);
  return seconds === FOREVER_SECONDS ? Infinity : seconds * 1000;
}

/** Names of labels, without compression (RFC 8106 §5.2), padded with zeros. What is no host's name ends the list. */
function namesAt(view: DataView, from: number, end: number): string[] {
  const names: string[] = [];
  let labels: string[] = [];
  for (let at = from; at < end; ) {
    const length = view.getUint8(at++);
    if (length === 0) {
      if (labels.length === 0) break;
      names.push(labels.join('.'));
      labels = [];
      continue;
    }
    if (length > 63 || at + length > end) break;
    let label = '';
    for (let i = 0; i < length; i++) label += String.fromCharCode(view.getUint8(at + i));
    if (!/^[A-Za-z0-9_-]+$/.test(label)) break;
    labels.push(label.toLowerCase());
    at += length;
  }
  return names.filter((name) => name.length <= 253);
}
