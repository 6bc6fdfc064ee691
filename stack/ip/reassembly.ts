import { RxPacket, type StackContext } from '../context.ts';
import { TimerEntry } from '../timers.ts';
import { foldChecksum, sumSlab } from '../wire/checksum.ts';
import { IP_MAX_PACKET_BYTES, Ipv4 } from '../wire/ipv4.ts';
import { IPV6_HEADER_BYTES } from '../wire/ipv6.ts';
import { Slab } from '../wire/slab.ts';
import type { IpCounters } from './counters.ts';
import type { Interface } from './interface.ts';

/** Datagrams in reassembly at one time; the oldest gives way. */
export const MAX_REASSEMBLIES = 64;
/** Bytes held for reassembly, with an overhead for each fragment; the oldest datagrams give way. */
export const MAX_REASSEMBLY_BYTES = 1_048_576;
/** Counted for each fragment beside its bytes, so that many tiny ones are not free. */
export const FRAGMENT_OVERHEAD_BYTES = 128;
/** A datagram in more pieces than this is dropped. 65,535 bytes over a link of 552 are 124 pieces. */
export const MAX_FRAGMENTS = 128;
/** RFC 8200 §4.5: 60 seconds after the first arrival; RFC 1122 §3.3.2: 60 to 120. */
export const REASSEMBLY_TIMEOUT_MS = 60_000;

interface Piece {
  /** Offset in the fragmentable part. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** One datagram whose pieces are coming in. */
class Reassembly {
  readonly family: 4 | 6;
  readonly protocol: number;
  readonly id: number;
  readonly iface: Interface;
  readonly addresses: Int32Array;
  readonly multicast: boolean;
  readonly deadline: number;
  /** Sorted by offset, without overlap. */
  readonly pieces: Piece[] = [];
  heldBytes = 0;
  gotBytes = 0;
  /** Length of the fragmentable part, -1 while the last fragment is missing. */
  totalBytes = -1;
  /** IP header (and what else is not fragmented) of the first fragment; and that packet as it came, for an ICMP error. */
  header: Uint8Array | null = null;
  firstPacket: Uint8Array | null = null;
  /** Where in the header the number of the next header stands, and that number. */
  nextHeaderAt = 0;
  nextHeader = 0;
  /** ECN codepoints seen, one bit each. */
  ecn = 0;
  /** RFC 5722 §4: all that still comes of it is dropped too. */
  dead = false;

  constructor(rx: RxPacket, protocol: number, id: number, deadline: number) {
    this.family = rx.family;
    this.protocol = protocol;
    this.id = id;
    this.iface = rx.iface;
    this.multicast = rx.multicast;
    this.deadline = deadline;
    this.addresses = Int32Array.of(rx.src0, rx.src1, rx.src2, rx.src3, rx.dst0, rx.dst1, rx.dst2, rx.dst3);
  }

  matches(rx: RxPacket, protocol: number, id: number): boolean {
    const a = this.addresses;
    return (
      this.id === id &&
      this.family === rx.family &&
      this.protocol === protocol &&
      a[3] === rx.src3 &&
      a[7] === rx.dst3 &&
      a[0] === rx.src0 &&
      a[1] === rx.src1 &&
      a[2] === rx.src2 &&
      a[4] === rx.dst0 &&
      a[5] === rx.dst1 &&
      a[6] === rx.dst2
    );
  }
}

/** Is told about datagrams that never became whole, when their first fragment is known: `rx` is that fragment. */
export interface ReassemblyObserver {
  reassemblyTimedOut(rx: RxPacket): void;
}

/** Puts fragmented datagrams together (RFC 791 §3.2, RFC 815, RFC 8200 §4.5), within limits. */
export class Reassembler {
  readonly #context: StackContext;
  readonly #counters: IpCounters;
  readonly #observer: ReassemblyObserver;
  readonly #timer: TimerEntry = new TimerEntry(this);
  /** Oldest first. */
  readonly #open: Reassembly[] = [];
  #heldBytes = 0;
  /** The whole packet: valid after `add` returned its length, until the next call. Made when first needed. */
  packet: Slab | null = null;

  constructor(context: StackContext, counters: IpCounters, observer: ReassemblyObserver) {
    this.#context = context;
    this.#counters = counters;
    this.#observer = observer;
  }

  /** Datagrams in reassembly now. */
  get openCount(): number {
    return this.#open.length;
  }

  /** Bytes held now, overhead included. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Takes one fragment: `rx.off`, `rx.len` is its piece of the fragmentable part, `rx.ipOff` its IP header.
   * @param protocol part of a datagram's identity for IPv4; 0 for IPv6 (RFC 8200 §4.5)
   * @param at offset of the piece in bytes
   * @param headerBytes length of what is in front of the fragmentable part in the whole packet (no Fragment header)
   * @param nextHeader number of the first header of the fragmentable part
   * @param nextHeaderAt where in the header it is to be written; offset from `rx.ipOff`
   * @returns length of the whole IP packet, which lies at the start of `packet`; 0: not complete
   */
  add(
    rx: RxPacket,
    protocol: number,
    id: number,
    at: number,
    more: boolean,
    headerBytes: number,
    nextHeader: number,
    nextHeaderAt: number,
  ): number {
    const counters = this.#counters;
    counters.fragmentsReceived++;
    // RFC 8200 §4.5: all but the last carry a multiple of 8 bytes; and a piece carries something.
    if (rx.len === 0 || (more && (rx.len & 7) !== 0)) {
      counters.dropFragmentLength++;
      return 0;
    }
    // The length field of the whole packet: total length for IPv4, payload length for IPv6
    const limit = IP_MAX_PACKET_BYTES - (rx.family === 4 ? headerBytes : headerBytes - IPV6_HEADER_BYTES);
    if (at + rx.len > limit) {
      counters.reassemblyTooBig++;
      return 0;
    }
    const whole = this.#find(rx, protocol, id);
    if (whole.dead || !this.#insert(whole, rx, at, more)) return 0;
    whole.ecn |= 1 << (rx.trafficClass & 3);
    if (at === 0) {
      const { bytes } = rx.slab;
      whole.header = bytes.slice(rx.ipOff, rx.ipOff + headerBytes);
      whole.firstPacket = bytes.slice(rx.ipOff, rx.ipOff + rx.ipLen);
      this.#hold(whole, whole.header.length + whole.firstPacket.length);
      whole.nextHeader = nextHeader;
      whole.nextHeaderAt = nextHeaderAt;
    }
    const complete = whole.gotBytes === whole.totalBytes;
    if (!complete) {
      this.#evict(whole);
      return 0;
    }
    return this.#assemble(whole);
  }

  /** Gives up what has waited too long. */
  onDeadline(now: number): void {
    for (;;) {
      const oldest = this.#open[0];
      if (oldest === undefined) return;
      if (oldest.deadline > now) {
        this.#context.timers.set(this.#timer, oldest.deadline);
        return;
      }
      this.#remove(oldest);
      if (oldest.dead) continue;
      this.#counters.reassemblyTimeout++;
      if (oldest.firstPacket !== null)
        this.#observer.reassemblyTimedOut(firstFragment(oldest, oldest.firstPacket));
    }
  }

  #find(rx: RxPacket, protocol: number, id: number): Reassembly {
    for (const open of this.#open) if (open.matches(rx, protocol, id)) return open;
    const oldest = this.#open[0];
    if (oldest !== undefined && this.#open.length >= MAX_REASSEMBLIES) {
      this.#remove(oldest);
      this.#counters.reassemblyEvicted++;
    }
    const deadline = this.#context.now + REASSEMBLY_TIMEOUT_MS;
    const fresh = new Reassembly(rx, protocol, id, deadline);
    if (this.#open.length === 0) this.#context.timers.set(this.#timer, deadline);
    this.#open.push(fresh);
    return fresh;
  }

  /** Files a piece. @returns false when nothing new came, or the datagram is given up */
  #insert(whole: Reassembly, rx: RxPacket, at: number, more: boolean): boolean {
    const counters = this.#counters;
    const { pieces } = whole;
    const end = at + rx.len;
    let place = pieces.length;
    while (place > 0 && pieces[place - 1]!.at >= at) place--;
    const next = pieces[place];
    const before = pieces[place - 1];
    if (next !== undefined && isDuplicate(next, rx, at)) {
      counters.reassemblyDuplicate++;
      return false;
    }
    const overlaps =
      (next !== undefined && next.at < end) || (before !== undefined && before.at + before.bytes.length > at);
    const contradicts = more
      ? whole.totalBytes >= 0 && end >= whole.totalBytes
      : whole.totalBytes >= 0
        ? whole.totalBytes !== end
        : pieces.some((piece) => piece.at + piece.bytes.length > end);
    if (overlaps || contradicts) {
      // RFC 5722 §4, and RFC 1858's attacks for IPv4: nothing of such a datagram is believed.
      counters.reassemblyOverlap++;
      this.#kill(whole);
      return false;
    }
    if (pieces.length >= MAX_FRAGMENTS) {
      counters.reassemblyTooManyFragments++;
      this.#kill(whole);
      return false;
    }
    pieces.splice(place, 0, { at, bytes: rx.slab.bytes.slice(rx.off, rx.off + rx.len) });
    whole.gotBytes += rx.len;
    if (!more) whole.totalBytes = end;
    this.#hold(whole, rx.len + FRAGMENT_OVERHEAD_BYTES);
    return true;
  }

  #assemble(whole: Reassembly): number {
    this.#remove(whole);
    const header = whole.header!;
    // RFC 3168 §5.3: congestion marks survive; marks on a datagram that is not ECN-capable are a contradiction.
    const marked = (whole.ecn & 8) !== 0;
    if (marked && (whole.ecn & 1) !== 0) {
      this.#counters.dropFragmentEcn++;
      return 0;
    }
    this.packet ??= Slab.alloc(IPV6_HEADER_BYTES + IP_MAX_PACKET_BYTES);
    const { packet } = this;
    const { bytes, view } = packet;
    bytes.set(header, 0);
    for (const piece of whole.pieces) bytes.set(piece.bytes, header.length + piece.at);
    const length = header.length + whole.totalBytes;
    if (whole.family === 4) {
      view.setUint16(2, length);
      // the whole is marked as unfragmented
      view.setUint16(6, 0);
      if (marked) bytes[1] = (bytes[1] ?? 0) | 3;
      // Errors and raw sockets show this header, which no fragment had
      view.setUint16(Ipv4.Checksum, 0);
      view.setUint16(Ipv4.Checksum, foldChecksum(sumSlab(packet, 0, header.length, 0)));
    } else {
      view.setUint16(4, length - IPV6_HEADER_BYTES);
      bytes[whole.nextHeaderAt] = whole.nextHeader;
      if (marked) bytes[1] = (bytes[1] ?? 0) | 0x30;
    }
    this.#counters.reassembled++;
    return length;
  }

  /** Frees what a datagram holds, but remembers it until its time is over. */
  #kill(whole: Reassembly): void {
    whole.dead = true;
    whole.pieces.length = 0;
    whole.header = null;
    whole.firstPacket = null;
    this.#heldBytes -= whole.heldBytes;
    whole.heldBytes = 0;
  }

  #hold(whole: Reassembly, lengthBytes: number): void {
    whole.heldBytes += lengthBytes;
    this.#heldBytes += lengthBytes;
  }

  #evict(keep: Reassembly): void {
    while (this.#heldBytes > MAX_REASSEMBLY_BYTES) {
      const oldest = this.#open.find((open) => open !== keep && open.heldBytes > 0);
      if (oldest === undefined) return;
      this.#remove(oldest);
      this.#counters.reassemblyEvicted++;
    }
  }

  #remove(whole: Reassembly): void {
    const place = this.#open.indexOf(whole);
    if (place >= 0) this.#open.splice(place, 1);
    this.#heldBytes -= whole.heldBytes;
  }
}

function isDuplicate(piece: Piece, rx: RxPacket, at: number): boolean {
  if (piece.at !== at || piece.bytes.length !== rx.len) return false;
  const { view } = rx.slab;
  for (let i = 0; i < piece.bytes.length; i++) if (piece.bytes[i] !== view.getUint8(rx.off + i)) return false;
  return true;
}

function firstFragment(whole: Reassembly, packet: Uint8Array): RxPacket {
  const rx = new RxPacket(new Slab(packet), whole.iface);
  const a = whole.addresses;
  rx.family = whole.family;
  rx.ipLen = packet.length;
  rx.multicast = whole.multicast;
  rx.src0 = a[0] ?? 0;
  rx.src1 = a[1] ?? 0;
  rx.src2 = a[2] ?? 0;
  rx.src3 = a[3] ?? 0;
  rx.dst0 = a[4] ?? 0;
  rx.dst1 = a[5] ?? 0;
  rx.dst2 = a[6] ?? 0;
  rx.dst3 = a[7] ?? 0;
  return rx;
}
