import type { Answer, RecordType } from 'dns-packet';
import { readServiceBinding } from './svcb.ts';

/** What a lookup of addresses asks for. */
export type AddressType = 'A' | 'AAAA';

/**
 * A type of record by its usual name in upper case (`'MX'`, `'HTTPS'`), or `TYPE` with its number (RFC 3597 §5: `'TYPE65'`).
 */
export type DnsType = string;

/** What a record says, in plain JSON: texts as strings, binary fields in lower-case hexadecimal, the rest by the names of their fields. */
export type RecordData =
  | string
  | number
  | boolean
  | null
  | readonly RecordData[]
  | { readonly [field: string]: RecordData };

/** One record of an answer. */
export interface DnsRecord {
  /** Lower-case without trailing dot. */
  readonly name: string;
  readonly type: DnsType;
  /** Seconds it may be kept. */
  readonly ttlSeconds: number;
  /**
   * By type: a string for A, AAAA, CNAME, DNAME, NS and PTR; a list of strings for TXT; otherwise the fields, e.g.
   * `{ preference, exchange }` for MX, `{ priority, target, alpn, port, … }` for SVCB and HTTPS (RFC 9460). Types without a
   * reader here: all their bytes.
   */
  readonly data: RecordData;
}

/** Types that the message format's package has no name for. */
const MORE_TYPES: Readonly<Record<string, number>> = {
  LP: 107,
  EUI48: 108,
  EUI64: 109,
  L32: 105,
  L64: 106,
  NID: 104,
  OPENPGPKEY: 61,
  SMIMEA: 53,
  SVCB: 64,
  HTTPS: 65,
  URI: 256,
  ZONEMD: 63,
  CSYNC: 62,
};

/** Types with a name that is asked for by that name. */
const KNOWN_TYPES: ReadonlySet<string> = new Set(
  (
    'A AAAA AFSDB APL CAA CDNSKEY CDS CERT CNAME DHCID DNAME DNSKEY DS HINFO HIP IPSECKEY KEY KX LOC MX NAPTR NS NSEC NSEC3 ' +
    'NSEC3PARAM NULL PTR RP RRSIG SIG SOA SPF SRV SSHFP TLSA TXT ANY'
  ).split(' '),
);

/** @returns the type in its one spelling, or null when there is no such type, or none that a question may have */
export function canonicalType(type: string): DnsType | null {
  const upper = type.toUpperCase();
  if (KNOWN_TYPES.has(upper) || upper in MORE_TYPES) return upper;
  const digits = /^TYPE(\d{1,5})$/.exec(upper)?.[1];
  if (digits === undefined) return null;
  const number = Number(digits);
  // RFC 6895 §3.1: OPT, and 128 … 254, are no data; ANY is
  if (number < 1 || number > 65_535 || number === 41 || (number > 127 && number < 255)) return null;
  for (const [name, known] of Object.entries(MORE_TYPES)) if (known === number) return name;
  return `TYPE${number}`;
}

/** As the message format's package wants it. */
export function packetType(type: DnsType): RecordType {
  const number = MORE_TYPES[type] ?? (type.startsWith('TYPE') ? Number(type.slice(4)) : null);
  return (number === null ? type : `UNKNOWN_${number}`) as RecordType;
}

/** A record as the package decoded it. @returns null for what is no data of the Internet class, or cannot be read */
export function recordOf(answer: Answer, ttlSeconds: number): DnsRecord | null {
  if (answer.type === 'OPT' || answer.class !== 'IN') return null;
  const type = typeName(answer.type);
  const data = dataOf(type, answer.data);
  return data === undefined ? null : { name: answer.name.toLowerCase(), type, ttlSeconds, data };
}

/** The type of a decoded record, in its one spelling. */
export function typeName(type: string): DnsType {
  if (!type.startsWith('UNKNOWN_')) return type;
  const number = type.slice('UNKNOWN_'.length);
  return canonicalType(`TYPE${number}`) ?? `TYPE${number}`;
}

function dataOf(type: DnsType, data: unknown): RecordData | undefined {
  if ((type === 'SVCB' || type === 'HTTPS') && data instanceof Uint8Array) {
    return readServiceBinding(data) ?? undefined;
  }
  if (type === 'TXT' || type === 'SPF') {
    const parts: readonly unknown[] = Array.isArray(data) ? data : [data];
    return parts.map((part) => (part instanceof Uint8Array ? new TextDecoder().decode(part) : String(part)));
  }
  return plain(data);
}

function plain(value: unknown): RecordData | undefined {
  if (
    value === null ||
    typeof value === 'string' ||
    typeof value === 'number' ||
    typeof value === 'boolean'
  ) {
    return value;
  }
  if (value instanceof Uint8Array) return hex(value);
  if (Array.isArray(value)) return value.map((each) => plain(each) ?? null);
  if (typeof value !== 'object') return undefined;
  const fields: Record<string, RecordData> = {};
  for (const [name, field] of Object.entries(value)) {
    const data = plain(field);
    if (data !== undefined) fields[name] = data;
  }
  return fields;
}

/** Bytes in lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}
