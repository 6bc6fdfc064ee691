import { NetError, Phase } from '../stack/errors.ts';
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
const [HOP_BY_HOP, TCP, UDP, ROUTING, FRAGMENT, ICMP_V6, DESTINATION_OPTIONS] = [0, 6, 17, 43, 44, 58, 60];

/**
 * Changes the addresses of a packet and the checksums that cover them, by the difference (RFC 1624): one that was wrong stays wrong.
 * What quotes addresses inside, an ICMP error or a protocol, stays as it is.
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
  let difference = 0;
  for (const at of [off + layout.source, off + layout.destination]) {
    const address = IpAddress.read(view, at, family as 4 | 6);
    const change = changes.find(
      ({ from, prefixLength }) => from.family === family && from.sharesPrefix(address, prefixLength),
    );
    if (change === undefined) continue;
    for (let word = 0; word < layout.bytes; word += 2) {
      const before = view.getUint16(at + word);
      const after = changedWord(change, word, before);
      view.setUint16(at + word, after);
      // ~m + m'
      difference += (~before & 0xffff) + after;
    }
  }
  if (difference === 0) return false;
  if (family === 4) adjust(view, off + 10, difference);
  const sum = checksumAt(view, off, len, family as 4 | 6);
  // RFC 768: no checksum at all
  const isNone = sum.protocol === UDP && sum.at >= 0 && view.getUint16(sum.at) === 0;
  if (sum.at >= 0 && !isNone) adjust(view, sum.at, difference, sum.protocol === UDP);
  return true;
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
  let sum = (~view.getUint16(at) & 0xffff) + difference;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  const checksum = ~sum & 0xffff;
  view.setUint16(at, isUdp && checksum === 0 ? 0xffff : checksum);
}

/** Where the checksum is that covers the addresses; -1: there is none, it was cut off, or it is in another fragment. */
function checksumAt(
  view: DataView,
  off: number,
  len: number,
  family: 4 | 6,
): { protocol: number; at: number } {
  const end = off + len;
  let at: number;
  let protocol: number;
  if (family === 4) {
    at = off + (view.getUint8(off) & 15) * 4;
    protocol = (view.getUint16(off + 6) & 0x1fff) === 0 ? view.getUint8(off + 9) : -1;
  } else {
    at = off + IPV6.header;
    protocol = view.getUint8(off + 6);
    while ([HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS].includes(protocol) && at + 8 <= end) {
      const isLater = protocol === FRAGMENT && (view.getUint16(at + 2) & 0xfff8) !== 0;
      const lengthBytes = protocol === FRAGMENT ? 8 : (view.getUint8(at + 1) + 1) * 8;
      protocol = isLater ? -1 : view.getUint8(at);
      at += lengthBytes;
    }
  }
  const field = protocol === TCP ? 16 : protocol === UDP ? 6 : protocol === ICMP_V6 && family === 6 ? 2 : -1;
  return { protocol, at: field >= 0 && at + field + 2 <= end ? at + field : -1 };
}
