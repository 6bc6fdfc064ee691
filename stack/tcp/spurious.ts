import { TcpFlag } from '../wire/tcp.ts';
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
}

/** cwnd is about to be reduced. */
export function rememberForUndo(c: TcpConnection): void {
  const { undo } = c;
  // A timeout during fast recovery is one more reduction; both are not taken back
  undo.possible = c.recovery === RecoveryState.Open;
  undo.from = c.sndUna;
  undo.resentAt = -1;
  undo.resentBytes = 0;
  undo.forward = false;
  undo.holdsBack = false;
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
  // RFC 4015 §3.4 [RFC 4015 §3.4-1]: it was congestion all the same
  if (c.ecnOk && (seg.flags & TcpFlag.Ece) !== 0) {
    undo.possible = false;
    undo.forward = false;
    undo.holdsBack = false;
    return false;
  }
  // RFC 3708: every retransmission was a duplicate
  if (rack.dsackSeen && undo.resentAt >= 0 && undo.resentBytes <= 0) return takeBack(c);
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
    } else if (c.recovery === RecoveryState.Loss || sent.lostBytes === 0) return takeBack(c);
  }
  return undo.forward && judgeForward(c, acked);
}

/** RFC 5682 §3.1 with SACK, as Linux does it. @returns true when the timeout was spurious */
function judgeForward(c: TcpConnection, acked: number): boolean {
  const { undo, sent } = c;
  // Step 3b: something arrived that was sent before the timeout and never since
  if (sent.deliveredAt >= 0 && ((sent.originalEnd - c.recoveryPoint) | 0) <= 0) return takeBack(c);
  // Step 2b: new data first, whose ACKs will tell; nothing is sent again meanwhile
  undo.holdsBack = acked > 0 && c.sndNxt === c.recoveryPoint && canSendNew(c);
  undo.forward = undo.holdsBack;
  return false;
}

function canSendNew(c: TcpConnection): boolean {
  return ((c.queuedTo() - c.sndNxt) | 0) > 0 && ((c.sndUna + c.sndWnd - c.sndNxt) | 0) >= c.mss;
}

/** RFC 4015: as if nothing had been lost. */
function takeBack(c: TcpConnection): boolean {
  c.undo.possible = false;
  c.undo.forward = false;
  c.undo.holdsBack = false;
  c.cc.undo();
  c.sent.forgetLosses();
  c.recovery = RecoveryState.Open;
  c.hasRecoveryPoint = false;
  c.forceRetransmit = false;
  c.cwrPending = false;
  c.layer.counters.spuriousRetransmits++;
  c.undone++;
  return true;
}
