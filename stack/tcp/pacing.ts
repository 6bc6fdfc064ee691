import { type TcpConnection, TcpTimer } from './connection.ts';
import { mayGrow } from './window-validation.ts';

/** Rates of what is not paced by a model: Linux's tcp_pacing_ss_ratio and tcp_pacing_ca_ratio, over cwnd per round trip. */
const SLOW_START_RATIO = 2;
const AVOIDANCE_RATIO = 1.2;
/** Below this a window is over before a timer of a millisecond could spread it: such connections are not paced. */
const MIN_PACED_RTT_MS = 2;
/** draft-ietf-ccwg-bbr §5.6.3, Linux's sk_pacing_shift: what leaves together is worth a millisecond, so that a timer is rare. */
const QUANTUM_MS = 1;
const MIN_QUANTUM_SEGMENTS = 2;
/** Differences of times are rounded: less than this is nothing. */
const CLOCK_ERROR_MS = 0.001;

/** When the next bytes may leave. */
export class Pacer {
  /** What was sent is paid for then (C.next_send_time). */
  paidAt = 0;
  /** What may still leave together with what has just left. */
  quantumBytes = 0;
  /** Bytes per millisecond, as computed for the last quantum; 0: nothing was paced yet. */
  bytesPerMs = 0;
  /** Nothing leaves before (RFC 3168 §6.1.2); 0: no such time. */
  heldUntil = 0;
}

/** RFC 3168 §6.1.2: cwnd cannot become smaller; the next segment leaves when the retransmission timer, which begins anew, would expire. */
export function holdForTimeout(c: TcpConnection): void {
  c.pacer.heldUntil = c.now + c.rtt.rtoMs;
  if (c.sndUna !== c.sndNxt) c.setTimer(TcpTimer.Retransmit, c.pacer.heldUntil);
}

/** @returns true: nothing may leave yet, and a timer runs until it may */
export function isHeld(c: TcpConnection): boolean {
  if (c.pacer.heldUntil <= c.now) return false;
  c.setTimer(TcpTimer.Pacing, c.pacer.heldUntil);
  return true;
}

/** The rate at which the connection sends; Infinity: as fast as its window allows. */
export function pacingRate(c: TcpConnection): number {
  const { cc, maxPacingBytesPerMs } = c;
  if (cc.pacingBytesPerMs > 0) return Math.min(cc.pacingBytesPerMs, maxPacingBytesPerMs);
  const { srttMs } = c.rtt;
  // RFC 7661 §4.4.2 [RFC 7661 §4.4.2-1]: a window that is not validated makes no bursts
  const isWanted = c.policy.pacing || !mayGrow(c);
  if (!isWanted || srttMs < MIN_PACED_RTT_MS) return maxPacingBytesPerMs;
  const ratio = cc.cwndBytes < cc.ssthreshBytes ? SLOW_START_RATIO : AVOIDANCE_RATIO;
  return Math.min((ratio * Math.max(cc.cwndBytes, c.inFlightBytes())) / srttMs, maxPacingBytesPerMs);
}

/** @returns bytes that may leave now; 0: none, and a timer runs until some may */
export function pacedRoom(c: TcpConnection): number {
  const rate = pacingRate(c);
  if (rate === Infinity) return Infinity;
  const { pacer, now } = c;
  const early = pacer.paidAt - now;
  if (early <= CLOCK_ERROR_MS) {
    pacer.bytesPerMs = rate;
    // A timer that was late is made up for, but not an idle time
    if (early < -QUANTUM_MS) pacer.paidAt = now - QUANTUM_MS;
    pacer.quantumBytes = Math.max(rate * QUANTUM_MS, MIN_QUANTUM_SEGMENTS * c.mss);
  } else if (pacer.quantumBytes < c.mss) {
    c.setTimer(TcpTimer.Pacing, pacer.paidAt);
    return 0;
  }
  return Math.max(pacer.quantumBytes, c.mss);
}

/** Something paced has left. */
export function paced(c: TcpConnection, bytes: number): void {
  const { pacer } = c;
  pacer.quantumBytes -= bytes;
  pacer.paidAt += bytes / pacer.bytesPerMs;
}

export function pacingExpired(c: TcpConnection): void {
  if (c.isSynchronized) c.context.wantsToTransmit(c);
}
