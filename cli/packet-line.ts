import { Icmp } from '../stack/wire/icmp.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';
import { IPV4_HEADER_BYTES, IPV4_OFFSET_MASK, IpProtocol, Ipv4, ipVersion } from '../stack/wire/ipv4.ts';
import { IPV6_FRAGMENT_HEADER_BYTES, IPV6_HEADER_BYTES, Ipv6, Ipv6Next } from '../stack/wire/ipv6.ts';
import { TCP_HEADER_BYTES, Tcp, TcpFlag, TcpOption } from '../stack/wire/tcp.ts';
import { UDP_HEADER_BYTES, Udp } from '../stack/wire/udp.ts';

/** What a line about a packet says; plain JSON. */
export interface PacketSummary {
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'icmp6' | 'ip';
  readonly source: string;
  readonly destination: string;
  /** 0: it has none. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** What is special to the protocol, as tcpdump has it. */
  readonly text: string;
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
  4: { 0: 'echo reply', 3: 'destination unreachable', 8: 'echo request', 11: 'time exceeded' },
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
    const type = view.getUint8(at + Icmp.Type);
    const name = ICMP_NAMES[family][type] ?? `type ${type} code ${view.getUint8(at + Icmp.Code)}`;
    return { protocol: family === 4 ? 'icmp' : 'icmp6', ...ends, text: `${name}, length ${length}` };
  }
  return { protocol: 'ip', ...ends, text: `protocol ${protocol}, length ${length}` };
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
