import type { IpOutput, RxPacket } from '../context.ts';
import { ethernetHigh, ethernetLow } from '../wire/ethernet.ts';
import { Icmp, IcmpV4Redirect } from '../wire/icmp.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { IPV4_HEADER_BYTES, Ipv4, ipVersion } from '../wire/ipv4.ts';
import { findLinkAddress, NDP_HOP_LIMIT, NDP_MALFORMED, NdpOption, Redirect } from '../wire/ndp.ts';
import { cameInFragments } from './extension-headers.ts';

/**
 * A router names a better first hop for a destination (RFC 1122 §3.2.2.2). Believed when it comes from the first hop that we use now,
 * and is about a packet of ours.
 * @returns false when it was not followed
 */
export function followRedirectV4(ip: IpOutput, rx: RxPacket): boolean {
  const { view } = rx.slab;
  const quoted = rx.off + Icmp.Data;
  // on a link of two there is no other hop
  if (rx.iface.link === null || rx.multicast || rx.len < Icmp.Data + IPV4_HEADER_BYTES + 8) return false;
  if (view.getUint8(rx.off + Icmp.Code) > IcmpV4Redirect.TosHost || ipVersion(view, quoted) !== 4)
    return false;
  if (view.getInt32(quoted + Ipv4.Source) !== rx.dst3) return false;
  const gateway = IpAddress.read(view, rx.off + Icmp.Rest, 4);
  const destination = IpAddress.read(view, quoted + Ipv4.Destination, 4);
  // RFC 1122 §3.2.2.2: a gateway on the network that the redirect came from; RFC 1122 §3.3.1.2: all kinds are taken as for the host
  if (!isNeighbour(rx, gateway) || rx.iface.isBroadcast(gateway.w3)) return false;
  const router = IpAddress.v4(rx.src3);
  return ip.redirect(rx.iface, destination, IpAddress.v4(rx.dst3), router, gateway);
}

/** The same of IPv6 (RFC 4861 §8); the message's checksum is right. @returns false when it was not followed */
export function followRedirectV6(ip: IpOutput, rx: RxPacket): boolean {
  const { view } = rx.slab;
  const { link } = rx.iface;
  const router = new IpAddress(6, rx.src0, rx.src1, rx.src2, rx.src3);
  // RFC 4861 §8.1; RFC 6980 §5
  if (link === null || cameInFragments(rx, link.frame) || rx.multicast || rx.len < Redirect.Options)
    return false;
  if (rx.ttl !== NDP_HOP_LIMIT || !router.isLinkLocal || view.getUint8(rx.off + Icmp.Code) !== 0)
    return false;
  const target = IpAddress.read(view, rx.off + Redirect.Target, 6);
  const destination = IpAddress.read(view, rx.off + Redirect.Destination, 6);
  const end = rx.off + rx.len;
  const option = findLinkAddress(view, rx.off + Redirect.Options, end, NdpOption.TargetLinkAddress);
  const isOnLink = target.equals(destination);
  if (option === NDP_MALFORMED || destination.isMulticast || (!target.isLinkLocal && !isOnLink)) return false;
  if (rx.iface.owns(6, target.w0, target.w1, target.w2, target.w3)) return false;
  const own = new IpAddress(6, rx.dst0, rx.dst1, rx.dst2, rx.dst3);
  if (!ip.redirect(rx.iface, destination, own, router, target)) return false;
  if (option >= 0) {
    const high = ethernetHigh(view, option);
    const low = ethernetLow(view, option);
    // RFC 4861 §8.3
    if (link.isStation(high, low)) link.neighbours.learn(target, high, low);
  }
  return true;
}

function isNeighbour(rx: RxPacket, gateway: IpAddress): boolean {
  if (gateway.isMulticast || gateway.isUnspecified || gateway.isLoopback) return false;
  return !rx.iface.owns(4, 0, 0, 0xffff, gateway.w3) && rx.iface.link?.isOnLink(gateway) === true;
}
