import { NetError, Phase } from '../stack/errors.ts';
import { Arp, isArpForIpv4 } from '../stack/wire/arp.ts';
import { IpAddress } from '../stack/wire/ip-address.ts';

/** One prefix in the place of another of the same length. */
export interface AddressChange {
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly prefixLength: number;
}

/** `10.0.0.1=10.9.0.1`, `2001:db8::/64=fd00::/64`. @throws NetError ARGUMENT_INVALID */
export function parseAddressChange(text: string): AddressChange {
  const [left = '', right = '', ...more] = text.split('=');
  const [from, to] = [parsePrefix(left), parsePrefix(right)];
  if (from === null || to === null || more.length > 0)
    throw wrong(text, 'takes two addresses or prefixes: OLD=NEW');
  if (from.address.family !== to.address.family) throw wrong(text, 'has two versions of IP');
  if (from.length !== to.length) throw wrong(text, 'has prefixes of two lengths');
  return { from: from.address, to: to.address, prefixLength: from.length };
}

function parsePrefix(text: string): { address: IpAddress; length: number } | null {
  const [literal = '', length, ...more] = text.trim().split('/');
  const address = IpAddress.parse(literal);
  if (address === null || more.length > 0) return null;
  const most = address.family === 4 ? 32 : 128;
  const bits = length === undefined ? most : /^\d{1,3}$/.test(length) ? Number(length) : -1;
  return bits >= 0 && bits <= most ? { address, length: bits } : null;
}

function wrong(text: string, what: string): NetError {
  return new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail: `--map ${what}; got '${text}'` });
}

const IPV4 = { header: 20, source: 12, destination: 16, bytes: 4 } as const;
const IPV6 = { header: 40, source: 8, destination: 24, bytes: 16 } as const;
/**
 * Where messages of ICMP have addresses, from their beginning, and whether they quote a packet behind their header: unreachable, source
 * quench, redirect, time exceeded and parameter problem (RFC 792); those of ICMPv6 (RFC 4443 §3), neighbour discovery and its
 * redirect (RFC 4861 §4.3 to §4.5).
 */
const MESSAGES: Readonly<
  Record<4 | 6, Readonly<Record<number, { addresses: readonly number[]; quotes: boolean }>>>
> = {
  4: {
    3: { addresses: [], quotes: true },
    4: { addresses: [], quotes: true },
    5: { addresses: [4], quotes: true },
    11: { addresses: [], quotes: true },
    12: { addresses: [], quotes: true },
  },
  6: {
    1: { addresses: [], quotes: true },
    2: { addresses: [], quotes: true },
    3: { addresses: [], quotes: true },
    4: { addresses: [], quotes: true },
    135: { addresses: [8], quotes: false },
    136: { addresses: [8], quotes: false },
    137: { addresses: [8, 24], quotes: false },
  },
};
const ICMP_HEADER_BYTES = 8;
const ICMP_CHECKSUM = 2;
const ICMP_V4 = 1;
const [HOP_BY_HOP, TCP, UDP, ROUTING, FRAGMENT, ICMP_V6, DESTINATION_OPTIONS] = [0, 6, 17, 43, 44, 58, 60];

/**
 * Changes the addresses of a packet and the checksums that cover them, by the difference (RFC 1624): one that was wrong stays wrong.
 * Those of a packet that an ICMP error quotes are changed, too, and those that neighbours ask for; what other protocols say stays as it is.
 * @param len of the packet, which may be cut off anywhere
 * @returns whether something was changed
 */
export function changeAddresses(
  view: DataView,
  off: number,
  len: number,
  changes: readonly AddressChange[],
): boolean {
  const family = len > 0 ? view.getUint8(off) >>> 4 : 0;
  const layout = family === 4 ? IPV4 : family === 6 ? IPV6 : null;
  if (layout === null || len < layout.header) return false;
  const difference =
    changeAddress(view, off + layout.source, family as 4 | 6, changes) +
    changeAddress(view, off + layout.destination, family as 4 | 6, changes);
  const upper = upperLayer(view, off, len, family as 4 | 6);
  if (difference !== 0) {
    if (family === 4) adjust(view, off + 10, difference);
    const at = checksumOf(upper, off + len, family as 4 | 6);
    // RFC 768: no checksum at all
    const isNone = upper.protocol === UDP && at >= 0 && view.getUint16(at) === 0;
    if (at >= 0 && !isNone) adjust(view, at, difference, upper.protocol === UDP);
  }
  const isIcmp = upper.protocol === (family === 4 ? ICMP_V4 : ICMP_V6);
  const isInside = isIcmp && changeMessage(view, upper.at, off + len, family as 4 | 6, changes);
  return difference !== 0 || isInside;
}

/** The same for an ARP packet for IPv4 (RFC 826). @returns whether something was changed; false, too, for what is none */
export function changeArpAddresses(
  view: DataView,
  off: number,
  len: number,
  changes: readonly AddressChange[],
): boolean {
  if (!isArpForIpv4(view, off, len)) return false;
  const sender = changeAddress(view, off + Arp.SenderProtocol, 4, changes);
  return sender + changeAddress(view, off + Arp.TargetProtocol, 4, changes) !== 0;
}

/** @returns the difference that it makes to a checksum, ~m + m' of all words; 0: the address stays as it is */
function changeAddress(view: DataView, at: number, family: 4 | 6, changes: readonly AddressChange[]): number {
  const address = IpAddress.read(view, at, family);
  const change = changes.find(
    ({ from, prefixLength }) => from.family === family && from.sharesPrefix(address, prefixLength),
  );
  let difference = 0;
  for (let word = 0; change !== undefined && word < (family === 4 ? IPV4 : IPV6).bytes; word += 2) {
    const before = view.getUint16(at + word);
    const after = changedWord(change, word, before);
    view.setUint16(at + word, after);
    difference += (~before & 0xffff) + after;
  }
  return difference;
}

/** What an ICMP message says of addresses. @returns whether something was changed */
function changeMessage(
  view: DataView,
  at: number,
  end: number,
  family: 4 | 6,
  changes: readonly AddressChange[],
): boolean {
  if (at + ICMP_HEADER_BYTES > end) return false;
  const message = MESSAGES[family][view.getUint8(at)];
  if (message === undefined) return false;
  const before = wordSum(view, at, end);
  let isChanged = false;
  for (const address of message.addresses) {
    if (at + address + (family === 4 ? IPV4 : IPV6).bytes > end) continue;
    if (changeAddress(view, at + address, family, changes) !== 0) isChanged = true;
  }
  const quoted = at + ICMP_HEADER_BYTES;
  if (message.quotes && changeAddresses(view, quoted, end - quoted, changes)) isChanged = true;
  if (isChanged) adjust(view, at + ICMP_CHECKSUM, (~fold(before) & 0xffff) + wordSum(view, at, end));
  return isChanged;
}

function wordSum(view: DataView, from: number, end: number): number {
  let sum = 0;
  for (let at = from; at + 2 <= end; at += 2) sum += view.getUint16(at);
  return sum;
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

/** The bits of the prefix are the new ones, those behind it stay. */
function changedWord({ to, prefixLength }: AddressChange, byte: number, before: number): number {
  const words = [to.w0, to.w1, to.w2, to.w3];
  const index = to.family === 4 ? 3 : byte >> 2;
  const after = (byte & 2) === 0 ? words[index]! >>> 16 : words[index]! & 0xffff;
  const bits = Math.max(0, Math.min(16, prefixLength - byte * 8));
  const mask = (0xffff << (16 - bits)) & 0xffff;
  return (after & mask) | (before & ~mask & 0xffff);
}

/** HC' = ~(~HC + ~m + m'). @param isUdp a sum of zero is written as its other form */
function adjust(view: DataView, at: number, difference: number, isUdp = false): void {
  const checksum = ~fold((~view.getUint16(at) & 0xffff) + difference) & 0xffff;
  view.setUint16(at, isUdp && checksum === 0 ? 0xffff : checksum);
}

/** Where what the packet carries begins; protocol -1: that is in another fragment. */
interface UpperLayer {
  readonly protocol: number;
  readonly at: number;
}

function upperLayer(view: DataView, off: number, len: number, family: 4 | 6): UpperLayer {
  const end = off + len;
  if (family === 4) {
    const isFirst = (view.getUint16(off + 6) & 0x1fff) === 0;
    return {
      protocol: isFirst ? view.getUint8(off + 9) : -1,
      at: off + (view.getUint8(off) & 15) * 4,
    };
  }
  let at = off + IPV6.header;
  let protocol = view.getUint8(off + 6);
  while ([HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS].includes(protocol) && at + 8 <= end) {
    const isLater = protocol === FRAGMENT && (view.getUint16(at + 2) & 0xfff8) !== 0;
    const lengthBytes = protocol === FRAGMENT ? 8 : (view.getUint8(at + 1) + 1) * 8;
    protocol = isLater ? -1 : view.getUint8(at);
    at += lengthBytes;
  }
  return { protocol, at };
}

/** Where the checksum is that covers the addresses; -1: there is none, it was cut off, or it is in another fragment. */
function checksumOf({ protocol, at }: UpperLayer, end: number, family: 4 | 6): number {
  const isIcmp = protocol === ICMP_V6 && family === 6;
  const field = protocol === TCP ? 16 : protocol === UDP ? 6 : isIcmp ? ICMP_CHECKSUM : -1;
  return field >= 0 && at + field + 2 <= end ? at + field : -1;
}
