import { foldChecksum, sumPseudoHeader, sumSlab } from '../stack/wire/checksum.ts';
import {
  ICMP_HEADER_BYTES,
  Icmp,
  IcmpV4Type,
  IcmpV4Unreachable,
  IcmpV6Type,
  isIcmpError,
  writeIcmpHeader,
} from '../stack/wire/icmp.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import {
  IPV4_HEADER_BYTES,
  IPV4_OFFSET_MASK,
  IpProtocol,
  Ipv4,
  ipVersion,
  ipv4HeaderBytes,
  writeIpv4Header,
} from '../stack/wire/ipv4.ts';
import { IPV6_HEADER_BYTES, IPV6_MIN_MTU_BYTES, Ipv6, writeIpv6Header } from '../stack/wire/ipv6.ts';
import type { Slab } from '../stack/wire/slab.ts';

/** The largest message that {@link writeTooBig} writes. */
export const TOO_BIG_BYTES: number = IPV6_MIN_MTU_BYTES;
/** RFC 1812 §4.3.2.3 */
const ICMPV4_ERROR_BYTES = 576;
const HOP_LIMIT = 64;

/**
 * Writes the ICMP message that tells the sender of a packet that it is too large (RFC 1191 §4, RFC 4443 §3.2), as if its
 * destination had sent it.
 * @returns the length of the IP packet written; 0: there is none for this packet (no IP packet, itself an ICMP error, not a
 *   first fragment, or to or from a group)
 */
export function writeTooBig(
  into: Slab,
  intoOff: number,
  slab: Slab,
  off: number,
  len: number,
  mtuBytes: number,
): number {
  const version = ipVersion(slab.view, off);
  if (version === 4 && len >= IPV4_HEADER_BYTES) return writeV4(into, intoOff, slab, off, len, mtuBytes);
  if (version === 6 && len >= IPV6_HEADER_BYTES) return writeV6(into, intoOff, slab, off, len, mtuBytes);
  return 0;
}

function writeV4(into: Slab, at: number, slab: Slab, off: number, len: number, mtuBytes: number): number {
  const { view } = slab;
  const header = ipv4HeaderBytes(view, off);
  if (header < IPV4_HEADER_BYTES || len < header + ICMP_HEADER_BYTES) return 0;
  // RFC 1122 §3.2.2
  if ((view.getUint16(off + Ipv4.FlagsFragment) & IPV4_OFFSET_MASK) !== 0) return 0;
  if (view.getUint8(off + Ipv4.Protocol) === IpProtocol.Icmp && isIcmpError(4, view.getUint8(off + header)))
    return 0;
  const from = IpAddress.read(view, off + Ipv4.Destination, 4);
  const to = IpAddress.read(view, off + Ipv4.Source, 4);
  if (isGroup(from) || isGroup(to)) return 0;
  const icmp = at + IPV4_HEADER_BYTES;
  const quoted = Math.min(len, ICMPV4_ERROR_BYTES - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES);
  const total = IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + quoted;
  writeIpv4Header(into.view, at, total, IpProtocol.Icmp, 0, HOP_LIMIT, 0, 0, from.w3, to.w3);
  into.view.setUint16(at + Ipv4.Checksum, foldChecksum(sumSlab(into, at, IPV4_HEADER_BYTES, 0)));
  writeIcmpHeader(into.view, icmp, IcmpV4Type.Unreachable, IcmpV4Unreachable.FragmentationNeeded, mtuBytes);
  into.bytes.set(slab.bytes.subarray(off, off + quoted), icmp + ICMP_HEADER_BYTES);
  into.view.setUint16(icmp + Icmp.Checksum, foldChecksum(sumSlab(into, icmp, ICMP_HEADER_BYTES + quoted, 0)));
  return total;
}

function writeV6(into: Slab, at: number, slab: Slab, off: number, len: number, mtuBytes: number): number {
  const { view } = slab;
  const isIcmp = view.getUint8(off + Ipv6.NextHeader) === IpProtocol.Icmpv6;
  // RFC 4443 §2.4(e)
  if (isIcmp && len > IPV6_HEADER_BYTES && isIcmpError(6, view.getUint8(off + IPV6_HEADER_BYTES))) return 0;
  const from = IpAddress.read(view, off + Ipv6.Destination, 6);
  const to = IpAddress.read(view, off + Ipv6.Source, 6);
  if (isGroup(from) || isGroup(to)) return 0;
  const icmp = at + IPV6_HEADER_BYTES;
  const quoted = Math.min(len, IPV6_MIN_MTU_BYTES - IPV6_HEADER_BYTES - ICMP_HEADER_BYTES);
  const payload = ICMP_HEADER_BYTES + quoted;
  writeIpv6Header(into.view, at, payload, IpProtocol.Icmpv6, 0, 0, HOP_LIMIT, from, to);
  writeIcmpHeader(into.view, icmp, IcmpV6Type.TooBig, 0, mtuBytes);
  into.bytes.set(slab.bytes.subarray(off, off + quoted), icmp + ICMP_HEADER_BYTES);
  const pseudo = sumPseudoHeader(from, to, IpProtocol.Icmpv6, payload);
  into.view.setUint16(icmp + Icmp.Checksum, foldChecksum(sumSlab(into, icmp, payload, pseudo)));
  return IPV6_HEADER_BYTES + payload;
}

function isGroup(address: IpAddress): boolean {
  return address.isMulticast || address.isLimitedBroadcast || address.isUnspecified;
}
