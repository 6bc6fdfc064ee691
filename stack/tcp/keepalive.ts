import { type TcpConnection, TcpTimer } from './connection.ts';
import { sendProbe } from './sender.ts';

/** Keep-alive settings (RFC 9293 §3.8.4 [MAY-5] [MUST-24] [MUST-27]). */
export interface KeepAlive {
  /** Silence before the first probe, ms. */
  readonly idleMs: number;
  /** Between probes, ms. */
  readonly intervalMs: number;
  /** Unanswered probes that end the connection, at least 1. */
  readonly count: number;
}

/** RFC 9293 §3.8.4 [MUST-28]: two hours at least unless the application says otherwise; the rest as in Linux. */
export const DEFAULT_KEEP_ALIVE: KeepAlive = { idleMs: 7_200_000, intervalMs: 75_000, count: 9 };

/** Begins to watch an established connection, or stops. */
export function startKeepAlive(c: TcpConnection): void {
  c.keepAliveProbes = 0;
  c.setTimer(TcpTimer.KeepAlive, c.keepAlive === null ? Infinity : c.now + c.keepAlive.idleMs);
}

export function keepAliveExpired(c: TcpConnection): void {
  const keepAlive = c.keepAlive;
  if (keepAlive === null || !c.isSynchronized) return;
  // Something came meanwhile: arrivals do not touch this timer. Compared as it is set: with fractions of a millisecond,
  // `now - lastReceivedAt` can be less than idleMs at that very time, which would set it to now for ever.
  const dueMs = c.lastReceivedAt + keepAlive.idleMs;
  if (c.now < dueMs) {
    c.keepAliveProbes = 0;
    c.setTimer(TcpTimer.KeepAlive, dueMs);
    return;
  }
  // [MUST-26]: with data under way the retransmission timer watches the peer
  if (c.sndUna !== c.sndNxt || c.deadlineOf(TcpTimer.Persist) !== Infinity) {
    c.setTimer(TcpTimer.KeepAlive, c.now + keepAlive.intervalMs);
    return;
  }
  // [MUST-29]: not one lost probe, but `count` of them mean that the peer is gone
  if (c.keepAliveProbes >= keepAlive.count) {
    c.terminateWithReset('TIMEOUT', `no answer to ${keepAlive.count} keepalive probes`);
    return;
  }
  // [SHLD-12]: an old sequence number and no data
  if (sendProbe(c, 'keepalive')) {
    c.keepAliveProbes++;
    c.keepaliveProbesSent++;
    c.layer.counters.keepaliveProbes++;
  }
  c.setTimer(TcpTimer.KeepAlive, c.now + keepAlive.intervalMs);
}
