/**
 * A strict reader for DER (X.690 §10, §11), just large enough for certificates.
 *
 * Why not a library: reading one certificate with its extensions takes @peculiar/x509 2.2.0 about 7 ms where this takes
 * about 10 µs, and it accepts BER; node:crypto's X509Certificate does not show extensions.
 */

/** The bytes are not DER, or not of the expected type. The validator turns it into a verdict; it never leaves tls/x509. */
export class DerError extends Error {
  override readonly name: string = 'DerError';
}

/** Identifier octets (X.690 §8.1.2) that certificates use. */
export const Tag = {
  Boolean: 0x01,
  Integer: 0x02,
  BitString: 0x03,
  OctetString: 0x04,
  Null: 0x05,
  Oid: 0x06,
  Enumerated: 0x0a,
  Utf8String: 0x0c,
  Sequence: 0x30,
  Set: 0x31,
  NumericString: 0x12,
  PrintableString: 0x13,
  TeletexString: 0x14,
  Ia5String: 0x16,
  UtcTime: 0x17,
  GeneralizedTime: 0x18,
  VisibleString: 0x1a,
  BmpString: 0x1e,
} as const;

/** The identifier octet of a context-specific tag. @param number 0..30 */
export const contextTag = (number: number, constructed: boolean): number =>
  0x80 | (constructed ? 0x20 : 0) | number;

/** A cursor over the contents of one constructed element, or over a whole encoding. */
export class DerReader {
  readonly bytes: Uint8Array;
  offset = 0;
  readonly end: number;

  constructor(bytes: Uint8Array, offset = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  get atEnd(): boolean {
    return this.offset === this.end;
  }

  /** The identifier octet of the next element, or -1 at the end. */
  peek(): number {
    return this.offset < this.end ? this.bytes[this.offset]! : -1;
  }

  /** Steps over the header of the next element, of whatever type. @returns where its contents end */
  header(): number {
    const { bytes, end } = this;
    let at = this.offset;
    if (at + 2 > end) throw new DerError('truncated element');
    // Tag numbers of 31 and more take further octets (X.690 §8.1.2.4); no certificate uses one.
    if ((bytes[at]! & 0x1f) === 0x1f) throw new DerError('tag number above 30');
    let length = bytes[at + 1]!;
    at += 2;
    if (length >= 0x80) {
      // X.690 §10.1: definite form only, in the fewest octets.
      const count = length & 0x7f;
      if (count === 0) throw new DerError('indefinite length');
      if (count > 3) throw new DerError('element of 16 MiB or more');
      if (at + count > end) throw new DerError('truncated length');
      length = 0;
      for (let i = 0; i < count; i++) length = (length << 8) | bytes[at++]!;
      if (length < 0x80 || (count > 1 && length >>> (8 * (count - 1)) === 0)) {
        throw new DerError('length not in its shortest form');
      }
    }
    if (length > end - at) throw new DerError('element longer than what holds it');
    this.offset = at;
    return at + length;
  }

  /** Steps into an element of the given type and over it: the returned reader has its contents. */
  enter(tag: number): DerReader {
    this.expect(tag);
    const contentsEnd = this.header();
    const inner = new DerReader(this.bytes, this.offset, contentsEnd);
    this.offset = contentsEnd;
    return inner;
  }

  /** Like {@link enter}, or null (and nothing read) when the next element is of another type. */
  enterOptional(tag: number): DerReader | null {
    return this.peek() === tag ? this.enter(tag) : null;
  }

  /** The contents of the next element, which must be of the given type. */
  contents(tag: number): Uint8Array {
    this.expect(tag);
    const contentsEnd = this.header();
    const value = this.bytes.subarray(this.offset, contentsEnd);
    this.offset = contentsEnd;
    return value;
  }

  /** The next element whole, header included. */
  element(): Uint8Array {
    const start = this.offset;
    this.offset = this.header();
    return this.bytes.subarray(start, this.offset);
  }

  /** The next element whole, which must be of the given type. */
  elementOf(tag: number): Uint8Array {
    this.expect(tag);
    return this.element();
  }

  /** X.690 §11.1: FALSE is 0x00 and TRUE is 0xff. */
  boolean(tag: number = Tag.Boolean): boolean {
    const value = this.contents(tag);
    if (value.length !== 1 || (value[0] !== 0 && value[0] !== 0xff)) throw new DerError('malformed BOOLEAN');
    return value[0] === 0xff;
  }

  /** An integer of any size as its contents, checked for the shortest form (X.690 §8.3.2). */
  integerBytes(tag: number = Tag.Integer): Uint8Array {
    const value = this.contents(tag);
    if (value.length === 0) throw new DerError('empty INTEGER');
    if (value.length > 1) {
      const sign = value[1]! & 0x80;
      if ((value[0] === 0 && sign === 0) || (value[0] === 0xff && sign !== 0)) {
        throw new DerError('INTEGER not in its shortest form');
      }
    }
    return value;
  }

  /** A non-negative integer below 2^31. Larger ones come back as 2^31 - 1: all of ours are counts. */
  smallInteger(tag: number = Tag.Integer): number {
    const value = this.integerBytes(tag);
    if ((value[0]! & 0x80) !== 0) throw new DerError('negative INTEGER');
    if (value.length > 4) return 0x7fffffff;
    let n = 0;
    for (const byte of value) n = (n << 8) | byte;
    return n;
  }

  /** The octets of a bit string that is a whole number of octets. */
  octetsOfBitString(): Uint8Array {
    const value = this.contents(Tag.BitString);
    if (value.length === 0 || value[0] !== 0) throw new DerError('BIT STRING is not whole octets');
    return value.subarray(1);
  }

  /** A list of named bits as a number: bit n of the ASN.1 type is 1 << n. At most 16 bits are read. */
  namedBits(tag: number = Tag.BitString): number {
    const value = this.contents(tag);
    if (value.length === 0) throw new DerError('empty BIT STRING encoding');
    const unused = value[0]!;
    if (unused > 7 || (value.length === 1 && unused !== 0)) throw new DerError('malformed BIT STRING');
    if (value.length > 1) {
      // X.690 §11.2.1: unused bits are zero. Differs from §11.2.2 in that trailing zero bits of a list of named bits are
      // taken: two roots of every Linux distribution have them.
      if ((value[value.length - 1]! & ((1 << unused) - 1)) !== 0)
        throw new DerError('unused bits of BIT STRING are set');
    }
    let bits = 0;
    for (let n = 0; n < 16 && n >> 3 < value.length - 1; n++) {
      if ((value[1 + (n >> 3)]! & (0x80 >> (n & 7))) !== 0) bits |= 1 << n;
    }
    return bits;
  }

  /** An object identifier in dotted form. */
  oid(): string {
    return oidOfContents(this.contents(Tag.Oid));
  }

  /** UTCTime or GeneralizedTime in the only form that RFC 5280 §4.1.2.5 allows. @returns Unix time in milliseconds */
  time(): number {
    const tag = this.peek();
    if (tag !== Tag.UtcTime && tag !== Tag.GeneralizedTime) throw new DerError('time expected');
    const value = this.contents(tag);
    const wide = tag === Tag.GeneralizedTime ? 1 : 0;
    // YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ: seconds always, no fraction, no zone but Z.
    if (value.length !== 13 + 2 * wide || value[value.length - 1] !== 0x5a)
      throw new DerError('malformed time');
    let year = twoDigits(value, 0);
    if (wide === 1) year = year * 100 + twoDigits(value, 2);
    else year += year >= 50 ? 1900 : 2000;
    const at = 2 + 2 * wide;
    const month = twoDigits(value, at);
    const day = twoDigits(value, at + 2);
    const hour = twoDigits(value, at + 4);
    const minute = twoDigits(value, at + 6);
    const second = twoDigits(value, at + 8);
    const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
    const days =
      month === 2 ? (leap ? 29 : 28) : month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
    if (month < 1 || month > 12 || day < 1 || day > days || hour > 23 || minute > 59 || second > 59) {
      throw new DerError('time out of range');
    }
    // Date.UTC takes years 0..99 for 19xx; no certificate has one.
    if (year < 100) throw new DerError('time out of range');
    return Date.UTC(year, month - 1, day, hour, minute, second);
  }

  /** A GeneralizedTime, like {@link time}. @returns Unix time in milliseconds */
  generalizedTime(): number {
    this.expect(Tag.GeneralizedTime);
    return this.time();
  }

  /** @throws DerError when contents remain. */
  finish(): void {
    if (this.offset !== this.end) throw new DerError('trailing bytes');
  }

  private expect(tag: number): void {
    const found = this.peek();
    if (found !== tag) {
      throw new DerError(
        found < 0
          ? `expected tag 0x${tag.toString(16)}, found the end`
          : `expected tag 0x${tag.toString(16)}, found 0x${found.toString(16)}`,
      );
    }
  }
}

/** Dotted form of an object identifier's contents (X.690 §8.19). */
export function oidOfContents(value: Uint8Array): string {
  if (value.length === 0 || (value[value.length - 1]! & 0x80) !== 0)
    throw new DerError('malformed OBJECT IDENTIFIER');
  let text = '';
  let arc = 0;
  let start = true;
  for (const byte of value) {
    if (start && byte === 0x80) throw new DerError('OBJECT IDENTIFIER not in its shortest form');
    arc = arc * 128 + (byte & 0x7f);
    // An arc that a double cannot hold (UUID arcs, X.667) is none that we know: the octets name it as well.
    if (arc > Number.MAX_SAFE_INTEGER) return `#${hex(value)}`;
    start = (byte & 0x80) === 0;
    if (!start) continue;
    if (text === '') {
      const first = arc < 40 ? 0 : arc < 80 ? 1 : 2;
      text = `${first}.${arc - first * 40}`;
    } else text += `.${arc}`;
    arc = 0;
  }
  return text;
}

/** Whether two byte strings are the same. Not constant in time: for public data only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Lower-case hexadecimal digits of a byte string. */
export function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += (byte < 16 ? '0' : '') + byte.toString(16);
  return text;
}

function twoDigits(value: Uint8Array, at: number): number {
  const tens = value[at]! - 0x30;
  const units = value[at + 1]! - 0x30;
  if (tens < 0 || tens > 9 || units < 0 || units > 9) throw new DerError('malformed time');
  return tens * 10 + units;
}
