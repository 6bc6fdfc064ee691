import type { InterfaceRoute, InterfaceSettings } from '../ip/interface.ts';
import { IpAddress, type IpPrefix } from '../wire/ip-address.ts';
import { DhcpOption, type DhcpReply } from './dhcp-message.ts';

/** Shorter leases are refused: renewing them would be nothing but traffic. */
export const LEAST_LEASE_MS = 10_000;
/** The first of the servers and routes that a lease names are taken. */
export const MAX_LEASE_NAME_SERVERS = 8;
export const MAX_LEASE_ROUTES = 32;
/** RFC 2132 §5.1 allows 68; packets that small are nobody's wish (see RFC 791: every host takes 576). */
export const LEAST_LEASE_MTU_BYTES = 576;

const FOREVER_SECONDS = 0xffffffff;

/** What a server has given, checked; times in ms of the stack's clock, Infinity: never. */
export interface DhcpLease {
  readonly address: IpPrefix;
  readonly server: IpAddress;
  readonly routes: readonly InterfaceRoute[];
  readonly nameServers: readonly IpAddress[];
  /** null: the server has not named one. */
  readonly domain: string | null;
  /** Infinity: the server has not said. */
  readonly mtuBytes: number;
  readonly renewAtMs: number;
  readonly rebindAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * Judges an OFFER or an ACK. Optional options that make no sense are as if they were not there.
 * @param sentAtMs when the request was sent, from which the lease counts (RFC 2131 §4.4.1)
 * @param server the server of the lease when the reply does not name it; null: it must
 * @returns null when there is no usable address, lease time or server in it
 */
export function leaseOf(reply: DhcpReply, sentAtMs: number, server: IpAddress | null): DhcpLease | null {
  const { options, yourAddress } = reply;
  const from = addressList(options.get(DhcpOption.ServerId))[0] ?? server;
  const seconds = word(options.get(DhcpOption.LeaseTime));
  if (!isHost(yourAddress) || from === null || !isHost(from) || seconds === null) return null;
  const leaseMs = seconds === FOREVER_SECONDS ? Infinity : seconds * 1000;
  if (leaseMs < LEAST_LEASE_MS) return null;
  // RFC 2131 §4.4.5
  let renewMs = 1000 * (word(options.get(DhcpOption.RenewalTime)) ?? Infinity);
  let rebindMs = 1000 * (word(options.get(DhcpOption.RebindingTime)) ?? Infinity);
  if (!(renewMs > 0 && renewMs < rebindMs && rebindMs < leaseMs)) {
    renewMs = leaseMs / 2;
    rebindMs = leaseMs * (7 / 8);
  }
  const mtu = options.get(DhcpOption.InterfaceMtu);
  const mtuBytes = mtu?.length === 2 ? (mtu[0]! << 8) | mtu[1]! : 0;
  return {
    address: { address: yourAddress, prefixLength: prefixLength(options.get(DhcpOption.SubnetMask)) },
    server: from,
    routes: routesOf(options),
    nameServers: addressList(options.get(DhcpOption.NameServers))
      .filter(isHost)
      .slice(0, MAX_LEASE_NAME_SERVERS),
    domain: domainOf(options.get(DhcpOption.DomainName)),
    mtuBytes: mtuBytes >= LEAST_LEASE_MTU_BYTES ? mtuBytes : Infinity,
    renewAtMs: sentAtMs + renewMs,
    rebindAtMs: sentAtMs + rebindMs,
    expiresAtMs: sentAtMs + leaseMs,
  };
}

/** What a lease means for its interface. */
export function settingsOf(lease: DhcpLease): InterfaceSettings {
  return { addresses: [lease.address], routes: lease.routes, mtuBytes: lease.mtuBytes };
}

/** True for what can be one host's address (RFC 1122 §3.2.1.3). */
function isHost(address: IpAddress): boolean {
  const first = address.w3 >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}

function word(bytes: Uint8Array | undefined): number | null {
  if (bytes?.length !== 4) return null;
  return ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
}

/** Empty when the length is not that of some addresses. */
function addressList(bytes: Uint8Array | undefined): IpAddress[] {
  if (bytes === undefined || bytes.length % 4 !== 0) return [];
  const list: IpAddress[] = [];
  for (let at = 0; at < bytes.length; at += 4) list.push(IpAddress.v4(word(bytes.subarray(at, at + 4)) ?? 0));
  return list;
}

/** Without a mask, or with one that has holes, nobody but us is on the link; routers are reached all the same. */
function prefixLength(bytes: Uint8Array | undefined): number {
  const mask = word(bytes);
  if (mask === null) return 32;
  const length = Math.clz32(~mask);
  return length > 0 && mask === (-1 << (32 - length)) >>> 0 ? length : 32;
}

function routesOf(options: ReadonlyMap<number, Uint8Array>): InterfaceRoute[] {
  const classless = classlessRoutes(options.get(DhcpOption.ClasslessRoutes));
  // RFC 3442: who understands classless routes ignores the router option when both are there
  if (classless !== null) return classless;
  // RFC 2132 §3.5: in the order of preference
  const routers = addressList(options.get(DhcpOption.Router)).filter(isHost).slice(0, MAX_LEASE_ROUTES);
  return routers.map((router) => ({ prefix: { address: router, prefixLength: 0 }, gateway: router }));
}

/** RFC 3442: prefix length, the bytes of the prefix that count, router; 0.0.0.0 is on the link. null: none or malformed. */
function classlessRoutes(bytes: Uint8Array | undefined): InterfaceRoute[] | null {
  if (bytes === undefined) return null;
  const routes: InterfaceRoute[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = bytes[at++]!;
    const count = (length + 7) >> 3;
    if (length > 32 || at + count + 4 > bytes.length) return null;
    const prefix = new Uint8Array(4);
    prefix.set(bytes.subarray(at, at + count));
    at += count;
    const router = IpAddress.v4(word(bytes.subarray(at, at + 4)) ?? 0);
    at += 4;
    if (routes.length >= MAX_LEASE_ROUTES || (!router.isUnspecified && !isHost(router))) continue;
    const gateway = router.isUnspecified ? null : router;
    routes.push({ prefix: { address: IpAddress.v4(word(prefix) ?? 0), prefixLength: length }, gateway });
  }
  return routes.length === 0 ? null : routes;
}

/** Letters, digits, hyphens and underscores in labels; anything else could end up where it means something. */
function domainOf(bytes: Uint8Array | undefined): string | null {
  if (bytes === undefined || bytes.length > 255) return null;
  const text = String.fromCharCode(...bytes)
    .replace(/\0+$/, '')
    .replace(/\.$/, '')
    .toLowerCase();
  return /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(text) ? text : null;
}
