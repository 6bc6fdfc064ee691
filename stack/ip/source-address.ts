import { IpAddress, type IpPrefix } from '../wire/ip-address.ts';

/** Scopes in the order of RFC 6724 §3.1; the gaps are multicast scopes. */
const Scope = { Link: 2, Global: 14 } as const;

/** The default policy table (RFC 6724 §2.1): prefix, precedence, label. The longest prefix counts. */
const POLICY: readonly { readonly prefix: IpPrefix; readonly precedence: number; readonly label: number }[] =
  [
    policy([0, 0, 0, 1], 128, 50, 0),
    policy([0, 0, 0xffff, 0], 96, 35, 4),
    policy([0, 0, 0, 0], 96, 1, 3),
    policy([0x20010000, 0, 0, 0], 32, 5, 5),
    policy([0x20020000, 0, 0, 0], 16, 30, 2),
    policy([0x3ffe0000, 0, 0, 0], 16, 1, 12),
    policy([0xfec00000, 0, 0, 0], 10, 1, 11),
    policy([0xfc000000, 0, 0, 0], 7, 3, 13),
    policy([0, 0, 0, 0], 0, 40, 1),
  ];

/**
 * Chooses the address to send from among those of the outgoing interface (RFC 6724 §5, rules 1, 2, 3, 6, 7 and 8). Rule 4 is about
 * addresses that we do not have (of mobile nodes), rule 5 is met by the candidates. Who does not want a temporary address says which.
 * @returns null when there is none of the destination's family
 */
export function chooseSource(addresses: readonly IpPrefix[], destination: IpAddress): IpAddress | null {
  const wanted = scopeOf(destination);
  let best: IpPrefix | null = null;
  for (const candidate of addresses) {
    if (candidate.address.family !== destination.family) continue;
    if (best === null || isBetter(candidate, best, destination, wanted)) best = candidate;
  }
  return best === null ? null : best.address;
}

/** The length of the prefix two addresses of one family have in common: 0 … 32 or 128. */
export function commonPrefixLength(a: IpAddress, b: IpAddress): number {
  if (a.family === 4) return Math.clz32(a.w3 ^ b.w3);
  let bits = Math.clz32(a.w0 ^ b.w0);
  if (bits === 32) bits += Math.clz32(a.w1 ^ b.w1);
  if (bits === 64) bits += Math.clz32(a.w2 ^ b.w2);
  if (bits === 96) bits += Math.clz32(a.w3 ^ b.w3);
  return bits;
}

/** A destination with the way to it. */
export interface DestinationWay {
  readonly address: IpAddress;
  readonly source: IpAddress;
  readonly isSourceDeprecated: boolean;
}

/**
 * Orders two destinations that can be reached (RFC 6724 §6, rules 2, 3, 5, 6, 8 and 9): negative, the first is to be tried first; 0: in the
 * order they came in. Rule 9 is left out for IPv4, whose prefixes say nothing of nearness, and whose servers share the load by their order.
 */
export function compareDestinations(a: DestinationWay, b: DestinationWay): number {
  // Rule 2: prefer matching scope
  const scopeA = scopeOf(a.address);
  const scopeB = scopeOf(b.address);
  const byScope = Number(scopeB === scopeOf(b.source)) - Number(scopeA === scopeOf(a.source));
  if (byScope !== 0) return byScope;
  // Rule 3: avoid deprecated addresses
  if (a.isSourceDeprecated !== b.isSourceDeprecated) return a.isSourceDeprecated ? 1 : -1;
  // Rule 5: prefer matching label
  const policyA = policyOf(a.address);
  const policyB = policyOf(b.address);
  const matchesA = policyA.label === policyOf(a.source).label;
  const matchesB = policyB.label === policyOf(b.source).label;
  if (matchesA !== matchesB) return matchesA ? -1 : 1;
  // Rule 6: prefer higher precedence
  if (policyA.precedence !== policyB.precedence) return policyB.precedence - policyA.precedence;
  // Rule 8: prefer smaller scope
  if (scopeA !== scopeB) return scopeA - scopeB;
  // Rule 9: use longest matching prefix
  if (a.address.family === 4 || b.address.family === 4) return 0;
  return commonPrefixLength(b.source, b.address) - commonPrefixLength(a.source, a.address);
}

function policy(
  [w0, w1, w2, w3]: readonly [number, number, number, number],
  prefixLength: number,
  precedence: number,
  label: number,
): { prefix: IpPrefix; precedence: number; label: number } {
  return { prefix: { address: new IpAddress(6, w0, w1, w2, w3), prefixLength }, precedence, label };
}

function policyOf(address: IpAddress): { readonly precedence: number; readonly label: number } {
  const { w0, w1, w2, w3 } = address;
  let best = POLICY[POLICY.length - 1]!;
  for (const each of POLICY) {
    const { address: of, prefixLength } = each.prefix;
    if (prefixLength <= best.prefix.prefixLength) continue;
    // IPv4 addresses are kept in their mapped form, which the table is about
    if (of.sharesPrefix(address.family === 6 ? address : new IpAddress(6, w0, w1, w2, w3), prefixLength))
      best = each;
  }
  return best;
}

function isBetter(a: IpPrefix, b: IpPrefix, destination: IpAddress, wanted: number): boolean {
  const scopeA = scopeOf(a.address);
  const scopeB = scopeOf(b.address);
  // Rule 2: prefer the appropriate scope: the smallest that is not smaller than the destination's
  if (scopeA < scopeB) return scopeA >= wanted;
  if (scopeA > scopeB) return scopeB < wanted;
  // Rule 3: avoid deprecated addresses
  const isDeprecatedB = b.isDeprecated === true;
  if ((a.isDeprecated === true) !== isDeprecatedB) return isDeprecatedB;
  // Rule 6: prefer the matching label
  const label = policyOf(destination).label;
  const isMatchB = policyOf(b.address).label === label;
  if ((policyOf(a.address).label === label) !== isMatchB) return !isMatchB;
  // Rule 7: prefer temporary addresses
  const isTemporaryB = b.isTemporary === true;
  if ((a.isTemporary === true) !== isTemporaryB) return !isTemporaryB;
  // Rule 8: the longest matching prefix, of the candidate's own prefix at most
  const matchA = Math.min(commonPrefixLength(a.address, destination), a.prefixLength);
  const matchB = Math.min(commonPrefixLength(b.address, destination), b.prefixLength);
  return matchA > matchB;
}

function scopeOf(address: IpAddress): number {
  if (address.isMulticast && address.family === 6) return (address.w0 >>> 16) & 0x0f;
  // RFC 6724 §3.2: IPv4 link-local addresses have link-local scope, all others global
  return address.isLinkLocal ? Scope.Link : Scope.Global;
}
