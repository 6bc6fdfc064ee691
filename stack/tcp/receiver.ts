import { EndpointEvent } from '../endpoint.ts';
import type { Ring } from '../ring.ts';
import { TIMESTAMP_OPTION_BYTES } from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import { acknowledgeData } from './delayed-ack.ts';
import { receiveCapacity, receiveRingFor, tuneReceiveBuffer } from './receive-buffer.ts';
import type { Segment } from './segment.ts';

/** Beyond this many ACKs at once no sender learns more (RFC 5681 §3.2 needs three). */
const MAX_DUP_ACKS_OWED = 16;

/** Bytes that fit between RCV.NXT and the end of the buffer, less what rounding the scaled field up may promise. */
function roomBytes(c: TcpConnection): number {
  const used = c.recvRing === null ? 0 : c.recvRing.usedBytes;
  const room = Math.min(receiveCapacity(c) - used - roundingBytes(c), c.recvLimitBytes - used);
  return Math.max(room, 0);
}

/** RCV.WND as far as it decides what is acceptable. */
export function receiveWindow(c: TcpConnection): number {
  const offered = (c.rcvAdv - c.rcvNxt) | 0;
  return c.layer.settings.windowFollowsBuffer ? Math.max(offered, roomBytes(c)) : offered;
}

function roundingBytes(c: TcpConnection): number {
  return (1 << c.rcvShift) - 1;
}

/**
 * The window field of a segment about to be sent. The right edge moves by a useful amount or not at all (silly-window
 * avoidance of RFC 9293 §3.8.6.2.2 [MUST-39]) and never back [SHLD-14].
 */
export function windowField(c: TcpConnection): number {
  // differs from RFC 9293 [SHLD-14], as Linux does: what was promised cannot be kept. Were it to come in spite of this, it is taken if it can be
  if (c.layer.ringKeeper.refuses(c)) return 0;
  const offered = (c.rcvAdv - c.rcvNxt) | 0;
  let window = offered;
  const room = roomBytes(c);
  const max = 0xffff * (1 << c.rcvShift);
  const wanted = Math.min(room, max);
  if (wanted > offered) {
    const step = Math.min(Math.min(c.recvBufferBytes, c.recvLimitBytes) >> 1, c.rcvMss);
    // The edge follows the data when the ring stays empty; only opening it needs the step
    if (wanted - offered >= step || c.layer.settings.windowFollowsBuffer) window = wanted;
  }
  const rounding = roundingBytes(c);
  if (window > offered) {
    // Rounded down when it grows, so that the promise is kept to the byte
    window &= ~rounding;
    if (window <= offered) window = offered;
    else c.rcvAdv = (c.rcvNxt + window) | 0;
  }
  // RFC 7323 §2.4: an edge that is not a multiple is rounded up, which must not look like shrinking
  const field = (window + rounding) >> c.rcvShift;
  return Math.min(field, 0xffff);
}

/** Tells the peer of a window that opened (RFC 9293 §3.8.6.2.2); not for every read. */
export function appHasRead(c: TcpConnection): void {
  const keeper = c.layer.ringKeeper;
  if (keeper.hasWaiting && (c.canDropReceive || keeper.refuses(c))) keeper.emptied();
  if (!c.isSynchronized || (c.finSeen && ((c.rcvNxt - c.rcvFinSeq) | 0) > 0)) return;
  const offered = (c.rcvAdv - c.rcvNxt) | 0;
  // What the window field can say at most: in an unscaled window every read would look like a gain
  const most = 0xffff * (1 << c.rcvShift);
  const gain = Math.min(roomBytes(c), most) - offered;
  const capacity = Math.min(receiveCapacity(c), c.recvLimitBytes, most);
  // 4.4BSD's rule (tcp_output.c): by half the buffer, or by two segments when little is left
  if (
    gain >= capacity >> 1 ||
    (gain >= 2 * c.rcvMss && (gain >= capacity >> 2 || offered <= capacity >> 3))
  ) {
    c.ackNow = true;
    c.context.wantsToTransmit(c);
  }
}

/**
 * Takes a segment's text into the ring [MUST-60]: the seventh step of RFC 9293 §3.10.7.4, in ESTABLISHED, FIN-WAIT-1
 * and FIN-WAIT-2. What lies outside of the window is cut off.
 */
export function receiveText(c: TcpConnection, seg: Segment): void {
  let seq = seg.seq;
  let off = seg.payloadOff;
  let len = seg.payloadLen;
  const old = (c.rcvNxt - seq) | 0;
  if (old > 0) {
    // RFC 2883 §4: the duplicate part
    reportDuplicate(c, seq, (seq + Math.min(old, len)) | 0);
    c.ackNow = true;
    if (old >= len) return;
    seq = c.rcvNxt;
    off += old;
    len -= old;
  }
  const window = receiveWindow(c) + roundingBytes(c);
  const used = c.recvRing === null ? 0 : c.recvRing.usedBytes;
  const ahead = (seq - c.rcvNxt) | 0;
  const beyond = ahead + len - Math.min(window, c.recvBufferBytes - used);
  if (beyond > 0) {
    c.layer.counters.dropBeyondWindow++;
    c.ackNow = true;
    len -= beyond;
    if (len <= 0) return;
  }
  const fitting = memoryFor(c, used, ahead, len);
  if (fitting < len) {
    c.layer.counters.dropNoMemory++;
    // The peer had better know than find out by its timer
    c.layer.ringKeeper.refuse(c);
    c.ackNow = true;
    len = fitting;
    if (len <= 0) return;
  }
  if (len > c.rcvMss) noteFullSegment(c, len);
  if (ahead === 0) takeInOrder(c, seg, off, len);
  else takeOutOfOrder(c, seg, seq, off, len);
}

/** Sees to it that the ring holds `len` bytes from `ahead` bytes beyond RCV.NXT on. @returns how many of them it does */
function memoryFor(c: TcpConnection, used: number, ahead: number, len: number): number {
  const { recvRing } = c;
  if (recvRing !== null && used + ahead + len <= recvRing.capacityBytes) return len;
  const ring = receiveRingFor(c, used + ahead + len);
  return ring === null ? 0 : Math.min(len, ring.capacityBytes - used - ahead);
}

/** Learns how long the peer's full segments are; a coalesced packet is longer than any of them. */
export function noteFullSegment(c: TcpConnection, len: number): void {
  const most = c.tsOk ? c.advMss - TIMESTAMP_OPTION_BYTES : c.advMss;
  c.rcvMss = Math.min(len, most);
}

/** Segment text that begins at RCV.NXT and fits. */
export function takeInOrder(c: TcpConnection, seg: Segment, off: number, len: number): void {
  const ring = c.recvRing!;
  ring.copyIn(ring.head, seg.slab.bytes, off, len);
  let advanced = len;
  // What is owed for gaps was about an older RCV.NXT
  c.dupAcksOwed = 0;
  if (c.assembler.count > 0) {
    reportOverlap(c, c.rcvNxt, (c.rcvNxt + len) | 0);
    const next = c.assembler.take((c.rcvNxt + len) | 0);
    advanced = (next - c.rcvNxt) | 0;
    // RFC 5681 §4.2: at once when a gap is filled, wholly or in part
    c.ackNow = true;
  }
  deliver(c, ring, advanced);
  tuneReceiveBuffer(c, seg, len);
}

/** RCV.NXT moves over bytes that lie in the ring. */
function deliver(c: TcpConnection, ring: Ring, advanced: number): void {
  c.rcvNxt = (c.rcvNxt + advanced) | 0;
  ring.advanceHead(advanced);
  // The room that rounding the field up had promised
  if (((c.rcvAdv - c.rcvNxt) | 0) < 0) c.rcvAdv = c.rcvNxt;
  c.bytesIn += advanced;
  c.layer.counters.bytesIn += advanced;
  acknowledgeData(c, advanced);
  c.signal(EndpointEvent.Readable);
}

/** Delivers what was queued at RCV.NXT before the connection was established. */
export function takeQueued(c: TcpConnection): void {
  if (c.assembler.count === 0 || c.recvRing === null) return;
  const advanced = (c.assembler.take(c.rcvNxt) - c.rcvNxt) | 0;
  if (advanced > 0) deliver(c, c.recvRing, advanced);
}

/** [SHLD-31]: kept at its final place; acknowledged at once [MAY-13]. */
function takeOutOfOrder(c: TcpConnection, seg: Segment, seq: number, off: number, len: number): void {
  const counters = c.layer.counters;
  counters.outOfOrder++;
  c.segmentsOutOfOrder++;
  oweDupAck(c);
  const right = (seq + len) | 0;
  reportOverlap(c, seq, right);
  if (!c.assembler.add(seq, right)) {
    counters.reassemblyOverflows++;
    return;
  }
  const ring = c.recvRing!;
  ring.copyIn((ring.head + ((seq - c.rcvNxt) | 0)) | 0, seg.slab.bytes, off, len);
}

/** RFC 5681 §4.2: a duplicate ACK for every segment out of order; with SACK one says as much as many. */
function oweDupAck(c: TcpConnection): void {
  if (c.ackNow && !c.sackOk && c.dupAcksOwed < MAX_DUP_ACKS_OWED) c.dupAcksOwed++;
  c.ackNow = true;
}

/** RFC 2883 §4: what of a segment lies in the queue already is a duplicate; its first piece is reported. */
function reportOverlap(c: TcpConnection, left: number, right: number): void {
  const { assembler } = c;
  // What lies below RCV.NXT comes first
  if (c.dsackLeft !== c.dsackRight) return;
  const at = assembler.overlap(left, right);
  if (at < 0) return;
  const from = assembler.left[at]!;
  const to = assembler.right[at]!;
  reportDuplicate(c, ((from - left) | 0) > 0 ? from : left, ((to - right) | 0) < 0 ? to : right);
}

/** RFC 2883 §4: the next ACK begins with this block. */
export function reportDuplicate(c: TcpConnection, left: number, right: number): void {
  if (!c.sackOk) return;
  c.dsackLeft = left;
  c.dsackRight = right;
}
