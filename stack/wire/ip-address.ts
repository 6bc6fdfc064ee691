/**
 * An IPv4 or IPv6 address as four 32-bit words in network order, so that both families compare, hash and travel through
 * shared memory alike. IPv4 is kept as its mapped form ::ffff:a.b.c.d (RFC 4291 §2.5.5.2): `w3` is the IPv4 address.
 */
export class IpAddress {
  readonly family: 4 | 6;
  /** Signed 32-bit words. */
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
  /** The interface whose link a link-local IPv6 address is on, counted from 1 (RFC 4007 §11.2); 0: not said. Not on the wire. */
  readonly zone: number;

  constructor(family: 4 | 6, w0: number, w1: number, w2: number, w3: number, zone: number = 0) {
    this.family = family;
    this.w0 = w0 | 0;
    this.w1 = w1 | 0;
    this.w2 = w2 | 0;
    this.w3 = w3 | 0;
    this.zone = zone;
  }

  static v4(word: number): IpAddress {
    return new IpAddress(4, 0, 0, 0xffff, word);
  }

  /** Reads an address in network order: 4 bytes for IPv4, 16 for IPv6. */
  static read(view: DataView, off: number, family: 4 | 6): IpAddress {
    if (family === 4) return IpAddress.v4(view.getInt32(off));
    return new IpAddress(
      6,
      view.getInt32(off),
      view.getInt32(off + 4),
      view.getInt32(off + 8),
      view.getInt32(off + 12),
    );
  }

  /** Writes the address in network order. @returns 4 or 16 */
  write(view: DataView, off: number): number {
    if (this.family === 4) {
      view.setInt32(off, this.w3);
      return 4;
    }
    view.setInt32(off, this.w0);
    view.setInt32(off + 4, this.w1);
    view.setInt32(off + 8, this.w2);
    view.setInt32(off + 12, this.w3);
    return 16;
  }

  /** Zones aside. */
  equals(other: IpAddress): boolean {
    return (
      this.w3 === other.w3 &&
      this.w2 === other.w2 &&
      this.w1 === other.w1 &&
      this.w0 === other.w0 &&
      this.family === other.family
    );
  }

  get isUnspecified(): boolean {
    return this.w3 === 0 && this.w1 === 0 && this.w0 === 0 && (this.family === 4 || this.w2 === 0);
  }

  get isLoopback(): boolean {
    if (this.family === 4) return this.w3 >>> 24 === 127;
    return this.w0 === 0 && this.w1 === 0 && this.w2 === 0 && this.w3 === 1;
  }

  /** 224.0.0.0/4 (RFC 5771) or ff00::/8 (RFC 4291 §2.7). */
  get isMulticast(): boolean {
    return this.family === 4 ? this.w3 >>> 28 === 14 : this.w0 >>> 24 === 0xff;
  }

  /** 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291 §2.5.6). */
  get isLinkLocal(): boolean {
    return this.family === 4 ? this.w3 >>> 16 === 0xa9fe : this.w0 >>> 22 === 0x3fa;
  }

  /** 255.255.255.255 */
  get isLimitedBroadcast(): boolean {
    return this.family === 4 && this.w3 === -1;
  }

  /** True when the first `prefixLength` bits (of 32 or 128) are equal. Families must be equal. */
  sharesPrefix(other: IpAddress, prefixLength: number): boolean {
    if (this.family !== other.family) return false;
    if (this.family === 4) return sameBits(this.w3, other.w3, prefixLength);
    return (
      sameBits(this.w0, other.w0, prefixLength) &&
      sameBits(this.w1, other.w1, prefixLength - 32) &&
      sameBits(this.w2, other.w2, prefixLength - 64) &&
      sameBits(this.w3, other.w3, prefixLength - 96)
    );
  }

  /** The same address on the link of an interface, counted from 1. */
  inZone(zone: number): IpAddress {
    return new IpAddress(this.family, this.w0, this.w1, this.w2, this.w3, zone);
  }

  /** Dotted decimal, or the canonical text of RFC 5952, with the number of the zone behind it where one is said: `fe80::1%2`. */
  toString(): string {
    if (this.family === 4) return formatV4(this.w3);
    return this.zone === 0 ? formatV6(this) : `${formatV6(this)}%${this.zone}`;
  }

  /**
   * Parses an IP literal: dotted decimal with four parts and no leading zeros, or any form of RFC 4291 §2.2.
   * @returns null when the text is not an IP literal (a zone id `%…` is not accepted here)
   */
  static parse(text: string): IpAddress | null {
    return text.includes(':') ? parseV6(text) : parseV4(text);
  }
}

/** Writes the four words of an address into a message to be hashed. */
export function writeAddressWords(words: Int32Array, at: number, address: IpAddress): void {
  words[at] = address.w0;
  words[at + 1] = address.w1;
  words[at + 2] = address.w2;
  words[at + 3] = address.w3;
}

/** An address with the length of its network's prefix: `192.0.2.2/24`, `2001:db8::2/64`. */
export interface IpPrefix {
  readonly address: IpAddress;
  readonly prefixLength: number;
  /** RFC 4862 §5.5.4: an own address that new connections do not begin from while there is another. */
  readonly isDeprecated?: boolean;
  /** RFC 8981: an own address of a day, which connections begin from before others. */
  readonly isTemporary?: boolean;
}

/** Parses CIDR notation. @returns null when it is not; without `/n` the prefix is the whole address */
export function parsePrefix(text: string): IpPrefix | null {
  const slash = text.indexOf('/');
  const address = IpAddress.parse(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  const bits = address.family === 4 ? 32 : 128;
  if (slash < 0) return { address, prefixLength: bits };
  const digits = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(digits) || Number(digits) > bits) return null;
  return { address, prefixLength: Number(digits) };
}

function sameBits(a: number, b: number, bits: number): boolean {
  if (bits <= 0) return true;
  if (bits >= 32) return a === b;
  return (a ^ b) >>> (32 - bits) === 0;
}

function formatV4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

function formatV6(address: IpAddress): string {
  const groups: number[] = [];
  for (const word of [address.w0, address.w1, address.w2, address.w3])
    groups.push(word >>> 16, word & 0xffff);
  // RFC 5952 §5: mapped addresses in mixed notation
  if (address.w0 === 0 && address.w1 === 0 && address.w2 === 0xffff) return `::ffff:${formatV4(address.w3)}`;
  // RFC 5952 §4.2: the longest run of at least two zero groups, the first of equals
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > bestLength) {
      best = i;
      bestLength = n;
    }
  }
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  if (best < 0) return hex(groups);
  return `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLength))}`;
}

const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

function parseV4Word(text: string): number | null {
  let word = 0;
  let parts = 1;
  let value = 0;
  let digits = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === DOT) {
      if (digits === 0 || ++parts > 4) return null;
      word = (word << 8) | value;
      value = 0;
      digits = 0;
      continue;
    }
    // RFC 6943 §3.1.1: only the strict form; a leading zero would be octal to some readers
    if (char < ZERO || char > NINE || (digits > 0 && value === 0)) return null;
    value = 10 * value + char - ZERO;
    digits++;
    if (value > 255) return null;
  }
  return parts === 4 && digits > 0 ? (word << 8) | value : null;
}

function parseV4(text: string): IpAddress | null {
  const word = parseV4Word(text);
  return word === null ? null : IpAddress.v4(word);
}

function parseV6(text: string): IpAddress | null {
  let body = text;
  const tail: number[] = [];
  const lastColon = body.lastIndexOf(':');
  if (body.includes('.')) {
    const word = parseV4Word(body.slice(lastColon + 1));
    if (word === null) return null;
    tail.push(word >>> 16, word & 0xffff);
    body = body.slice(0, lastColon);
    // `::1.2.3.4` leaves one colon of the pair
    if (body.endsWith(':')) body += ':';
  }
  const halves = body.split('::');
  if (halves.length > 2) return null;
  const left = parseGroups(halves[0] ?? '');
  const right = halves.length === 2 ? parseGroups(halves[1] ?? '') : [];
  if (left === null || right === null) return null;
  const given = left.length + right.length + tail.length;
  if (halves.length === 2 ? given > 7 : given !== 8) return null;
  const groups = [...left, ...new Array<number>(8 - given).fill(0), ...right, ...tail];
  const word = (i: number): number => ((groups[i] ?? 0) << 16) | (groups[i + 1] ?? 0);
  return new IpAddress(6, word(0), word(2), word(4), word(6));
}

function parseGroups(text: string): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  for (const part of text.split(':')) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
    groups.push(Number.parseInt(part, 16));
  }
  return groups;
}
