import { NetError, Phase } from '../stack/errors.ts';
import { Slab } from '../stack/wire/slab.ts';
import { CaptureFiles, type CaptureRing } from './capture-files.ts';

/** LINKTYPE_RAW: packets begin with an IPv4 or IPv6 header (tcpdump.org/linktypes.html). */
export const LINKTYPE_RAW = 101;
/** LINKTYPE_ETHERNET */
export const LINKTYPE_ETHERNET = 1;

/** Which way a packet went, as epb_flags counts (draft-ietf-opsawg-pcapng §4.3.1, bits 0–1). */
export const Direction = { Unknown: 0, Inbound: 1, Outbound: 2 } as const;
export type Direction = (typeof Direction)[keyof typeof Direction];

export interface PcapngOptions {
  /** What wrote the file. Default `tunwire`. */
  readonly application?: string;
  /** Goes on with a file that exists, with a section of its own. Default false: the file is replaced. */
  readonly appends?: boolean;
  /** What the file is about; shown as the capture's comment. */
  readonly comment?: string;
  /** Several files, the oldest of which go, in place of one. */
  readonly ring?: CaptureRing;
  /** How long a packet stays in memory at least before it is written, in milliseconds. Default 500. */
  readonly holdMs?: number;
  /** Packets that wait for being written, in bytes, 256 KiB at least. Default 4 MiB. */
  readonly bufferBytes?: number;
  /** Called once when the file cannot be written any more; default: a process warning. */
  readonly onError?: (error: NetError) => void;
}

/** A block type for local use (draft-ietf-opsawg-pcapng §11.1), which other readers pass over: text for our own. */
export const NOTE_BLOCK = 0x80545744;
/** Block types (draft-ietf-opsawg-pcapng §11.1) and option codes. */
const Block = { SectionHeader: 0x0a0d0d0a, Interface: 1, EnhancedPacket: 6, Secrets: 10 } as const;
const Option = {
  End: 0,
  Comment: 1,
  ShbUserApplication: 4,
  IfName: 2,
  IfDescription: 3,
  IfTimeResolution: 9,
  EpbFlags: 2,
  EpbVerdict: 7,
} as const;
/** §4.3.1: what was decided about a packet, by hardware; what that says is its own affair, and here 1: dropped. */
export const VERDICT_HARDWARE = 0;
export const VERDICT_DROPPED = 1;
/** §4.7: 'TLSK', lines of the NSS key log format (draft-ietf-tls-keylogfile). */
export const TLS_KEY_LOG = 0x544c534b;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** Nanoseconds: 10^-9. */
const TIME_RESOLUTION = 9;
/** A super-packet in front of segmentation, with room to spare. */
const SNAP_BYTES = 262_144;
/** Everything of a packet's block but the packet and its comment, paddings included. */
const EPB_OVERHEAD_BYTES = 64;
const MAX_COMMENT_BYTES = 4096;
/** opt_endofopt, and the length of the block behind it. */
const END_OF_OPTIONS_BYTES = 8;
const DEFAULT_HOLD_MS = 500;
const DEFAULT_BUFFER_BYTES: number = 4 * 1024 * 1024;
const MIN_BUFFER_BYTES: number = 256 * 1024;

/**
 * Writes a pcapng file (draft-ietf-opsawg-pcapng): packets of any number of interfaces with nanosecond times, directions
 * and comments, and the secrets that open their TLS.
 *
 * Packets stay in memory for `holdMs` to twice that: a secret must stand in the file before the packets that need it, but
 * is known only after the first of them has come. When the file cannot be written, the writer stops, and says so once.
 */
export class PcapngWriter {
  readonly path: string;
  /** Where packets are composed, see {@link beginPacket}. */
  readonly slab: Slab;
  /** Packets that were left out after the file had failed. */
  dropped = 0;
  readonly #files: CaptureFiles;
  readonly #holdMs: number;
  readonly #onError: (error: NetError) => void;
  #used = 0;
  /** Blocks before the mark were there at `markMs`. */
  #mark = 0;
  #markMs = Number.NEGATIVE_INFINITY;
  #interfaces = 0;
  #packetAt = 0;
  /** Where the last inbound packet lies; -1: not in memory any more. */
  #receivedAt = -1;
  #state: 'open' | 'failed' | 'closed' = 'open';

  /**
   * @param path the file, replaced when it exists unless `appends` says otherwise
   * @throws NetError ARGUMENT_INVALID when the file cannot be made
   */
  constructor(path: string, options: PcapngOptions = {}) {
    this.path = path;
    this.#holdMs = options.holdMs ?? DEFAULT_HOLD_MS;
    this.#onError = options.onError ?? ((error) => process.emitWarning(error.message, 'CaptureWarning'));
    this.slab = Slab.alloc(Math.max(options.bufferBytes ?? DEFAULT_BUFFER_BYTES, MIN_BUFFER_BYTES));
    this.#files = new CaptureFiles(path, options.appends === true, options.ring ?? null);
    this.#sectionHeader(options);
    this.#write(this.#used);
  }

  /** True as long as packets are written. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Adds an interface. @returns its number, for {@link packet} */
  addInterface(name: string, linkType: number, description = ''): number {
    const at = this.#begin(Block.Interface);
    this.#u16(linkType);
    this.#u16(0);
    this.#u32(SNAP_BYTES);
    this.#text(Option.IfName, name);
    if (description !== '') this.#text(Option.IfDescription, description);
    this.#u16(Option.IfTimeResolution);
    this.#u16(1);
    this.#u32(TIME_RESOLUTION);
    this.#u32(Option.End);
    this.#end(at);
    if (at === 0) this.flush();
    return this.#interfaces++;
  }

  /**
   * Starts a packet: makes room and writes what comes before its bytes. The caller writes `lengthBytes` bytes of packet
   * into {@link slab} at the returned offset and calls {@link endPacket}.
   * @param epochMs whole milliseconds of the time of day. @param nanoseconds what is left of it, 0 … 999,999
   * @param originalBytes the packet's length on the wire, when not all of it is written
   * @returns where the packet goes, or -1 when nothing is written any more
   */
  beginPacket(
    iface: number,
    epochMs: number,
    nanoseconds: number,
    lengthBytes: number,
    originalBytes: number = lengthBytes,
  ): number {
    if (this.#state !== 'open') {
      this.dropped++;
      return -1;
    }
    this.#makeRoom(EPB_OVERHEAD_BYTES + lengthBytes + MAX_COMMENT_BYTES);
    this.#packetAt = this.#begin(Block.EnhancedPacket);
    this.#u32(iface);
    this.#timestamp(epochMs, nanoseconds);
    this.#u32(lengthBytes);
    this.#u32(originalBytes);
    const at = this.#used;
    this.#used += lengthBytes;
    this.#pad();
    return at;
  }

  /** Ends the packet begun last. @param comment '' for none. @param isDropped the link has dropped it: it does not arrive */
  endPacket(direction: Direction, comment: string, isDropped = false): void {
    if (direction !== Direction.Unknown || comment !== '' || isDropped) {
      if (direction !== Direction.Unknown) {
        this.#u16(Option.EpbFlags);
        this.#u16(4);
        this.#u32(direction);
      }
      if (isDropped) {
        this.#u16(Option.EpbVerdict);
        this.#u16(2);
        this.slab.bytes[this.#used++] = VERDICT_HARDWARE;
        this.slab.bytes[this.#used++] = VERDICT_DROPPED;
        this.#pad();
      }
      if (comment !== '') this.#text(Option.Comment, comment);
      this.#u32(Option.End);
    }
    this.#end(this.#packetAt);
    if (direction === Direction.Inbound) this.#receivedAt = this.#packetAt;
  }

  /** Adds a comment to the last inbound packet, if it is still in memory. @param comment not '' */
  commentReceived(comment: string): void {
    const { bytes, view } = this.slab;
    const at = this.#receivedAt;
    const end = this.#used;
    if (this.#state !== 'open' || at < 0 || end + MAX_COMMENT_BYTES > bytes.length) return;
    const lengthBytes = view.getUint32(at + 4, true);
    // before the end of its options: written behind everything, and moved there
    const place = at + lengthBytes - END_OF_OPTIONS_BYTES;
    this.#text(Option.Comment, comment);
    const text = bytes.slice(end, this.#used);
    bytes.copyWithin(place + text.length, place, end);
    bytes.set(text, place);
    view.setUint32(at + 4, lengthBytes + text.length, true);
    view.setUint32(at + lengthBytes + text.length - 4, lengthBytes + text.length, true);
    if (this.#mark > at) this.#mark += text.length;
    if (this.#packetAt > at) this.#packetAt += text.length;
    this.#receivedAt = -1;
  }

  /** Writes text for our own reader, between the packets before and after. @param text of less than 64 KiB */
  note(text: string): void {
    if (this.#state !== 'open') return;
    const bytes = new TextEncoder().encode(text);
    this.#makeRoom(bytes.length + 20);
    const at = this.#begin(NOTE_BLOCK);
    this.#u32(bytes.length);
    this.slab.bytes.set(bytes, this.#used);
    this.#used += bytes.length;
    this.#pad();
    this.#end(at);
  }

  /**
   * Writes secrets ahead of all packets that are still in memory.
   * @param lines one or more lines in the NSS key log format: `CLIENT_HANDSHAKE_TRAFFIC_SECRET <random> <secret>`
   */
  secrets(lines: string): void {
    if (this.#state !== 'open') return;
    const text = Buffer.from(lines.endsWith('\n') ? lines : `${lines}\n`);
    const padded = (text.length + 3) & ~3;
    const block = Buffer.alloc(20 + padded);
    block.writeUInt32LE(Block.Secrets, 0);
    block.writeUInt32LE(block.length, 4);
    block.writeUInt32LE(TLS_KEY_LOG, 8);
    block.writeUInt32LE(text.length, 12);
    text.copy(block, 16);
    block.writeUInt32LE(block.length, block.length - 4);
    this.#writeOut(block, block.length);
  }

  /** When {@link advance} has something to write, in milliseconds of its clock; Infinity: nothing waits. */
  nextDeadline(): number {
    return this.#used === 0 || this.#state !== 'open'
      ? Number.POSITIVE_INFINITY
      : this.#markMs + this.#holdMs;
  }

  /** Writes the packets that have waited long enough. @param now milliseconds of any monotonic clock, always the same */
  advance(now: number): void {
    if (this.#used === 0) {
      this.#markMs = now;
    } else if (now >= this.#markMs + this.#holdMs) {
      this.#write(this.#mark);
      this.#mark = this.#used;
      this.#markMs = now;
    }
  }

  /** Writes everything that waits. Secrets that come later stand behind these packets. */
  flush(): void {
    this.#write(this.#used);
  }

  /** Writes everything and closes the file. */
  close(): void {
    if (this.#state === 'closed') return;
    this.flush();
    this.#used = 0;
    this.#state = 'closed';
    this.#files.close();
  }

  #sectionHeader(options: PcapngOptions): void {
    const at = this.#begin(Block.SectionHeader);
    this.#u32(BYTE_ORDER_MAGIC);
    this.#u16(1);
    this.#u16(0);
    // the length of the section is not known: -1 in 64 bits
    this.#u32(0xffffffff);
    this.#u32(0xffffffff);
    this.#text(Option.ShbUserApplication, options.application ?? 'tunwire');
    if (options.comment !== undefined) this.#text(Option.Comment, options.comment);
    this.#u32(Option.End);
    this.#end(at);
  }

  #begin(type: number): number {
    const at = this.#used;
    this.#u32(type);
    this.#u32(0);
    return at;
  }

  /** The length stands at both ends of a block. */
  #end(at: number): void {
    const lengthBytes = this.#used - at + 4;
    this.#u32(lengthBytes);
    this.slab.view.setUint32(at + 4, lengthBytes, true);
  }

  #u16(value: number): void {
    this.slab.view.setUint16(this.#used, value, true);
    this.#used += 2;
  }

  #u32(value: number): void {
    this.slab.view.setUint32(this.#used, value, true);
    this.#used += 4;
  }

  #pad(): void {
    while ((this.#used & 3) !== 0) this.slab.bytes[this.#used++] = 0;
  }

  #text(option: number, text: string): void {
    const at = this.#used;
    this.#u32(option);
    const room = this.slab.bytes.subarray(this.#used, this.#used + MAX_COMMENT_BYTES - 8);
    const { written } = new TextEncoder().encodeInto(text, room);
    this.slab.view.setUint16(at + 2, written, true);
    this.#used += written;
    this.#pad();
  }

  /** Nanoseconds since 1970 in 64 bits, high word first (§4.3), in pieces that stay exact in a double. */
  #timestamp(epochMs: number, nanoseconds: number): void {
    const high = Math.floor(epochMs / 0x1_0000_0000);
    const low = epochMs - high * 0x1_0000_0000;
    const lowPart = low * 1_000_000 + nanoseconds;
    this.#u32(high * 1_000_000 + Math.floor(lowPart / 0x1_0000_0000));
    this.#u32(lowPart % 0x1_0000_0000);
  }

  #makeRoom(lengthBytes: number): void {
    if (this.#used + lengthBytes <= this.slab.lengthBytes) return;
    this.#write(this.#mark);
    if (this.#used + lengthBytes > this.slab.lengthBytes) this.#write(this.#used);
  }

  /** Writes the first `lengthBytes` bytes of what waits. */
  #write(lengthBytes: number): void {
    if (lengthBytes === 0) return;
    if (this.#state === 'open') this.#writeOut(this.slab.bytes, lengthBytes);
    this.slab.bytes.copyWithin(0, lengthBytes, this.#used);
    this.#used -= lengthBytes;
    this.#packetAt -= lengthBytes;
    this.#receivedAt = Math.max(this.#receivedAt - lengthBytes, -1);
    this.#mark = Math.max(this.#mark - lengthBytes, 0);
  }

  #writeOut(bytes: Uint8Array, lengthBytes: number): void {
    try {
      this.#files.write(bytes, lengthBytes);
    } catch (cause) {
      this.#fail(cause);
    }
  }

  #fail(cause: unknown): void {
    this.#state = 'failed';
    this.#files.cutOff();
    const detail = `the capture ${this.path} ends here, connections go on: ${(cause as Error).message}`;
    this.#onError(new NetError('DEVICE_FAILED', { phase: Phase.None, detail, cause }));
  }
}
