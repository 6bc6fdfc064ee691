/** RFC 9406 §4.3, in its words: MIN_RTT_THRESH, MAX_RTT_THRESH, MIN_RTT_DIVISOR, N_RTT_SAMPLE, CSS_GROWTH_DIVISOR, CSS_ROUNDS. */
const MIN_RTT_THRESH_MS = 4;
const MAX_RTT_THRESH_MS = 16;
const MIN_RTT_DIVISOR = 8;
const RTT_SAMPLES = 8;
const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;

/**
 * HyStart++ (RFC 9406): when round trips get longer, the first slow start goes on at a quarter of its pace, and after
 * five rounds of that it is over, before the queue overflows.
 */
export class HyStart {
  #lastMinMs: number = Infinity;
  #currentMinMs: number = Infinity;
  #samples = 0;
  /** Smallest round trip when conservative slow start began; Infinity: ordinary slow start. */
  #baselineMs: number = Infinity;
  #cssRounds = 0;

  /**
   * @param rttMs of one ACK; -1: it gave none
   * @param begins the ACK begins a new round
   * @returns true when slow start is over
   */
  sample(rttMs: number, begins: boolean): boolean {
    if (begins) {
      this.#lastMinMs = this.#currentMinMs;
      this.#currentMinMs = Infinity;
      this.#samples = 0;
      if (this.isConservative && ++this.#cssRounds >= CSS_ROUNDS) return true;
    }
    if (rttMs < 0) return false;
    this.#samples++;
    if (rttMs < this.#currentMinMs) this.#currentMinMs = rttMs;
    if (this.#samples < RTT_SAMPLES) return false;
    if (this.isConservative) {
      // The longer round trips were an accident
      if (this.#currentMinMs < this.#baselineMs) this.#baselineMs = Infinity;
    } else if (this.#lastMinMs !== Infinity) {
      const threshold = Math.max(
        MIN_RTT_THRESH_MS,
        Math.min(this.#lastMinMs / MIN_RTT_DIVISOR, MAX_RTT_THRESH_MS),
      );
      if (this.#currentMinMs >= this.#lastMinMs + threshold) {
        this.#baselineMs = this.#currentMinMs;
        this.#cssRounds = 0;
      }
    }
    return false;
  }

  get isConservative(): boolean {
    return this.#baselineMs !== Infinity;
  }

  /** How much cwnd grows for so many bytes acknowledged. */
  growth(ackedBytes: number): number {
    return this.isConservative ? ackedBytes / CSS_GROWTH_DIVISOR : ackedBytes;
  }
}
