import { foldChecksum, sumPseudoHeader, sumSlab } from '../wire/checksum.ts';
import { IpAddress } from '../wire/ip-address.ts';
import { IPV4_HEADER_BYTES, Ipv4, writeIpv4Header } from '../wire/ipv4.ts';
import {
  IPV6_FRAGMENT_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  Ipv6,
  Ipv6Next,
  writeIpv6Header,
} from '../wire/ipv6.ts';
import { Slab } from '../wire/slab.ts';
import { UDP_HEADER_BYTES, Udp, writeUdpHeader } from '../wire/udp.ts';

/** What may be said of a test packet; everything else is as it should be. */
export interface IpFields {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly ttl?: number;
  readonly trafficClass?: number;
  readonly id?: number;
  /** IPv4: the flags and fragment offset field. */
  readonly flagsFragment?: number;
  /** IPv4 options, a multiple of 4 bytes. */
  readonly options?: Uint8Array;
}

/** An IP packet around `payload`, as a peer would send it. The family is that of the addresses. */
export function ipPacket(fields: IpFields, payload: Uint8Array): Uint8Array {
  const from = addressOf(fields.from);
  const to = addressOf(fields.to);
  const ttl = fields.ttl ?? 64;
  const trafficClass = fields.trafficClass ?? 0;
  if (from.family === 6) {
    const slab = Slab.alloc(IPV6_HEADER_BYTES + payload.length);
    writeIpv6Header(slab.view, 0, payload.length, fields.protocol, trafficClass, 0, ttl, from, to);
    slab.bytes.set(payload, IPV6_HEADER_BYTES);
    return slab.bytes;
  }
  const options = fields.options ?? new Uint8Array(0);
  const header = IPV4_HEADER_BYTES + options.length;
  const slab = Slab.alloc(header + payload.length);
  const { id = 0, flagsFragment = 0, protocol } = fields;
  writeIpv4Header(
    slab.view,
    0,
    header + payload.length,
    protocol,
    trafficClass,
    ttl,
    id,
    flagsFragment,
    from.w3,
    to.w3,
  );
  slab.view.setUint8(0, 0x40 | (header / 4));
  slab.bytes.set(options, IPV4_HEADER_BYTES);
  slab.view.setUint16(Ipv4.Checksum, foldChecksum(sumSlab(slab, 0, header, 0)));
  slab.bytes.set(payload, header);
  return slab.bytes;
}

/** The same IPv6 packet in fragments (RFC 8200 §4.5) of at most `bytesEach` of what is behind its header, a multiple of 8. */
export function ipv6Fragments(packet: Uint8Array, bytesEach: number, id = 9): Uint8Array[] {
  const payload = packet.subarray(IPV6_HEADER_BYTES);
  const fragments: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += bytesEach) {
    const part = payload.subarray(at, at + bytesEach);
    const slab = Slab.alloc(IPV6_HEADER_BYTES + IPV6_FRAGMENT_HEADER_BYTES + part.length);
    slab.bytes.set(packet.subarray(0, IPV6_HEADER_BYTES));
    slab.view.setUint16(Ipv6.PayloadLength, IPV6_FRAGMENT_HEADER_BYTES + part.length);
    slab.bytes[Ipv6.NextHeader] = Ipv6Next.Fragment;
    slab.bytes[IPV6_HEADER_BYTES] = packet[Ipv6.NextHeader]!;
    slab.view.setUint16(IPV6_HEADER_BYTES + 2, at | Number(at + bytesEach < payload.length));
    slab.view.setUint32(IPV6_HEADER_BYTES + 4, id);
    slab.bytes.set(part, IPV6_HEADER_BYTES + IPV6_FRAGMENT_HEADER_BYTES);
    fragments.push(slab.bytes);
  }
  return fragments;
}

/** A UDP header and payload with its checksum. */
export function udpDatagram(
  from: string,
  to: string,
  fromPort: number,
  toPort: number,
  payload: Uint8Array,
): Uint8Array {
  const slab = Slab.alloc(UDP_HEADER_BYTES + payload.length);
  writeUdpHeader(slab.view, 0, fromPort, toPort, slab.lengthBytes);
  slab.bytes.set(payload, UDP_HEADER_BYTES);
  const sum = sumPseudoHeader(addressOf(from), addressOf(to), 17, slab.lengthBytes);
  slab.view.setUint16(Udp.Checksum, foldChecksum(sumSlab(slab, 0, slab.lengthBytes, sum)) || 0xffff);
  return slab.bytes;
}

/** An ICMP message (ICMPv6 when the addresses are IPv6) with its checksum. @param rest the second word */
export function icmpMessage(
  from: string,
  to: string,
  type: number,
  code: number,
  rest: number,
  data: Uint8Array,
): Uint8Array {
  const slab = Slab.alloc(8 + data.length);
  slab.view.setUint8(0, type);
  slab.view.setUint8(1, code);
  slab.view.setInt32(4, rest);
  slab.bytes.set(data, 8);
  const source = addressOf(from);
  const pseudo = source.family === 6 ? sumPseudoHeader(source, addressOf(to), 58, slab.lengthBytes) : 0;
  slab.view.setUint16(2, foldChecksum(sumSlab(slab, 0, slab.lengthBytes, pseudo)));
  return slab.bytes;
}

/** An address literal that a test is sure of. */
export function addressOf(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === null) throw new Error(`not an address: ${text}`);
  return address;
}
