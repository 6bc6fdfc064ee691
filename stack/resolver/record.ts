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

/** Types that a question may have, by the names and numbers that IANA keeps (RFC 6895). */
const TYPES: Readonly<Record<string, number>> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  NULL: 10,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  SIG: 24,
  KEY: 25,
  AAAA: 28,
  LOC: 29,
  SRV: 33,
  NAPTR: 35,
  KX: 36,
  CERT: 37,
  DNAME: 39,
  APL: 42,
  DS: 43,
  SSHFP: 44,
  IPSECKEY: 45,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  DHCID: 49,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  SMIMEA: 53,
  HIP: 55,
  CDS: 59,
  CDNSKEY: 60,
  OPENPGPKEY: 61,
  CSYNC: 62,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  SPF: 99,
  NID: 104,
  L32: 105,
  L64: 106,
  LP: 107,
  EUI48: 108,
  EUI64: 109,
  ANY: 255,
  URI: 256,
  CAA: 257,
};

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(TYPES).map(([name, type]) => [type, name]));

/** @returns the type in its one spelling, or null when there is no such type, or none that a question may have */
export function canonicalType(type: string): DnsType | null {
  const upper = type.toUpperCase();
  if (Object.hasOwn(TYPES, upper)) return upper;
  const digits = /^TYPE(\d{1,5})$/.exec(upper)?.[1];
  if (digits === undefined) return null;
  const number = Number(digits);
  // RFC 6895 §3.1: OPT, and 128 … 254, are no data; ANY is
  if (number < 1 || number > 65_535 || number === 41 || (number > 127 && number < 255)) return null;
  return NAMES.get(number) ?? `TYPE${number}`;
}

/** The number of a type in its one spelling. */
export function typeNumber(type: DnsType): number {
  return TYPES[type] ?? Number(type.slice('TYPE'.length));
}

/** As the message format's package wants it; of types that it has no name for it takes the number. */
export function packetType(type: DnsType): RecordType {
  return `UNKNOWN_${typeNumber(type)}` as RecordType;
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

/** Types whose data is a name, and fields of others that are. */
const NAME_TYPES: ReadonlySet<string> = new Set(['CNAME', 'DNAME', 'NS', 'PTR']);
const NAME_FIELDS: ReadonlySet<string> = new Set(
  'exchange mbox mname nextDomain replacement rname signersName target txt'.split(' '),
);

function dataOf(type: DnsType, data: unknown): RecordData | undefined {
  if ((type === 'SVCB' || type === 'HTTPS') && data instanceof Uint8Array) {
    return readServiceBinding(data) ?? undefined;
  }
  if (type === 'TXT' || type === 'SPF') {
    const parts: readonly unknown[] = Array.isArray(data) ? data : [data];
    return parts.map((part) => (part instanceof Uint8Array ? new TextDecoder().decode(part) : String(part)));
  }
  // Compressed names point into the question, which went out in letters of either case
  return NAME_TYPES.has(type) && typeof data === 'string' ? data.toLowerCase() : plain(data);
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
    if (data === undefined) continue;
    fields[name] = NAME_FIELDS.has(name) && typeof data === 'string' ? data.toLowerCase() : data;
  }
  return fields;
}

/** Bytes in lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}
