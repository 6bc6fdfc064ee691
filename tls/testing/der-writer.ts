/** Writes DER, and on purpose also what is not: nothing is checked. For tests. */

/** One element: identifier octet, length, and the given contents one after the other. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  const header = [tag];
  if (length < 0x80) header.push(length);
  else if (length < 0x100) header.push(0x81, length);
  else if (length < 0x10000) header.push(0x82, length >> 8, length & 0xff);
  else header.push(0x83, length >> 16, (length >> 8) & 0xff, length & 0xff);
  return concat(Uint8Array.from(header), ...contents);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export const sequence = (...parts: readonly Uint8Array[]): Uint8Array => element(0x30, ...parts);
export const set = (...parts: readonly Uint8Array[]): Uint8Array => element(0x31, ...parts);
export const nothing = (): Uint8Array => element(0x05);
export const boolean = (value: boolean): Uint8Array => element(0x01, Uint8Array.of(value ? 0xff : 0));
export const octetString = (bytes: Uint8Array): Uint8Array => element(0x04, bytes);
export const bitString = (bytes: Uint8Array): Uint8Array => element(0x03, Uint8Array.of(0), bytes);
export const utf8String = (text: string): Uint8Array => element(0x0c, ascii(text));
export const printableString = (text: string): Uint8Array => element(0x13, ascii(text));
export const ia5String = (text: string): Uint8Array => element(0x16, ascii(text));
/** A context-specific tag around whole elements. */
export const explicit = (number: number, ...parts: readonly Uint8Array[]): Uint8Array =>
  element(0xa0 | number, ...parts);
/** A context-specific tag in place of that of a primitive type. */
export const implicit = (number: number, contents: Uint8Array): Uint8Array =>
  element(0x80 | number, contents);

/** UTF-8, in spite of its name. */
export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A non-negative integer below 2^31. */
export function integer(value: number): Uint8Array {
  const octets = [value & 0xff];
  for (let rest = value >> 8; rest > 0; rest >>= 8) octets.unshift(rest & 0xff);
  if ((octets[0]! & 0x80) !== 0) octets.unshift(0);
  return element(0x02, Uint8Array.from(octets));
}

export function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const digits = [arc % 128];
    for (let more = Math.floor(arc / 128); more > 0; more = Math.floor(more / 128))
      digits.unshift(0x80 | (more % 128));
    octets.push(...digits);
  }
  return element(0x06, Uint8Array.from(octets));
}

/** Bit n of `bits` is bit n of the list; no trailing zero bits. */
export function namedBits(bits: number): Uint8Array {
  let count = 32 - Math.clz32(bits);
  const octets = new Uint8Array(Math.ceil(count / 8));
  for (let n = 0; n < count; n++) if ((bits & (1 << n)) !== 0) octets[n >> 3]! |= 0x80 >> (n & 7);
  count = octets.length * 8 - count;
  return element(0x03, Uint8Array.of(count), octets);
}

/** UTCTime up to 2049, GeneralizedTime from then on (RFC 5280 §4.1.2.5). */
export function time(unixTimeMs: number): Uint8Array {
  const digits = new Date(unixTimeMs).toISOString().replace(/[-:T]|\.\d+/g, '');
  return Number(digits.slice(0, 4)) < 2050
    ? element(0x17, ascii(digits.slice(2)))
    : element(0x18, ascii(digits));
}
