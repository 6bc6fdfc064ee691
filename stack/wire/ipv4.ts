/** The IPv4 header (RFC 791 §3.1): where its fields lie from the start of the packet. */
export const Ipv4 = {
  VersionIhl: 0,
  TrafficClass: 1,
  TotalLength: 2,
  Identification: 4,
  FlagsFragment: 6,
  Ttl: 8,
  Protocol: 9,
  Checksum: 10,
  Source: 12,
  Destination: 16,
  Options: 20,
} as const;

export const IPV4_HEADER_BYTES = 20;
export const IPV4_MAX_HEADER_BYTES = 60;
/** RFC 791 §3.1: the length field has 16 bits. */
export const IP_MAX_PACKET_BYTES = 65_535;
/** In FlagsFragment. */
export const IPV4_DONT_FRAGMENT = 0x4000;
export const IPV4_MORE_FRAGMENTS = 0x2000;
export const IPV4_OFFSET_MASK = 0x1fff;

/** IP protocol numbers (IANA). */
export const IpProtocol = {
  Icmp: 1,
  Igmp: 2,
  Tcp: 6,
  Udp: 17,
  Icmpv6: 58,
} as const;

/** Option types (RFC 791 §3.1, RFC 2113), copy bit and class included. */
export const Ipv4Option = {
  End: 0,
  NoOperation: 1,
  LooseSourceRoute: 131,
  StrictSourceRoute: 137,
} as const;

/** The version of an IP packet: 4, 6, or whatever stands there. */
export function ipVersion(view: DataView, off: number): number {
  return view.getUint8(off) >>> 4;
}

export function ipv4HeaderBytes(view: DataView, off: number): number {
  return (view.getUint8(off) & 0x0f) * 4;
}

export function ipv4TotalLength(view: DataView, off: number): number {
  return view.getUint16(off + Ipv4.TotalLength);
}

/** Writes a header without options; the checksum field is left 0 for the caller. */
export function writeIpv4Header(
  view: DataView,
  off: number,
  totalLength: number,
  protocol: number,
  trafficClass: number,
  ttl: number,
  identification: number,
  flagsFragment: number,
  source: number,
  destination: number,
): void {
  view.setUint8(off + Ipv4.VersionIhl, 0x45);
  view.setUint8(off + Ipv4.TrafficClass, trafficClass);
  view.setUint16(off + Ipv4.TotalLength, totalLength);
  view.setUint16(off + Ipv4.Identification, identification);
  view.setUint16(off + Ipv4.FlagsFragment, flagsFragment);
  view.setUint8(off + Ipv4.Ttl, ttl);
  view.setUint8(off + Ipv4.Protocol, protocol);
  view.setUint16(off + Ipv4.Checksum, 0);
  view.setInt32(off + Ipv4.Source, source);
  view.setInt32(off + Ipv4.Destination, destination);
}
