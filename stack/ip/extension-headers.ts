import type { RxPacket } from '../context.ts';
import { IPV6_HEADER_BYTES, Ipv6, Ipv6Next } from '../wire/ipv6.ts';
import type { Slab } from '../wire/slab.ts';

/** More extension headers than this are refused (RFC 8504 §5.3 lets a host set such a limit). */
export const MAX_EXTENSION_HEADERS = 8;
/** More padding and options than this in one options header are refused (RFC 8504 §5.3). */
export const MAX_OPTIONS_PER_HEADER = 16;

/** What the walk over a packet's extension headers ended with. */
export const WalkResult = {
  /** An upper-layer header follows at `off`. */
  Transport: 0,
  /** A Fragment header lies at `off`. */
  Fragment: 1,
  /** RFC 8200 §4.7: nothing follows. */
  Nothing: 2,
  /** Cut off, out of order, or more than the limits allow: dropped without an answer. */
  Malformed: 3,
  /** A parameter problem of code `code`, at the field `pointer`, is to be told to the sender. */
  Problem: 4,
} as const;
export type WalkResult = (typeof WalkResult)[keyof typeof WalkResult];

/** Walks the extension headers of one IPv6 packet (RFC 8200 §4). One per stack, used again for every packet. */
export class ExtensionWalk {
  /** Where the header lies that ended the walk, and its number. */
  off = 0;
  nextHeader = 0;
  /** Where the field lies that announced that header. */
  nextHeaderAt = 0;
  /** For Problem: its code, and the offset of the offending field in the slab. */
  code = 0;
  pointer = 0;
  /** The problem is told even about multicast packets (RFC 4443 §2.4(e.3)). */
  alsoMulticast = false;

  /**
   * @param off where the first header lies whose number is `nextHeader`
   * @param end end of the packet
   * @param nextHeaderAt where that number stands
   * @param first the headers follow the IPv6 header directly: Hop-by-Hop Options may come
   */
  walk(
    view: DataView,
    off: number,
    end: number,
    nextHeader: number,
    nextHeaderAt: number,
    first: boolean,
  ): WalkResult {
    this.off = off;
    this.nextHeader = nextHeader;
    this.nextHeaderAt = nextHeaderAt;
    let mayBeHopByHop = first;
    for (let count = 0; count <= MAX_EXTENSION_HEADERS; count++) {
      const kind = this.nextHeader;
      if (kind === Ipv6Next.NoNextHeader) return WalkResult.Nothing;
      if (kind === Ipv6Next.HopByHop) {
        // RFC 8200 §4.1, §4.3: only directly after the IPv6 header; elsewhere it is an unrecognized next header
        if (!mayBeHopByHop) return this.#problem(1, this.nextHeaderAt, false);
      } else if (kind === Ipv6Next.Fragment) {
        return end - this.off < 8 ? WalkResult.Malformed : WalkResult.Fragment;
      } else if (kind !== Ipv6Next.Routing && kind !== Ipv6Next.DestinationOptions) {
        return WalkResult.Transport;
      }
      mayBeHopByHop = false;
      if (end - this.off < 8) return WalkResult.Malformed;
      const length = (view.getUint8(this.off + 1) + 1) * 8;
      if (length > end - this.off) return WalkResult.Malformed;
      if (kind === Ipv6Next.Routing) {
        // RFC 8200 §4.4: a routing type we do not know is skipped when no segments are left. RFC 5095: type 0 is not processed
        // at all; we are never a waypoint of any type.
        if (view.getUint8(this.off + 3) !== 0) return this.#problem(0, this.off + 2, false);
      } else {
        const result = this.#options(view, this.off + 2, this.off + length);
        if (result !== WalkResult.Transport) return result;
      }
      this.nextHeader = view.getUint8(this.off);
      this.nextHeaderAt = this.off;
      this.off += length;
    }
    return WalkResult.Malformed;
  }

  /** RFC 8200 §4.2: we know no option but padding; the type's two highest bits say what that means. */
  #options(view: DataView, from: number, end: number): WalkResult {
    let at = from;
    for (let count = 0; at < end; count++) {
      if (count >= MAX_OPTIONS_PER_HEADER) return WalkResult.Malformed;
      const type = view.getUint8(at);
      if (type === 0) {
        at++;
        continue;
      }
      if (end - at < 2) return WalkResult.Malformed;
      const length = 2 + view.getUint8(at + 1);
      if (length > end - at) return WalkResult.Malformed;
      if (type !== 1) {
        const action = type >>> 6;
        if (action === 1) return WalkResult.Malformed;
        if (action >= 2) return this.#problem(2, at, action === 2);
      }
      at += length;
    }
    return WalkResult.Transport;
  }

  #problem(code: number, pointer: number, alsoMulticast: boolean): WalkResult {
    this.code = code;
    this.pointer = pointer;
    this.alsoMulticast = alsoMulticast;
    return WalkResult.Problem;
  }
}

/**
 * True when a packet was put together from fragments, or is an atomic one: such messages of neighbour discovery are ignored (RFC 6980 §5).
 * @param frame what the link is receiving: the whole packet lies there, or came in pieces
 */
export function cameInFragments(rx: RxPacket, frame: Slab | null): boolean {
  if (rx.slab !== frame) return true;
  const { view } = rx.slab;
  let next = view.getUint8(rx.ipOff + Ipv6.NextHeader);
  for (let at = rx.ipOff + IPV6_HEADER_BYTES; at < rx.off; at += (view.getUint8(at + 1) + 1) * 8) {
    if (next === Ipv6Next.Fragment) return true;
    next = view.getUint8(at);
  }
  return false;
}
