import { type TcpConnection, TcpTimer } from './connection.ts';
import { holdsShort, ShortSegment } from './cork.ts';
import { MAX_RETRIES, ORPHAN_RETRIES } from './recovery.ts';
import { sendPersistProbe } from './sender.ts';

/**
 * Nothing is in flight and the peer's window (or silly-window avoidance) keeps data back: without a probe a lost window
 * update would stop the connection for ever (RFC 9293 §3.8.6.1 [MUST-36]).
 */
export function startPersist(c: TcpConnection): void {
  if (c.deadlineOf(TcpTimer.Persist) !== Infinity) return;
  c.backoff = 0;
  // [SHLD-29]: the first probe after one RTO
  c.setTimer(TcpTimer.Persist, c.now + c.rtt.rtoMs);
}

/** The window has opened, or there is nothing to send any more. */
export function stopPersist(c: TcpConnection): void {
  c.setTimer(TcpTimer.Persist, Infinity);
  c.backoff = 0;
  c.retries = 0;
}

export function persistExpired(c: TcpConnection): void {
  if (!c.isSynchronized) return;
  // RFC 9293 §3.8.6.2.1 (4) [MUST-60]: the application, and not the peer, has kept it back
  if (c.sndWnd > 0 && holdsShort(c)) {
    c.shortSegment = ShortSegment.Ordinary;
    if (sendPersistProbe(c)) return;
  }
  // [MUST-37]: `retries` begins anew with every answer, so a peer that answers keeps the connection open
  const limit = c.detached ? ORPHAN_RETRIES : MAX_RETRIES;
  if (c.retries >= limit) {
    c.terminateWithReset('TIMEOUT', `no answer to ${c.retries} zero-window probes`);
    return;
  }
  // RFC 6429 §3: but without an application nobody could ever end what such a peer makes us keep (`backoff` is not reset)
  if (c.detached && c.backoff >= MAX_RETRIES) {
    c.terminateWithReset('TIMEOUT', 'the peer kept its window closed after the application had gone');
    return;
  }
  c.retries++;
  c.backoff++;
  if (sendPersistProbe(c)) {
    c.windowProbes++;
    c.layer.counters.windowProbes++;
  }
  // It went into a small window as ordinary data: the retransmission timer takes over
  if (c.sndUna !== c.sndNxt) return;
  // [SHLD-30]: exponential back-off
  c.setTimer(TcpTimer.Persist, c.now + c.rtt.backedOffMs(c.backoff));
}
