import type { IpAddress } from './ip-address.ts';

/** The IPv6 header (RFC 8200 §3): where its fields lie from the start of the packet. */
export const Ipv6 = {
  /** Version (4 bits), traffic class (8), flow label (20). */
  VersionClassFlow: 0,
  PayloadLength: 4,
  NextHeader: 6,
  HopLimit: 7,
  Source: 8,
  Destination: 24,
} as const;

export const IPV6_HEADER_BYTES = 40;
/** RFC 8200 §5: every link carries packets of this size. */
export const IPV6_MIN_MTU_BYTES = 1280;

/** Next header values that are extension headers (RFC 7045 §4), and the end mark. */
export const Ipv6Next = {
  HopByHop: 0,
  Routing: 43,
  Fragment: 44,
  NoNextHeader: 59,
  DestinationOptions: 60,
} as const;

/** The Fragment header (RFC 8200 §4.5). */
export const Ipv6Fragment = {
  NextHeader: 0,
  /** Offset in 8-byte units (13 bits), reserved (2), more fragments (1): `& 0xfff8` is the offset in bytes. */
  OffsetMore: 2,
  Identification: 4,
} as const;
export const IPV6_FRAGMENT_HEADER_BYTES = 8;

export function ipv6TrafficClass(view: DataView, off: number): number {
  return (view.getUint16(off) >>> 4) & 0xff;
}

export function ipv6PayloadLength(view: DataView, off: number): number {
  return view.getUint16(off + Ipv6.PayloadLength);
}

export function writeIpv6Header(
  view: DataView,
  off: number,
  payloadLength: number,
  nextHeader: number,
  trafficClass: number,
  flowLabel: number,
  hopLimit: number,
  source: IpAddress,
  destination: IpAddress,
): void {
  view.setInt32(off, 0x60000000 | (trafficClass << 20) | flowLabel);
  view.setUint16(off + Ipv6.PayloadLength, payloadLength);
  view.setUint8(off + Ipv6.NextHeader, nextHeader);
  view.setUint8(off + Ipv6.HopLimit, hopLimit);
  source.write(view, off + Ipv6.Source);
  destination.write(view, off + Ipv6.Destination);
}
