import { DerError, DerReader, hex, Tag } from './der.ts';

/**
 * A distinguished name. Compared as RFC 5280 §7.1 asks: strings of any type without regard to case and to the amount of
 * white space, other values byte by byte.
 */
export class DistinguishedName {
  /** One comparable string per relative name, in order. */
  readonly parts: readonly string[];
  /** Equal for equal names, and for no others. */
  readonly key: string;
  /** Values of the e-mail attribute, which stand under e-mail name constraints (RFC 5280 §4.2.1.10). */
  readonly emails: readonly string[];
  /** The encoding it was read from. */
  readonly der: Uint8Array;

  /** @throws DerError when it is not a name */
  constructor(der: Uint8Array) {
    this.der = der;
    const parts: string[] = [];
    const emails: string[] = [];
    forEachAttribute(der, (rdn, oid, tag, value) => {
      const text = stringOf(tag, value);
      if (oid === EMAIL_ADDRESS && text !== null) emails.push(text);
      const comparable = text === null ? `#${tag}:${hex(value)}` : fold(text);
      // The length keeps a value from passing for two attributes.
      const attribute = `${oid}=${comparable.length}:${comparable};`;
      if (rdn === parts.length) parts.push(attribute);
      // A relative name is a SET: the order of its attributes says nothing.
      else parts[rdn] = attribute < parts[rdn]! ? attribute + parts[rdn] : parts[rdn] + attribute;
    });
    this.parts = parts;
    this.key = parts.join('/');
    this.emails = emails;
  }

  get isEmpty(): boolean {
    return this.parts.length === 0;
  }

  /** Whether this name is `base` or lies below it (RFC 5280 §4.2.1.10, directoryName). */
  isWithin(base: DistinguishedName): boolean {
    const { parts } = base;
    if (parts.length > this.parts.length) return false;
    for (let i = 0; i < parts.length; i++) if (parts[i] !== this.parts[i]) return false;
    return true;
  }

  /** For people: `CN=example.com, O=Example`; the most specific part first (RFC 4514 §2). */
  toString(): string {
    const texts: string[] = [];
    forEachAttribute(this.der, (_rdn, oid, tag, value) => {
      const text = stringOf(tag, value) ?? `#${hex(value)}`;
      texts.unshift(`${SHORT_NAMES[oid] ?? oid}=${printable(text)}`);
    });
    return texts.length === 0 ? '(no name)' : texts.join(', ');
  }
}

const EMAIL_ADDRESS = '1.2.840.113549.1.9.1';

const SHORT_NAMES: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '0.9.2342.19200300.100.1.25': 'DC',
  [EMAIL_ADDRESS]: 'emailAddress',
};

const MAX_PRINTED = 128;

/** Text of a peer, safe to print: no control characters, not longer than 128. */
export function printable(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '?');
  return clean.length > MAX_PRINTED ? `${clean.slice(0, MAX_PRINTED)}…` : clean;
}

/** Characters of a string type whose octets are ASCII or Latin-1. */
export function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function forEachAttribute(
  der: Uint8Array,
  visit: (rdn: number, oid: string, tag: number, value: Uint8Array) => void,
): void {
  const outer = new DerReader(der);
  const name = outer.enter(Tag.Sequence);
  outer.finish();
  for (let rdn = 0; !name.atEnd; rdn++) {
    const set = name.enter(Tag.Set);
    if (set.atEnd) throw new DerError('empty RelativeDistinguishedName');
    while (!set.atEnd) {
      const pair = set.enter(Tag.Sequence);
      const oid = pair.oid();
      const tag = pair.peek();
      const value = pair.contents(tag);
      pair.finish();
      visit(rdn, oid, tag, value);
    }
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The characters of a DirectoryString or one of its relatives, or null when the type is not a string. */
function stringOf(tag: number, value: Uint8Array): string | null {
  switch (tag) {
    case Tag.Utf8String:
      if (isAscii(value)) return latin1(value);
      try {
        return utf8.decode(value);
      } catch {
        throw new DerError('malformed UTF8String');
      }
    case Tag.PrintableString:
    case Tag.Ia5String:
    case Tag.NumericString:
    case Tag.VisibleString:
      if (!isAscii(value)) throw new DerError('character string holds more than ASCII');
      return latin1(value);
    // T.61 in theory, Latin-1 in practice.
    case Tag.TeletexString:
      return latin1(value);
    case Tag.BmpString: {
      if (value.length % 2 !== 0) throw new DerError('malformed BMPString');
      let text = '';
      for (let i = 0; i < value.length; i += 2) text += String.fromCharCode((value[i]! << 8) | value[i + 1]!);
      return text;
    }
    default:
      return null;
  }
}

function isAscii(value: Uint8Array): boolean {
  for (const byte of value) if (byte > 0x7f) return false;
  return true;
}

/** RFC 4518, as far as comparing goes: compatibility forms, case, and runs of white space. */
function fold(text: string): string {
  let plain = true;
  for (let i = 0; i < text.length && plain; i++) plain = text.charCodeAt(i) < 0x80;
  const normal = plain ? text : text.normalize('NFKC');
  return normal.toLowerCase().trim().replace(/\s+/g, ' ');
}
