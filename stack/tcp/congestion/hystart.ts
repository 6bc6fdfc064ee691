/** RFC 9406 §4.3, in its words: MIN_RTT_THRESH, MAX_RTT_THRESH, MIN_RTT_DIVISOR, N_RTT_SAMPLE, CSS_GROWTH_DIVISOR, CSS_ROUNDS. */
const MIN_RTT_THRESH_MS = 4;
const MAX_RTT_THRESH_MS = 16;
const MIN_RTT_DIVISOR = 8;
const RTT_SAMPLES = 8;
const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;
/**
 * The other sign of the original HyStart (S. Ha, I. Rhee: "Taming the elephants", 2011; Linux's net/ipv4/tcp_cubic.c): when ACKs that follow
 * each other within 2 ms fill half of the smallest round trip, the window of the next round fills the path.
 * differs from RFC 9406, which leaves it out because ACKs that were held back look like a train; below the round trip at which delays are
 * looked for at all it does no good, and counts not.
 */
const TRAIN_GAP_MS = 2;
const TRAIN_MIN_RTT_MS = 4 * MIN_RTT_THRESH_MS;

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
  /** Smallest round trip of all. */
  #minMs: number = Infinity;
  #roundAt = -1;
  /** The last ACK of the train that began with the round. */
  #trainAt = -1;

  /**
   * @param rttMs of one ACK; -1: it gave none
   * @param begins the ACK begins a new round
   * @returns true when slow start is over
   */
  sample(rttMs: number, begins: boolean, isPaced: boolean, now: number): boolean {
    if (begins) {
      this.#roundAt = now;
      this.#trainAt = now;
      this.#lastMinMs = this.#currentMinMs;
      this.#currentMinMs = Infinity;
      this.#samples = 0;
      if (this.isConservative && ++this.#cssRounds >= CSS_ROUNDS) return true;
    }
    if (rttMs < 0) return false;
    if (rttMs < this.#minMs) this.#minMs = rttMs;
    if (this.#trainIsLong(isPaced, now)) return true;
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

  /** Pacing at twice the rate spreads a window over half a round trip by itself. */
  #trainIsLong(isPaced: boolean, now: number): boolean {
    if (now - this.#trainAt > TRAIN_GAP_MS) return false;
    this.#trainAt = now;
    return this.#minMs >= TRAIN_MIN_RTT_MS && now - this.#roundAt > (isPaced ? this.#minMs : this.#minMs / 2);
  }

  get isConservative(): boolean {
    return this.#baselineMs !== Infinity;
  }

  /** How much cwnd grows for so many bytes acknowledged. */
  growth(ackedBytes: number): number {
    return this.isConservative ? ackedBytes / CSS_GROWTH_DIVISOR : ackedBytes;
  }
}
