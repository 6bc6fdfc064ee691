import { fold16, foldChecksum, sumSlab } from '../stack/wire/checksum.ts';
import { IPV4_HEADER_BYTES, Ipv4, ipVersion, ipv4HeaderBytes } from '../stack/wire/ipv4.ts';
import { IPV6_HEADER_BYTES, Ipv6 } from '../stack/wire/ipv6.ts';
import type { Slab } from '../stack/wire/slab.ts';
import { TCP_HEADER_BYTES, Tcp } from '../stack/wire/tcp.ts';
import type { DeviceCounters, PacketInput } from './device.ts';

const FIN = 0x01;
const PSH = 0x08;
const CWR = 0x80;

/**
 * Cuts a received TCP super-packet, whose checksum is partial, into the segments that it was made of, and hands them in one by one.
 * Each gets its headers right before its payload, over the payload of the one before, which is done with.
 * @param off where its link header begins. @param gsoBytes payload of each segment but the last
 * @param tcpOff where the TCP header lies, from `off`
 * @param flags bits of `RxFlag`
 */
export function inputSegments(
  slab: Slab,
  off: number,
  len: number,
  linkBytes: number,
  gsoBytes: number,
  tcpOff: number,
  flags: number,
  input: PacketInput,
  counters: DeviceCounters,
): void {
  const { bytes, view } = slab;
  const version = ipVersion(view, off + linkBytes);
  const least = linkBytes + leastHeaderBytes(view, off + linkBytes);
  const isWhole = gsoBytes > 0 && tcpOff >= least && len >= tcpOff + TCP_HEADER_BYTES;
  const headerBytes = isWhole ? tcpOff + (view.getUint8(off + tcpOff + Tcp.DataOffset) >>> 4) * 4 : 0;
  if (headerBytes < tcpOff + TCP_HEADER_BYTES || headerBytes >= len) {
    counters.rxDroppedSuperPacket++;
    return;
  }
  const tcpFlags = view.getUint8(off + tcpOff + Tcp.Flags);
  const end = off + len;
  let at = off;
  for (let payload = off + headerBytes; payload < end; payload += gsoBytes) {
    const next = payload - headerBytes;
    const isFirst = next === at;
    if (!isFirst) bytes.copyWithin(next, at, at + headerBytes);
    const payloadBytes = Math.min(gsoBytes, end - payload);
    const tcp = next + tcpOff;
    setLengths(slab, next + linkBytes, version, tcp, headerBytes - tcpOff + payloadBytes, isFirst ? 0 : 1);
    if (!isFirst) view.setInt32(tcp + Tcp.Sequence, view.getInt32(tcp + Tcp.Sequence) + gsoBytes);
    // RFC 9293 §3.10.7.4, RFC 3168 §6.1.2: the end belongs to the last segment, CWR to the first
    let kept = tcpFlags & ~(FIN | PSH | CWR);
    if (isFirst) kept |= tcpFlags & CWR;
    if (payload + gsoBytes >= end) kept |= tcpFlags & (FIN | PSH);
    view.setUint8(tcp + Tcp.Flags, kept);
    at = next;
    counters.rxPackets++;
    counters.rxBytes += headerBytes + payloadBytes;
    input.input(slab, next, headerBytes + payloadBytes, flags);
  }
}

/** @param ip where the IP header lies. @param tcp where the TCP header lies. @param tcpBytes its length with the payload */
function setLengths(
  slab: Slab,
  ip: number,
  version: number,
  tcp: number,
  tcpBytes: number,
  idStep: number,
): void {
  const { view } = slab;
  const headersBytes = tcp - ip;
  let before: number;
  if (version === 4) {
    before = view.getUint16(ip + Ipv4.TotalLength) - headersBytes;
    view.setUint16(ip + Ipv4.TotalLength, headersBytes + tcpBytes);
    view.setUint16(ip + Ipv4.Identification, view.getUint16(ip + Ipv4.Identification) + idStep);
    view.setUint16(ip + Ipv4.Checksum, 0);
    view.setUint16(ip + Ipv4.Checksum, foldChecksum(sumSlab(slab, ip, ipv4HeaderBytes(view, ip), 0)));
  } else {
    before = view.getUint16(ip + Ipv6.PayloadLength) + IPV6_HEADER_BYTES - headersBytes;
    view.setUint16(ip + Ipv6.PayloadLength, headersBytes - IPV6_HEADER_BYTES + tcpBytes);
  }
  // the field holds the pseudo-header sum, of which the length is one term
  const sum = view.getUint16(tcp + Tcp.Checksum) + tcpBytes + (0xffff - (before & 0xffff));
  view.setUint16(tcp + Tcp.Checksum, fold16(sum));
}

/** Length of the IP header at `off`: what is above it begins there or later. Whoever is on the link may have written anything. */
export function leastHeaderBytes(view: DataView, off: number): number {
  return ipVersion(view, off) === 4
    ? Math.max(IPV4_HEADER_BYTES, ipv4HeaderBytes(view, off))
    : IPV6_HEADER_BYTES;
}
