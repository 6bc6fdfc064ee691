import { foldChecksum, sumSlab } from './checksum.ts';
import { IPV4_HEADER_BYTES, IpProtocol, Ipv4, ipVersion, ipv4HeaderBytes } from './ipv4.ts';
import { IPV6_HEADER_BYTES, Ipv6, Ipv6Next } from './ipv6.ts';
import type { Slab } from './slab.ts';
import { UDP_HEADER_BYTES, Udp } from './udp.ts';

const TCP_HEADER_BYTES = 20;
const TCP_CSUM_OFFSET = 16;

/** Adds the data to the pseudo-header sum in a checksum field, as a device would that it is left to. */
export function completeAt(
  copy: Slab,
  off: number,
  len: number,
  csumStart: number,
  csumOffset: number,
): void {
  const field = off + csumStart + csumOffset;
  const sum = foldChecksum(sumSlab(copy, off + csumStart, len - csumStart, 0));
  // RFC 768: a UDP checksum of zero is sent as all ones
  copy.view.setUint16(field, sum === 0 && csumOffset === Udp.Checksum ? 0xffff : sum);
}

/** The same for an IP packet of which is only known that the checksum is partial. Never throws for what is in it. */
export function completePacket(copy: Slab, off: number, len: number): void {
  const view = copy.view;
  let protocol: number;
  let start: number;
  if (ipVersion(view, off) === 4) {
    if (len < IPV4_HEADER_BYTES) return;
    protocol = view.getUint8(off + Ipv4.Protocol);
    start = ipv4HeaderBytes(view, off);
  } else {
    if (len < IPV6_HEADER_BYTES) return;
    protocol = view.getUint8(off + Ipv6.NextHeader);
    start = IPV6_HEADER_BYTES;
    // RFC 8200 §4: the extension headers that may stand before a whole transport segment
    while (isOptionsHeader(protocol) && start + 8 <= len) {
      protocol = view.getUint8(off + start);
      start += 8 + view.getUint8(off + start + 1) * 8;
    }
  }
  if (protocol === IpProtocol.Tcp && start + TCP_HEADER_BYTES <= len) {
    completeAt(copy, off, len, start, TCP_CSUM_OFFSET);
  } else if (protocol === IpProtocol.Udp && start + UDP_HEADER_BYTES <= len) {
    completeAt(copy, off, len, start, Udp.Checksum);
  }
}

function isOptionsHeader(nextHeader: number): boolean {
  return (
    nextHeader === Ipv6Next.HopByHop ||
    nextHeader === Ipv6Next.Routing ||
    nextHeader === Ipv6Next.DestinationOptions
  );
}
