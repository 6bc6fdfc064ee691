import { type TcpConnection, TcpTimer } from './connection.ts';

/** RFC 9293 §3.8.6.3 [MUST-40]: less than 500 ms; Linux's TCP_DELACK_MIN. */
export const DELAYED_ACK_MS = 40;

/**
 * In-order data has come [SHLD-18]: an ACK at once for the second full segment [SHLD-19], later for less. A packet that was
 * coalesced from several counts as several, for bytes are counted. Nothing is sent here: one ACK answers all that is
 * worked off together [MUST-58] [MUST-59]. The first segments of a connection are acknowledged at once, so that the peer's slow
 * start is not held up (Linux's quick ACKs, net/ipv4/tcp_input.c).
 */
export function acknowledgeData(c: TcpConnection, bytes: number): void {
  c.unackedBytes += bytes;
  c.unackedSegments++;
  c.lastDataAt = c.now;
  if (c.quickAcks > 0) {
    c.quickAcks--;
    c.ackNow = true;
  } else if (c.unackedBytes >= 2 * c.rcvMss || c.unackedSegments >= c.layer.settings.ackSegments) {
    c.ackNow = true;
  } else if (!c.ackNow && c.deadlineOf(TcpTimer.DelayedAck) === Infinity) {
    c.setTimer(TcpTimer.DelayedAck, c.now + DELAYED_ACK_MS);
  }
}

export function delayedAckExpired(c: TcpConnection): void {
  if (c.unackedBytes === 0) return;
  c.layer.counters.delayedAcks++;
  c.ackNow = true;
  c.context.wantsToTransmit(c);
}

/** An acknowledgment has left, with data or without. */
export function acknowledged(c: TcpConnection): void {
  c.lastAckSent = c.rcvNxt;
  c.ackNow = false;
  c.ackDeferred = false;
  c.ackComment = '';
  c.dsackRight = c.dsackLeft;
  if (c.unackedBytes === 0) return;
  c.unackedBytes = 0;
  c.unackedSegments = 0;
  if (c.deadlineOf(TcpTimer.DelayedAck) !== Infinity) c.setTimer(TcpTimer.DelayedAck, Infinity);
}
