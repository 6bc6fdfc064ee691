/** RFC 6298 §2.1: before the first measurement. */
export const INITIAL_RTO_MS = 1000;
/**
 * The G of RFC 6298 §2.3: the variance term is at least this, so that RTO >= SRTT + 200 ms.
 * differs from RFC 6298 §2.4 (SHOULD be at least 1 s): Linux has used 200 ms (TCP_RTO_MIN, include/net/tcp.h) for decades, and
 * delayed ACKs of up to 200 ms are still covered.
 */
export const MIN_RTO_VARIANCE_MS = 200;
/** RFC 6298 §2.5: at least 60 s; Linux's TCP_RTO_MAX. */
export const MAX_RTO_MS = 120_000;
/** RFC 6298 §5.7: when the SYN had to be sent again, data begins with this. */
export const RTO_AFTER_SYN_LOSS_MS = 3000;
/** What timestamps and the times of timers are exact to: the G of RFC 4015. */
const GRANULARITY_MS = 1;

/** Round-trip time and retransmission timeout (RFC 6298 [MUST-18]). */
export class RttEstimator {
  /** -1: nothing measured yet. */
  srttMs = -1;
  rttvarMs = 0;
  /** Smallest round trip seen; Infinity before the first. */
  minRttMs: number = Infinity;
  latestMs = 0;
  /** No timeout is longer. */
  maxMs: number = MAX_RTO_MS;
  /** Without back-off. */
  rtoMs: number = INITIAL_RTO_MS;

  /** Takes a measurement R' of a segment that was sent once (Karn), or by timestamps. */
  sample(rttMs: number): void {
    this.latestMs = rttMs;
    if (rttMs < this.minRttMs) this.minRttMs = rttMs;
    if (this.srttMs < 0) {
      // RFC 6298 §2.2
      this.srttMs = rttMs;
      this.rttvarMs = rttMs / 2;
    } else {
      // RFC 6298 §2.3, alpha = 1/8, beta = 1/4
      this.rttvarMs = 0.75 * this.rttvarMs + 0.25 * Math.abs(this.srttMs - rttMs);
      this.srttMs = 0.875 * this.srttMs + 0.125 * rttMs;
    }
    this.#compute();
  }

  /**
   * RFC 4015 §3.6, step 11: a timeout was spurious, and this is the round trip of the first data that was sent for the first time after it.
   * @param srttMs SRTT and RTTVAR before that timeout
   */
  adapt(rttMs: number, srttMs: number, rttvarMs: number): void {
    this.srttMs = Math.max(srttMs + 2 * GRANULARITY_MS, rttMs);
    this.rttvarMs = Math.max(rttvarMs, rttMs / 2);
    this.#compute();
  }

  #compute(): void {
    const variance = 4 * this.rttvarMs;
    const rto = this.srttMs + Math.max(variance, MIN_RTO_VARIANCE_MS);
    this.rtoMs = Math.min(rto, this.maxMs);
  }

  /** RFC 6298 §5.5: the timeout after `backoff` doublings. */
  backedOffMs(backoff: number): number {
    const rto = this.rtoMs * 2 ** backoff;
    return Math.min(rto, this.maxMs);
  }
}
