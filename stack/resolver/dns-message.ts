import dnsPacket, { type Answer, type PacketOpt } from 'dns-packet';
import type { RandomSource } from '../random.ts';
import { COOKIE_OPTION, type DnsCookie } from './cookie.ts';
import { type DnsType, packetType } from './record.ts';

/** RFC 6891 §6.2.5 leaves the size to the requestor; 1,232 bytes is what fits an IPv6 packet of 1,280 (DNS flag day 2020). */
export const EDNS_UDP_BYTES = 1232;
/** RFC 1035 §4.2.2: the length before a message over TCP has two bytes. */
export const MAX_MESSAGE_BYTES = 65_535;
const HEADER_BYTES = 12;
const FLAG_RESPONSE = 0x80;
const OPCODE_BITS = 0x78;
export const RCODE_BITS = 0x0f;
export const RCODE_FORMERR = 1;
export const RCODE_NOTIMP = 4;

/** A query as it was sent. */
export interface SentQuery {
  readonly bytes: Uint8Array;
  readonly id: number;
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

/**
 * Makes a query with the RD bit and a random id.
 * @param name without trailing dot, in the letter case in which it is to be sent
 * @param edns whether to add an OPT record (RFC 6891)
 * @param cookie for the server that is asked; null: none is sent. It goes into the OPT record
 */
export function encodeQuery(
  random: RandomSource,
  name: string,
  type: DnsType,
  edns: boolean,
  cookie: DnsCookie | null = null,
): SentQuery {
  const options: PacketOpt[] = [];
  // The package encodes any option that comes with its bytes; its types know fewer
  if (cookie !== null) {
    options.push({ code: COOKIE_OPTION, data: Buffer.from(cookie.value(random)) } as unknown as PacketOpt);
  }
  const opt: Answer = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: EDNS_UDP_BYTES,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options,
  };
  // RFC 5452 §9.2: an unpredictable id
  const id = random.uint32() >>> 16;
  const bytes = dnsPacket.encode({
    type: 'query',
    id,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type: packetType(type), name }],
    additionals: edns ? [opt] : [],
  });
  // A name on the wire is one byte longer at both ends than its text, but for the root; type and class follow.
  const nameBytes = name === '.' ? 1 : name.length + 2;
  return { bytes, id, questionEnd: HEADER_BYTES + nameBytes + 4, edns };
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
  const questions = word(bytes, off + 4);
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

/** A number of two bytes. */
export function word(bytes: Uint8Array, off: number): number {
  return ((bytes[off] ?? 0) << 8) | (bytes[off + 1] ?? 0);
}

function isLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}
