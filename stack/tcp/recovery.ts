import { EndpointEvent } from '../endpoint.ts';
import { TcpFlag } from '../wire/tcp.ts';
import { accurateFeedback } from './accurate-ecn.ts';
import { challengeAck } from './challenge-ack.ts';
import { type TcpConnection, TcpTimer } from './connection.ts';
import { releaseShort } from './cork.ts';
import { congestionEcho, isReduced, noteReduction } from './ecn.ts';
import { handshakeTimeout } from './handshake.ts';
import { onlyProbeLost, searchAcked, suspectBlackHole } from './packetization-layer-pmtud.ts';
import { stopPersist } from './persist.ts';
import { beginReduction, reduceProportionally } from './proportional-rate.ts';
import { rackDetectLoss, rackRecovered, rackUpdate } from './rack.ts';
import type { Segment } from './segment.ts';
import { tuneSendBuffer } from './send-buffer.ts';
import { DUP_THRESH } from './sent-queue.ts';
import {
  adaptTimer,
  beginForward,
  duplicateReported,
  judgeSpurious,
  recoveryEnded,
  rememberForUndo,
} from './spurious.ts';
import { probeTakesPlace, scheduleTailProbe, tailProbeAcked } from './tail-loss-probe.ts';
import { TcpState } from './tcp-state.ts';
import { mayGrow, measureUse, reduceNonValidated, repaired } from './window-validation.ts';

/** What loss recovery is doing. */
export const RecoveryState = {
  Open: 0,
  /** Fast recovery (RFC 6675, RFC 6582). */
  Fast: 1,
  /** After a timeout, until everything sent before it is acknowledged. */
  Loss: 2,
} as const;
export type RecoveryState = (typeof RecoveryState)[keyof typeof RecoveryState];

/** R2 as a number of timeouts (RFC 9293 §3.8.3 [SHLD-11], Linux's tcp_retries2): about 15 minutes, at least 100 s. */
export const MAX_RETRIES = 15;
/** R1 (RFC 9293 §3.8.3 [SHLD-10]): so many retransmissions without an answer, and the application is told [SHLD-9]. */
export const RETRIES_BEFORE_ADVICE = 3;
/** The same when the application has gone (Linux's tcp_orphan_retries). */
export const ORPHAN_RETRIES = 8;

/**
 * The ACK field of an acceptable segment in a synchronized state: the fifth step of RFC 9293 §3.10.7.4 with loss
 * recovery.
 * @returns false when the segment is to be dropped
 */
export function ackArrives(c: TcpConnection, seg: Segment): boolean {
  const ack = seg.ack;
  const una = c.sndUna;
  let acked = (ack - una) | 0;
  if (acked < 0) {
    // RFC 5961 §5.2 [MAY-12]: older than any window the peer ever offered
    if (acked < -c.maxSndWnd) return refuse(c);
    acked = 0;
  } else if (((ack - c.sndNxt) | 0) > 0) {
    // The octet of a zero-window probe is the only thing beyond SND.NXT that can be acknowledged
    if (!c.probeSent || ack !== ((c.sndNxt + 1) | 0)) return refuse(c);
    c.sndNxt = ack;
  }
  releaseShort(c);
  const outstanding = c.sndNxt !== una;
  const wasShut = c.sndWnd === 0;
  const windowChanged = ((ack - una) | 0) >= 0 && updateWindow(c, seg);
  // [MUST-37]: a peer that answers probes, or keeps its window shut over data in flight, is alive
  // … or has moved the edge of its window before what is in flight [SHLD-17]
  const beyondEdge = ((ack + c.sndWnd - c.sndNxt) | 0) < 0;
  if (c.retries > 0 && (acked > 0 || !outstanding || beyondEdge)) answered(c, acked);
  const { sent, rack, renoSackedBytes: renoBefore } = c;
  sent.beginAck(c.now);
  rack.dsackSeen = false;
  const sackBlocks = c.sackOk ? seg.options.sackBlocks : 0;
  const sacked = sackBlocks > 0 ? takeSackBlocks(c, seg) : 0;
  if (acked > 0) {
    cumulativeAck(c, seg, ack, acked);
  } else if (outstanding) {
    // RFC 5681 §2; with SACK it must tell something new (RFC 6675 §2)
    const duplicate = c.sackOk
      ? sacked > 0
      : ack === una && seg.payloadLen === 0 && !windowChanged && (seg.flags & TcpFlag.Fin) === 0;
    if (duplicate) duplicateAck(c);
  }
  if (c.sackOk && (sent.deliveredBytes > 0 || rack.dsackSeen)) judgeLosses(c, seg, acked);
  if (c.tailProbeActive && tailProbeAcked(c, seg, sackBlocks)) congestionDetected(c);
  if (c.recovery === RecoveryState.Fast && !c.cc.ownsRecovery) reduceByAck(c, acked, renoBefore);
  if (wasShut && c.sndWnd > 0 && c.sndUna !== c.sndNxt && !c.probeSent) windowReopened(c);
  if (acked > 0 || sacked > 0) scheduleTailProbe(c);
  if (c.accurateEcn !== null) {
    accurateFeedback(c, c.accurateEcn, seg, acked > 0 || sacked > 0, sent.deliveredBytes);
  } else if (c.ecnOk && (seg.flags & TcpFlag.Ece) !== 0) {
    c.deliveredCeBytes += sent.deliveredBytes;
    congestionEcho(c);
  }
  sent.rate.generate(c.rtt.minRttMs);
  if (sent.deliveredBytes > 0) {
    const rttMs = sent.deliveredAt >= 0 ? c.now - sent.deliveredAt : -1;
    c.cc.sampled(sent.rate, c.inFlightBytes(), rttMs, c.isLimited, c.now);
  }
  return true;
}

/**
 * RFC 9293 §3.8.6 [SHLD-17] [MAY-8]: the peer had taken its window back, and with it what was on its way beyond the edge. That goes again now, not
 * when the timer says; nothing tells of congestion, so cwnd stays.
 */
function windowReopened(c: TcpConnection): void {
  presumeAllLost(c);
  c.backoff = 0;
  c.setTimer(TcpTimer.Retransmit, c.now + c.rtt.rtoMs);
  c.layer.counters.windowsReopened++;
}

/** The peer is alive. @param acked bytes by which SND.UNA moves */
function answered(c: TcpConnection, acked: number): void {
  c.retries = 0;
  if (acked === 0 || c.timeoutBeganAt < 0) return;
  c.timeoutMs += c.now - c.timeoutBeganAt;
  c.timeoutBeganAt = -1;
}

function refuse(c: TcpConnection): boolean {
  c.layer.counters.dropAckRange++;
  challengeAck(c);
  return false;
}

/**
 * differs from RFC 9293 §3.10.7.4: whatever acknowledges something new tells the newest window, also when it repeats old text (as
 * Linux's tcp_may_update_window). The old window, counted from the new SND.UNA, would be more than the peer has ever offered.
 * @returns true when SND.WND has changed
 */
function updateWindow(c: TcpConnection, seg: Segment): boolean {
  const newer = (seg.seq - c.sndWl1) | 0;
  const isOld = newer < 0 || (newer === 0 && ((seg.ack - c.sndWl2) | 0) < 0);
  if (isOld && ((seg.ack - c.sndUna) | 0) <= 0) return false;
  c.sndWl1 = seg.seq;
  c.sndWl2 = seg.ack;
  // RFC 9293 §3.10.7.4 [REC-1]: 32 bits here, 16 on the wire
  const window = seg.unscaled ? seg.windowField : seg.windowField * (1 << c.sndShift);
  if (window === c.sndWnd) return false;
  c.sndWnd = window;
  if (window > c.maxSndWnd) c.maxSndWnd = window;
  return true;
}

/** @returns bytes newly reported */
function takeSackBlocks(c: TcpConnection, seg: Segment): number {
  const { sackBlocks, sackLeft, sackRight } = seg.options;
  const counters = c.layer.counters;
  let total = 0;
  for (let i = 0; i < sackBlocks; i++) {
    const left = sackLeft[i]!;
    const right = sackRight[i]!;
    // A duplicate report (RFC 2883 §4) lies at or below the cumulative ACK; it says nothing about the scoreboard
    if (((right - seg.ack) | 0) <= 0) {
      if (i === 0) duplicateReported(c, left, right);
      continue;
    }
    if (((right - left) | 0) <= 0 || ((right - c.sndNxt) | 0) > 0 || ((left - c.sndUna) | 0) < 0) {
      counters.sackInvalid++;
      continue;
    }
    const marked = c.sent.markSacked(left, right);
    if (marked < 0) counters.sackSplitsRefused++;
    else total += marked;
  }
  return total;
}

/** SND.UNA advances. */
function cumulativeAck(c: TcpConnection, seg: Segment, ack: number, acked: number): void {
  const { sent } = c;
  const dataEnd = c.queuedTo();
  const data = ((ack - dataEnd) | 0) > 0 ? (dataEnd - c.sndUna) | 0 : acked;
  sent.ackTo(ack);
  c.sndUna = ack;
  c.route.progressAt = c.now;
  if (data > 0) {
    c.sendRing!.advanceTail(data);
    c.bytesOut += data;
    c.signal(EndpointEvent.Writable);
  }
  if (c.probeSent) {
    c.probeSent = false;
    if (c.deadlineOf(TcpTimer.Persist) !== Infinity) stopPersist(c);
  }
  if (c.cwrPending && ((ack - c.cwrPoint) | 0) >= 0) c.cwrPending = false;
  if (c.pmtuSearch !== null) searchAcked(c);
  c.backoff = 0;
  c.dupAcks = 0;
  const rttMs = sampleRtt(c, seg, acked);
  const roundBegins = ((ack - c.roundEnd) | 0) > 0;
  if (roundBegins) c.roundEnd = c.sndNxt;
  if (c.validation !== null) measureUse(c, c.validation, acked, roundBegins);
  c.cc.roundTrip(rttMs, roundBegins, c.policy.pacing, c.now);

  const wasFast = c.recovery === RecoveryState.Fast;
  // RFC 4015 §3.4: nor does cwnd grow with the ACK that restores it
  const undone = c.undo.possible && judgeSpurious(c, seg, acked);
  if (c.recovery === RecoveryState.Open) {
    if (c.hasRecoveryPoint && ((ack - c.recoveryPoint) | 0) > 0) c.hasRecoveryPoint = false;
    c.renoSackedBytes = 0;
  } else if (((ack - c.recoveryPoint) | 0) >= 0) {
    leaveRecovery(c);
  } else if (!c.sackOk) {
    partialAck(c, acked);
  }
  // RFC 3168 §6.1.2: nor does cwnd grow with what was sent before it was reduced for ECE, or tells of more; the slow start after a
  // timeout goes on
  const isSlow = c.recovery === RecoveryState.Loss;
  const echoes = (c.ecnOk && (seg.flags & TcpFlag.Ece) !== 0) || (isReduced(c) && !isSlow);
  // What was sacked before has been counted then: only what arrives now makes room
  if (!wasFast && !undone && c.recovery !== RecoveryState.Fast && !echoes)
    c.cc.acked(sent.deliveredBytes, c.rtt.srttMs, isCwndLimited(c), c.now);
  if (data > 0) tuneSendBuffer(c, data);
  // RFC 6298 §5.2, §5.3
  c.setTimer(TcpTimer.Retransmit, ack === c.sndNxt ? Infinity : c.now + c.rtt.rtoMs);
  if (c.userTimeoutMs > 0) {
    c.setTimer(TcpTimer.User, ack === c.sndNxt ? Infinity : c.now + c.userTimeoutMs);
  }
}

/** cwnd may grow: it was used up, or in slow start half of it (RFC 7661 §4.1; Linux's tcp_is_cwnd_limited). */
function isCwndLimited(c: TcpConnection): boolean {
  const { cc } = c;
  if (!mayGrow(c)) return false;
  if (c.isLimited || c.recovery === RecoveryState.Loss) return true;
  return cc.cwndBytes < cc.ssthreshBytes && cc.cwndBytes < 2 * c.mostOutBytes;
}

/**
 * What a reduction begins from: cwnd, where it was used up, else what is in flight. RFC 9438 §4.6 allows cwnd to those that let it
 * grow in use only. Loss often shows in a batch of ACKs, before what the first of them allow could be sent; what is
 * in flight then tells less than cwnd (RFC 5681 §3.1 has FlightSize).
 */
export function usedWindow(c: TcpConnection): number {
  const cwnd = Math.floor(c.cc.cwndBytes);
  return c.isLimited ? cwnd : Math.min((c.sndNxt - c.sndUna) | 0, cwnd);
}

/** @returns the round trip that an ACK of new data measures; -1: none */
function sampleRtt(c: TcpConnection, seg: Segment, acked: number): number {
  let rttMs = -1;
  if (c.sent.ackedSentAt >= 0) rttMs = c.now - c.sent.ackedSentAt;
  // RFC 7323 §4.1: an echoed timestamp also tells which transmission arrived
  else if (c.tsOk && seg.options.hasTimestamps && seg.options.tsEcr !== 0)
    rttMs = (c.timestamp() - seg.options.tsEcr) | 0;
  if (rttMs < 0) return -1;
  c.rtt.sample(rttMs);
  if (c.undo.adapts) adaptTimer(c, rttMs, acked);
  return rttMs;
}

/** Without SACK a duplicate ACK tells that one segment more has left the network. */
function duplicateAck(c: TcpConnection): void {
  c.dupAcks++;
  if (c.sackOk || c.recovery === RecoveryState.Loss) return;
  // RFC 3042 follows from this: the pipe shrinks, and one new segment may leave
  const outstanding = (c.sndNxt - c.sndUna) | 0;
  let most = outstanding - c.mss;
  // RFC 9937 §6.2 [RFC 9937 §6.2-4]: a peer could send any number of them
  if (c.recovery === RecoveryState.Fast && most > c.prr.flightBytes) most = c.prr.flightBytes;
  c.renoSackedBytes = Math.max(Math.min(c.renoSackedBytes + c.mss, most), 0);
  if (c.recovery !== RecoveryState.Open || c.dupAcks < DUP_THRESH) return;
  // RFC 6582 §3.2 step 2: duplicates of what was retransmitted before are no sign of loss
  if (c.hasRecoveryPoint && ((c.sndUna - 1 - c.recoveryPoint) | 0) < 0) return;
  c.sent.markHeadLost(c.mss);
  enterFastRecovery(c);
}

/** With SACK: RFC 8985 tells what is lost. */
function judgeLosses(c: TcpConnection, seg: Segment, acked: number): void {
  if (c.undo.possible && acked === 0) judgeSpurious(c, seg, 0);
  rackUpdate(c, seg);
  if (c.sent.sackedBytes > 0 || c.recovery !== RecoveryState.Open || c.sent.lostBytes > 0) rackDetectLoss(c);
  else if (c.deadlineOf(TcpTimer.Reordering) !== Infinity) c.setTimer(TcpTimer.Reordering, Infinity);
}

/** RFC 9937 §6.2: what an ACK of fast recovery reports, and what it allows. @param renoBefore `renoSackedBytes` before it */
function reduceByAck(c: TcpConnection, acked: number, renoBefore: number): void {
  const { prr, sent } = c;
  let delivered = sent.deliveredBytes;
  if (!c.sackOk) {
    // A duplicate tells of a segment, and the advance that follows of the rest. Never of more than was out: the peer could make them up
    delivered = Math.max(acked + c.renoSackedBytes - renoBefore, 0);
    delivered = Math.min(delivered, Math.max(prr.flightBytes - prr.deliveredBytes, 0));
  }
  if (delivered === 0) return;
  reduceProportionally(c, delivered, acked > 0 && !sent.rate.hasLosses);
}

/** Pieces are lost: unless that is known already, cwnd is reduced and fast recovery begins. */
export function congestionDetected(c: TcpConnection): void {
  if (c.pmtuSearch !== null && onlyProbeLost(c)) return;
  if (c.recovery === RecoveryState.Open) enterFastRecovery(c);
}

function enterFastRecovery(c: TcpConnection): void {
  rememberForUndo(c, false);
  // Without SACK a duplicate, which tells of one segment
  beginReduction(c, c.sackOk ? c.sent.deliveredBytes : c.mss);
  // RFC 3168 §6.1.2: ECE and a loss of one round trip are one event
  if (!isReduced(c)) {
    c.cc.congestion(usedWindow(c), false, c.now);
    if (c.validation !== null) reduceNonValidated(c, c.validation, true);
  }
  noteReduction(c);
  c.recovery = RecoveryState.Fast;
  c.recoveryPoint = c.sndNxt;
  c.hasRecoveryPoint = true;
  c.forceRetransmit = true;
  c.setTimer(TcpTimer.TailProbe, Infinity);
}

/** RFC 6582 §3.2 step 3: the next hole, one per round trip. */
function partialAck(c: TcpConnection, acked: number): void {
  c.renoSackedBytes = Math.max(c.renoSackedBytes - Math.max(acked - c.mss, 0), 0);
  if (c.recovery !== RecoveryState.Fast) return;
  c.sent.markHeadLost(c.mss);
  // What is lost has not arrived
  const others = ((c.sndNxt - c.sndUna) | 0) - c.sent.lostBytes;
  if (c.renoSackedBytes > others) c.renoSackedBytes = others;
  c.forceRetransmit = true;
}

function leaveRecovery(c: TcpConnection): void {
  if (c.recovery === RecoveryState.Fast || c.cc.ownsRecovery) c.cc.recovered(c.now);
  if (c.validation !== null) repaired(c, c.validation);
  rackRecovered(c);
  recoveryEnded(c);
  c.recovery = RecoveryState.Open;
  c.renoSackedBytes = 0;
  c.forceRetransmit = false;
  if (((c.sndUna - c.recoveryPoint) | 0) > 0) c.hasRecoveryPoint = false;
}

/** The retransmission timer has expired (RFC 6298 §5.4 … §5.7). */
export function retransmissionTimeout(c: TcpConnection): void {
  if (c.state === TcpState.SynSent || c.state === TcpState.SynReceived) {
    handshakeTimeout(c);
    return;
  }
  if (c.sndUna === c.sndNxt || probeTakesPlace(c)) return;
  const limit = c.detached ? ORPHAN_RETRIES : MAX_RETRIES;
  if (c.retries >= limit) {
    c.terminateWithReset(c.softError ?? 'TIMEOUT', `no acknowledgment after ${c.retries} retransmissions`);
    return;
  }
  c.layer.counters.timeouts++;
  c.timeouts++;
  if (c.timeoutBeganAt < 0) {
    c.timeoutRecoveries++;
    c.timeoutBeganAt = c.now;
  }
  c.retries++;
  if (c.retries === RETRIES_BEFORE_ADVICE) c.trouble();
  suspectBlackHole(c);
  // RFC 2018 §8: whoever leaves the head out of its ACK has thrown data away
  if (c.sent.headIsSacked) {
    c.layer.counters.sackReneging++;
    c.sent.forgetSacks();
  }
  if (c.backoff === 0) rememberForUndo(c, true);
  c.cc.timeout(usedWindow(c), c.backoff > 0, c.now);
  // [RFC 7661 §4.4-5]
  c.validation?.reset();
  noteReduction(c);
  c.backoff++;
  presumeAllLost(c);
  beginForward(c);
  c.setTimer(TcpTimer.Retransmit, c.now + c.rtt.backedOffMs(c.backoff));
  c.context.wantsToTransmit(c);
}

/** Everything in flight is sent again, from the first byte on, as cwnd allows. */
export function presumeAllLost(c: TcpConnection): void {
  c.sent.markAllLost();
  c.renoSackedBytes = 0;
  c.dupAcks = 0;
  c.setTimer(TcpTimer.TailProbe, Infinity);
  c.setTimer(TcpTimer.Reordering, Infinity);
  c.tailProbeActive = false;
  c.recovery = RecoveryState.Loss;
  c.recoveryPoint = c.sndNxt;
  c.hasRecoveryPoint = true;
  c.forceRetransmit = true;
}
