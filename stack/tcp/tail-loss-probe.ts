import { type TcpConnection, TcpTimer } from './connection.ts';
import { RecoveryState } from './recovery.ts';
import type { Segment } from './segment.ts';

/** RFC 8985 §7.2: TLP.max_ack_delay, for a peer that has one segment only and delays its ACK. */
const MAX_ACK_DELAY_MS = 200;
/** Timers of the peer and of ours are not exact: Linux's TCP_TIMEOUT_MIN. */
const MIN_PROBE_TIMEOUT_MS = 2;

/**
 * Sets the probe timeout (RFC 8985 §7.2) after new data, a FIN, or an ACK of them. Where the retransmission timer would expire first, the
 * probe takes its place: it repairs as early, and costs no window.
 */
export function scheduleTailProbe(c: TcpConnection): void {
  c.setTimer(TcpTimer.TailProbe, probeDeadline(c));
}

function probeDeadline(c: TcpConnection): number {
  if (!c.sackOk || !c.layer.settings.tailLossProbe || c.recovery !== RecoveryState.Open) return Infinity;
  const { srttMs } = c.rtt;
  if (c.tailProbeActive || c.sndUna === c.sndNxt || c.sent.sackedBytes > 0 || srttMs < 0) return Infinity;
  let timeoutMs = 2 * srttMs + MIN_PROBE_TIMEOUT_MS;
  if (((c.sndNxt - c.sndUna) | 0) <= c.mss) timeoutMs += MAX_ACK_DELAY_MS;
  return Math.min(c.now + timeoutMs, c.deadlineOf(TcpTimer.Retransmit));
}

/** The retransmission timer has expired. @returns true: it is the time of a probe, which goes first */
export function probeTakesPlace(c: TcpConnection): boolean {
  if (c.deadlineOf(TcpTimer.TailProbe) > c.now) return false;
  c.setTimer(TcpTimer.TailProbe, Infinity);
  c.setTimer(TcpTimer.Retransmit, c.now + c.rtt.backedOffMs(c.backoff));
  tailProbeExpired(c);
  return true;
}

/** Nothing has come for two round trips: one segment more shall make the peer tell what it has. */
export function tailProbeExpired(c: TcpConnection): void {
  if (!c.isSynchronized || c.sndUna === c.sndNxt || c.recovery !== RecoveryState.Open) return;
  c.tailProbeDue = true;
  c.context.wantsToTransmit(c);
}

/** A probe has left. @param again it was sent before */
export function tailProbeSent(c: TcpConnection, again: boolean): void {
  c.tailProbeDue = false;
  c.tailProbeActive = true;
  c.tailProbeEnd = c.sndNxt;
  c.tailProbeAgain = again;
  c.tailProbes++;
  c.layer.counters.tailLossProbes++;
  c.setTimer(TcpTimer.Retransmit, c.now + c.rtt.backedOffMs(c.backoff));
}

/**
 * RFC 8985 §7.4.2: did the probe repair a loss?
 * @returns true when it did: a loss that nothing else shows, but that congestion control must know of
 */
export function tailProbeAcked(c: TcpConnection, seg: Segment, sackBlocks: number): boolean {
  const beyond = (seg.ack - c.tailProbeEnd) | 0;
  if (beyond < 0) return false;
  if (!c.tailProbeAgain || c.rack.dsackSeen || (beyond === 0 && c.tailProbeAcked && sackBlocks === 0)) {
    c.tailProbeActive = false;
    return false;
  }
  c.tailProbeAcked = true;
  if (beyond === 0) return false;
  c.tailProbeActive = false;
  return true;
}
