/** The UDP header (RFC 768). */
export const Udp = {
  SourcePort: 0,
  DestinationPort: 2,
  Length: 4,
  Checksum: 6,
} as const;

export const UDP_HEADER_BYTES = 8;
/** Largest payload in an IPv4 packet without options (65,535 - 20 - 8). */
export const UDP_MAX_PAYLOAD_V4_BYTES = 65_507;
/** Largest payload in an IPv6 packet without extension headers (65,535 - 8). */
export const UDP_MAX_PAYLOAD_V6_BYTES = 65_527;

export function udpLength(view: DataView, off: number): number {
  return view.getUint16(off + Udp.Length);
}

/** Writes a header; the checksum field is left 0 for the caller. */
export function writeUdpHeader(
  view: DataView,
  off: number,
  sourcePort: number,
  destinationPort: number,
  lengthBytes: number,
): void {
  view.setUint16(off + Udp.SourcePort, sourcePort);
  view.setUint16(off + Udp.DestinationPort, destinationPort);
  view.setUint16(off + Udp.Length, lengthBytes);
  view.setUint16(off + Udp.Checksum, 0);
}
