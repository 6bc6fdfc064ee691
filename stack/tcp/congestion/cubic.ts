import { type CongestionControl, initialWindowBytes } from './congestion-control.ts';
import { HyStart } from './hystart.ts';

/** RFC 9438 §4.6. */
const BETA = 0.7;
/** RFC 9438 §5.1, in segments per second cubed. */
const C = 0.4;
/** RFC 9438 §4.3: the additive increase that makes the estimate as aggressive as Reno with BETA. */
const ALPHA = (3 * (1 - BETA)) / (1 + BETA);

/** CUBIC (RFC 9438). Windows in bytes; the cubic function itself in segments, as the RFC writes it. */
export class Cubic implements CongestionControl {
  readonly name = 'cubic';
  cwndBytes = 0;
  ssthreshBytes: number = Infinity;
  readonly pacingBytesPerMs = 0;
  readonly ownsRecovery = false;
  readonly lossObserver = null;
  #mssBytes = 536;
  /** W_max in segments; 0: no congestion yet. */
  #wMax = 0;
  /** Start of the current congestion avoidance stage, ms; -1: at the next ACK. */
  #epochAt = -1;
  /** Time of the last ACK. */
  #ackedAt = 0;
  #k = 0;
  #wEst = 0;
  /** cwnd just before the last reduction, in segments: from there on W_est grows like Reno. */
  #cwndPrior = 0;
  readonly #hyStart: HyStart = new HyStart();
  /** What the last reduction changed, for `undo`. */
  readonly #before: { cwndBytes: number; ssthreshBytes: number; wMax: number; cwndPrior: number } = {
    cwndBytes: 0,
    ssthreshBytes: Infinity,
    wMax: 0,
    cwndPrior: 0,
  };

  start(mssBytes: number): void {
    this.#mssBytes = mssBytes;
    this.cwndBytes = initialWindowBytes(mssBytes);
  }

  setMss(mssBytes: number): void {
    // RFC 4821 §4 [RFC 4821 §4-5] [RFC 4821 §4-6], RFC 5681 §3.1 [RFC 5681 §3.1-5]: no more segments, and no more octets
    if (mssBytes < this.#mssBytes) this.cwndBytes *= mssBytes / this.#mssBytes;
    this.#mssBytes = mssBytes;
    if (this.cwndBytes < mssBytes) this.cwndBytes = mssBytes;
  }

  roundTrip(rttMs: number, begins: boolean, isPaced: boolean, now: number): void {
    // RFC 9406 §4.1: the first slow start only
    if (this.ssthreshBytes === Infinity && this.#hyStart.sample(rttMs, begins, isPaced, now))
      this.ssthreshBytes = this.cwndBytes;
  }

  acked(ackedBytes: number, srttMs: number, limited: boolean, now: number): void {
    // RFC 9438 §5.8: time in which the application did not fill the window does not count
    if (!limited && this.#epochAt >= 0) this.#epochAt += now - this.#ackedAt;
    this.#ackedAt = now;
    if (!limited) return;
    if (this.cwndBytes < this.ssthreshBytes) {
      // RFC 9438 §4.10
      this.cwndBytes += this.ssthreshBytes === Infinity ? this.#hyStart.growth(ackedBytes) : ackedBytes;
      return;
    }
    this.#avoidCongestion(ackedBytes / this.#mssBytes, srttMs, now);
  }

  #avoidCongestion(ackedSegments: number, srttMs: number, now: number): void {
    const cwnd = this.cwndBytes / this.#mssBytes;
    if (this.#epochAt < 0) {
      this.#epochAt = now;
      this.#wEst = cwnd;
      if (this.#wMax < cwnd) this.#wMax = cwnd;
      // RFC 9438 §4.2, figure 2
      this.#k = Math.cbrt((this.#wMax - cwnd) / C);
    }
    // RFC 9438 §4.3, figure 4
    this.#wEst += (this.#wEst >= this.#cwndPrior ? 1 : ALPHA) * (ackedSegments / cwnd);
    const t = (now - this.#epochAt) / 1000;
    const cubic = this.#at(t);
    if (cubic < this.#wEst) {
      this.cwndBytes = Math.max(this.cwndBytes, this.#wEst * this.#mssBytes);
      return;
    }
    // RFC 9438 §4.2: the target one round trip ahead, at least cwnd and at most 1.5 times it
    let target = this.#at(t + srttMs / 1000);
    if (target < cwnd) target = cwnd;
    else if (target > 1.5 * cwnd) target = 1.5 * cwnd;
    // RFC 9438 §4.4, §4.5
    this.cwndBytes += ((target - cwnd) / cwnd) * ackedSegments * this.#mssBytes;
  }

  /** W_cubic(t), RFC 9438 §4.2, figure 1. */
  #at(seconds: number): number {
    return C * (seconds - this.#k) ** 3 + this.#wMax;
  }

  congestion(inFlightBytes: number, isEcho: boolean, _now: number): void {
    this.#reduce(inFlightBytes);
    // RFC 9438 §4.6, figure 5 [RFC 9438 §4.6-4]
    this.cwndBytes = isEcho ? Math.max(inFlightBytes * BETA, this.#mssBytes) : this.ssthreshBytes;
  }

  #reduce(inFlightBytes: number): void {
    const before = this.#before;
    before.cwndBytes = this.cwndBytes;
    before.ssthreshBytes = this.ssthreshBytes;
    before.wMax = this.#wMax;
    before.cwndPrior = this.#cwndPrior;
    const cwnd = this.cwndBytes / this.#mssBytes;
    this.#cwndPrior = cwnd;
    // RFC 9438 §4.7: fast convergence
    this.#wMax = cwnd < this.#wMax ? (cwnd * (1 + BETA)) / 2 : cwnd;
    // RFC 9438 §4.6
    this.ssthreshBytes = Math.max(inFlightBytes * BETA, 2 * this.#mssBytes);
    this.#epochAt = -1;
  }

  undo(): void {
    const before = this.#before;
    this.cwndBytes = Math.max(this.cwndBytes, before.cwndBytes);
    this.ssthreshBytes = before.ssthreshBytes;
    this.#wMax = before.wMax;
    this.#cwndPrior = before.cwndPrior;
    this.#epochAt = -1;
  }

  recovered(_now: number): void {
    this.cwndBytes = this.ssthreshBytes;
  }

  timeout(inFlightBytes: number, again: boolean, _now: number): void {
    // RFC 9438 §4.8
    if (!again) this.#reduce(inFlightBytes);
    this.#epochAt = -1;
    this.cwndBytes = this.#mssBytes;
  }

  beginTransmit(): void {}

  sampled(): void {}

  restartAfterIdle(mostBytes: number): void {
    this.#epochAt = -1;
    this.cwndBytes = Math.min(this.cwndBytes, mostBytes);
  }
}
