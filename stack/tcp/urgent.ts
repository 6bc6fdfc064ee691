import { EndpointEvent } from '../endpoint.ts';
import { Tcp, TcpFlag } from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import type { Segment } from './segment.ts';

/** {@link takeOutOfBand}: there is no urgent octet, or it was read in the stream. */
export const NO_URGENT = -1;
/** {@link takeOutOfBand}: the pointer has come, and its octet not yet. */
export const URGENT_NOT_YET = -2;

/*
 * The pointer is the sequence number of the octet behind the urgent data, on the wire in both directions: RFC 9293 §3.8.5, RFC 6093
 * §4, and Linux unless tcp_stdurg is set. What applications see is RFC 6093 §6's: the octets stay in the stream, and the mark
 * is where they end. For applications that want BSD's single "out-of-band" octet (the last one before the pointer), see
 * {@link takeOutOfBand} and {@link passMark}.
 */

// ---------------------------------------------------------------- received

/** The sixth step of RFC 9293 §3.10.7.4 [MUST-30]: data of any length may be urgent [MUST-31]. */
export function urgentArrives(c: TcpConnection, seg: Segment): void {
  const pointer = (seg.seq + seg.urgentPointer) | 0;
  const known = c.urgentIn ? c.rcvUp : readPosition(c);
  if (((pointer - known) | 0) <= 0) return;
  c.rcvUp = pointer;
  c.urgentIn = true;
  c.layer.counters.urgentIn++;
  // [MUST-32]: at the first pointer, and whenever it advances
  c.signal(EndpointEvent.Urgent);
}

/** Octets up to the end of the urgent data that were not read yet; some of them may still have to come [MUST-33]. */
export function urgentBytes(c: TcpConnection): number {
  return c.urgentIn ? Math.max((c.rcvUp - readPosition(c)) | 0, 0) : 0;
}

/** Octets before BSD's mark, the last urgent octet: a read in BSD's manner stops there. Infinity: no mark lies ahead. */
export function bytesToMark(c: TcpConnection): number {
  const left = urgentBytes(c);
  return left > 0 ? left - 1 : Infinity;
}

/**
 * BSD's recv(MSG_OOB): reads the last urgent octet out of turn. It stays in the stream.
 * @returns 0 … 255, {@link NO_URGENT} or {@link URGENT_NOT_YET}
 */
export function takeOutOfBand(c: TcpConnection): number {
  const left = urgentBytes(c);
  const ring = c.recvRing;
  if (left === 0 || ring === null) return NO_URGENT;
  if (left > ring.usedBytes) return URGENT_NOT_YET;
  const octet = new Uint8Array(1);
  ring.copyOut((ring.tail + left - 1) | 0, octet, 0, 1);
  return octet[0]!;
}

/** Leaves the urgent octet out of the stream, as BSD does without SO_OOBINLINE. @returns false: the next octet is not it */
export function passMark(c: TcpConnection): boolean {
  const ring = c.recvRing;
  if (ring === null || bytesToMark(c) !== 0 || ring.usedBytes === 0) return false;
  ring.advanceTail(1);
  c.appRead();
  return true;
}

/** The application has read: a mark that lies behind is forgotten. */
export function forgetPassedMark(c: TcpConnection): void {
  if (urgentBytes(c) === 0) c.urgentIn = false;
}

/** Sequence number of the next octet that the application reads. */
function readPosition(c: TcpConnection): number {
  const end = c.finSeen && ((c.rcvNxt - c.rcvFinSeq) | 0) > 0 ? c.rcvFinSeq : c.rcvNxt;
  return c.recvRing === null ? end : (end - c.recvRing.usedBytes) | 0;
}

// ---------------------------------------------------------------- sent

/** All that the application has written so far is urgent (RFC 9293 §3.9.1.2, SEND with the urgent flag). */
export function markUrgent(c: TcpConnection): void {
  c.sndUp = c.queuedTo();
  c.urgentOut = true;
  // The peer is to hear of it even when its window lets no data through
  if (c.isSynchronized && ((c.sndUna + c.sndWnd - c.sndNxt) | 0) <= 0) c.ackNow = true;
  c.context.wantsToTransmit(c);
}

/**
 * Writes the pointer into a segment that begins at `seq` while urgent data is not acknowledged; it points behind the data
 * [MUST-62]. @returns the URG flag or 0
 */
export function writeUrgent(c: TcpConnection, view: DataView, off: number, seq: number): number {
  if (((c.sndUp - c.sndUna) | 0) <= 0) {
    c.urgentOut = false;
    return 0;
  }
  const ahead = (c.sndUp - seq) | 0;
  if (ahead <= 0) return 0;
  // RFC 9293 §3.8.5 leaves open what is farther than 16 bits reach: as far as they do, as in Linux and BSD
  view.setUint16(off + Tcp.Urgent, Math.min(ahead, 0xffff));
  return TcpFlag.Urg;
}
