import type { Route } from '../context.ts';
import type { Ring } from '../ring.ts';
import { IP_MAX_PACKET_BYTES, IPV4_HEADER_BYTES } from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES } from '../wire/ipv6.ts';
import type { Slab } from '../wire/slab.ts';
import { UDP_HEADER_BYTES } from '../wire/udp.ts';
import { type DatagramHeader, peekDatagram, recordBytes } from './datagram-ring.ts';

/** As many as every kernel that knows them takes (linux/udp.h, UDP_MAX_SEGMENTS before 6.10). */
const MAX_DATAGRAMS = 64;

/**
 * Puts the oldest datagram of a send ring and those behind it that are for the same peer and as long (the last may be shorter) into one
 * piece, when the device takes them apart again.
 * @param first the header of the oldest. @param next is overwritten. @param into.scratch where they go
 * @returns their bytes, or the length of the first: it goes alone, and was not copied
 */
export function gatherDatagrams(
  ring: Ring,
  first: DatagramHeader,
  next: DatagramHeader,
  route: Route,
  into: { readonly scratch: Slab },
): number {
  const { lengthBytes } = first;
  const { txDatagramSegments = false, txSegmentBytes } = route.iface.capabilities;
  if (!txDatagramSegments || lengthBytes === 0) return lengthBytes;
  const { isMulticast, family } = route.destination;
  const headerBytes = (family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES) + UDP_HEADER_BYTES;
  const most = Math.min(txSegmentBytes, IP_MAX_PACKET_BYTES) - headerBytes;
  // what needs fragments, and what members here get too, goes one by one
  if (isMulticast || lengthBytes + headerBytes > route.pathMtuBytes || lengthBytes * 2 > most)
    return lengthBytes;
  let total = lengthBytes;
  let ahead = recordBytes(lengthBytes);
  for (let count = 1; count < MAX_DATAGRAMS && peekDatagram(ring, next, ahead); count++) {
    const more = next.lengthBytes;
    if (more === 0 || more > lengthBytes || total + more > most || !isForSamePeer(first, next)) break;
    const { bytes } = into.scratch;
    if (count === 1) ring.copyOut(first.position, bytes, 0, lengthBytes);
    ring.copyOut(next.position, bytes, total, more);
    total += more;
    ahead += recordBytes(more);
    if (more < lengthBytes) break;
  }
  return total;
}

/** Settings differ in their family. */
function isForSamePeer(a: DatagramHeader, b: DatagramHeader): boolean {
  return (
    a.family === b.family &&
    a.port === b.port &&
    a.w3 === b.w3 &&
    a.w2 === b.w2 &&
    a.w1 === b.w1 &&
    a.w0 === b.w0 &&
    a.zone === b.zone
  );
}
