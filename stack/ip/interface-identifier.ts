import { sipHash } from '../tcp/siphash.ts';
import { IpAddress } from '../wire/ip-address.ts';

/** The bytes of the secret that identifiers are made with. */
export const IDENTIFIER_SECRET_BYTES = 16;

/**
 * An address with a prefix of 64 bits and an identifier that is the same each time on this network, and tells nothing on others
 * (RFC 7217 §5). The function is SipHash, which is pseudorandom to whoever does not have the secret.
 * @param secret four words
 * @param attempt how many addresses of this prefix somebody else had already
 */
export function stableAddress(
  prefix: IpAddress,
  high: number,
  low: number,
  attempt: number,
  secret: Int32Array,
): IpAddress {
  const out = new Int32Array(2);
  for (let round = 0; ; round++) {
    sipHash(secret, Int32Array.of(prefix.w0, prefix.w1, high, low, attempt, round), out);
    if (!isReservedIdentifier(out[0]!, out[1]!))
      return new IpAddress(6, prefix.w0, prefix.w1, out[0]!, out[1]!);
  }
}

/** RFC 5453 §3: the anycast address of routers, those of IANA's block, and anycast addresses of subnets. */
export function isReservedIdentifier(w2: number, w3: number): boolean {
  if (w2 === 0 && w3 === 0) return true;
  if (w2 === 0x02005eff) return w3 >>> 24 === 0xfe;
  return w2 === (0xfdffffff | 0) && w3 >>> 0 >= 0xffffff80;
}
