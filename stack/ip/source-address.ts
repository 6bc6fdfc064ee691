import type { IpAddress, IpPrefix } from '../wire/ip-address.ts';

/** Scopes in the order of RFC 6724 §3.1; the gaps are multicast scopes. */
const Scope = { Link: 2, Global: 14 } as const;

/**
 * Chooses the address to send from among those of the outgoing interface (RFC 6724 §5, rules 1, 2, 3 and 8).
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

function isBetter(a: IpPrefix, b: IpPrefix, destination: IpAddress, wanted: number): boolean {
  const scopeA = scopeOf(a.address);
  const scopeB = scopeOf(b.address);
  // Rule 2: prefer the appropriate scope: the smallest that is not smaller than the destination's
  if (scopeA < scopeB) return scopeA >= wanted;
  if (scopeA > scopeB) return scopeB < wanted;
  // Rule 3: avoid deprecated addresses
  const isDeprecatedB = b.isDeprecated === true;
  if ((a.isDeprecated === true) !== isDeprecatedB) return isDeprecatedB;
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
