import { Arp, ArpOperation, isArpForIpv4 } from '../stack/wire/arp.ts';
import { Ethernet, EtherType, VLAN_TAG_BYTES } from '../stack/wire/ethernet.ts';
import { Icmp } from '../stack/wire/icmp.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { IPV4_HEADER_BYTES, IPV4_OFFSET_MASK, IpProtocol, Ipv4, ipVersion } from '../stack/wire/ipv4.ts';
import { IPV6_FRAGMENT_HEADER_BYTES, IPV6_HEADER_BYTES, Ipv6, Ipv6Next } from '../stack/wire/ipv6.ts';
import { TCP_HEADER_BYTES, Tcp, TcpFlag, TcpOption } from '../stack/wire/tcp.ts';
import { UDP_HEADER_BYTES, Udp } from '../stack/wire/udp.ts';

/** What a line about a packet says; plain JSON. */
export interface PacketSummary {
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'icmp6' | 'arp' | 'ip';
  readonly source: string;
  readonly destination: string;
  /** 0: it has none. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** What is special to the protocol, as tcpdump has it. */
  readonly text: string;
}

/** What a TCP segment carries. */
export interface TcpSegment {
  /** Sequence number of the first byte (int32). */
  readonly sequence: number;
  readonly isSyn: boolean;
  /** Borrowed. */
  readonly bytes: Uint8Array;
}

const FLAGS: readonly (readonly [number, string])[] = [
  [TcpFlag.Syn, 'S'],
  [TcpFlag.Fin, 'F'],
  [TcpFlag.Rst, 'R'],
  [TcpFlag.Psh, 'P'],
  [TcpFlag.Urg, 'U'],
  [TcpFlag.Ece, 'E'],
  [TcpFlag.Cwr, 'W'],
  [TcpFlag.Ack, '.'],
];
/** The names of the messages that are seen most, for each IP version. */
const ICMP_NAMES: Readonly<Record<4 | 6, Readonly<Record<number, string>>>> = {
  4: { 0: 'echo reply', 3: 'destination unreachable', 5: 'redirect', 8: 'echo request', 11: 'time exceeded' },
  6: {
    1: 'destination unreachable',
    2: 'packet too big',
    3: 'time exceeded',
    128: 'echo request',
    129: 'echo reply',
    133: 'router solicitation',
    134: 'router advertisement',
    135: 'neighbor solicitation',
    136: 'neighbor advertisement',
  },
};
/** Of an echo, and of a neighbour's message up to its options (RFC 4861 §4.3, §4.4). */
const ECHO_BYTES = 8;
const NEIGHBOR_BYTES = 24;
const NEIGHBOR_SOLICITATION = 135;
const NEIGHBOR_ADVERTISEMENT = 136;
/** Extension headers that are passed over at most. */
const MAX_EXTENSIONS = 8;

/** Describes an IP packet that may be cut off or damaged. @returns null when it is no IP packet */
export function summarizePacket(view: DataView, off: number, len: number): PacketSummary | null {
  if (len < 1) return null;
  const version = ipVersion(view, off);
  if (version === 4 && len >= IPV4_HEADER_BYTES) return summarizeV4(view, off, len);
  if (version === 6 && len >= IPV6_HEADER_BYTES) return summarizeV6(view, off, len);
  return null;
}

/** Where the ARP packet of an Ethernet frame begins, behind VLAN tags; -1: it carries none. */
export function arpOffset(view: DataView, off: number, len: number): number {
  let at = Ethernet.Type;
  for (; at + 2 <= len; at += VLAN_TAG_BYTES) {
    const type = view.getUint16(off + at);
    if (type === EtherType.Arp) return off + at + 2;
    if (type !== EtherType.Vlan && type !== EtherType.ServiceVlan) return -1;
  }
  return -1;
}

/** Describes an ARP packet for IPv4 (RFC 826) as tcpdump does. @param len with the frame's padding @returns null when it is none */
export function summarizeArp(view: DataView, off: number, len: number): PacketSummary | null {
  if (!isArpForIpv4(view, off, len)) return null;
  const source = IpAddress.read(view, off + Arp.SenderProtocol, 4).toString();
  const destination = IpAddress.read(view, off + Arp.TargetProtocol, 4).toString();
  const operation = view.getUint16(off + Arp.Operation);
  const from = hardwareOf(view, off + Arp.SenderHardware);
  const to = hardwareOf(view, off + Arp.TargetHardware);
  let what = `operation ${operation}`;
  if (operation === ArpOperation.Reply) what = `Reply ${source} is-at ${from}`;
  if (operation === ArpOperation.Request)
    what = `Request who-has ${destination}${to === NO_HARDWARE ? '' : ` (${to})`} tell ${source}`;
  const text = `ARP, ${what}, length ${len}`;
  return { protocol: 'arp', source, destination, sourcePort: 0, destinationPort: 0, text };
}

const NO_HARDWARE = '00:00:00:00:00:00';

function hardwareOf(view: DataView, off: number): string {
  const bytes = Array.from({ length: 6 }, (_, i) =>
    view
      .getUint8(off + i)
      .toString(16)
      .padStart(2, '0'),
  );
  return bytes.join(':');
}

/** What the TCP segment of a whole IP packet without extension headers carries; null: it is something else. */
export function tcpSegmentOf(view: DataView, off: number, len: number): TcpSegment | null {
  if (len < 1) return null;
  const isV4 = ipVersion(view, off) === 4;
  if (len < (isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES)) return null;
  const protocol = view.getUint8(off + (isV4 ? Ipv4.Protocol : Ipv6.NextHeader));
  const isPart = isV4 && (view.getUint16(off + Ipv4.FlagsFragment) & 0x3fff) !== 0;
  if (protocol !== IpProtocol.Tcp || isPart) return null;
  // 0: segmentation offload fills it in
  const lengthBytes = isV4
    ? view.getUint16(off + Ipv4.TotalLength) || len
    : (view.getUint16(off + Ipv6.PayloadLength) || len - IPV6_HEADER_BYTES) + IPV6_HEADER_BYTES;
  const at = off + (isV4 ? (view.getUint8(off) & 15) * 4 : IPV6_HEADER_BYTES);
  const end = off + Math.min(len, lengthBytes);
  if (at + TCP_HEADER_BYTES > end) return null;
  const from = at + (view.getUint8(at + Tcp.DataOffset) >> 4) * 4;
  const isSyn = (view.getUint8(at + Tcp.Flags) & TcpFlag.Syn) !== 0;
  return {
    sequence: (view.getUint32(at + Tcp.Sequence) + (isSyn ? 1 : 0)) | 0,
    isSyn,
    bytes: new Uint8Array(view.buffer, view.byteOffset + from, Math.max(0, end - from)),
  };
}

function summarizeV4(view: DataView, off: number, len: number): PacketSummary {
  const headerBytes = (view.getUint8(off) & 15) * 4;
  // 0: segmentation offload fills it in
  const total = view.getUint16(off + Ipv4.TotalLength) || len;
  const end = off + Math.min(len, total);
  const fragment = view.getUint16(off + Ipv4.FlagsFragment) & IPV4_OFFSET_MASK;
  const source = IpAddress.read(view, off + Ipv4.Source, 4).toString();
  const destination = IpAddress.read(view, off + Ipv4.Destination, 4).toString();
  const protocol = view.getUint8(off + Ipv4.Protocol);
  return transport(view, off + headerBytes, end, protocol, fragment * 8, 4, source, destination);
}

function summarizeV6(view: DataView, off: number, len: number): PacketSummary {
  const payload = view.getUint16(off + Ipv6.PayloadLength) || len - IPV6_HEADER_BYTES;
  const end = off + Math.min(len, IPV6_HEADER_BYTES + payload);
  const source = IpAddress.read(view, off + Ipv6.Source, 6).toString();
  const destination = IpAddress.read(view, off + Ipv6.Destination, 6).toString();
  let next = view.getUint8(off + Ipv6.NextHeader);
  let at = off + IPV6_HEADER_BYTES;
  let fragment = 0;
  for (let i = 0; i < MAX_EXTENSIONS && at + 8 <= end; i++) {
    if (next === Ipv6Next.Fragment) {
      fragment = view.getUint16(at + 2) & 0xfff8;
      next = view.getUint8(at);
      at += IPV6_FRAGMENT_HEADER_BYTES;
    } else if (
      next === Ipv6Next.HopByHop ||
      next === Ipv6Next.Routing ||
      next === Ipv6Next.DestinationOptions
    ) {
      next = view.getUint8(at);
      at += 8 + view.getUint8(at + 1) * 8;
    } else break;
  }
  return transport(view, at, end, next, fragment, 6, source, destination);
}

function transport(
  view: DataView,
  at: number,
  end: number,
  protocol: number,
  fragmentBytes: number,
  family: 4 | 6,
  source: string,
  destination: string,
): PacketSummary {
  const ends = { source, destination, sourcePort: 0, destinationPort: 0 };
  const length = Math.max(0, end - at);
  if (fragmentBytes > 0)
    return { protocol: 'ip', ...ends, text: `fragment at ${fragmentBytes}, length ${length}` };
  if (protocol === IpProtocol.Tcp && length >= TCP_HEADER_BYTES)
    return { protocol: 'tcp', ...ends, ...ports(view, at), text: tcpText(view, at, end) };
  if (protocol === IpProtocol.Udp && length >= UDP_HEADER_BYTES) {
    const text = `UDP, length ${Math.max(0, view.getUint16(at + Udp.Length) - UDP_HEADER_BYTES)}`;
    return { protocol: 'udp', ...ends, ...ports(view, at), text };
  }
  const isIcmp = protocol === (family === 4 ? IpProtocol.Icmp : IpProtocol.Icmpv6);
  if (isIcmp && length >= 4) {
    const text = `${icmpText(view, at, length, family)}, length ${length}`;
    return { protocol: family === 4 ? 'icmp' : 'icmp6', ...ends, text };
  }
  return { protocol: 'ip', ...ends, text: `protocol ${protocol}, length ${length}` };
}

/** `ICMP echo request, id 1, seq 2`, `ICMP6, neighbor solicitation, who has fe80::1` */
function icmpText(view: DataView, at: number, length: number, family: 4 | 6): string {
  const type = view.getUint8(at + Icmp.Type);
  const name = ICMP_NAMES[family][type] ?? `type ${type} code ${view.getUint8(at + Icmp.Code)}`;
  const prefix = family === 4 ? 'ICMP ' : 'ICMP6, ';
  const isEcho = name.startsWith('echo ') && length >= ECHO_BYTES;
  if (isEcho) return `${prefix}${name}, id ${view.getUint16(at + 4)}, seq ${view.getUint16(at + 6)}`;
  const isNeighbour = family === 6 && (type === NEIGHBOR_SOLICITATION || type === NEIGHBOR_ADVERTISEMENT);
  if (!isNeighbour || length < NEIGHBOR_BYTES) return `${prefix}${name}`;
  const target = IpAddress.read(view, at + ECHO_BYTES, 6).toString();
  return `${prefix}${name}, ${type === NEIGHBOR_SOLICITATION ? 'who has' : 'tgt is'} ${target}`;
}

function ports(view: DataView, at: number): { sourcePort: number; destinationPort: number } {
  return { sourcePort: view.getUint16(at), destinationPort: view.getUint16(at + 2) };
}

/** `Flags [P.], seq 1:18, ack 1, win 512, options [nop,nop,TS val 1 ecr 2], length 17` */
function tcpText(view: DataView, at: number, end: number): string {
  const flags = view.getUint8(at + Tcp.Flags);
  const letters = FLAGS.filter(([bit]) => (flags & bit) !== 0)
    .map(([, letter]) => letter)
    .join('');
  const headerBytes = (view.getUint8(at + Tcp.DataOffset) >> 4) * 4;
  const length = Math.max(0, end - at - headerBytes);
  const sequence = view.getUint32(at + Tcp.Sequence);
  const parts = [`Flags [${letters || 'none'}]`];
  parts.push(length > 0 ? `seq ${sequence}:${(sequence + length) >>> 0}` : `seq ${sequence}`);
  if ((flags & TcpFlag.Ack) !== 0) parts.push(`ack ${view.getUint32(at + Tcp.Acknowledgment)}`);
  parts.push(`win ${view.getUint16(at + Tcp.Window)}`);
  const options = optionTexts(view, at + TCP_HEADER_BYTES, Math.min(at + headerBytes, end));
  if (options.length > 0) parts.push(`options [${options.join(',')}]`);
  parts.push(`length ${length}`);
  return parts.join(', ');
}

function optionTexts(view: DataView, from: number, end: number): string[] {
  const texts: string[] = [];
  for (let at = from; at < end; ) {
    const kind = view.getUint8(at);
    if (kind === TcpOption.End) break;
    if (kind === TcpOption.NoOperation) {
      at++;
      continue;
    }
    const bytes = at + 1 < end ? view.getUint8(at + 1) : 0;
    if (bytes < 2 || at + bytes > end) return [...texts, 'damaged'];
    texts.push(optionText(view, at, kind, bytes));
    at += bytes;
  }
  return texts;
}

function optionText(view: DataView, at: number, kind: number, bytes: number): string {
  if (kind === TcpOption.MaximumSegmentSize && bytes === 4) return `mss ${view.getUint16(at + 2)}`;
  if (kind === TcpOption.WindowScale && bytes === 3) return `wscale ${view.getUint8(at + 2)}`;
  if (kind === TcpOption.SackPermitted) return 'sackOK';
  if (kind === TcpOption.Timestamps && bytes === 10)
    return `TS val ${view.getUint32(at + 2)} ecr ${view.getUint32(at + 6)}`;
  if (kind === TcpOption.Sack) {
    const blocks: string[] = [];
    for (let block = at + 2; block + 8 <= at + bytes; block += 8)
      blocks.push(`${view.getUint32(block)}:${view.getUint32(block + 4)}`);
    return `sack ${blocks.join(' ')}`;
  }
  return kind === TcpOption.FastOpen ? 'tfo' : `kind ${kind}`;
}

/** Bytes as `0x0000:  4500 0034 …  E..4`, a line for 16 of them. */
export function hexLines(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const hex = Array.from(
      row,
      (byte, i) => `${i % 2 === 0 && i > 0 ? ' ' : ''}${byte.toString(16).padStart(2, '0')}`,
    );
    const text = Array.from(row, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'));
    lines.push(`\t0x${at.toString(16).padStart(4, '0')}:  ${hex.join('').padEnd(39)}  ${text.join('')}`);
  }
  return lines.join('\n');
}
