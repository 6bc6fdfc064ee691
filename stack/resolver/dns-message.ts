import dnsPacket, { type Answer, type DecodedPacket, type SoaAnswer } from 'dns-packet';
import type { RandomSource } from '../random.ts';
import { IpAddress } from '../wire/ip-address.ts';
import type { ResolverCounters } from './counters.ts';
import { isMapped } from './host-name.ts';

/** Record types that are asked for. */
export type DnsType = 'A' | 'AAAA';

/** RFC 6891 §6.2.5 leaves the size to the requestor; 1,232 bytes is what fits an IPv6 packet of 1,280 (DNS flag day 2020). */
export const EDNS_UDP_BYTES = 1232;
/** RFC 1035 §4.2.2: the length before a message over TCP has two bytes. */
export const MAX_MESSAGE_BYTES = 65_535;
/** Records in all sections of one reply. Bounds the work that compression pointers in a large reply can cause. */
export const MAX_RECORDS = 256;
/** CNAME records followed for one question. */
export const MAX_CHAIN_LINKS = 16;
/** Addresses kept of one answer. */
export const MAX_ADDRESSES = 64;

/** RFC 2181 §8 */
const MAX_TTL_SECONDS = 0x7fffffff;

const HEADER_BYTES = 12;
const FLAG_RESPONSE = 0x80;
const OPCODE_BITS = 0x78;
const FLAG_TRUNCATED = 0x02;
const RCODE_BITS = 0x0f;
const RCODE_NOERROR = 0;
const RCODE_FORMERR = 1;
const RCODE_NXDOMAIN = 3;
const RCODE_NOTIMP = 4;
const RCODE_BADVERS = 16;
const RCODE_NAMES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'] as const;

/** A query as it was sent. */
export interface SentQuery {
  readonly bytes: Uint8Array;
  /** Where the question section ends; it starts at byte 12. */
  readonly questionEnd: number;
  readonly edns: boolean;
}

/** What a message has to do with a query. */
export const ReplyCheck = {
  Ours: 0,
  /** Too short, no reply, or with another id. */
  OtherId: 1,
  OtherQuestion: 2,
  /** The same question in other letter case. */
  OtherCase: 3,
} as const;
export type ReplyCheck = (typeof ReplyCheck)[keyof typeof ReplyCheck];

/** What a reply says. Times to live are in seconds; 0 when it is not to be cached. */
export type DnsReply =
  | { readonly kind: 'addresses'; readonly addresses: readonly IpAddress[]; readonly ttlSeconds: number }
  | { readonly kind: 'nodata'; readonly ttlSeconds: number }
  | { readonly kind: 'nxdomain'; readonly ttlSeconds: number }
  /** The name is an alias and the reply does not say what its target has: the target is to be asked for. */
  | { readonly kind: 'alias'; readonly target: string; readonly links: number; readonly ttlSeconds: number }
  | { readonly kind: 'truncated' }
  | { readonly kind: 'edns-refused' }
  /** The server does not answer this question. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** The CNAME chain cannot be followed. */
  | { readonly kind: 'bad-chain'; readonly reason: string }
  | { readonly kind: 'malformed'; readonly reason: string };

/**
 * Makes a query with the RD bit and a random id.
 * @param name without trailing dot, in the letter case in which it is to be sent
 * @param edns whether to add an OPT record (RFC 6891)
 */
export function encodeQuery(random: RandomSource, name: string, type: DnsType, edns: boolean): SentQuery {
  const opt: Answer = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: EDNS_UDP_BYTES,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
  const bytes = dnsPacket.encode({
    type: 'query',
    // RFC 5452 §9.2: an unpredictable id
    id: random.uint32() >>> 16,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type, name }],
    additionals: edns ? [opt] : [],
  });
  // A name on the wire is one byte longer at both ends than its text; type and class follow.
  return { bytes, questionEnd: HEADER_BYTES + name.length + 2 + 4, edns };
}

/**
 * Mixes the letter case of a name at random: a server sends the question back as it came, a forger has to guess it (the
 * "0x20 bits" of draft-vixie-dnsext-dns0x20-00).
 */
export function mixCase(random: RandomSource, name: string): string {
  let mixed = '';
  let bits = 0;
  for (let i = 0; i < name.length; i++) {
    if ((i & 31) === 0) bits = random.uint32();
    const char = name.charAt(i);
    mixed += (bits & 1) === 0 ? char : char.toUpperCase();
    bits >>>= 1;
  }
  return mixed;
}

/**
 * Decides by the bytes alone, before anything is decoded, whether a message answers `query`: a reply with its id and
 * exactly its question (RFC 5452 §9.1).
 */
export function checkReply(bytes: Uint8Array, off: number, len: number, query: SentQuery): ReplyCheck {
  if (len < HEADER_BYTES || len > MAX_MESSAGE_BYTES) return ReplyCheck.OtherId;
  const flags = bytes[off + 2] ?? 0;
  if (bytes[off] !== query.bytes[0] || bytes[off + 1] !== query.bytes[1]) return ReplyCheck.OtherId;
  if ((flags & (FLAG_RESPONSE | OPCODE_BITS)) !== FLAG_RESPONSE) return ReplyCheck.OtherId;
  const questions = count(bytes, off + 4);
  if (questions === 0) {
    // RFC 6891 §7: a server that does not know EDNS may answer FORMERR with the header alone.
    const rcode = (bytes[off + 3] ?? 0) & RCODE_BITS;
    const bare = rcode === RCODE_FORMERR || rcode === RCODE_NOTIMP;
    return bare && query.edns ? ReplyCheck.Ours : ReplyCheck.OtherQuestion;
  }
  if (questions !== 1 || len < query.questionEnd) return ReplyCheck.OtherQuestion;
  let check: ReplyCheck = ReplyCheck.Ours;
  for (let i = HEADER_BYTES; i < query.questionEnd; i++) {
    const got = bytes[off + i] ?? 0;
    const sent = query.bytes[i] ?? 0;
    if (got === sent) continue;
    // Only letters of the name differ by the bit 0x20: length bytes are below 64, type and class are not letters.
    if ((got ^ sent) !== 0x20 || !isLetter(sent) || i >= query.questionEnd - 4)
      return ReplyCheck.OtherQuestion;
    check = ReplyCheck.OtherCase;
  }
  return check;
}

/**
 * Reads a message for which {@link checkReply} said Ours. Never throws.
 * @param name the name asked for, lower-case
 */
export function readReply(
  bytes: Uint8Array,
  off: number,
  len: number,
  query: SentQuery,
  name: string,
  type: DnsType,
  counters: ResolverCounters,
): DnsReply {
  const headerRcode = (bytes[off + 3] ?? 0) & RCODE_BITS;
  if (query.edns && (headerRcode === RCODE_FORMERR || headerRcode === RCODE_NOTIMP)) {
    return { kind: 'edns-refused' };
  }
  // RFC 2181 §9: a truncated reply is asked for again, not used.
  if (((bytes[off + 2] ?? 0) & FLAG_TRUNCATED) !== 0) return { kind: 'truncated' };
  const records = count(bytes, off + 6) + count(bytes, off + 8) + count(bytes, off + 10);
  if (records > MAX_RECORDS) return { kind: 'malformed', reason: `${records} records` };
  let message: DecodedPacket;
  try {
    message = dnsPacket.decode(Buffer.from(bytes.subarray(off, off + len)));
  } catch (error) {
    return { kind: 'malformed', reason: error instanceof Error ? error.message : 'not readable' };
  }
  const rcode = (extendedRcode(message) << 4) | headerRcode;
  if (rcode === RCODE_BADVERS && query.edns) return { kind: 'edns-refused' };
  if (rcode !== RCODE_NOERROR && rcode !== RCODE_NXDOMAIN) {
    return { kind: 'failed', reason: RCODE_NAMES[rcode] ?? `RCODE ${rcode}` };
  }
  return followChain(message, rcode === RCODE_NXDOMAIN, name, type, counters);
}

interface NameRecords {
  alias: string | null;
  addresses: IpAddress[];
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
  while (records !== undefined && records.addresses.length === 0 && records.alias !== null) {
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
  if (records !== undefined && records.addresses.length > 0) {
    const addresses = records.addresses;
    return { kind: 'addresses', addresses, ttlSeconds: Math.min(ttlSeconds, records.ttlSeconds) };
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
    if (answer.type === 'OPT' || (answer.type !== 'CNAME' && answer.type !== type)) continue;
    if (answer.class !== 'IN' || typeof answer.data !== 'string') continue;
    const name = answer.name.toLowerCase();
    let records = names.get(name);
    if (records === undefined) {
      records = { alias: null, addresses: [], ttlSeconds: MAX_TTL_SECONDS };
      names.set(name, records);
    }
    records.ttlSeconds = Math.min(records.ttlSeconds, ttlOf(answer.ttl));
    if (answer.type === 'CNAME') {
      records.alias ??= answer.data.toLowerCase();
      continue;
    }
    const address = IpAddress.parse(answer.data);
    // RFC 4942 §2.2: an IPv4-mapped address is no address of a host on the wire
    if (address === null || isMapped(address) || records.addresses.length === MAX_ADDRESSES) {
      counters.addressesIgnored++;
    } else if (!records.addresses.some((known) => known.equals(address))) {
      records.addresses.push(address);
    }
  }
  return names;
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

function count(bytes: Uint8Array, off: number): number {
  return ((bytes[off] ?? 0) << 8) | (bytes[off + 1] ?? 0);
}

function isLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}
