import { IpProtocol } from '../wire/ipv4.ts';
import { TCP_HEADER_BYTES, Tcp, TcpFlag, writeTcpHeader, writeTimestamps } from '../wire/tcp.ts';
import { accurateFlags, resistsCutting } from './accurate-ecn.ts';
import { type TcpConnection, TcpTimer } from './connection.ts';
import { holdsShort, pushesLast } from './cork.ts';
import { acknowledged, DELAYED_ACK_MS } from './delayed-ack.ts';
import { EcnField } from './ecn.ts';
import { sendSyn } from './handshake.ts';
import { isHeld, paced, pacedRoom } from './pacing.ts';
import { probeBytesDue, probeLeaves } from './packetization-layer-pmtud.ts';
import { startPersist, stopPersist } from './persist.ts';
import { windowField } from './receiver.ts';
import { RecoveryState } from './recovery.ts';
import { segmentOptionBytes, variableOptionBytes, writeSegmentOptions } from './segment-options.ts';
import { noteLimit } from './send-limit.ts';
import { resent } from './spurious.ts';
import { scheduleTailProbe, tailProbeSent } from './tail-loss-probe.ts';
import { writeUrgent } from './urgent.ts';
import { restartAfterIdle } from './window-validation.ts';

/** Sends everything that may be sent now. @returns false when the device was full */
export function transmitSegments(c: TcpConnection): boolean {
  if (c.rstToSend) return sendReset(c);
  if (c.synToSend) return sendSyn(c);
  if (c.isSynchronized || c.isEarly) {
    if (c.route.pathMtuBytes !== c.pathMtuBytes) c.updateMss();
    if (c.tailProbeDue && !sendTailProbe(c)) return false;
    if (!isHeld(c)) {
      if (c.sent.lostBytes > 0 && !c.undo.holdsBack && !sendLost(c)) return false;
      if (!sendNew(c)) return false;
    }
    noteLimit(c);
  }
  if (c.ackNow && !sendAck(c, c.ackComment)) return false;
  while (c.dupAcksOwed > 0) {
    c.dupAcksOwed--;
    if (!sendAck(c, '')) return false;
  }
  return true;
}

/** Retransmits what is presumed lost, oldest first, as far as cwnd reaches (RFC 6675 §5 NextSeg rule 1). */
function sendLost(c: TcpConnection): boolean {
  const { sent } = c;
  for (;;) {
    let at = sent.nextLost();
    if (at < 0) return true;
    const start = sent.start[at]!;
    const length = (sent.end[at]! - start) | 0;
    let room = Math.floor(c.cc.cwndBytes) - c.inFlightBytes();
    if (room < c.mss) {
      if (!c.forceRetransmit) return true;
      room = c.mss;
    }
    const mss = c.mss - variableOptionBytes(c);
    // What recovery begins with, and what a timeout sends, goes at once
    const quota = c.forceRetransmit ? Infinity : pacedRoom(c);
    if (quota === 0) return true;
    let take = Math.min(length, chunkLimit(c, mss), room - (room % c.mss));
    if (take > quota) take = quota - (quota % c.mss);
    // A FIN rides along
    if (length - take === 1 && coversFin(c, (start + length) | 0)) take = length;
    if (take < length) {
      sent.split(at, (start + take) | 0);
      at = sent.find(start);
    }
    if (!sendData(c, start, take, mss, EcnField.NotCapable, retransmissionComment(c))) return false;
    c.forceRetransmit = false;
    sent.retransmitted(at, c.now, c.inFlightBytes());
    if (quota !== Infinity) paced(c, take);
    resent(c, take);
    c.bytesRetransmitted += take;
    if (c.recovery === RecoveryState.Fast) c.prr.sentBytes += take;
    countRetransmission(c);
    armRetransmit(c);
  }
}

function retransmissionComment(c: TcpConnection): string {
  if (c.recovery !== RecoveryState.Loss) return 'fast retransmission';
  return c.retries > 0 ? `retransmission ${c.retries} after RTO` : 'retransmission after RTO';
}

function countRetransmission(c: TcpConnection): void {
  const counters = c.layer.counters;
  counters.retransmits++;
  if (c.recovery === RecoveryState.Loss) {
    c.timeoutRetransmits++;
  } else {
    c.fastRetransmits++;
    counters.fastRetransmits++;
  }
}

/** Sends new data and the FIN: when, and how much, is RFC 9293 §3.8.6.2.1 with Nagle's algorithm (§3.7.4). */
function sendNew(c: TcpConnection): boolean {
  const queuedTo = c.queuedTo();
  let unsent = (queuedTo - c.sndNxt) | 0;
  // The FIN is one more sequence number behind the data; -1: it was sent before
  if (unsent < 0 || (unsent === 0 && !c.finQueued)) {
    noteAppLimited(c);
    return true;
  }
  const { cc } = c;
  // RFC 5681 §4.1: after an idle time nothing paces what cwnd would allow
  if (c.sndUna === c.sndNxt && c.lastSentAt > 0) beginAfterIdle(c);
  if (c.pmtuSearch !== null) {
    if (!sendMtuProbe(c, unsent)) return false;
    unsent = (queuedTo - c.sndNxt) | 0;
  }
  const mss = c.mss - variableOptionBytes(c);
  const ecn = c.ecnOk ? EcnField.Capable : EcnField.NotCapable;
  const from = c.sndNxt;
  let byCwnd = false;
  for (;;) {
    const window = (c.sndUna + c.sndWnd - c.sndNxt) | 0;
    const inFlight = c.inFlightBytes();
    let take = unsent;
    let byWindow = false;
    if (take > window) {
      take = Math.max(window, 0);
      byWindow = true;
    }
    // CWR belongs on one segment, and not on every piece of a super-segment
    const limit = c.cwrToSend ? mss : chunkLimit(c, mss);
    if (take > limit) take = limit;
    const room = Math.floor(cc.cwndBytes) - inFlight;
    if (take > room) {
      // Whole segments only, and one at least when nothing is in flight
      const whole = room - (room % mss);
      const allowed = whole > 0 ? whole : inFlight <= 0 ? mss : 0;
      if (take > allowed) {
        take = allowed;
        byCwnd = true;
        if (take === 0) break;
        byWindow = false;
      }
    }
    const quota = pacedRoom(c);
    if (quota === 0) {
      noteUse(c, from, byCwnd);
      return true;
    }
    if (take > quota) take = quota - (quota % mss);
    const withFin = c.finQueued && take === unsent && take < window;
    const partial = take % mss;
    if (partial !== 0 && !withFin) {
      // [MUST-38]: a segment is full, or it is all there is and may go, or it fills half of the largest window
      const mayGo =
        take === unsent ? mayNagle(c, take) : byWindow && take - partial === 0 && take >= c.maxSndWnd / 2;
      if (!mayGo) take -= partial;
    }
    if (take === 0 && !withFin) break;
    const length = take + (withFin ? 1 : 0);
    if (!sendData(c, c.sndNxt, length, mss, ecn, '')) return false;
    if (quota !== Infinity) paced(c, length);
    c.sent.push(c.sndNxt, (c.sndNxt + length) | 0, c.now, inFlight);
    c.sndNxt = (c.sndNxt + length) | 0;
    if (length % mss !== 0) {
      c.shortSent = true;
      c.shortSentTo = c.sndNxt;
    }
    c.probeSent = false;
    // An answer: the application talks to the peer, and its data takes the ACKs along (Linux's pingpong mode)
    if (c.quickAcks > 0 && c.now - c.lastDataAt < DELAYED_ACK_MS) c.quickAcks = 0;
    if (c.recovery === RecoveryState.Fast) c.prr.sentBytes += length;
    armRetransmit(c);
    scheduleTailProbe(c);
    unsent -= length;
    if (unsent < 0 || (unsent === 0 && !c.finQueued)) break;
  }
  noteUse(c, from, byCwnd);
  if (unsent < mss) noteAppLimited(c);
  // Blocked with nothing in flight: nobody else would ever start this again
  if (c.sndUna === c.sndNxt) startPersist(c);
  return true;
}

function beginAfterIdle(c: TcpConnection): void {
  const { cc } = c;
  restartAfterIdle(c, c.now - c.lastSentAt);
  cc.beginTransmit(c.sent.rate, c.now);
}

/**
 * RFC 7661 §4.2, as Linux's tcp_cwnd_validate: the strongest sign in a round trip of how much of cwnd is used. @param from SND.NXT before
 * what was sent now @param byCwnd cwnd has held something back
 */
function noteUse(c: TcpConnection, from: number, byCwnd: boolean): void {
  if (c.sndNxt === from && !byCwnd) return;
  const out = (c.sndNxt - c.sndUna) | 0;
  const limited = byCwnd || c.inFlightBytes() >= c.cc.cwndBytes;
  if (!limited && ((c.sndUna - c.limitedTo) | 0) < 0 && (c.isLimited || out <= c.mostOutBytes)) return;
  c.isLimited = limited;
  c.mostOutBytes = out;
  c.limitedTo = c.sndNxt;
}

/** draft-ietf-ccwg-bbr §4.1.2.4: nothing is left to send, and cwnd would allow more. */
function noteAppLimited(c: TcpConnection): void {
  const { sent } = c;
  const inFlight = c.inFlightBytes();
  if (inFlight < c.cc.cwndBytes && sent.lostBytes <= sent.retransmittedBytes)
    sent.rate.markAppLimited(inFlight);
}

/** A segment larger than all others, to see whether it gets through. @returns false when the device was full */
function sendMtuProbe(c: TcpConnection, unsent: number): boolean {
  const payload = probeBytesDue(c, unsent, (c.sndUna + c.sndWnd - c.sndNxt) | 0);
  if (payload === 0) return true;
  if (!sendData(c, c.sndNxt, payload, payload, EcnField.NotCapable, 'path MTU probe')) return false;
  probeLeaves(c, payload);
  c.sent.push(c.sndNxt, (c.sndNxt + payload) | 0, c.now, c.inFlightBytes());
  c.sndNxt = (c.sndNxt + payload) | 0;
  armRetransmit(c);
  return true;
}

/** RFC 8985 §7.3: new data when there is any, else the last segment again; cwnd does not hold it back. */
function sendTailProbe(c: TcpConnection): boolean {
  const { sent } = c;
  // The device was full, and the answer came first
  if (c.sndUna === c.sndNxt || c.recovery !== RecoveryState.Open) {
    c.tailProbeDue = false;
    return true;
  }
  const unsent = (c.queuedTo() - c.sndNxt) | 0;
  const mss = c.mss - variableOptionBytes(c);
  const fresh = Math.min(unsent, (c.sndUna + c.sndWnd - c.sndNxt) | 0, mss);
  if (fresh > 0) {
    if (!sendData(c, c.sndNxt, fresh, mss, EcnField.NotCapable, 'tail loss probe')) return false;
    sent.push(c.sndNxt, (c.sndNxt + fresh) | 0, c.now, c.inFlightBytes());
    c.sndNxt = (c.sndNxt + fresh) | 0;
    tailProbeSent(c, false);
    return true;
  }
  let at = sent.last - 1;
  const end = sent.end[at]!;
  let length = (end - sent.start[at]!) | 0;
  // A FIN takes no room
  const most = coversFin(c, end) ? mss + 1 : mss;
  if (length > most) {
    length = most;
    sent.split(at, (end - length) | 0);
    at = sent.last - 1;
  }
  if (!sendData(c, (end - length) | 0, length, mss, EcnField.NotCapable, 'tail loss probe')) return false;
  sent.retransmitted(at, c.now, c.inFlightBytes());
  c.bytesRetransmitted += length;
  c.layer.counters.retransmits++;
  tailProbeSent(c, true);
  return true;
}

/** Nagle's algorithm [SHLD-7]: the last, short segment waits while anything is unacknowledged. */
function mayNagle(c: TcpConnection, take: number): boolean {
  if (c.urgentOut || take === c.mss) return true;
  if (holdsShort(c)) return false;
  if (c.noDelay || c.sndUna === c.sndNxt) return true;
  if (c.policy.nagle === 'unacknowledged') return false;
  if (c.shortSent && ((c.shortSentTo - c.sndUna) | 0) <= 0) c.shortSent = false;
  return !c.shortSent;
}

/** Largest payload of one packet for the device. */
function chunkLimit(c: TcpConnection, mss: number): number {
  // The urgent pointer counts from each segment's own sequence number, which no device works out
  if (c.urgentOut) return mss;
  if (c.accurateEcn !== null && resistsCutting(c.accurateEcn)) return mss;
  if (mss === c.mss) return c.chunkBytes;
  return Math.max(c.chunkBytes - (c.chunkBytes % mss), mss);
}

function coversFin(c: TcpConnection, end: number): boolean {
  return c.finQueued && end === ((c.finSeq + 1) | 0);
}

function armRetransmit(c: TcpConnection): void {
  c.lastSentAt = c.now;
  if (c.deadlineOf(TcpTimer.Persist) !== Infinity) stopPersist(c);
  if (c.deadlineOf(TcpTimer.Retransmit) !== Infinity) return;
  c.setTimer(TcpTimer.Retransmit, c.now + c.rtt.backedOffMs(c.backoff));
  if (c.userTimeoutMs > 0) c.setTimer(TcpTimer.User, c.now + c.userTimeoutMs);
}

/**
 * Sends sequence numbers `seq` … `seq` + `length` - 1, the FIN included when they reach it. The payload stays in the ring.
 * @param ecn RFC 3168 §6.1.5, §6.1.6: not ECN-capable for retransmissions and window probes
 * @returns false when the device was full
 */
function sendData(
  c: TcpConnection,
  seq: number,
  length: number,
  mss: number,
  ecn: number,
  comment: string,
): boolean {
  const end = (seq + length) | 0;
  const fin = coversFin(c, end);
  const payload = fin ? length - 1 : length;
  let flags: number = TcpFlag.Ack;
  if (fin) flags |= TcpFlag.Fin;
  // [MUST-61]: what empties the send queue is pushed
  if (payload > 0 && (fin || (end === c.queuedTo() && pushesLast(c)))) flags |= TcpFlag.Psh;
  if (payload === 0 || ecn === EcnField.NotCapable)
    return sendSegment(c, seq, flags, payload, mss, EcnField.NotCapable, comment);
  if (c.cwrToSend) flags |= TcpFlag.Cwr;
  if (!sendSegment(c, seq, flags, payload, mss, ecn, comment)) return false;
  c.cwrToSend = false;
  return true;
}

/** A segment without data that acknowledges. */
function sendAck(c: TcpConnection, comment: string): boolean {
  return sendSegment(c, c.sndNxt, TcpFlag.Ack, 0, 0, EcnField.NotCapable, comment);
}

/** Writes and sends one segment of a synchronized state (or SYN-RECEIVED). */
function sendSegment(
  c: TcpConnection,
  seq: number,
  flags: number,
  payload: number,
  mss: number,
  ecn: number,
  comment: string,
): boolean {
  const { context, route } = c;
  const { accurateEcn } = c;
  const headerBytes = TCP_HEADER_BYTES + segmentOptionBytes(c);
  const off = context.ip.begin(route, headerBytes);
  const { tx } = context;
  const { view } = tx.head;
  let control = c.ecnEcho ? flags | TcpFlag.Ece : flags;
  if (accurateEcn !== null) control |= accurateFlags(c, accurateEcn, payload);
  writeTcpHeader(view, off, c.localPort, c.remotePort, seq, c.rcvNxt, headerBytes, control, windowField(c));
  if (c.urgentOut) view.setUint8(off + Tcp.Flags, control | writeUrgent(c, view, off, seq));
  writeSegmentOptions(c, view, off + Tcp.Options);
  if (payload > 0) {
    const ring = c.sendRing!;
    const position = (seq - c.sendBase) | 0;
    const first = ring.contiguous(position, payload);
    tx.body = ring.slab;
    tx.bodyOff = ring.offsetOf(position);
    tx.bodyLen = first;
    tx.body2Off = ring.base;
    tx.body2Len = payload - first;
    if (payload > mss) tx.gsoBytes = mss;
  }
  tx.comment = comment;
  // RFC 9768 §3.1.5: with AccECN every segment is, for every mark is told
  const ecnField = accurateEcn === null ? ecn : accurateEcn.mangled ? EcnField.NotCapable : EcnField.Capable;
  const trafficClass =
    ecnField === EcnField.NotCapable ? c.trafficClass : (c.trafficClass & ~EcnField.Mask) | ecnField;
  if (!context.ip.finish(route, IpProtocol.Tcp, Tcp.Checksum, trafficClass, c.ttl)) {
    c.layer.counters.deviceFull++;
    return false;
  }
  c.layer.counters.segmentsOut++;
  c.layer.counters.bytesOut += payload;
  if (payload === 0) {
    c.segmentsOut++;
  } else {
    // A super-segment is several on the wire
    const segments = payload <= mss ? 1 : Math.ceil(payload / mss);
    c.segmentsOut += segments;
    c.dataSegmentsOut += segments;
    c.bytesSent += payload;
  }
  acknowledged(c);
  return true;
}

/** Keep-alive: an old sequence number without data, which every TCP answers with an ACK. @returns false: device full */
export function sendProbe(c: TcpConnection, comment: string): boolean {
  return sendSegment(c, (c.sndNxt - 1) | 0, TcpFlag.Ack, 0, 0, EcnField.NotCapable, comment);
}

/**
 * RFC 9293 §3.8.6.1: one octet of new data (or the FIN) into the closed window. A window that is open, but too small for
 * silly-window avoidance, gets what fits: the override timeout of §3.8.6.2.1 (4).
 * @returns false when the device was full
 */
export function sendPersistProbe(c: TcpConnection): boolean {
  const unsent = (c.queuedTo() - c.sndNxt) | 0;
  const window = (c.sndUna + c.sndWnd - c.sndNxt) | 0;
  if (window > 0 && unsent > 0) {
    const mss = c.mss - variableOptionBytes(c);
    const length = Math.min(unsent, window, mss);
    if (!sendData(c, c.sndNxt, length, mss, EcnField.NotCapable, 'override timeout')) return false;
    c.sent.push(c.sndNxt, (c.sndNxt + length) | 0, c.now, c.inFlightBytes());
    c.sndNxt = (c.sndNxt + length) | 0;
    armRetransmit(c);
    return true;
  }
  if (!sendData(c, c.sndNxt, 1, 1, EcnField.NotCapable, 'zero-window probe')) return false;
  c.probeSent = true;
  return true;
}

/** RFC 9293 §3.10.5: <SEQ=SND.NXT><CTL=RST>; with ACK, as everybody sends it. */
function sendReset(c: TcpConnection): boolean {
  // RFC 7323 §3.2: timestamps SHOULD be on resets, too
  const headerBytes = TCP_HEADER_BYTES + c.segmentOptionBytes;
  const off = c.context.ip.begin(c.route, headerBytes);
  const { view } = c.context.tx.head;
  if (c.tsOk) writeTimestamps(view, off + Tcp.Options, c.timestamp(), c.tsRecent);
  writeTcpHeader(
    view,
    off,
    c.localPort,
    c.remotePort,
    c.sndNxt,
    c.rcvNxt,
    headerBytes,
    TcpFlag.Rst | TcpFlag.Ack,
    0,
  );
  if (!c.context.ip.finish(c.route, IpProtocol.Tcp, Tcp.Checksum, c.trafficClass, c.ttl)) return false;
  c.rstToSend = false;
  c.layer.counters.segmentsOut++;
  c.layer.counters.resetsOut++;
  return true;
}
