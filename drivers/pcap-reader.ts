import { NetError, Phase } from '../stack/errors.ts';
import type { Slab } from '../stack/wire/slab.ts';
import { ipOffset } from './pcap-link.ts';
import { ByteWindow, CaptureFile, type ReadBytes } from './pcap-source.ts';
import { Direction, NOTE_BLOCK, TLS_KEY_LOG, VERDICT_DROPPED, VERDICT_HARDWARE } from './pcapng.ts';

/** The largest frame; libpcap's own limit (MAXIMUM_SNAPLEN). */
export const MAX_FRAME_BYTES = 262_144;
/** The largest pcapng block that is looked into; others are passed over whatever their size. */
export const MAX_BLOCK_BYTES: number = 16 * 1024 * 1024;
/** Interfaces of one section. */
export const MAX_INTERFACES = 4096;

/** One captured frame; valid until the next one is read. */
export class PcapFrame {
  /** Number of its interface in the section; 0 in a pcap file. */
  iface = 0;
  /** LINKTYPE number (tcpdump.org/linktypes.html). */
  linkType = 0;
  /** Whole milliseconds of the time of day, and what is left of the time: 0 … 999,999. */
  epochMs = 0;
  nanoseconds = 0;
  /** Where the frame lies. */
  slab: Slab;
  off = 0;
  len = 0;
  /** Its length on the wire, when it was cut off. */
  originalLen = 0;
  direction: Direction = Direction.Unknown;
  /** Its IP packet, behind VLAN tags and other link headers, with the link's padding; -1: it carries none. */
  ipOff = -1;
  ipLen = 0;
  /** pcapng: what the capture says of it, a line for each comment; '' nothing. */
  comment = '';
  /** pcapng: the link has dropped it; whoever it was for has not got it. */
  isLost = false;

  constructor(slab: Slab) {
    this.slab = slab;
  }
}

/**
 * Opens a pcap or pcapng file, of either byte order, with microseconds or nanoseconds, packed with gzip or not.
 * @throws NetError ARGUMENT_INVALID when it cannot be read or is no capture
 */
export function openPcap(path: string): PcapReader {
  const file = new CaptureFile(path);
  const reader = new PcapReader(path, file.read, () => file.close());
  if (reader.error !== null) throw reader.error;
  return reader;
}

interface Interface {
  readonly linkType: number;
  /** 0: no limit. */
  readonly snapBytes: number;
  /** Units of its times in a second, and what is added to them in seconds. */
  readonly unitsPerSecond: bigint;
  readonly offsetSeconds: bigint;
}

const PCAP_MICROSECONDS = 0xa1b2c3d4;
const PCAP_NANOSECONDS = 0xa1b23c4d;
const PCAP_HEADER_BYTES = 24;
const PCAP_RECORD_BYTES = 16;

/** draft-ietf-opsawg-pcapng §11.1 */
const Block = {
  SectionHeader: 0x0a0d0d0a,
  Interface: 1,
  OldPacket: 2,
  SimplePacket: 3,
  EnhancedPacket: 6,
  Secrets: 10,
} as const;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const BLOCK_OVERHEAD_BYTES = 12;
/** Type, lengths, byte-order magic, version, length of the section: what comes before its options. */
const SECTION_HEADER_BYTES = 24;
const Option = {
  End: 0,
  Comment: 1,
  EpbFlags: 2,
  EpbVerdict: 7,
  IfTimeResolution: 9,
  IfTimeOffset: 14,
} as const;
const MICROSECONDS = 1_000_000n;

/**
 * Reads a capture frame by frame, with as much of it in memory as one frame needs. A file that is damaged or cut off ends
 * there: {@link next} returns false and {@link error} says what was found.
 */
export class PcapReader {
  readonly path: string;
  readonly frame: PcapFrame;
  /** Why the reading ended; null: it has not, or in order. */
  error: NetError | null = null;
  /** pcapng: what the first section says of itself; '' nothing. Known with the first frame. */
  comment = '';
  /** pcapng: gets the TLS secrets, lines of an NSS key log, each before the frames behind it are read; null: they are passed over. */
  onSecrets: ((keyLog: string) => void) | null = null;
  /** pcapng: gets the notes of our own writer, each before the frames behind it are read; null: they are passed over. */
  onNote: ((text: string) => void) | null = null;
  readonly #window: ByteWindow;
  readonly #close: () => void;
  #format: 'pcap' | 'pcapng' | 'closed' = 'closed';
  #little = false;
  /** pcap: of its fractions. */
  #nanosecondUnits = 1000;
  #interfaces: Interface[] = [];

  /** @param read gives the file's bytes; may throw NetError. @param close called once, at the end or by {@link close} */
  constructor(path: string, read: ReadBytes, close: () => void = () => {}) {
    this.path = path;
    this.#window = new ByteWindow(read);
    this.#close = close;
    this.frame = new PcapFrame(this.#window.slab);
    this.#guard(() => this.#open());
  }

  /** Reads the next frame into {@link frame}. @returns false at the end */
  next(): boolean {
    if (this.#format === 'closed') return false;
    return this.#guard(() => (this.#format === 'pcap' ? this.#nextRecord() : this.#nextBlock()));
  }

  close(): void {
    if (this.#format === 'closed') return;
    this.#format = 'closed';
    this.#interfaces = [];
    this.#close();
  }

  /** Turns what goes wrong into the end of the file. */
  #guard(action: () => boolean): boolean {
    try {
      if (action()) return true;
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      this.error = error;
    }
    if (this.#format === 'closed') this.#close();
    else this.close();
    return false;
  }

  #open(): boolean {
    const window = this.#window;
    if (!window.need(4)) throw this.#broken('the file is too short for a capture');
    const { view } = window.slab;
    if (view.getUint32(window.off) === Block.SectionHeader) {
      this.#format = 'pcapng';
      return true;
    }
    this.#little = view.getUint8(window.off) !== 0xa1;
    const magic = view.getUint32(window.off, this.#little);
    if (magic !== PCAP_MICROSECONDS && magic !== PCAP_NANOSECONDS)
      throw this.#broken(
        `expected a pcap or pcapng file, its first bytes are ${view.getUint32(window.off).toString(16).padStart(8, '0')}`,
      );
    if (!window.need(PCAP_HEADER_BYTES)) throw this.#broken('the file ends within its header');
    this.#nanosecondUnits = magic === PCAP_NANOSECONDS ? 1 : 1000;
    // the upper bits tell about a frame check sequence
    this.frame.linkType = this.#u32(20) & 0xffff;
    window.pass(PCAP_HEADER_BYTES);
    this.#format = 'pcap';
    return true;
  }

  // ---------------------------------------------------------------- pcap

  #nextRecord(): boolean {
    const window = this.#window;
    if (!window.need(PCAP_RECORD_BYTES)) return this.#isEnd('a packet header');
    const seconds = this.#u32(0);
    const fraction = this.#u32(4) * this.#nanosecondUnits;
    const lengthBytes = this.#u32(8);
    const originalLen = this.#u32(12);
    this.#checkLength(lengthBytes);
    const { frame } = this;
    frame.epochMs = seconds * 1000 + Math.floor(fraction / 1e6);
    frame.nanoseconds = fraction % 1e6;
    if (!window.need(PCAP_RECORD_BYTES + lengthBytes)) throw this.#broken('the file ends within a packet');
    this.#found(PCAP_RECORD_BYTES, lengthBytes, originalLen);
    window.pass(PCAP_RECORD_BYTES + lengthBytes);
    return true;
  }

  // ---------------------------------------------------------------- pcapng

  #nextBlock(): boolean {
    const window = this.#window;
    for (;;) {
      if (!window.need(BLOCK_OVERHEAD_BYTES)) return this.#isEnd('a block');
      const { view } = window.slab;
      // the section header's type reads the same in both byte orders
      if (view.getUint32(window.off) === Block.SectionHeader) this.#section();
      const type = this.#u32(0);
      const lengthBytes = this.#u32(4);
      if (lengthBytes < BLOCK_OVERHEAD_BYTES || lengthBytes % 4 !== 0)
        throw this.#broken(`a block of ${lengthBytes} bytes`);
      if (!isLookedInto(type) && !this.#isWanted(type)) {
        this.#passBlock(lengthBytes);
        continue;
      }
      if (lengthBytes > MAX_BLOCK_BYTES)
        throw this.#broken(`a block of ${lengthBytes} bytes; at most ${MAX_BLOCK_BYTES} are read`);
      if (!window.need(lengthBytes)) throw this.#broken('the file ends within a block');
      this.#checkTrailer(lengthBytes, this.#u32(lengthBytes - 4));
      const isFrame = this.#block(type, lengthBytes - 4);
      window.pass(lengthBytes);
      if (isFrame) return true;
    }
  }

  #isWanted(type: number): boolean {
    if (type === Block.Secrets) return this.onSecrets !== null;
    return type === NOTE_BLOCK && this.onNote !== null;
  }

  #passBlock(lengthBytes: number): void {
    const window = this.#window;
    if (!window.pass(lengthBytes - 4) || !window.need(4)) throw this.#broken('the file ends within a block');
    this.#checkTrailer(lengthBytes, this.#u32(0));
    window.pass(4);
  }

  #checkTrailer(lengthBytes: number, trailer: number): void {
    if (trailer !== lengthBytes)
      throw this.#broken(`a block that begins with the length ${lengthBytes} and ends with ${trailer}`);
  }

  /** A new section may change the byte order, and numbers its interfaces anew. */
  #section(): void {
    const window = this.#window;
    const { view } = window.slab;
    if (view.getUint32(window.off + 8) === BYTE_ORDER_MAGIC) this.#little = false;
    else if (view.getUint32(window.off + 8, true) === BYTE_ORDER_MAGIC) this.#little = true;
    else throw this.#broken('a section header without its byte-order magic');
    this.#interfaces = [];
  }

  /** @param end where the block's trailing length begins. @returns true when the block held a frame */
  #block(type: number, end: number): boolean {
    switch (type) {
      case Block.SectionHeader:
        this.#readComment(end);
        return false;
      case Block.Interface:
        this.#addInterface(end);
        return false;
      case Block.EnhancedPacket:
        return this.#packet(end, this.#body(end, 8, 20) ? this.#u32(8) : 0);
      case Block.OldPacket:
        return this.#packet(end, this.#body(end, 8, 20) ? this.#u16(8) : 0);
      case Block.SimplePacket:
        return this.#simplePacket(end);
      case NOTE_BLOCK:
        if (this.#body(end, 8, 4) && this.#body(end, 12, this.#u32(8)))
          this.onNote?.(this.#text(12, this.#u32(8)));
        return false;
      case Block.Secrets:
        // §4.7
        if (this.#body(end, 8, 8) && this.#u32(8) === TLS_KEY_LOG && this.#body(end, 16, this.#u32(12)))
          this.onSecrets?.(this.#text(16, this.#u32(12)));
        return false;
      default:
        return false;
    }
  }

  #readComment(end: number): void {
    this.#options(SECTION_HEADER_BYTES, end, (code, at, lengthBytes) => {
      if (code === Option.Comment && this.comment === '') this.comment = this.#text(at, lengthBytes);
    });
  }

  #text(at: number, lengthBytes: number): string {
    const { slab, off } = this.#window;
    return new TextDecoder().decode(slab.bytes.slice(off + at, off + at + lengthBytes));
  }

  /** Checks that a block has `lengthBytes` bytes from `at`. */
  #body(end: number, at: number, lengthBytes: number): true {
    if (at + lengthBytes > end) throw this.#broken('a block too short for its fields');
    return true;
  }

  #addInterface(end: number): void {
    this.#body(end, 8, 8);
    if (this.#interfaces.length >= MAX_INTERFACES)
      throw this.#broken(`more than ${MAX_INTERFACES} interfaces`);
    let unitsPerSecond = MICROSECONDS;
    let offsetSeconds = 0n;
    this.#options(16, end, (code, at, lengthBytes) => {
      const { view } = this.#window.slab;
      const from = this.#window.off + at;
      if (code === Option.IfTimeResolution && lengthBytes >= 1) {
        const exponent = view.getUint8(from);
        // §4.2: the high bit chooses between powers of 2 and of 10
        unitsPerSecond = (exponent & 0x80) !== 0 ? 2n ** BigInt(exponent & 0x7f) : 10n ** BigInt(exponent);
      } else if (code === Option.IfTimeOffset && lengthBytes >= 8) {
        offsetSeconds = view.getBigInt64(from, this.#little);
      }
    });
    const linkType = this.#u16(8);
    this.#interfaces.push({ linkType, snapBytes: this.#u32(12), unitsPerSecond, offsetSeconds });
  }

  /** Enhanced and old packet blocks, which differ in how the interface is written. */
  #packet(end: number, number: number): boolean {
    const { frame } = this;
    const iface = this.#interface(number);
    const lengthBytes = this.#u32(20);
    this.#checkLength(lengthBytes);
    this.#body(end, 28, lengthBytes);
    this.#time(iface, this.#u32(12), this.#u32(16));
    frame.iface = number;
    frame.linkType = iface.linkType;
    this.#found(28, lengthBytes, this.#u32(24));
    this.#options(28 + ((lengthBytes + 3) & ~3), end, (code, at, optionBytes) => {
      // §4.3.1: bits 0 and 1
      if (code === Option.EpbFlags && optionBytes === 4) frame.direction = directionOf(this.#u32(at) & 3);
      if (code === Option.Comment) this.#addComment(this.#text(at, optionBytes));
      if (code === Option.EpbVerdict && optionBytes === 2) {
        const { view } = this.#window.slab;
        const from = this.#window.off + at;
        frame.isLost =
          view.getUint8(from) === VERDICT_HARDWARE && view.getUint8(from + 1) === VERDICT_DROPPED;
      }
    });
    return true;
  }

  #addComment(text: string): void {
    const { frame } = this;
    frame.comment = frame.comment === '' ? text : `${frame.comment}\n${text}`;
  }

  /** It has no time: that of the frame before is kept. */
  #simplePacket(end: number): boolean {
    const { frame } = this;
    this.#body(end, 8, 4);
    const iface = this.#interface(0);
    const originalLen = this.#u32(8);
    const room = Math.min(end - 12, iface.snapBytes === 0 ? Infinity : iface.snapBytes);
    const lengthBytes = Math.min(originalLen, room);
    this.#checkLength(lengthBytes);
    frame.iface = 0;
    frame.linkType = iface.linkType;
    this.#found(12, lengthBytes, originalLen);
    return true;
  }

  #interface(number: number): Interface {
    const iface = this.#interfaces[number];
    if (iface === undefined)
      throw this.#broken(`a packet of interface ${number}, of ${this.#interfaces.length} described`);
    return iface;
  }

  #time(iface: Interface, high: number, low: number): void {
    const units = (BigInt(high) << 32n) | BigInt(low);
    const nanoseconds =
      (units * 1_000_000_000n) / iface.unitsPerSecond + iface.offsetSeconds * 1_000_000_000n;
    const left = ((nanoseconds % 1_000_000n) + 1_000_000n) % 1_000_000n;
    this.frame.epochMs = Number((nanoseconds - left) / 1_000_000n);
    this.frame.nanoseconds = Number(left);
  }

  /** Calls `found` for every option that lies wholly in the block; the rest of a damaged list is ignored. */
  #options(from: number, end: number, found: (code: number, at: number, lengthBytes: number) => void): void {
    for (let at = from; at + 4 <= end; ) {
      const code = this.#u16(at);
      const lengthBytes = this.#u16(at + 2);
      if (code === Option.End || at + 4 + lengthBytes > end) return;
      found(code, at + 4, lengthBytes);
      at += 4 + ((lengthBytes + 3) & ~3);
    }
  }

  // ---------------------------------------------------------------- both

  /** Completes the frame. @param at where it begins, from the start of its record */
  #found(at: number, lengthBytes: number, originalLen: number): void {
    const { frame } = this;
    frame.slab = this.#window.slab;
    frame.off = this.#window.off + at;
    frame.len = lengthBytes;
    frame.originalLen = originalLen;
    frame.direction = Direction.Unknown;
    frame.comment = '';
    frame.isLost = false;
    const ip = ipOffset(frame.slab.view, frame.off, lengthBytes, frame.linkType);
    frame.ipOff = ip < 0 ? -1 : frame.off + ip;
    frame.ipLen = ip < 0 ? 0 : lengthBytes - ip;
  }

  #checkLength(lengthBytes: number): void {
    if (lengthBytes > MAX_FRAME_BYTES)
      throw this.#broken(`a packet of ${lengthBytes} bytes; at most ${MAX_FRAME_BYTES} are possible`);
  }

  /** @returns false, at a proper end */
  #isEnd(within: string): boolean {
    if (this.#window.available > 0) throw this.#broken(`the file ends within ${within}`);
    return false;
  }

  #u32(at: number): number {
    const { slab, off } = this.#window;
    return slab.view.getUint32(off + at, this.#little);
  }

  #u16(at: number): number {
    const { slab, off } = this.#window;
    return slab.view.getUint16(off + at, this.#little);
  }

  #broken(found: string): NetError {
    return new NetError('ARGUMENT_INVALID', {
      phase: Phase.Argument,
      detail: `capture ${this.path}, at byte ${this.#window.position}: ${found}`,
    });
  }
}

function isLookedInto(type: number): boolean {
  return (
    type === Block.SectionHeader ||
    type === Block.Interface ||
    type === Block.EnhancedPacket ||
    type === Block.OldPacket ||
    type === Block.SimplePacket
  );
}

function directionOf(bits: number): Direction {
  if (bits === Direction.Inbound) return Direction.Inbound;
  return bits === Direction.Outbound ? Direction.Outbound : Direction.Unknown;
}
