import { TcpFlag } from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import { congestionEcho, EcnField } from './ecn.ts';
import type { Segment } from './segment.ts';

/** RFC 9768 §3.2.1: the counter of CE marks begins with this, the byte counters of ECT with 1, so that zeros on the way are seen. */
const FIRST_COUNT = 5;
/** The three flags that are one field after the handshake (RFC 9768 §3.2.2). */
const ACE_FLAGS = TcpFlag.Ae | TcpFlag.Cwr | TcpFlag.Ece;
const ACE_MASK = 7;
const COUNTER_MASK = 0xffffff;
/** RFC 9768 §3.2.2.5.1: ACKs for marked data, and for marked segments without, so that two ends cannot answer each other for ever. */
const MARKS_PER_ACK = 2;
const MARKS_PER_ACK_WITHOUT_DATA = 3;
/** RFC 9768 §3.2.3.3: the option follows a change twice, in case the first is lost. */
const OPTIONS_PER_CHANGE = 2;
/** So many times in a round trip, when nothing changes (Linux's tcp_ecn_option_beacon). */
const OPTIONS_PER_ROUND = 3;
/** More segments per ACK than this on average are thinned ACKs, and no sign that the counter wrapped (Linux, ACK_COMP_THRESH). */
const THINNED_ACK_SEGMENTS = 4;
const ACK_SEGMENTS_WEIGHT = 1 / 64;
/** Above that many segments the counter of three bits may have wrapped twice and more. */
const TWO_WRAPS = 2 * (ACE_MASK + 1);
export const MAX_ECN_OPTION_FIELDS = 3;

/** What came in under one of the marks, or arrived at the peer: bytes modulo 2³². */
export interface EcnBytes {
  ect0: number;
  ect1: number;
  ce: number;
}

/** More accurate ECN feedback (RFC 9768): the counters of a connection whose ends have agreed on it, or whose SYN asks for it. */
export class AccurateEcn {
  // --- as receiver: what has come in
  /** CE-marked segments, those without data included. */
  ceIn = 0;
  readonly bytesIn: EcnBytes = { ect0: 0, ect1: 0, ce: 0 };
  /** The ECN field of the segment before. */
  lastField: number = EcnField.NotCapable;
  /** CE-marked segments since the last ACK. */
  marksUntold = 0;
  // --- the option
  /** So many segments still carry it, whatever else is said. */
  optionsDue = 0;
  /** Fields (of three) that it must have to tell what has changed. */
  fieldsNeeded = 0;
  /** The peer sends it, so that the path lets it through. */
  optionSeen = false;
  /** A middlebox has put zeros into it: what comes is not believed. */
  optionBroken = false;
  /** Segments with it do not arrive. */
  optionBlocked = false;
  /** The last ACK had it, and reported a duplicate. */
  sentWithDuplicate = false;
  lastOptionAt = 0;
  // --- the handshake
  /** The ECN field of the peer's SYN or SYN-ACK, which our answer tells. */
  synField: number = EcnField.NotCapable;
  /** The next ACK without data is an answer to the SYN-ACK. */
  reflects = false;
  synAckSent = false;
  /** The fields are changed on the way: nothing is sent as ECN-capable (RFC 9768 §3.2.2.3, §3.2.2.4). */
  mangled = false;
  // --- as sender: what the peer has told
  /** Segments of ours that arrived with CE. */
  ceOut = 0;
  readonly bytesOut: EcnBytes = { ect0: 0, ect1: 0, ce: 0 };
  /** The counter that grew last: without an option it is this one (RFC 9768 appendix A.3); null: more than one did. */
  growing: keyof EcnBytes | null = null;
  /** Segments that an ACK acknowledges, on average; 0: none yet. */
  ackSegments = 0;
}

/** RFC 9768 table 2: the flags that tell the ECN field of a SYN, and of a SYN-ACK. */
const REFLECTION: Readonly<Record<number, number>> = {
  [EcnField.NotCapable]: TcpFlag.Cwr,
  [EcnField.Capable1]: TcpFlag.Cwr | TcpFlag.Ece,
  [EcnField.Capable]: TcpFlag.Ae,
  [EcnField.CongestionExperienced]: TcpFlag.Ae | TcpFlag.Cwr,
};

/** @returns the ECN field that a reflection tells of; -1: it is none */
function reflected(flags: number): number {
  switch (flags & ACE_FLAGS) {
    case TcpFlag.Cwr:
      return EcnField.NotCapable;
    case TcpFlag.Cwr | TcpFlag.Ece:
      return EcnField.Capable1;
    case TcpFlag.Ae:
      return EcnField.Capable;
    case TcpFlag.Ae | TcpFlag.Cwr:
      return EcnField.CongestionExperienced;
    default:
      return -1;
  }
}

/** RFC 9768 §3.1.2: every combination but none, and that of RFC 3168, asks for it. */
export function asksAccurate(flags: number): boolean {
  const ace = flags & ACE_FLAGS;
  return ace !== 0 && ace !== (TcpFlag.Cwr | TcpFlag.Ece);
}

/** The flags of our SYN-ACK. */
export function synAckFlags(a: AccurateEcn): number {
  return REFLECTION[a.synField]!;
}

/** RFC 9768 §3.1.1: the SYN that began a passive open, or crossed ours. */
export function synArrives(a: AccurateEcn, seg: Segment): void {
  a.synField = seg.ecn;
  a.lastField = seg.ecn;
}

/** The SYN again while the SYN-ACK is on its way: the newest is answered; one without ECN may be what the path lets through. */
export function synRepeated(a: AccurateEcn, seg: Segment): void {
  a.synField = seg.ecn;
  if ((seg.flags & ACE_FLAGS) === 0) a.mangled = true;
}

/** The SYN-ACK again: our ACK was lost, and the next tells of this one. */
export function synAckRepeated(a: AccurateEcn, seg: Segment): void {
  a.synField = seg.ecn;
  a.reflects = true;
  if (a.optionsDue === 0) a.optionsDue = 1;
}

/** RFC 9768 table 2. @returns false when the SYN-ACK does not agree: classic ECN, or none */
export function synAckAgrees(a: AccurateEcn, seg: Segment): boolean {
  const field = reflected(seg.flags);
  if (field < 0) return false;
  a.synField = seg.ecn;
  a.reflects = true;
  validateReflection(a, field);
  readFirstOption(a, seg);
  if (seg.ecn === EcnField.CongestionExperienced && !a.mangled) a.ceIn++;
  return true;
}

/** The ACK of our SYN-ACK (RFC 9768 §3.2.2.1). */
export function thirdAckArrives(a: AccurateEcn, seg: Segment): void {
  // RFC 9768 §3.2.2.4: the counter does not begin with 0, nor is it a reflection
  if ((seg.flags & ACE_FLAGS) === 0) a.mangled = true;
  readFirstOption(a, seg);
  if (seg.payloadLen > 0) return;
  const field = reflected(seg.flags);
  if (field < 0) return;
  validateReflection(a, field);
  if (field === EcnField.CongestionExperienced && !a.mangled) a.ceOut = 1;
}

/** RFC 9768 §3.2.2.3: our SYN and SYN-ACK are not ECN-capable, and nobody on the way may mark them as if they were. */
function validateReflection(a: AccurateEcn, field: number): void {
  if (field !== EcnField.NotCapable) a.mangled = true;
}

/** RFC 9768 §3.2.3.2: a path that puts zeros into the option is noticed by the first one. */
function readFirstOption(a: AccurateEcn, seg: Segment): void {
  const { options, slab } = seg;
  if (options.ecnFields < 0 || a.optionSeen) return;
  a.optionSeen = true;
  a.optionsDue = OPTIONS_PER_CHANGE;
  for (let i = 0; i < options.ecnFields; i += 2)
    if (readCounter(slab.view, options.ecnOff + 3 * i) === 0) a.optionBroken = true;
}

/** Every segment with an acceptable sequence number counts, also without data, and also twice (RFC 9768 §3.2.1). */
export function accurateMark(c: TcpConnection, a: AccurateEcn, seg: Segment): void {
  const { ecn, payloadLen } = seg;
  const isMarked = ecn === EcnField.CongestionExperienced;
  if (ecn !== EcnField.NotCapable) {
    c.ectSeen = true;
    countBytes(a, ecn, payloadLen);
  }
  if (isMarked) {
    // More than one segment can hold was coalesced from several with the same mark
    const segments = payloadLen <= c.advMss ? 1 : Math.ceil(payloadLen / c.rcvMss);
    a.ceIn += segments;
    a.marksUntold += segments;
    c.ceSegmentsIn += segments;
    c.layer.counters.ecnMarksIn += segments;
    a.optionsDue = OPTIONS_PER_CHANGE;
    // RFC 9768 §3.2.2.5.1: "increment-triggered"
    if (a.marksUntold >= (payloadLen > 0 ? MARKS_PER_ACK : MARKS_PER_ACK_WITHOUT_DATA)) c.ackNow = true;
  }
  if (ecn === a.lastField) return;
  // RFC 9768 §3.2.2.5.1: "change-triggered"; segments without data are not answered for it, or the answers would be
  a.lastField = ecn;
  a.optionsDue = OPTIONS_PER_CHANGE;
  if (payloadLen > 0) c.ackNow = true;
}

function countBytes(a: AccurateEcn, ecn: number, bytes: number): void {
  if (bytes === 0) return;
  const { bytesIn } = a;
  // Where in the option the counter stands
  let place = 1;
  if (ecn === EcnField.Capable1) {
    bytesIn.ect1 = (bytesIn.ect1 + bytes) | 0;
  } else if (ecn === EcnField.CongestionExperienced) {
    bytesIn.ce = (bytesIn.ce + bytes) | 0;
    place = 2;
  } else {
    bytesIn.ect0 = (bytesIn.ect0 + bytes) | 0;
    place = 3;
  }
  if (place > a.fieldsNeeded) a.fieldsNeeded = place;
}

/** The flags of a segment of ours after the handshake. */
export function accurateFlags(c: TcpConnection, a: AccurateEcn, payload: number): number {
  a.marksUntold = 0;
  if (a.reflects) {
    a.reflects = false;
    if (payload === 0 && c.sndNxt === ((c.iss + 1) | 0)) return REFLECTION[a.synField]!;
  }
  return counterFlags(a);
}

function counterFlags(a: AccurateEcn): number {
  const ace = (a.ceIn + FIRST_COUNT) & ACE_MASK;
  return ((ace & 3) << 6) | ((ace & 4) << 6);
}

/** CWR is one bit of the counter now: a device that cuts up a packet would take it away from all segments but the first. */
export function resistsCutting(a: AccurateEcn): boolean {
  return (counterFlags(a) & TcpFlag.Cwr) !== 0;
}

/** Whether the next segment is to have the option, if there is room. */
export function wantsOption(c: TcpConnection, a: AccurateEcn): boolean {
  const mode = c.layer.settings.accurateEcnOption;
  // RFC 9768 §3.2.3.2: after a timeout without, for it may be the reason
  if (mode === 'off' || !a.optionSeen || a.optionBlocked || c.retries > 0) return false;
  if (mode === 'always' || a.optionsDue > 0) return true;
  return (c.now - a.lastOptionAt) * OPTIONS_PER_ROUND >= c.rtt.srttMs;
}

/** The option, in the order for those who send ECT(1) (RFC 9768 §3.2.3.1). @param fields 0 … 3 */
export function writeOption(view: DataView, at: number, a: AccurateEcn, fields: number): void {
  if (fields > 0) writeCounter(view, at, a.bytesIn.ect1 + 1);
  if (fields > 1) writeCounter(view, at + 3, a.bytesIn.ce);
  if (fields > 2) writeCounter(view, at + 6, a.bytesIn.ect0 + 1);
}

export function optionSent(c: TcpConnection, a: AccurateEcn): void {
  if (a.optionsDue > 0) a.optionsDue--;
  a.fieldsNeeded = 0;
  a.lastOptionAt = c.now;
}

function writeCounter(view: DataView, at: number, value: number): void {
  view.setUint8(at, value >>> 16);
  view.setUint16(at + 1, value & 0xffff);
}

function readCounter(view: DataView, at: number): number {
  return (view.getUint8(at) << 16) | view.getUint16(at + 1);
}

/** The peer sends again what was acknowledged: the ACKs with the option may not arrive (RFC 9768 §3.2.3.2.2). */
export function duplicateArrives(a: AccurateEcn): void {
  if (a.sentWithDuplicate) a.optionBlocked = true;
}

/**
 * An acceptable ACK: which of our segments have met congestion (RFC 9768 §3.2.2.5.2, appendix A).
 * @param progress something new was acknowledged @param deliveredBytes by this ACK, also by its SACK blocks
 */
export function accurateFeedback(
  c: TcpConnection,
  a: AccurateEcn,
  seg: Segment,
  progress: boolean,
  deliveredBytes: number,
): void {
  const { options } = seg;
  // The ACK of the SYN-ACK, once or again: no counter
  const isBare = seg.payloadLen === 0 && options.sackBlocks === 0;
  if (isBare && seg.ack === ((c.iss + 1) | 0) && seg.seq === ((c.irs + 1) | 0)) return;
  // An ACK that came late tells of counters as they were
  const newer = c.tsOk && options.hasTimestamps && ((options.tsVal - c.tsRecent) | 0) > 0;
  if (!progress && !newer) return;
  readFirstOption(a, seg);
  const ceBefore = a.bytesOut.ce;
  const certain = takeOption(a, seg, deliveredBytes);
  const segments = Math.ceil(deliveredBytes / c.mss);
  if (segments > 0)
    a.ackSegments += (segments - a.ackSegments) * (a.ackSegments === 0 ? 1 : ACK_SEGMENTS_WEIGHT);
  const ceBytes = certain ? (a.bytesOut.ce - ceBefore) | 0 : -1;
  const marked = markedSegments(c, a, seg, segments, deliveredBytes, ceBytes);
  if (marked === 0) return;
  a.ceOut += marked;
  c.deliveredCeBytes += ceBytes > 0 ? ceBytes : Math.min(marked * c.mss, deliveredBytes);
  congestionEcho(c);
}

/** @param ceBytes by which the counter of the option grew; -1: it says nothing @returns segments that met congestion */
function markedSegments(
  c: TcpConnection,
  a: AccurateEcn,
  seg: Segment,
  segments: number,
  deliveredBytes: number,
  ceBytes: number,
): number {
  const ace = ((seg.flags & TcpFlag.Ae) >> 6) | ((seg.flags & (TcpFlag.Cwr | TcpFlag.Ece)) >> 6);
  const least = (ace - FIRST_COUNT - a.ceOut) & ACE_MASK;
  if (segments <= ACE_MASK) return least;
  // The counter may have wrapped: the safe assumption is that it has, as often as it can (RFC 9768 §3.2.2.5.2)
  const most = segments - ((segments - least) & ACE_MASK);
  if (ceBytes < 0) return a.ackSegments > THINNED_ACK_SEGMENTS ? least : most;
  if (ceBytes === 0) return least;
  if (segments >= TWO_WRAPS && c.sackOk) {
    if (deliveredBytes <= ceBytes) return most;
    const estimate = Math.ceil((ceBytes * segments) / deliveredBytes);
    return Math.min(most, least + (estimate & ~ACE_MASK));
  }
  if (ceBytes > least * c.mss) return most;
  return ceBytes < (most * c.mss) / 2 ? least : most;
}

/** RFC 9768 §3.2.3.1: the counters in the order of each kind of option. */
const ORDER_0: readonly (keyof EcnBytes)[] = ['ect0', 'ce', 'ect1'];
const ORDER_1: readonly (keyof EcnBytes)[] = ['ect1', 'ce', 'ect0'];

/** @returns true when it is certain which bytes have met congestion */
function takeOption(a: AccurateEcn, seg: Segment, deliveredBytes: number): boolean {
  const { options, slab } = seg;
  const { bytesOut } = a;
  if (a.optionBroken) return false;
  if (options.ecnFields <= 0) {
    if (a.growing === null) return false;
    bytesOut[a.growing] = (bytesOut[a.growing] + deliveredBytes) | 0;
    return true;
  }
  const order = options.ecnOrder1 ? ORDER_1 : ORDER_0;
  const before = a.growing;
  let grown = 0;
  let certain = true;
  for (let i = 0; i < options.ecnFields; i++) {
    const name = order[i]!;
    const first = name === 'ce' ? 0 : 1;
    const told = (readCounter(slab.view, options.ecnOff + 3 * i) - first - bytesOut[name]) & COUNTER_MASK;
    // 24 bits with a sign: an older counter is less
    const delta = (told << 8) >> 8;
    if (delta === 0) continue;
    bytesOut[name] = (bytesOut[name] + delta) | 0;
    if (delta < 0) certain = false;
    else if (name !== before) {
      grown++;
      a.growing = name;
    }
  }
  if (grown <= 1 && certain) return true;
  a.growing = null;
  return false;
}
