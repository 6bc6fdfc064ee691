import { RxFlag, type TxPacket } from '../stack/link.ts';
import { fold16, foldChecksum, sumSlab } from '../stack/wire/checksum.ts';
import { Ipv4, ipVersion, ipv4HeaderBytes } from '../stack/wire/ipv4.ts';
import { IPV6_HEADER_BYTES, Ipv6 } from '../stack/wire/ipv6.ts';
import type { Slab } from '../stack/wire/slab.ts';
import { UDP_HEADER_BYTES, Udp } from '../stack/wire/udp.ts';
import type { DeviceCounters, PacketInput } from './device.ts';
import { inputSegments, leastHeaderBytes } from './tcp-segments.ts';

/**
 * The header that the kernel and we put before packets to say what is left to do to them (struct virtio_net_hdr_v1 of
 * VIRTIO 1.2 §5.1.6, little-endian). Twelve bytes, so that the IP header behind it stays aligned.
 */
export const VIRTIO_HEADER_BYTES = 12;
/** Without the last field (struct virtio_net_hdr): what packet sockets use. */
export const VIRTIO_SHORT_HEADER_BYTES = 10;

const Field = { Flags: 0, GsoType: 1, HeaderLength: 2, GsoSize: 4, CsumStart: 6, CsumOffset: 8, Buffers: 10 };

const FLAG_NEEDS_CSUM = 1;
const FLAG_DATA_VALID = 2;

const GSO_NONE = 0;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
/** One header and several datagrams of GsoSize bytes each (linux/virtio_net.h, VIRTIO 1.3 §5.1.6). */
const GSO_UDP_L4 = 5;
/** Together with TCP: only the first segment carries CWR (RFC 3168 §6.1.2). */
const GSO_ECN = 0x80;

/** Where the checksum field lies in a UDP header, which tells UDP from TCP (16) in {@link TxPacket.csumOffset}. */
const UDP_CSUM_OFFSET: number = Udp.Checksum;
const TCP_FLAGS_OFFSET = 13;
const TCP_CWR = 0x80;

/**
 * Writes the header for an outgoing packet into the room before its other headers.
 * @param headerBytes its length, one of the two above
 * @param linkBytes length of the link header that the packet begins with
 */
export function writeVirtioHeader(
  packet: TxPacket,
  headerBytes: number = VIRTIO_HEADER_BYTES,
  linkBytes = 0,
): void {
  const view = packet.head.view;
  const off = packet.headOff - headerBytes;
  if (headerBytes === VIRTIO_HEADER_BYTES) view.setUint16(off + Field.Buffers, 0);
  if (packet.csumStart < 0) {
    view.setUint32(off, 0);
    view.setUint32(off + 4, 0);
    view.setUint16(off + 8, 0);
    return;
  }
  view.setUint8(off + Field.Flags, FLAG_NEEDS_CSUM);
  view.setUint8(off + Field.GsoType, packet.gsoBytes === 0 ? GSO_NONE : gsoTypeOf(packet, linkBytes));
  view.setUint16(off + Field.HeaderLength, packet.gsoBytes === 0 ? 0 : packet.headLen, true);
  view.setUint16(off + Field.GsoSize, packet.gsoBytes, true);
  view.setUint16(off + Field.CsumStart, packet.csumStart, true);
  view.setUint16(off + Field.CsumOffset, packet.csumOffset, true);
}

function gsoTypeOf(packet: TxPacket, linkBytes: number): number {
  if (packet.csumOffset === UDP_CSUM_OFFSET) return GSO_UDP_L4;
  const view = packet.head.view;
  const type = ipVersion(view, packet.headOff + linkBytes) === 4 ? GSO_TCPV4 : GSO_TCPV6;
  const flags = view.getUint8(packet.headOff + packet.csumStart + TCP_FLAGS_OFFSET);
  return (flags & TCP_CWR) === 0 ? type : type | GSO_ECN;
}

/** Something of so many bytes was put in before what the checksum is of. */
export function moveChecksum(view: DataView, off: number, bytes: number): void {
  if ((view.getUint8(off + Field.Flags) & FLAG_NEEDS_CSUM) === 0) return;
  view.setUint16(off + Field.CsumStart, view.getUint16(off + Field.CsumStart, true) + bytes, true);
}

/**
 * Hands in what the kernel put behind a header: one packet (a TCP super-segment stays in one piece unless `cut`), or the datagrams of
 * a UDP super-packet one by one.
 * @param off where the header begins. @param len header and packet
 * @param headerBytes its length. @param linkBytes length of the link header that packets begin with
 */
export function inputVirtio(
  slab: Slab,
  off: number,
  len: number,
  input: PacketInput,
  counters: DeviceCounters,
  headerBytes: number = VIRTIO_HEADER_BYTES,
  linkBytes = 0,
  cut = false,
): void {
  const view = slab.view;
  const packetOff = off + headerBytes;
  const packetLen = len - headerBytes;
  if (packetLen <= linkBytes) {
    counters.rxDroppedShort++;
    return;
  }
  const bits = view.getUint8(off + Field.Flags);
  let flags = 0;
  if ((bits & FLAG_NEEDS_CSUM) !== 0) flags = RxFlag.ChecksumValid | RxFlag.ChecksumPartial;
  else if ((bits & FLAG_DATA_VALID) !== 0) flags = RxFlag.ChecksumValid;
  const type = view.getUint8(off + Field.GsoType) & ~GSO_ECN;
  if (type === GSO_UDP_L4) {
    const gsoBytes = view.getUint16(off + Field.GsoSize, true);
    const udpOff = view.getUint16(off + Field.CsumStart, true);
    inputDatagrams(slab, packetOff, packetLen, linkBytes, gsoBytes, udpOff, flags, input, counters);
    return;
  }
  if (type !== GSO_NONE && type !== GSO_TCPV4 && type !== GSO_TCPV6) {
    counters.rxDroppedSuperPacket++;
    return;
  }
  // the kernel tells where TCP begins only together with a partial checksum, which every super-packet has
  if (cut && type !== GSO_NONE && (bits & FLAG_NEEDS_CSUM) !== 0) {
    const gsoBytes = view.getUint16(off + Field.GsoSize, true);
    const tcpOff = view.getUint16(off + Field.CsumStart, true);
    inputSegments(slab, packetOff, packetLen, linkBytes, gsoBytes, tcpOff, flags, input, counters);
    return;
  }
  counters.rxPackets++;
  counters.rxBytes += packetLen;
  input.input(slab, packetOff, packetLen, flags);
}

/** Each datagram gets its headers right before its payload, over the payload of the one before, which is done with. */
function inputDatagrams(
  slab: Slab,
  off: number,
  len: number,
  linkBytes: number,
  gsoBytes: number,
  udpOff: number,
  flags: number,
  input: PacketInput,
  counters: DeviceCounters,
): void {
  const { bytes, view } = slab;
  const headerBytes = udpOff + UDP_HEADER_BYTES;
  const version = ipVersion(view, off + linkBytes);
  const least = linkBytes + leastHeaderBytes(view, off + linkBytes);
  if (gsoBytes === 0 || udpOff < least || len <= headerBytes) {
    counters.rxDroppedSuperPacket++;
    return;
  }
  const end = off + len;
  let at = off;
  for (let payload = off + headerBytes; payload < end; payload += gsoBytes) {
    const next = payload - headerBytes;
    if (next !== at) bytes.copyWithin(next, at, at + headerBytes);
    const payloadBytes = Math.min(gsoBytes, end - payload);
    setLengths(slab, next + linkBytes, version, udpOff - linkBytes, payloadBytes, next === at ? 0 : 1);
    at = next;
    counters.rxPackets++;
    counters.rxBytes += headerBytes + payloadBytes;
    input.input(slab, next, headerBytes + payloadBytes, flags);
  }
}

function setLengths(
  slab: Slab,
  off: number,
  version: number,
  udpOff: number,
  payloadBytes: number,
  idStep: number,
): void {
  const view = slab.view;
  const udp = off + udpOff;
  const udpBytes = UDP_HEADER_BYTES + payloadBytes;
  if (version === 4) {
    view.setUint16(off + Ipv4.TotalLength, udpOff + udpBytes);
    view.setUint16(off + Ipv4.Identification, view.getUint16(off + Ipv4.Identification) + idStep);
    view.setUint16(off + Ipv4.Checksum, 0);
    view.setUint16(off + Ipv4.Checksum, foldChecksum(sumSlab(slab, off, ipv4HeaderBytes(view, off), 0)));
  } else {
    view.setUint16(off + Ipv6.PayloadLength, udpOff - IPV6_HEADER_BYTES + udpBytes);
  }
  // the field holds the pseudo-header sum, of which the length is one term
  const before = view.getUint16(udp + Udp.Length);
  view.setUint16(udp + Udp.Length, udpBytes);
  view.setUint16(
    udp + Udp.Checksum,
    fold16(view.getUint16(udp + Udp.Checksum) + udpBytes + (0xffff - before)),
  );
}
