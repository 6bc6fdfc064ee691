import { type CongestionControl, initialWindowBytes } from './congestion-control.ts';

/** RFC 5681 with the byte counting of RFC 3465 [MUST-19]. */
export class NewReno implements CongestionControl {
  readonly name = 'newreno';
  cwndBytes = 0;
  ssthreshBytes: number = Infinity;
  readonly pacingBytesPerMs = 0;
  readonly ownsRecovery = false;
  readonly lossObserver = null;
  #mssBytes = 536;
  #ackedBytes = 0;
  /** cwnd and ssthresh before the last reduction. */
  #priorCwnd = 0;
  #priorSsthresh: number = Infinity;

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

  roundTrip(): void {}

  acked(ackedBytes: number, _srttMs: number, limited: boolean, _now: number): void {
    if (!limited) return;
    if (this.cwndBytes < this.ssthreshBytes) {
      // RFC 5681 §3.1 (2) per segment; an ACK for a whole super-segment counts in full, as its pacing is the receiver's
      this.cwndBytes += ackedBytes;
      return;
    }
    // RFC 5681 §3.1: one MSS per window, counted in bytes
    this.#ackedBytes += ackedBytes;
    if (this.#ackedBytes >= this.cwndBytes) {
      this.#ackedBytes -= this.cwndBytes;
      this.cwndBytes += this.#mssBytes;
    }
  }

  congestion(inFlightBytes: number, isEcho: boolean, _now: number): void {
    this.#remember();
    // RFC 5681 §3.1 (4)
    this.ssthreshBytes = Math.max(inFlightBytes / 2, 2 * this.#mssBytes);
    // RFC 3168 §6.1.2: … and down to one segment for an echo
    this.cwndBytes = isEcho ? Math.max(inFlightBytes / 2, this.#mssBytes) : this.ssthreshBytes;
    this.#ackedBytes = 0;
  }

  #remember(): void {
    this.#priorCwnd = this.cwndBytes;
    this.#priorSsthresh = this.ssthreshBytes;
  }

  undo(): void {
    this.cwndBytes = Math.max(this.cwndBytes, this.#priorCwnd);
    this.ssthreshBytes = this.#priorSsthresh;
  }

  recovered(_now: number): void {
    this.cwndBytes = this.ssthreshBytes;
  }

  timeout(inFlightBytes: number, again: boolean, _now: number): void {
    if (!again) {
      this.#remember();
      this.ssthreshBytes = Math.max(inFlightBytes / 2, 2 * this.#mssBytes);
    }
    // RFC 5681 §3.1: the loss window
    this.cwndBytes = this.#mssBytes;
    this.#ackedBytes = 0;
  }

  beginTransmit(): void {}

  sampled(): void {}

  restartAfterIdle(mostBytes: number): void {
    this.cwndBytes = Math.min(this.cwndBytes, mostBytes);
  }
}
