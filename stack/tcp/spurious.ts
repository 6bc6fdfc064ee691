import { TcpFlag } from '../wire/tcp.ts';
import { initialWindowBytes } from './congestion/congestion-control.ts';
import type { TcpConnection } from './connection.ts';
import { RecoveryState } from './recovery.ts';
import type { Segment } from './segment.ts';

/** What is needed to find out that a retransmission was not, and to take back what it cost. */
export class Undo {
  possible = false;
  /** SND.UNA when cwnd was reduced. */
  from = 0;
  /** When the first retransmission was sent; -1: none was yet. */
  resentAt = -1;
  /** Bytes sent again that were not reported as duplicates yet. */
  resentBytes = 0;
  /** F-RTO (RFC 5682) is waiting to see whether the timeout was spurious. */
  forward = false;
  /** … and nothing more is sent again meanwhile. */
  holdsBack = false;
  /** After recovery duplicates are still counted, until this is acknowledged. */
  until = 0;

  // --- RFC 4015, step 0: how it was before a timeout
  byTimeout = false;
  pipePrevBytes = 0;
  srttPrevMs = -1;
  rttvarPrevMs = 0;
  /** The timeout was spurious: RTO follows the first round trip of what lies beyond `adaptFrom` (step 11). */
  adapts = false;
  adaptFrom = 0;
}

/** cwnd is about to be reduced. @param byTimeout of the first segment outstanding, for the first time (RFC 4015 §3.1) */
export function rememberForUndo(c: TcpConnection, byTimeout: boolean): void {
  const { undo } = c;
  // A timeout during fast recovery is one more reduction; both are not taken back
  undo.possible = c.recovery === RecoveryState.Open;
  undo.from = c.sndUna;
  undo.resentAt = -1;
  undo.resentBytes = 0;
  undo.forward = false;
  undo.holdsBack = false;
  undo.byTimeout = byTimeout;
  if (!byTimeout || !undo.possible) return;
  undo.pipePrevBytes = Math.max((c.sndNxt - c.sndUna) | 0, c.cc.ssthreshBytes);
  undo.srttPrevMs = c.rtt.srttMs;
  undo.rttvarPrevMs = c.rtt.rttvarMs;
  undo.adapts = false;
}

/** After a timeout: F-RTO, where SACK tells enough (RFC 5682 §3). */
export function beginForward(c: TcpConnection): void {
  c.undo.forward = c.undo.possible && c.sackOk;
}

/** Recovery is over. */
export function recoveryEnded(c: TcpConnection): void {
  c.undo.forward = false;
  c.undo.holdsBack = false;
  c.undo.until = c.sndNxt;
}

/** Something was sent again. */
export function resent(c: TcpConnection, bytes: number): void {
  const { undo } = c;
  if (!undo.possible) return;
  if (undo.resentAt < 0) undo.resentAt = c.now;
  undo.resentBytes += bytes;
}

/** RFC 2883: the peer has got this twice. */
export function duplicateReported(c: TcpConnection, left: number, right: number): void {
  const bytes = (right - left) | 0;
  if (bytes <= 0 || ((left - c.sndUna) | 0) < -c.maxSndWnd) return;
  c.rack.dsackSeen = true;
  c.dsacksIn++;
  // A probe is not one of them
  if (c.tailProbeActive && c.tailProbeAgain && right === c.tailProbeEnd) return;
  if (c.undo.possible && ((left - c.undo.from) | 0) >= 0) c.undo.resentBytes -= bytes;
}

/**
 * Was the reduction a mistake? Then it is taken back.
 * @param acked bytes by which SND.UNA has moved
 * @returns true when recovery is over
 */
export function judgeSpurious(c: TcpConnection, seg: Segment, acked: number): boolean {
  const { undo, sent, rack } = c;
  // RFC 3708: every retransmission was a duplicate
  if (rack.dsackSeen && undo.resentAt >= 0 && undo.resentBytes <= 0) return takeBack(c, seg, acked);
  if (c.recovery === RecoveryState.Open) {
    undo.possible = ((c.sndUna - undo.until) | 0) < 0;
    return false;
  }
  const { options } = seg;
  if (acked > 0 && c.tsOk && options.hasTimestamps && options.tsEcr !== 0 && undo.resentAt >= 0) {
    // RFC 3522 §3.2: the ACK was caused by the original
    const original = ((options.tsEcr - c.timestampAt(undo.resentAt)) | 0) < 0;
    if (!original) {
      // Nor is there anything for F-RTO to wait for
      undo.possible = false;
      undo.forward = false;
      undo.holdsBack = false;
    } else if (c.recovery === RecoveryState.Loss || sent.lostBytes === 0) return takeBack(c, seg, acked);
  }
  return undo.forward && judgeForward(c, seg, acked);
}

/** RFC 5682 §3.1 with SACK, as Linux does it. @returns true when the timeout was spurious */
function judgeForward(c: TcpConnection, seg: Segment, acked: number): boolean {
  const { undo, sent } = c;
  // Step 3b: something arrived that was sent before the timeout and never since
  if (sent.deliveredAt >= 0 && ((sent.originalEnd - c.recoveryPoint) | 0) <= 0)
    return takeBack(c, seg, acked);
  // Step 2b: new data first, whose ACKs will tell; nothing is sent again meanwhile
  undo.holdsBack = acked > 0 && c.sndNxt === c.recoveryPoint && canSendNew(c);
  undo.forward = undo.holdsBack;
  return false;
}

function canSendNew(c: TcpConnection): boolean {
  return ((c.queuedTo() - c.sndNxt) | 0) > 0 && ((c.sndUna + c.sndWnd - c.sndNxt) | 0) >= c.mss;
}

/** As if nothing had been lost: what is next is new data (RFC 4015, step 8), and congestion control is as before (step 9). */
function takeBack(c: TcpConnection, seg: Segment, acked: number): boolean {
  const { undo } = c;
  undo.possible = false;
  undo.forward = false;
  undo.holdsBack = false;
  c.sent.forgetLosses();
  c.validation?.reset();
  c.recovery = RecoveryState.Open;
  c.hasRecoveryPoint = false;
  c.forceRetransmit = false;
  c.layer.counters.spuriousRetransmits++;
  c.undone++;
  // RFC 4015 §3.4 [RFC 4015 §3.4-1]: the path is congested, whatever else was a mistake; and one reduction is enough
  if (c.ecnOk && (seg.flags & TcpFlag.Ece) !== 0) return true;
  c.cwrPending = false;
  if (undo.byTimeout) {
    undo.adapts = undo.srttPrevMs >= 0;
    undo.adaptFrom = c.recoveryPoint;
  }
  restoreWindow(c, acked);
  return true;
}

/**
 * RFC 4015 §3.4: cwnd may have become much more than what is in flight; an initial window may leave at once, and slow start makes
 * the rest of it. A recovery without a timeout has kept enough in flight.
 */
function restoreWindow(c: TcpConnection, acked: number): void {
  const { cc, undo } = c;
  const reduced = cc.cwndBytes;
  cc.undo();
  if (!undo.byTimeout || cc.ownsRecovery) return;
  const inFlight = (c.sndNxt - c.sndUna) | 0;
  const most = inFlight + Math.min(acked, initialWindowBytes(c.mss));
  cc.cwndBytes = Math.max(reduced, most);
  cc.ssthreshBytes = Math.max(cc.ssthreshBytes, undo.pipePrevBytes);
}

/** RFC 4015 §3.6: the first round trip measured of what was new after a spurious timeout. @param acked bytes by which SND.UNA has moved */
export function adaptTimer(c: TcpConnection, rttMs: number, acked: number): void {
  const { undo } = c;
  if (((c.sndUna - acked - undo.adaptFrom) | 0) < 0) return;
  undo.adapts = false;
  c.rtt.adapt(rttMs, undo.srttPrevMs, undo.rttvarPrevMs);
}
