import { foldChecksum, sumPseudoHeader, sumSlab } from '../../stack/wire/checksum.ts';
import { IpAddress } from '../../stack/wire/ip-address.ts';
import { IPV4_HEADER_BYTES, IpProtocol, Ipv4, writeIpv4Header } from '../../stack/wire/ipv4.ts';
import { IPV6_HEADER_BYTES, Ipv6, writeIpv6Header } from '../../stack/wire/ipv6.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { TCP_HEADER_BYTES, Tcp } from '../../stack/wire/tcp.ts';
import type { EcnCounter, OptionSpec } from './syntax.ts';

/** Flags in the order of their bits, and the letters packetdrill has for them; A is AccECN's (the former NS bit). */
const FLAG_LETTERS = 'FSRP.UEWA';
/** In which order packets are shown. */
const SHOWN_FLAGS = 'FSRPEWUA.';
const DEFAULT_TTL = 255;
/** RFC 6994 experiment number of TCP Fast Open. */
const FAST_OPEN_MAGIC = 'f989';

/** The IP header of a packet as far as scripts speak of it. */
export interface IpFields {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly trafficClass: number;
  readonly ttl: number;
  readonly flowLabel: number;
}

/** A TCP segment with absolute sequence numbers. */
export interface TcpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack: number;
  /** Letters of {@link FLAG_LETTERS}. */
  readonly flags: string;
  readonly window: number;
  readonly urgent: number;
  readonly options: readonly OptionSpec[];
  readonly payload: Uint8Array;
}

/** A packet as it was on the wire. */
export interface LivePacket {
  readonly timeUs: number;
  readonly bytes: Uint8Array;
  readonly ip: IpFields;
  readonly protocol: number;
  /** Null unless it is TCP. */
  readonly tcp: TcpFields | null;
  /** Null unless it is UDP. */
  readonly udp: {
    readonly sourcePort: number;
    readonly destinationPort: number;
    readonly payload: Uint8Array;
  } | null;
  /** Null unless it is ICMP or ICMPv6. */
  readonly icmp: { readonly type: number; readonly code: number; readonly rest: number } | null;
  /** '' or what is wrong with its checksums. */
  readonly checksumError: string;
}

/** Reads a packet that the stack has sent. */
export function decodePacket(bytes: Uint8Array, timeUs: number): LivePacket {
  const slab = new Slab(bytes);
  const { view } = slab;
  const v6 = bytes[0]! >> 4 === 6;
  const family = v6 ? 6 : 4;
  const headerBytes = v6 ? IPV6_HEADER_BYTES : (bytes[0]! & 15) * 4;
  const word = view.getUint32(0);
  const source = IpAddress.read(view, v6 ? Ipv6.Source : Ipv4.Source, family);
  const destination = IpAddress.read(view, v6 ? Ipv6.Destination : Ipv4.Destination, family);
  const ip: IpFields = {
    source,
    destination,
    trafficClass: v6 ? (word >>> 20) & 255 : bytes[1]!,
    ttl: bytes[v6 ? 7 : 8]!,
    flowLabel: v6 ? word & 0xfffff : 0,
  };
  const protocol = bytes[v6 ? 6 : 9]!;
  const length = bytes.length - headerBytes;
  const pseudo = protocol === IpProtocol.Icmp ? 0 : sumPseudoHeader(source, destination, protocol, length);
  let checksumError = '';
  if (!v6 && foldChecksum(sumSlab(slab, 0, headerBytes, 0)) !== 0)
    checksumError = 'the IP header checksum is wrong';
  else if (foldChecksum(sumSlab(slab, headerBytes, length, pseudo)) !== 0)
    checksumError = 'the transport checksum is wrong';
  const packet = { timeUs, bytes, ip, protocol, checksumError, tcp: null, udp: null, icmp: null };
  if (protocol === IpProtocol.Tcp) return { ...packet, tcp: decodeTcp(slab, headerBytes) };
  if (protocol === IpProtocol.Udp) {
    const payload = bytes.subarray(headerBytes + 8);
    const udp = {
      sourcePort: view.getUint16(headerBytes),
      destinationPort: view.getUint16(headerBytes + 2),
      payload,
    };
    return { ...packet, udp };
  }
  const icmp = {
    type: bytes[headerBytes]!,
    code: bytes[headerBytes + 1]!,
    rest: view.getUint32(headerBytes + 4),
  };
  return { ...packet, icmp };
}

function decodeTcp(slab: Slab, off: number): TcpFields {
  const { view, bytes } = slab;
  const bits = view.getUint16(off + Tcp.DataOffset);
  const headerBytes = (bits >> 12) * 4;
  let flags = '';
  for (let i = 0; i < FLAG_LETTERS.length; i++) if ((bits & (1 << i)) !== 0) flags += FLAG_LETTERS[i];
  return {
    sourcePort: view.getUint16(off),
    destinationPort: view.getUint16(off + 2),
    seq: view.getUint32(off + Tcp.Sequence),
    ack: view.getUint32(off + Tcp.Acknowledgment),
    flags,
    window: view.getUint16(off + Tcp.Window),
    urgent: view.getUint16(off + Tcp.Urgent),
    options: decodeOptions(slab, off + TCP_HEADER_BYTES, off + headerBytes),
    payload: bytes.subarray(off + headerBytes),
  };
}

/** RFC 9768 §3.2.3: counters in the order of each kind of option. */
const ECN_ORDERS: Readonly<Record<number, readonly EcnCounter[]>> = {
  172: ['e0b', 'ceb', 'e1b'],
  174: ['e1b', 'ceb', 'e0b'],
};

/** Every octet of the option area becomes part of some option, so that comparison is exact. */
function decodeOptions(slab: Slab, from: number, end: number): OptionSpec[] {
  const { view, bytes } = slab;
  const options: OptionSpec[] = [];
  let at = from;
  while (at < end) {
    const number = bytes[at]!;
    if (number <= 1) {
      options.push({ kind: number === 0 ? 'eol' : 'nop' });
      at++;
      continue;
    }
    const length = Math.max(Math.min(bytes[at + 1] ?? 2, end - at), 2);
    options.push(decodeOption(view, bytes, at, number, length));
    at += length;
  }
  return options;
}

function decodeOption(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  number: number,
  length: number,
): OptionSpec {
  const hex = toHex(bytes.subarray(at + 2, at + length));
  if (number === 2 && length === 4) return { kind: 'mss', value: view.getUint16(at + 2) };
  if (number === 3 && length === 3) return { kind: 'wscale', value: bytes[at + 2]! };
  if (number === 4 && length === 2) return { kind: 'sackOK' };
  if (number === 8 && length === 10)
    return { kind: 'TS', val: view.getUint32(at + 2), ecr: view.getUint32(at + 6) };
  if (number === 5 && length >= 10 && (length - 2) % 8 === 0) {
    const blocks: [number, number][] = [];
    for (let i = at + 2; i < at + length; i += 8) blocks.push([view.getUint32(i), view.getUint32(i + 4)]);
    return { kind: 'sack', blocks };
  }
  if (number === 34) return { kind: 'FO', hex };
  if (number === 254 && hex.startsWith(FAST_OPEN_MAGIC)) return { kind: 'FOEXP', hex: hex.slice(4) };
  if (number === 19) return { kind: 'md5', hex };
  const order = ECN_ORDERS[number];
  if (order !== undefined && length <= 11 && (length - 2) % 3 === 0) {
    const count = (length - 2) / 3;
    return {
      kind: 'ECN',
      counters: order.slice(0, count).map((name, i) => [name, view.getUint32(at + 1 + 3 * i) & 0xffffff]),
    };
  }
  return { kind: 'unknown', number, hex };
}

/** The option area, padded with zeros to whole words. */
export function encodeOptions(options: readonly OptionSpec[]): Uint8Array {
  const bytes: number[] = [];
  const put16 = (value: number): void => {
    bytes.push((value >>> 8) & 255, value & 255);
  };
  const put32 = (value: number): void => {
    put16(value >>> 16);
    put16(value & 0xffff);
  };
  const putHex = (number: number, hex: string): void => {
    bytes.push(number, 2 + hex.length / 2, ...fromHex(hex));
  };
  for (const option of options) {
    switch (option.kind) {
      case 'eol':
        bytes.push(0);
        break;
      case 'nop':
        bytes.push(1);
        break;
      case 'mss':
        bytes.push(2, 4);
        put16(option.value);
        break;
      case 'wscale':
        bytes.push(3, 3, option.value);
        break;
      case 'sackOK':
        bytes.push(4, 2);
        break;
      case 'sack':
        bytes.push(5, 2 + 8 * option.blocks.length);
        for (const [left, right] of option.blocks) {
          put32(left);
          put32(right);
        }
        break;
      case 'TS':
        bytes.push(8, 10);
        put32(option.val);
        put32(option.ecr);
        break;
      case 'FO':
        putHex(34, option.hex);
        break;
      case 'FOEXP':
        putHex(254, FAST_OPEN_MAGIC + option.hex);
        break;
      case 'md5':
        putHex(19, option.hex);
        break;
      case 'ECN':
        bytes.push(option.counters[0]?.[0] === 'e0b' ? 172 : 174, 2 + 3 * option.counters.length);
        for (const [, value] of option.counters) {
          bytes.push((value >>> 16) & 255);
          put16(value & 0xffff);
        }
        break;
      case 'unknown':
        putHex(option.number, option.hex);
    }
  }
  while (bytes.length % 4 !== 0) bytes.push(0);
  return new Uint8Array(bytes);
}

/** Builds a segment for the stack, checksums included. */
export function encodeTcp(ip: Partial<IpFields> & Addresses, tcp: TcpFields): Uint8Array {
  const options = encodeOptions(tcp.options);
  const headerBytes = TCP_HEADER_BYTES + options.length;
  const slab = Slab.alloc(headerBytes + tcp.payload.length);
  const { view, bytes } = slab;
  view.setUint16(0, tcp.sourcePort);
  view.setUint16(2, tcp.destinationPort);
  view.setUint32(Tcp.Sequence, tcp.seq);
  view.setUint32(Tcp.Acknowledgment, tcp.ack);
  let bits = (headerBytes / 4) << 12;
  for (const letter of tcp.flags) {
    // C is another name of the same bit
    bits |= 1 << FLAG_LETTERS.indexOf(letter === 'C' ? 'W' : letter === 'N' ? 'A' : letter);
  }
  view.setUint16(Tcp.DataOffset, bits);
  view.setUint16(Tcp.Window, tcp.window);
  view.setUint16(Tcp.Urgent, tcp.urgent);
  bytes.set(options, TCP_HEADER_BYTES);
  bytes.set(tcp.payload, headerBytes);
  return encodeIp(ip, IpProtocol.Tcp, slab, Tcp.Checksum);
}

/** Builds a datagram for the stack. */
export function encodeUdp(
  ip: Partial<IpFields> & Addresses,
  sourcePort: number,
  destinationPort: number,
  payload: Uint8Array,
): Uint8Array {
  const slab = Slab.alloc(8 + payload.length);
  slab.view.setUint16(0, sourcePort);
  slab.view.setUint16(2, destinationPort);
  slab.view.setUint16(4, slab.lengthBytes);
  slab.bytes.set(payload, 8);
  return encodeIp(ip, IpProtocol.Udp, slab, 6);
}

/** Source and destination, which every packet needs. */
export interface Addresses {
  readonly source: IpAddress;
  readonly destination: IpAddress;
}

/** Puts an IP header before a transport packet and completes its checksum. @param csumOffset of the checksum field */
export function encodeIp(
  ip: Partial<IpFields> & Addresses,
  protocol: number,
  transport: Slab,
  csumOffset: number,
): Uint8Array {
  const { source, destination, trafficClass = 0, ttl = DEFAULT_TTL } = ip;
  const length = transport.lengthBytes;
  if (protocol !== IpProtocol.Icmp || source.family === 6) {
    const pseudo = protocol === IpProtocol.Icmp ? 0 : sumPseudoHeader(source, destination, protocol, length);
    transport.view.setUint16(csumOffset, foldChecksum(sumSlab(transport, 0, length, pseudo)));
  } else {
    transport.view.setUint16(csumOffset, foldChecksum(sumSlab(transport, 0, length, 0)));
  }
  const v6 = source.family === 6;
  const headerBytes = v6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
  const packet = Slab.alloc(headerBytes + length);
  if (v6) {
    const flowLabel = ip.flowLabel ?? 0;
    writeIpv6Header(packet.view, 0, length, protocol, trafficClass, flowLabel, ttl, source, destination);
  } else {
    const total = headerBytes + length;
    writeIpv4Header(packet.view, 0, total, protocol, trafficClass, ttl, 0, 0, source.w3, destination.w3);
    packet.view.setUint16(Ipv4.Checksum, 0);
    packet.view.setUint16(Ipv4.Checksum, foldChecksum(sumSlab(packet, 0, headerBytes, 0)));
  }
  packet.bytes.set(transport.bytes, headerBytes);
  return packet.bytes;
}

/** An option as scripts write it. */
export function formatOption(option: OptionSpec): string {
  switch (option.kind) {
    case 'mss':
    case 'wscale':
      return `${option.kind} ${option.value}`;
    case 'TS':
      return `TS val ${option.val} ecr ${option.ecr}`;
    case 'sack':
      return `sack ${option.blocks.map(([left, right]) => `${left}:${right}`).join(' ')}`;
    case 'FO':
    case 'FOEXP':
    case 'md5':
      return `${option.kind} ${option.hex}`.trim();
    case 'ECN':
      return `ECN ${option.counters.map(([name, value]) => `${name} ${value}`).join(' ')}`.trim();
    case 'unknown':
      return `option ${option.number} ${option.hex}`.trim();
    default:
      return option.kind;
  }
}

/** Flags in one order, whatever the order they were written in; `-` for none. */
export function formatFlags(flags: string): string {
  const known = flags.replaceAll('C', 'W').replaceAll('N', 'A');
  const sorted = [...SHOWN_FLAGS].filter((letter) => known.includes(letter)).join('');
  return sorted === '' ? '-' : sorted;
}

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromHex(hex: string): number[] {
  return (hex.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
}
