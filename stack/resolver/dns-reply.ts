import dnsPacket, { type Answer, type DecodedPacket, type SoaAnswer } from 'dns-packet';
import { IpAddress } from '../wire/ip-address.ts';
import { COOKIE_OPTION, CookieCheck, type DnsCookie, RCODE_BADCOOKIE } from './cookie.ts';
import type { ResolverCounters } from './counters.ts';
import { RCODE_BITS, RCODE_FORMERR, RCODE_NOTIMP, type SentQuery, word } from './dns-message.ts';
import { isMapped } from './host-name.ts';
import { type DnsRecord, type DnsType, recordOf, typeName } from './record.ts';

/** Records in all sections of one reply. Bounds the work that compression pointers in a large reply can cause. */
export const MAX_RECORDS = 256;
/** CNAME records followed for one question. */
export const MAX_CHAIN_LINKS = 16;
/** Addresses kept of one answer. */
export const MAX_ADDRESSES = 64;

/** RFC 2181 §8 */
const MAX_TTL_SECONDS = 0x7fffffff;

const FLAG_TRUNCATED = 0x02;
const RCODE_NOERROR = 0;
const RCODE_NXDOMAIN = 3;
const RCODE_BADVERS = 16;
const RCODE_NAMES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'] as const;

/** What a reply says. Times to live are in seconds; 0 when it is not to be cached. */
export type DnsReply =
  | { readonly kind: 'addresses'; readonly addresses: readonly IpAddress[]; readonly ttlSeconds: number }
  /** Of any type but those of addresses; at least one. */
  | { readonly kind: 'records'; readonly records: readonly DnsRecord[]; readonly ttlSeconds: number }
  | { readonly kind: 'nodata'; readonly ttlSeconds: number }
  | { readonly kind: 'nxdomain'; readonly ttlSeconds: number }
  /** The name is an alias and the reply does not say what its target has: the target is to be asked for. */
  | { readonly kind: 'alias'; readonly target: string; readonly links: number; readonly ttlSeconds: number }
  | { readonly kind: 'truncated' }
  | { readonly kind: 'edns-refused' }
  /** RFC 7873: not from the server that was asked; without the cookie it should have; asked with a cookie it does not take. */
  | { readonly kind: 'other-cookie' }
  | { readonly kind: 'no-cookie' }
  | { readonly kind: 'bad-cookie' }
  /** The server does not answer this question. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** The CNAME chain cannot be followed. */
  | { readonly kind: 'bad-chain'; readonly reason: string }
  | { readonly kind: 'malformed'; readonly reason: string };

/**
 * Reads a message for which {@link checkReply} said Ours. Never throws.
 * @param name the name asked for, lower-case
 * @param cookie of the server, when one was sent
 */
export function readReply(
  bytes: Uint8Array,
  off: number,
  len: number,
  query: SentQuery,
  name: string,
  type: DnsType,
  counters: ResolverCounters,
  cookie: DnsCookie | null = null,
): DnsReply {
  const headerRcode = (bytes[off + 3] ?? 0) & RCODE_BITS;
  if (query.edns && (headerRcode === RCODE_FORMERR || headerRcode === RCODE_NOTIMP)) {
    return { kind: 'edns-refused' };
  }
  // RFC 2181 §9: a truncated reply is asked for again, not used.
  if (((bytes[off + 2] ?? 0) & FLAG_TRUNCATED) !== 0) return { kind: 'truncated' };
  const records = word(bytes, off + 6) + word(bytes, off + 8) + word(bytes, off + 10);
  if (records > MAX_RECORDS) return { kind: 'malformed', reason: `${records} records` };
  let message: DecodedPacket;
  try {
    message = dnsPacket.decode(Buffer.from(bytes.subarray(off, off + len)));
  } catch (error) {
    return { kind: 'malformed', reason: error instanceof Error ? error.message : 'not readable' };
  }
  if (cookie !== null) {
    const check = cookie.check(cookieOf(message));
    if (check === CookieCheck.Wrong) return { kind: 'other-cookie' };
    if (check === CookieCheck.Missing) return { kind: 'no-cookie' };
  }
  const rcode = (extendedRcode(message) << 4) | headerRcode;
  if (rcode === RCODE_BADCOOKIE && cookie !== null) return { kind: 'bad-cookie' };
  if (rcode === RCODE_BADVERS && query.edns) return { kind: 'edns-refused' };
  if (rcode !== RCODE_NOERROR && rcode !== RCODE_NXDOMAIN) {
    return { kind: 'failed', reason: RCODE_NAMES[rcode] ?? `RCODE ${rcode}` };
  }
  return followChain(message, rcode === RCODE_NXDOMAIN, name, type, counters);
}

interface NameRecords {
  alias: string | null;
  addresses: IpAddress[];
  records: DnsRecord[];
  ttlSeconds: number;
}

/** RFC 1034 §3.6.2, §5.3.3: from the name asked for along its CNAMEs; records of any other name are not looked at. */
function followChain(
  message: DecodedPacket,
  nxdomain: boolean,
  asked: string,
  type: DnsType,
  counters: ResolverCounters,
): DnsReply {
  const names = recordsByName(message.answers ?? [], type, counters);
  const seen = new Set([asked]);
  let name = asked;
  let ttlSeconds = MAX_TTL_SECONDS;
  let records = names.get(name);
  while (records !== undefined && isEmpty(records) && records.alias !== null) {
    ttlSeconds = Math.min(ttlSeconds, records.ttlSeconds);
    name = records.alias;
    if (seen.has(name))
      return { kind: 'bad-chain', reason: `the aliases form a loop at ${JSON.stringify(name)}` };
    if (seen.size > MAX_CHAIN_LINKS)
      return { kind: 'bad-chain', reason: `more than ${MAX_CHAIN_LINKS} aliases` };
    seen.add(name);
    records = names.get(name);
  }
  for (const each of names.keys()) if (!seen.has(each)) counters.recordsIgnored++;
  if (records !== undefined && !isEmpty(records)) {
    ttlSeconds = Math.min(ttlSeconds, records.ttlSeconds);
    if (records.records.length > 0) return { kind: 'records', records: records.records, ttlSeconds };
    return { kind: 'addresses', addresses: records.addresses, ttlSeconds };
  }
  const links = seen.size - 1;
  const negative = negativeTtl(message, name);
  // RFC 6604 §3: after a chain, NXDOMAIN is about its last name; for the name asked for that comes to the same.
  if (nxdomain) return { kind: 'nxdomain', ttlSeconds: Math.min(ttlSeconds, negative ?? 0) };
  // RFC 2308 §2.2: NODATA comes with a SOA record. An alias without one is from a server that knows no more than the alias.
  if (links > 0 && negative === null) return { kind: 'alias', target: name, links, ttlSeconds };
  return { kind: 'nodata', ttlSeconds: Math.min(ttlSeconds, negative ?? 0) };
}

function recordsByName(
  answers: readonly Answer[],
  type: DnsType,
  counters: ResolverCounters,
): Map<string, NameRecords> {
  const names = new Map<string, NameRecords>();
  for (const answer of answers) {
    if (answer.type === 'OPT' || answer.class !== 'IN') continue;
    const isWanted = type === 'ANY' || typeName(answer.type) === type;
    if (!isWanted && answer.type !== 'CNAME') continue;
    const name = answer.name.toLowerCase();
    let records = names.get(name);
    if (records === undefined) {
      records = { alias: null, addresses: [], records: [], ttlSeconds: MAX_TTL_SECONDS };
      names.set(name, records);
    }
    const ttlSeconds = ttlOf(answer.ttl);
    records.ttlSeconds = Math.min(records.ttlSeconds, ttlSeconds);
    if (!isWanted) {
      if (typeof answer.data === 'string') records.alias ??= answer.data.toLowerCase();
    } else if (type === 'A' || type === 'AAAA') {
      addAddress(records.addresses, answer.data, counters);
    } else {
      const record = recordOf(answer, ttlSeconds);
      if (record === null) counters.recordsIgnored++;
      else records.records.push(record);
    }
  }
  return names;
}

function isEmpty(records: NameRecords): boolean {
  return records.addresses.length === 0 && records.records.length === 0;
}

function addAddress(addresses: IpAddress[], data: unknown, counters: ResolverCounters): void {
  const address = typeof data === 'string' ? IpAddress.parse(data) : null;
  // RFC 4942 §2.2: an IPv4-mapped address is no address of a host on the wire
  if (address === null || isMapped(address) || addresses.length === MAX_ADDRESSES) {
    counters.addressesIgnored++;
  } else if (!addresses.some((known) => known.equals(address))) {
    addresses.push(address);
  }
}

/** RFC 2308 §5: the smaller of the SOA record's own TTL and its MINIMUM field. @returns null without a fitting SOA record */
function negativeTtl(message: DecodedPacket, name: string): number | null {
  for (const record of message.authorities ?? []) {
    if (record.type !== 'SOA') continue;
    const soa: SoaAnswer = record;
    const zone = soa.name.toLowerCase();
    if (zone !== '.' && name !== zone && !name.endsWith(`.${zone}`)) continue;
    return Math.min(ttlOf(soa.ttl), ttlOf(soa.data.minimum));
  }
  return null;
}

/** RFC 2181 §8: 31 bits; with the top bit set it is taken as 0. */
function ttlOf(seconds: number | undefined): number {
  return seconds === undefined || seconds > MAX_TTL_SECONDS ? 0 : seconds;
}

function extendedRcode(message: DecodedPacket): number {
  for (const record of message.additionals ?? []) if (record.type === 'OPT') return record.extendedRcode;
  return 0;
}

function cookieOf(message: DecodedPacket): Uint8Array | null {
  for (const record of message.additionals ?? []) {
    if (record.type !== 'OPT') continue;
    // The package decodes any option; its types know fewer
    for (const option of record.options as readonly { code: number; data?: Uint8Array }[]) {
      if (option.code === COOKIE_OPTION) return option.data ?? null;
    }
  }
  return null;
}
