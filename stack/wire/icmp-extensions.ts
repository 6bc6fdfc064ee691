import { foldChecksum, sumSlab } from './checksum.ts';
import { ICMP_HEADER_BYTES, IcmpV4Type, IcmpV6Type } from './icmp.ts';
import { IpAddress } from './ip-address.ts';
import type { Slab } from './slab.ts';

/** What is told of one error; labels and interfaces beyond are passed over. */
export const MAX_MPLS_LABELS = 4;
export const MAX_ROUTER_INTERFACES = 2;

/** One entry of the label stack that a packet came to the router with (RFC 4950 §3). */
export interface MplsLabel {
  /** 0 … 1,048,575 */
  readonly label: number;
  /** 0 … 7 */
  readonly trafficClass: number;
  /** 0 … 255 */
  readonly ttl: number;
}

/** RFC 5837 §4.1 */
export type RouterInterfaceRole = 'incoming' | 'incoming-part' | 'outgoing' | 'next-hop';

/** What a router says of one of its interfaces (RFC 5837 §4); null where it says nothing. */
export interface RouterInterface {
  readonly role: RouterInterfaceRole;
  /** As SNMP counts them. */
  readonly index: number | null;
  readonly address: IpAddress | null;
  /** Printable ASCII; other characters as `?`. */
  readonly name: string | null;
  readonly mtuBytes: number | null;
}

/** What a router adds to an error. */
export interface IcmpExtensions {
  /** The outermost first. */
  readonly mpls: readonly MplsLabel[];
  readonly interfaces: readonly RouterInterface[];
}

/** RFC 4884 §5.5: routers that are older than the length attribute put extensions behind so much. */
const OLD_QUOTE_BYTES = 128;
const VERSION = 2;
const HEADER_BYTES = 4;
const OBJECT_HEADER_BYTES = 4;
const ObjectClass = { Mpls: 1, Interface: 2 } as const;
/** RFC 5837 §4.1: which fields follow, in this order. */
const InterfaceField = { Index: 8, Address: 4, Name: 2, Mtu: 1 } as const;
const ROLES: readonly RouterInterfaceRole[] = ['incoming', 'incoming-part', 'outgoing', 'next-hop'];
/** RFC 5837 §4.3: with its own length. */
const MAX_NAME_BYTES = 64;

/**
 * Where the quoted packet of an error ends: where the length attribute says (RFC 4884 §4), else with the message.
 * @param off of the message. @param len its length, 8 or more
 */
export function quoteEnd(view: DataView, off: number, len: number, family: 4 | 6): number {
  const quoted = lengthAttribute(view, off, family);
  // one that goes beyond the message is no length, as from whoever does not leave the octet 0
  return quoted === 0 || quoted > len - ICMP_HEADER_BYTES ? off + len : off + ICMP_HEADER_BYTES + quoted;
}

/** Reads what follows the quoted packet. @returns null: nothing that is right */
export function readIcmpExtensions(
  slab: Slab,
  off: number,
  len: number,
  family: 4 | 6,
): IcmpExtensions | null {
  const { view } = slab;
  const end = off + len;
  if (!mayBeExtended(view.getUint8(off), family)) return null;
  const isOld = lengthAttribute(view, off, family) === 0;
  const at = isOld ? off + ICMP_HEADER_BYTES + OLD_QUOTE_BYTES : quoteEnd(view, off, len, family);
  if (end - at < HEADER_BYTES + OBJECT_HEADER_BYTES || view.getUint8(at) >>> 4 !== VERSION) return null;
  // RFC 4884 §7: 0 is none. Where nothing but the checksum tells a quote from extensions, one is needed (§5.5).
  const hasChecksum = view.getUint16(at + 2) !== 0;
  if (hasChecksum ? foldChecksum(sumSlab(slab, at, end - at, 0)) !== 0 : isOld) return null;
  return readObjects(view, at + HEADER_BYTES, end);
}

function readObjects(view: DataView, off: number, end: number): IcmpExtensions {
  const mpls: MplsLabel[] = [];
  const interfaces: RouterInterface[] = [];
  for (let at = off; end - at >= OBJECT_HEADER_BYTES; ) {
    const bytes = view.getUint16(at);
    // RFC 4884 §8: the length counts its header
    if (bytes < OBJECT_HEADER_BYTES || bytes > end - at) break;
    const kind = view.getUint8(at + 2);
    const type = view.getUint8(at + 3);
    const data = at + OBJECT_HEADER_BYTES;
    at += bytes;
    if (kind === ObjectClass.Mpls && type === 1) readLabels(view, data, at, mpls);
    else if (kind === ObjectClass.Interface && interfaces.length < MAX_ROUTER_INTERFACES) {
      const found = readInterface(view, data, at, type);
      if (found !== null) interfaces.push(found);
    }
  }
  return { mpls, interfaces };
}

function readLabels(view: DataView, off: number, end: number, into: MplsLabel[]): void {
  for (let at = off; end - at >= 4 && into.length < MAX_MPLS_LABELS; at += 4) {
    const word = view.getUint32(at);
    // RFC 3032 §2.1
    into.push({ label: word >>> 12, trafficClass: (word >>> 9) & 7, ttl: word & 0xff });
  }
}

/** @returns null when it is cut off, or of an unknown kind */
function readInterface(view: DataView, off: number, end: number, type: number): RouterInterface | null {
  let at = off;
  let index: number | null = null;
  let address: IpAddress | null = null;
  let name: string | null = null;
  let mtuBytes: number | null = null;
  if ((type & InterfaceField.Index) !== 0) {
    if (end - at < 4) return null;
    index = view.getUint32(at);
    at += 4;
  }
  if ((type & InterfaceField.Address) !== 0) {
    if (end - at < 4) return null;
    const family = view.getUint16(at);
    const bytes = family === 1 ? 4 : 16;
    if (family > 2 || family === 0 || end - at < 4 + bytes) return null;
    address = IpAddress.read(view, at + 4, family === 1 ? 4 : 6);
    at += 4 + bytes;
  }
  if ((type & InterfaceField.Name) !== 0) {
    const bytes = end - at < 1 ? 0 : view.getUint8(at);
    if (bytes < 1 || bytes > MAX_NAME_BYTES || bytes > end - at) return null;
    name = '';
    for (let i = at + 1; i < at + bytes; i++) name += printable(view.getUint8(i));
    at += bytes;
  }
  if ((type & InterfaceField.Mtu) !== 0) {
    if (end - at < 4) return null;
    mtuBytes = view.getUint32(at);
  }
  return { role: ROLES[type >>> 6]!, index, address, name, mtuBytes };
}

/** Nothing that a terminal obeys; NUL fills a name up. */
function printable(code: number): string {
  if (code === 0) return '';
  return code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c ? '?' : String.fromCharCode(code);
}

/** @returns bytes of the quoted packet; 0: not said */
function lengthAttribute(view: DataView, off: number, family: 4 | 6): number {
  if (!mayBeExtended(view.getUint8(off), family)) return 0;
  // RFC 4884 §4: the sixth octet, words of 32 bits; ICMPv6: the fifth, words of 64
  return family === 4 ? view.getUint8(off + 5) * 4 : view.getUint8(off + 4) * 8;
}

/** RFC 4884 §4.1 to §4.5 */
function mayBeExtended(type: number, family: 4 | 6): boolean {
  if (family === 6) return type === IcmpV6Type.Unreachable || type === IcmpV6Type.TimeExceeded;
  return (
    type === IcmpV4Type.Unreachable ||
    type === IcmpV4Type.TimeExceeded ||
    type === IcmpV4Type.ParameterProblem
  );
}
