import { HEADER_BYTES, HEADROOM_BYTES, TxPacket } from '../../stack/link.ts';
import { fold16, foldChecksum, sumPseudoHeader, sumSlab } from '../../stack/wire/checksum.ts';
import { IpAddress } from '../../stack/wire/ip-address.ts';
import { IPV4_HEADER_BYTES, IpProtocol, Ipv4, writeIpv4Header } from '../../stack/wire/ipv4.ts';
import { IPV6_HEADER_BYTES, writeIpv6Header } from '../../stack/wire/ipv6.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { UDP_HEADER_BYTES, Udp, writeUdpHeader } from '../../stack/wire/udp.ts';

/** Packets written by hand, for tests of devices. */

/** A packet object as a stack has it. */
export function newPacket(): TxPacket {
  return new TxPacket(Slab.alloc(HEADROOM_BYTES + HEADER_BYTES));
}

/** The bytes of a packet in one piece. */
export function bytesOf(packet: TxPacket): Uint8Array {
  const all = new Uint8Array(packet.lengthBytes);
  packet.gather(all, 0);
  return all;
}

export interface Ends {
  readonly source: string;
  readonly destination: string;
}

function address(text: string): IpAddress {
  const parsed = IpAddress.parse(text);
  if (parsed === null) throw new Error(`not an address: ${text}`);
  return parsed;
}

/** Puts an IP header before `transportBytes` bytes. @returns where the transport header goes */
function ipHeader(packet: TxPacket, ends: Ends, protocol: number, transportBytes: number): number {
  const source = address(ends.source);
  const destination = address(ends.destination);
  packet.reset();
  const { head, headOff } = packet;
  if (source.family === 4) {
    const total = IPV4_HEADER_BYTES + transportBytes;
    writeIpv4Header(head.view, headOff, total, protocol, 0, 64, 1, 0x4000, source.w3, destination.w3);
    head.view.setUint16(headOff + Ipv4.Checksum, foldChecksum(sumSlab(head, headOff, IPV4_HEADER_BYTES, 0)));
    packet.headLen = IPV4_HEADER_BYTES;
  } else {
    writeIpv6Header(head.view, headOff, transportBytes, protocol, 0, 0, 64, source, destination);
    packet.headLen = IPV6_HEADER_BYTES;
  }
  return headOff + packet.headLen;
}

/** ICMP or ICMPv6 echo request with `payload`. */
export function echoRequest(ends: Ends, payload: Uint8Array): TxPacket {
  const packet = newPacket();
  const family = address(ends.source).family;
  const protocol = family === 4 ? IpProtocol.Icmp : IpProtocol.Icmpv6;
  const at = ipHeader(packet, ends, protocol, 8 + payload.length);
  const { head } = packet;
  head.view.setUint8(at, family === 4 ? 8 : 128);
  head.view.setUint8(at + 1, 0);
  head.view.setUint16(at + 2, 0);
  head.view.setUint32(at + 4, 0x12340001);
  packet.headLen += 8;
  setBody(packet, payload);
  const pseudo =
    family === 4
      ? 0
      : sumPseudoHeader(address(ends.source), address(ends.destination), protocol, 8 + payload.length);
  const sum = sumSlab(packet.body, 0, packet.body.lengthBytes, sumSlab(head, at, 8, pseudo));
  head.view.setUint16(at + 2, foldChecksum(sum));
  return packet;
}

/** A UDP datagram whose checksum the device completes. @param gsoBytes payload of each datagram; 0: one datagram */
export function datagram(
  ends: Ends & { sourcePort: number; destinationPort: number },
  payload: Uint8Array,
  gsoBytes = 0,
): TxPacket {
  const packet = newPacket();
  const length = UDP_HEADER_BYTES + payload.length;
  const at = ipHeader(packet, ends, IpProtocol.Udp, length);
  writeUdpHeader(packet.head.view, at, ends.sourcePort, ends.destinationPort, length);
  partialChecksum(packet, ends, IpProtocol.Udp, at, Udp.Checksum, length);
  packet.headLen += UDP_HEADER_BYTES;
  packet.gsoBytes = gsoBytes;
  setBody(packet, payload);
  return packet;
}

export interface Segment extends Ends {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
}

/** A TCP segment without options. @param partial leaves the checksum to the device */
export function segment(fields: Segment, payload: Uint8Array, gsoBytes = 0, partial = true): TxPacket {
  const packet = newPacket();
  const length = 20 + payload.length;
  const at = ipHeader(packet, fields, IpProtocol.Tcp, length);
  const { head } = packet;
  const { view } = head;
  view.setUint16(at, fields.sourcePort);
  view.setUint16(at + 2, fields.destinationPort);
  view.setUint32(at + 4, fields.sequence >>> 0);
  view.setUint32(at + 8, fields.acknowledgment >>> 0);
  view.setUint8(at + 12, 0x50);
  view.setUint8(at + 13, fields.flags);
  view.setUint16(at + 14, 0xffff);
  view.setUint32(at + 16, 0);
  partialChecksum(packet, fields, IpProtocol.Tcp, at, 16, length);
  packet.headLen += 20;
  packet.gsoBytes = gsoBytes;
  setBody(packet, payload);
  if (!partial) {
    packet.csumStart = -1;
    const sum = sumSlab(packet.body, 0, packet.body.lengthBytes, sumSlab(head, at, 20, 0));
    view.setUint16(at + 16, foldChecksum(sum));
  }
  return packet;
}

function partialChecksum(
  packet: TxPacket,
  ends: Ends,
  protocol: number,
  at: number,
  csumOffset: number,
  length: number,
): void {
  packet.csumStart = at - packet.headOff;
  packet.csumOffset = csumOffset;
  const sum = sumPseudoHeader(address(ends.source), address(ends.destination), protocol, length);
  packet.head.view.setUint16(at + csumOffset, fold16(sum));
}

/** The payload in two pieces, the second before the first in memory, as a ring that wraps has it. */
function setBody(packet: TxPacket, payload: Uint8Array): void {
  // the first piece has an even length: then the sum of the whole memory is that of the payload
  const first = payload.length < 4 ? payload.length : (payload.length >>> 2) * 2;
  const second = payload.length - first;
  const secondRoom = (second + 1) & ~1;
  packet.body = Slab.alloc(secondRoom + first);
  packet.body.bytes.set(payload.subarray(0, first), secondRoom);
  packet.body.bytes.set(payload.subarray(first), 0);
  packet.bodyOff = secondRoom;
  packet.bodyLen = first;
  packet.body2Off = 0;
  packet.body2Len = second;
}

/** True when the transport checksum of a whole packet in one piece is right. */
export function checksumIsRight(bytes: Uint8Array): boolean {
  const slab = new Slab(bytes);
  const family = bytes[0]! >>> 4 === 4 ? 4 : 6;
  const start = family === 4 ? (bytes[0]! & 15) * 4 : IPV6_HEADER_BYTES;
  const protocol = bytes[family === 4 ? Ipv4.Protocol : 6]!;
  const length = bytes.length - start;
  const source = IpAddress.read(slab.view, family === 4 ? 12 : 8, family);
  const destination = IpAddress.read(slab.view, family === 4 ? 16 : 24, family);
  const pseudo = protocol === IpProtocol.Icmp ? 0 : sumPseudoHeader(source, destination, protocol, length);
  return foldChecksum(sumSlab(slab, start, length, pseudo)) === 0;
}
