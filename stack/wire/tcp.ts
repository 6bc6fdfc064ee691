import type { Slab } from './slab.ts';

/** The TCP header (RFC 9293 §3.1): where its fields lie. */
export const Tcp = {
  SourcePort: 0,
  DestinationPort: 2,
  Sequence: 4,
  Acknowledgment: 8,
  /** Data offset in words in the upper four bits. */
  DataOffset: 12,
  Flags: 13,
  Window: 14,
  Checksum: 16,
  Urgent: 18,
  Options: 20,
} as const;

export const TCP_HEADER_BYTES = 20;
/** The data offset has four bits. */
export const TCP_MAX_HEADER_BYTES = 60;

/** Control bits: the lowest nine of the sixteen at {@link Tcp.DataOffset}. */
export const TcpFlag = {
  Fin: 1,
  Syn: 2,
  Rst: 4,
  Psh: 8,
  Ack: 16,
  Urg: 32,
  Ece: 64,
  Cwr: 128,
  /** RFC 9768; the last bit of the octet before. */
  Ae: 256,
} as const;
/** All of them. */
export const TCP_FLAG_BITS = 0x1ff;

/** Option kinds (RFC 9293 §3.2, RFC 7323, RFC 2018). */
export const TcpOption = {
  End: 0,
  NoOperation: 1,
  MaximumSegmentSize: 2,
  WindowScale: 3,
  SackPermitted: 4,
  Sack: 5,
  Timestamps: 8,
  /** RFC 7413 §4.1.1 */
  FastOpen: 34,
  /** RFC 9768 §3.2.3: counters of ECT(0), CE, ECT(1), in this order. */
  AccurateEcn0: 172,
  /** … of ECT(1), CE, ECT(0). */
  AccurateEcn1: 174,
  /** RFC 6994, with {@link FAST_OPEN_EXPERIMENT}: Fast Open before it had a number of its own. */
  Experimental: 254,
} as const;

/** RFC 2018 §3: 40 bytes of options hold four blocks, three beside timestamps. */
export const MAX_SACK_BLOCKS = 4;
/** NOP, NOP, timestamps (RFC 7323 appendix A). */
export const TIMESTAMP_OPTION_BYTES = 12;
/** NOP, NOP, kind 8, length 10: the word that begins timestamps in the layout nearly everybody sends. */
export const TIMESTAMP_PREFIX = 0x0101080a;

/** RFC 7413 §4.1.1: cookies have 4 … 16 bytes, an even number. */
export const MIN_COOKIE_BYTES = 4;
export const MAX_COOKIE_BYTES = 16;
/** RFC 7413 appendix A, as registered with IANA. */
const FAST_OPEN_EXPERIMENT = 0xf989;

/** {@link TcpOptions.cookieBytes} when it is no length of a cookie. */
export const CookieBytes = { Absent: -1, Illegal: -2, Request: 0 } as const;

/** RFC 9768 §3.2.3: three counters of three octets. */
export const ECN_OPTION_MAX_BYTES = 11;
/** … and a NOP, in a SYN-ACK. */
export const ECN_OPTION_PADDED_BYTES = 12;

/** What the options of one segment say; one object, filled anew for each. */
export class TcpOptions {
  /** -1: absent. */
  mssBytes = -1;
  /** As sent, before the limit of 14; -1: absent. */
  windowShift = -1;
  sackPermitted = false;
  hasTimestamps = false;
  tsVal = 0;
  tsEcr = 0;
  sackBlocks = 0;
  /** Length of the Fast Open cookie, or one of {@link CookieBytes}; it lies at `cookieOff` of the segment's slab. */
  cookieBytes: number = CookieBytes.Absent;
  cookieOff = 0;
  cookieExperimental = false;
  /** Counters of an AccECN option, 0 … 3, from `ecnOff` of the segment's slab on; -1: there is none. */
  ecnFields = -1;
  ecnOff = 0;
  ecnOrder1 = false;
  /** Edges of the blocks: left inclusive, right exclusive. */
  readonly sackLeft: Int32Array = new Int32Array(MAX_SACK_BLOCKS);
  readonly sackRight: Int32Array = new Int32Array(MAX_SACK_BLOCKS);

  reset(): void {
    this.mssBytes = -1;
    this.windowShift = -1;
    this.sackPermitted = false;
    this.hasTimestamps = false;
    this.sackBlocks = 0;
    this.cookieBytes = CookieBytes.Absent;
    this.ecnFields = -1;
  }
}

/**
 * Reads options into `into`. Unknown ones are skipped by their length [MUST-6]; they may begin at any byte [MUST-64].
 * @returns false when a length was illegal [MUST-7]: what came before it counts, the rest is ignored
 */
export function parseTcpOptions(slab: Slab, off: number, lengthBytes: number, into: TcpOptions): boolean {
  const view = slab.view;
  const end = off + lengthBytes;
  into.reset();
  let at = off;
  while (at < end) {
    const kind = view.getUint8(at);
    if (kind === TcpOption.End) return true;
    if (kind === TcpOption.NoOperation) {
      at++;
      continue;
    }
    // RFC 9293 §3.1 [MUST-68]: everything but these two has a length, which counts itself
    if (at + 1 >= end) return false;
    const length = view.getUint8(at + 1);
    if (length < 2 || at + length > end) return false;
    readOption(slab, at, kind, length, into);
    at += length;
  }
  return true;
}

/** A known kind with another length than its own is skipped like an unknown one. */
function readOption(slab: Slab, at: number, kind: number, length: number, into: TcpOptions): void {
  const view = slab.view;
  switch (kind) {
    case TcpOption.MaximumSegmentSize:
      if (length === 4) into.mssBytes = view.getUint16(at + 2);
      break;
    case TcpOption.WindowScale:
      if (length === 3) into.windowShift = view.getUint8(at + 2);
      break;
    case TcpOption.SackPermitted:
      if (length === 2) into.sackPermitted = true;
      break;
    case TcpOption.Timestamps:
      if (length !== 10) break;
      into.hasTimestamps = true;
      into.tsVal = view.getInt32(at + 2);
      into.tsEcr = view.getInt32(at + 6);
      break;
    case TcpOption.FastOpen:
      readCookie(at + 2, length - 2, false, into);
      break;
    case TcpOption.Experimental:
      if (length >= 4 && view.getUint16(at + 2) === FAST_OPEN_EXPERIMENT)
        readCookie(at + 4, length - 4, true, into);
      break;
    case TcpOption.AccurateEcn0:
    case TcpOption.AccurateEcn1:
      // RFC 9768 §3.2.3: 2, 5, 8 or 11 octets
      if (length > ECN_OPTION_MAX_BYTES || (length - 2) % 3 !== 0) break;
      into.ecnFields = (length - 2) / 3;
      into.ecnOff = at + 2;
      into.ecnOrder1 = kind === TcpOption.AccurateEcn1;
      break;
    case TcpOption.Sack:
      if (length < 10 || (length - 2) % 8 !== 0) break;
      into.sackBlocks = Math.min((length - 2) >> 3, MAX_SACK_BLOCKS);
      for (let i = 0; i < into.sackBlocks; i++) {
        into.sackLeft[i] = view.getInt32(at + 2 + 8 * i);
        into.sackRight[i] = view.getInt32(at + 6 + 8 * i);
      }
      break;
  }
}

function readCookie(off: number, length: number, experimental: boolean, into: TcpOptions): void {
  const legal =
    length === 0 || (length >= MIN_COOKIE_BYTES && length <= MAX_COOKIE_BYTES && length % 2 === 0);
  into.cookieBytes = legal ? length : CookieBytes.Illegal;
  into.cookieOff = off;
  into.cookieExperimental = experimental;
}

/** Writes the fixed header; the checksum field is left 0 for the caller. */
export function writeTcpHeader(
  view: DataView,
  off: number,
  sourcePort: number,
  destinationPort: number,
  seq: number,
  ack: number,
  headerBytes: number,
  flags: number,
  windowField: number,
): void {
  view.setUint16(off + Tcp.SourcePort, sourcePort);
  view.setUint16(off + Tcp.DestinationPort, destinationPort);
  view.setInt32(off + Tcp.Sequence, seq);
  view.setInt32(off + Tcp.Acknowledgment, ack);
  view.setUint16(off + Tcp.DataOffset, (headerBytes << 10) | flags);
  view.setUint16(off + Tcp.Window, windowField);
  view.setInt32(off + Tcp.Checksum, 0);
}

/** NOP, NOP, timestamps. @returns bytes written */
export function writeTimestamps(view: DataView, off: number, tsVal: number, tsEcr: number): number {
  view.setInt32(off, TIMESTAMP_PREFIX);
  view.setInt32(off + 4, tsVal);
  view.setInt32(off + 8, tsEcr);
  return TIMESTAMP_OPTION_BYTES;
}

/**
 * Options of a SYN in the order Linux sends them: MSS, SACK permitted, timestamps, window scale.
 * @param windowShift 0 … 14; -1: not offered
 * @returns bytes written, a multiple of 4
 */
export function writeSynOptions(
  view: DataView,
  off: number,
  mssBytes: number,
  windowShift: number,
  sackPermitted: boolean,
  timestamps: boolean,
  tsVal: number,
  tsEcr: number,
): number {
  let at = off;
  view.setUint8(at, TcpOption.MaximumSegmentSize);
  view.setUint8(at + 1, 4);
  view.setUint16(at + 2, mssBytes);
  at += 4;
  if (timestamps) {
    view.setInt32(at, sackPermitted ? (TcpOption.SackPermitted << 24) | 0x0002080a : TIMESTAMP_PREFIX);
    view.setInt32(at + 4, tsVal);
    view.setInt32(at + 8, tsEcr);
    at += 12;
  } else if (sackPermitted) {
    view.setInt32(at, 0x01010402);
    at += 4;
  }
  if (windowShift >= 0) {
    view.setInt32(at, 0x01030300 | windowShift);
    at += 4;
  }
  return at - off;
}

/** Length of what {@link writeSynOptions} writes. */
export function synOptionBytes(windowScale: boolean, sackPermitted: boolean, timestamps: boolean): number {
  return 4 + (timestamps ? 12 : sackPermitted ? 4 : 0) + (windowScale ? 4 : 0);
}

/** Writes a Fast Open option (RFC 7413 §4.1.1), padded to a multiple of 4. @param cookie empty: a request @returns bytes written */
export function writeFastOpen(
  view: DataView,
  off: number,
  cookie: Uint8Array,
  experimental: boolean,
): number {
  const end = off + fastOpenOptionBytes(cookie.length, experimental);
  let at = off;
  view.setUint8(at, experimental ? TcpOption.Experimental : TcpOption.FastOpen);
  view.setUint8(at + 1, cookie.length + (experimental ? 4 : 2));
  at += 2;
  if (experimental) {
    view.setUint16(at, FAST_OPEN_EXPERIMENT);
    at += 2;
  }
  for (const byte of cookie) view.setUint8(at++, byte);
  while (at < end) view.setUint8(at++, TcpOption.NoOperation);
  return end - off;
}

/** Length of what {@link writeFastOpen} writes. */
export function fastOpenOptionBytes(cookieBytes: number, experimental: boolean): number {
  return (cookieBytes + (experimental ? 4 : 2) + 3) & ~3;
}
