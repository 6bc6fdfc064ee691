import { type TcpConnection, TcpTimer } from './connection.ts';
import { reduceProportionally } from './proportional-rate.ts';
import { congestionDetected, RecoveryState } from './recovery.ts';
import type { Segment } from './segment.ts';
import { DUP_THRESH } from './sent-queue.ts';

/** RFC 8985 §6.2 step 4: recoveries for which a window that D-SACKs have widened stays wide. */
const WINDOW_PERSISTS = 16;
/** Linux's tcp_max_reordering. */
const MAX_REORDERING = 300;

/** What RACK knows of a connection (RFC 8985 §5.2). */
export class Rack {
  /** When the most recently sent piece that has arrived was sent; -1: none has. */
  xmitAt = -1;
  /** … and where it ended. */
  endSeq = 0;
  rttMs = 0;
  reorderingSeen = false;
  /** The largest distance in segments by which one was late, as Linux's tp->reordering: 3 before any was. */
  reordering: number = DUP_THRESH;
  /** The reordering window in quarters of the smallest round trip. */
  windowMult = 1;
  windowPersist: number = WINDOW_PERSISTS;
  hasDsackRound = false;
  dsackRound = 0;
  /** The ACK being worked off reports a duplicate (RFC 2883). */
  dsackSeen = false;
}

/** Steps 2 and 3 of RFC 8985 §6.2: what this ACK reports as arrived. */
export function rackUpdate(c: TcpConnection, seg: Segment): void {
  const { rack, sent } = c;
  if (sent.deliveredAt >= 0) arrived(c, sent.deliveredAt, sent.deliveredEnd);
  const resentAt = sent.resentDeliveredAt;
  if (resentAt >= 0) {
    // Whatever arrives too early is the original, or names a time before the retransmission
    const { options } = seg;
    const early = c.now - resentAt < c.rtt.minRttMs;
    const old = c.tsOk && options.hasTimestamps && ((options.tsEcr - c.timestampAt(resentAt)) | 0) < 0;
    if (!early && !old) arrived(c, resentAt, sent.resentDeliveredEnd);
  }
  if (sent.reordered) {
    if (!rack.reorderingSeen) c.layer.counters.reorderings++;
    c.reorderings++;
    rack.reorderingSeen = true;
    const segments = Math.min(Math.ceil(sent.reorderedBytes / c.mss), MAX_REORDERING);
    if (segments > rack.reordering) rack.reordering = segments;
  }
  if (!rack.dsackSeen) return;
  // Step 4: at most once per round trip
  if (rack.hasDsackRound && ((c.sndUna - rack.dsackRound) | 0) < 0) return;
  rack.hasDsackRound = true;
  rack.dsackRound = c.sndNxt;
  rack.windowMult++;
  rack.windowPersist = WINDOW_PERSISTS;
}

function arrived(c: TcpConnection, xmitAt: number, end: number): void {
  const { rack } = c;
  if (xmitAt < rack.xmitAt || (xmitAt === rack.xmitAt && ((end - rack.endSeq) | 0) <= 0)) return;
  rack.xmitAt = xmitAt;
  rack.endSeq = end;
  rack.rttMs = c.now - xmitAt;
}

/** A recovery has ended: the wide window has been of use once more. */
export function rackRecovered(c: TcpConnection): void {
  const { rack } = c;
  rack.hasDsackRound = false;
  if (rack.windowMult > 1 && --rack.windowPersist <= 0) rack.windowMult = 1;
}

/** Step 4: how long a piece may be late because of reordering. */
function reorderingWindowMs(c: TcpConnection): number {
  const { rack, rtt, sent } = c;
  if (!rack.reorderingSeen) {
    // As RFC 6675 would: three segments above a hole are enough
    if (c.recovery !== RecoveryState.Open || c.dupAcks >= DUP_THRESH) return 0;
    if (sent.sackedBytes > (DUP_THRESH - 1) * c.mss) return 0;
  }
  if (rtt.minRttMs === Infinity) return 0;
  return Math.min((rack.windowMult * rtt.minRttMs) / 4, rtt.srttMs);
}

/** Step 5: what was sent so much earlier than something that has arrived is lost; what may still come is waited for. */
export function rackDetectLoss(c: TcpConnection): void {
  const { rack, sent } = c;
  if (rack.xmitAt < 0) return;
  const sentBefore = c.now - rack.rttMs - reorderingWindowMs(c);
  const lost = sent.markLostBefore(rack.xmitAt, rack.endSeq, sentBefore);
  c.setTimer(TcpTimer.Reordering, sent.waitMs > 0 ? c.now + sent.waitMs : Infinity);
  if (lost > 0) congestionDetected(c);
}

/** A piece that was waited for has not come. */
export function reorderingExpired(c: TcpConnection): void {
  if (!c.isSynchronized || c.sndUna === c.sndNxt) return;
  c.sent.beginAck(c.now);
  rackDetectLoss(c);
  if (c.recovery === RecoveryState.Fast && !c.cc.ownsRecovery) reduceProportionally(c, 0, false);
  c.context.wantsToTransmit(c);
}
