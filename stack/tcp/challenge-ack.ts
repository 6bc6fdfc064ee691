import type { TcpConnection } from './connection.ts';

/** RFC 5961 §7: "no more than 10 challenge ACKs in any 5 second window" is its example. */
const CHALLENGE_ACKS = 10;
const CHALLENGE_WINDOW_MS = 5000;

/**
 * How many ACKs a connection still answers to segments that may be forged. Counted per connection and not for the whole
 * stack: a shared counter tells an attacker about other connections (CVE-2016-5696).
 */
export class ChallengeBudget {
  #left = CHALLENGE_ACKS;
  #renewAt = 0;

  /** Nothing of it is used up. */
  isFull(now: number): boolean {
    return this.#left === CHALLENGE_ACKS || now >= this.#renewAt;
  }

  take(now: number): boolean {
    if (now >= this.#renewAt) {
      this.#left = CHALLENGE_ACKS;
      this.#renewAt = now + CHALLENGE_WINDOW_MS;
    }
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }
}

/** Answers with an ACK that tells where we are, unless too many were sent. */
export function challengeAck(c: TcpConnection): void {
  const counters = c.layer.counters;
  if (!c.challenges.take(c.now)) {
    counters.challengeAcksSuppressed++;
    return;
  }
  counters.challengeAcks++;
  c.ackNow = true;
  c.ackComment = 'challenge ACK';
}
