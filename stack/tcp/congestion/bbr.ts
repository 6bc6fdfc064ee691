import type { RandomSource } from '../../random.ts';
import type { DeliveryRate } from '../delivery-rate.ts';
import type { LossObserver } from '../sent-queue.ts';
import {
  AckPhase,
  BbrState,
  BETA,
  CWND_GAINS,
  DRAIN_ROUNDS,
  EXTRA_ACKED_ROUNDS,
  FULL_BW_GROWTH,
  FULL_BW_ROUNDS,
  HEADROOM,
  LOSS_THRESH,
  MAX_BW_CYCLES,
  MAX_PROBE_UP_ROUNDS,
  MAX_QUANTUM_BYTES,
  MAX_RENO_ROUNDS,
  MIN_PIPE_SEGMENTS,
  MIN_PROBE_WAIT_MS,
  MIN_QUANTUM_SEGMENTS,
  MIN_RTT_WINDOW_MS,
  OFFLOAD_QUANTA,
  PACING_GAINS,
  PACING_MARGIN,
  PROBE_RTT_INTERVAL_MS,
  PROBE_RTT_MS,
  RANDOM_PROBE_WAIT_MS,
  STARTUP_FULL_LOSS_COUNT,
} from './bbr-parameters.ts';
import { type CongestionControl, initialWindowBytes } from './congestion-control.ts';
import { WindowedMax } from './windowed-max.ts';

/**
 * BBRv3 (draft-ietf-ccwg-bbr), in its words: it measures the bandwidth and the round trip of the path, sends at that rate, and probes for
 * more and for less from time to time. Bytes and milliseconds. What is not in the draft's pseudocode says so.
 */
export class Bbr implements CongestionControl, LossObserver {
  readonly name = 'bbr';
  cwndBytes = 0;
  /** Not used by BBR. */
  ssthreshBytes: number = Infinity;
  pacingBytesPerMs = 0;
  readonly ownsRecovery = true;
  readonly lossObserver: LossObserver = this;
  state: BbrState = BbrState.Startup;
  readonly #random: RandomSource;
  #mssBytes = 536;
  #initialCwndBytes = 0;
  #sackOk = false;
  #rate: DeliveryRate | null = null;
  #now = 0;
  #inRecovery = false;
  /** C.is_cwnd_limited and C.inflight at the ACK being worked off. */
  #isCwndLimited = false;
  #inFlightBytes = 0;
  // RS of the ACK, or of the piece lost, that is looked at
  #txInFlightBytes = 0;
  #lostBytes = 0;
  #isAppLimited = false;

  // --- rounds (§5.5.1)
  #roundCount = 0;
  #roundStart = false;
  #nextRoundDelivered = 0;
  // --- path model (§2.8, §5.5)
  #bw = 0;
  #bwShortterm: number = Infinity;
  #inflightLongterm: number = Infinity;
  #inflightShortterm: number = Infinity;
  readonly #maxBw: WindowedMax = new WindowedMax();
  #cycleCount = 0;
  #minRttMs: number = Infinity;
  #minRttAt = 0;
  readonly #extraAcked: WindowedMax = new WindowedMax();
  #extraAckedFrom = 0;
  #extraAckedDelivered = 0;
  // --- congestion signals (§2.9)
  #bwLatest = 0;
  #inflightLatest = 0;
  #lossRoundDelivered = 0;
  #lossRoundStart = false;
  #lossInRound = false;
  /** Gaps in what arrived, and the end of the last, in this round. */
  #lossRangesInRound = 0;
  #lastLostEnd = 0;
  // --- startup and drain (§2.10)
  #fullBwReached = false;
  #fullBwNow = false;
  #fullBw = 0;
  #fullBwCount = 0;
  #drainStartRound = 0;
  // --- ProbeBW (§2.11)
  #ackPhase: number = AckPhase.Init;
  #isProbeSample = false;
  #probeUpAcked = 0;
  #probeUpAckedPerIncrement: number = Infinity;
  #probeUpRounds = 0;
  #roundsSinceProbeUp = 0;
  #probeWaitMs = 0;
  #cycleAt = 0;
  #prevProbeTooHigh = false;
  #prevProbePrecautionary = false;
  // --- ProbeRTT (§2.13)
  #probeRttMinMs: number = Infinity;
  #probeRttMinAt = 0;
  #probeRttExpired = false;
  #probeRttDoneAt = 0;
  #probeRttRoundDone = false;
  #idleRestart = false;
  // --- undo (§2.12)
  #priorCwnd = 0;
  #undoState = -1;
  #undoBwShortterm: number = Infinity;
  #undoInflightShortterm: number = Infinity;
  #undoInflightLongterm: number = Infinity;

  /** @param random for the times between probes */
  constructor(random: RandomSource) {
    this.#random = random;
  }

  /** BBR.bw, bytes per millisecond: what BBR holds for right to send. */
  get bandwidthBytesPerMs(): number {
    return this.#bw;
  }

  /** BBR.min_rtt; Infinity: none was measured yet. */
  get minRttMs(): number {
    return this.#minRttMs;
  }

  /** OnInit (§5.2.1) */
  start(mssBytes: number, rate: DeliveryRate, srttMs: number, sackOk: boolean, now: number): void {
    this.#mssBytes = mssBytes;
    this.#rate = rate;
    this.#sackOk = sackOk;
    this.#now = now;
    this.#initialCwndBytes = initialWindowBytes(mssBytes);
    this.cwndBytes = Math.max(this.cwndBytes, this.#initialCwndBytes);
    if (srttMs >= 0) this.#minRttMs = srttMs;
    this.#minRttAt = now;
    this.#probeRttMinMs = this.#minRttMs;
    this.#probeRttMinAt = now;
    this.#extraAckedFrom = now;
    this.#startRound();
    // InitPacingRate
    this.pacingBytesPerMs =
      (PACING_GAINS[BbrState.Startup]! * this.#initialCwndBytes) / (srttMs > 0 ? srttMs : 1);
    this.state = BbrState.Startup;
  }

  setMss(mssBytes: number): void {
    this.#mssBytes = mssBytes;
    this.#initialCwndBytes = initialWindowBytes(mssBytes);
    if (this.cwndBytes < mssBytes) this.cwndBytes = mssBytes;
  }

  roundTrip(): void {}

  acked(): void {}

  restartAfterIdle(): void {}

  // ---------------------------------------------------------------- ACKs (§5.2.3)

  sampled(
    rate: DeliveryRate,
    inFlightBytes: number,
    rttMs: number,
    isCwndLimited: boolean,
    now: number,
  ): void {
    this.#now = now;
    this.#inFlightBytes = inFlightBytes;
    this.#isCwndLimited = isCwndLimited;
    this.#txInFlightBytes = rate.txInFlightBytes;
    this.#lostBytes = rate.lostSinceBytes;
    this.#isAppLimited = rate.isAppLimited;
    this.#updateLatestDeliverySignals(rate);
    this.#updateCongestionSignals(rate);
    this.#updateAckAggregation(rate);
    this.#checkFullBwReached(rate);
    this.#checkStartupDone();
    this.#checkDrainDone();
    this.#updateProbeBwCyclePhase(rate);
    this.#updateMinRtt(rttMs);
    this.#checkProbeRtt(rate);
    // AdvanceLatestDeliverySignals
    if (this.#lossRoundStart) {
      this.#bwLatest = rate.bytesPerMs;
      this.#inflightLatest = rate.sampleBytes;
    }
    // BoundBWForModel
    this.#bw = Math.min(this.#maxBw.value, this.#bwShortterm);
    this.#setPacingRate(PACING_GAINS[this.state]!);
    this.#setCwnd(rate);
  }

  #updateLatestDeliverySignals(rate: DeliveryRate): void {
    this.#lossRoundStart = false;
    this.#bwLatest = Math.max(this.#bwLatest, rate.bytesPerMs);
    this.#inflightLatest = Math.max(this.#inflightLatest, rate.sampleBytes);
    if (rate.priorDelivered < this.#lossRoundDelivered) return;
    this.#lossRoundDelivered = rate.deliveredBytes;
    this.#lossRoundStart = true;
  }

  #updateCongestionSignals(rate: DeliveryRate): void {
    this.#updateMaxBw(rate);
    if (!this.#lossRoundStart) return;
    if (this.#lossInRound && !this.#isProbingBw) this.#adaptLowerBounds();
    this.#lossInRound = false;
  }

  /** §5.5.5, with UpdateRound of §5.5.1 */
  #updateMaxBw(rate: DeliveryRate): void {
    this.#roundStart = rate.priorDelivered >= this.#nextRoundDelivered;
    if (this.#roundStart) {
      this.#startRound();
      this.#roundCount++;
      this.#roundsSinceProbeUp++;
    }
    const { bytesPerMs } = rate;
    if (bytesPerMs > 0 && (bytesPerMs >= this.#maxBw.value || !rate.isAppLimited))
      this.#maxBw.update(bytesPerMs, this.#cycleCount, MAX_BW_CYCLES);
  }

  #startRound(): void {
    this.#nextRoundDelivered = this.#rate?.deliveredBytes ?? 0;
  }

  /** InitLowerBounds and LossLowerBounds of §5.5.10.3 */
  #adaptLowerBounds(): void {
    if (this.#bwShortterm === Infinity) this.#bwShortterm = this.#maxBw.value;
    if (this.#inflightShortterm === Infinity) this.#inflightShortterm = this.cwndBytes;
    this.#bwShortterm = Math.max(this.#bwLatest, BETA * this.#bwShortterm);
    this.#inflightShortterm = Math.max(this.#inflightLatest, BETA * this.#inflightShortterm);
  }

  /** §5.5.9 */
  #updateAckAggregation(rate: DeliveryRate): void {
    let expected = this.#bw * (this.#now - this.#extraAckedFrom);
    if (this.#extraAckedDelivered <= expected) {
      this.#extraAckedDelivered = 0;
      this.#extraAckedFrom = this.#now;
      expected = 0;
    }
    this.#extraAckedDelivered += rate.newlyAckedBytes;
    const extra = Math.min(this.#extraAckedDelivered - expected, this.cwndBytes);
    this.#extraAcked.update(extra, this.#roundCount, this.#fullBwReached ? EXTRA_ACKED_ROUNDS : 1);
  }

  // ---------------------------------------------------------------- Startup and Drain (§5.3.1, §5.3.2)

  #resetFullBw(): void {
    this.#fullBw = 0;
    this.#fullBwCount = 0;
    this.#fullBwNow = false;
  }

  #checkFullBwReached(rate: DeliveryRate): void {
    if (this.#fullBwNow || !this.#roundStart || rate.isAppLimited) return;
    if (rate.bytesPerMs >= this.#fullBw * FULL_BW_GROWTH) {
      this.#resetFullBw();
      this.#fullBw = rate.bytesPerMs;
      return;
    }
    this.#fullBwCount++;
    this.#fullBwNow = this.#fullBwCount >= FULL_BW_ROUNDS;
    if (this.#fullBwNow) this.#fullBwReached = true;
  }

  #checkStartupDone(): void {
    this.#checkStartupHighLoss();
    if (this.state !== BbrState.Startup || !this.#fullBwReached) return;
    this.state = BbrState.Drain;
    this.#drainStartRound = this.#roundCount;
  }

  /** §5.3.1.3. A round that began with a loss and has ended in recovery is a whole round trip of it. */
  #checkStartupHighLoss(): void {
    if (this.#fullBwReached || !this.#inRecovery) {
      if (this.#lossRoundStart) this.#lossRangesInRound = 0;
      return;
    }
    const isHigh = this.#sackOk
      ? this.#lossRoundStart &&
        this.#lossRangesInRound >= STARTUP_FULL_LOSS_COUNT &&
        this.#isInflightTooHigh()
      : this.#lossRangesInRound > 0;
    if (this.#lossRoundStart) this.#lossRangesInRound = 0;
    if (!isHigh) return;
    this.#undoState = BbrState.Startup;
    this.#fullBwReached = true;
    this.#inflightLongterm = Math.max(this.#bdp(1), this.#inflightLatest);
  }

  #checkDrainDone(): void {
    if (this.state !== BbrState.Drain) return;
    if (
      this.#inFlightBytes <= this.#quantized(this.#bdp(1)) ||
      this.#roundCount > this.#drainStartRound + DRAIN_ROUNDS
    )
      this.#startDown();
  }

  // ---------------------------------------------------------------- ProbeBW (§5.3.3.6)

  get #isInProbeBw(): boolean {
    return this.state >= BbrState.ProbeBwDown && this.state <= BbrState.ProbeBwUp;
  }

  get #isProbingBw(): boolean {
    const { state } = this;
    return state === BbrState.Startup || state === BbrState.ProbeBwRefill || state === BbrState.ProbeBwUp;
  }

  #startDown(): void {
    // ResetCongestionSignals
    this.#lossInRound = false;
    this.#bwLatest = 0;
    this.#inflightLatest = 0;
    this.#probeUpAckedPerIncrement = Infinity;
    // PickProbeWait
    this.#roundsSinceProbeUp = this.#random.uint32() & 1;
    this.#probeWaitMs = MIN_PROBE_WAIT_MS + (this.#random.uint32() / 0x1_0000_0000) * RANDOM_PROBE_WAIT_MS;
    this.#cycleAt = this.#now;
    this.#ackPhase = AckPhase.ProbeStopping;
    this.#startRound();
    this.state = BbrState.ProbeBwDown;
  }

  #startRefill(): void {
    this.#resetShortTermModel();
    this.#probeUpRounds = 0;
    this.#probeUpAcked = 0;
    this.#prevProbePrecautionary = false;
    this.#ackPhase = AckPhase.Refilling;
    this.#startRound();
    this.state = BbrState.ProbeBwRefill;
  }

  #startUp(rate: DeliveryRate): void {
    this.#ackPhase = AckPhase.ProbeStarting;
    this.#startRound();
    this.#resetFullBw();
    this.#fullBw = rate.bytesPerMs;
    this.state = BbrState.ProbeBwUp;
    this.#raiseInflightLongtermSlope();
  }

  #resetShortTermModel(): void {
    this.#bwShortterm = Infinity;
    this.#inflightShortterm = Infinity;
  }

  #updateProbeBwCyclePhase(rate: DeliveryRate): void {
    if (!this.#fullBwReached || this.#adaptLongTermModel(rate)) return;
    switch (this.state) {
      case BbrState.ProbeBwDown:
        if (this.#isTimeToProbeBw()) this.#startRefill();
        else if (this.#isTimeToCruise()) this.state = BbrState.ProbeBwCruise;
        break;
      case BbrState.ProbeBwCruise:
        if (this.#isTimeToProbeBw()) this.#startRefill();
        break;
      case BbrState.ProbeBwRefill:
        if (!this.#roundStart) break;
        this.#isProbeSample = true;
        this.#startUp(rate);
        break;
      case BbrState.ProbeBwUp:
        if (!this.#isTimeToGoDown(rate)) break;
        this.#prevProbeTooHigh = false;
        this.#startDown();
        break;
    }
  }

  /** @returns true when it has changed the state */
  #adaptLongTermModel(rate: DeliveryRate): boolean {
    if (this.#ackPhase === AckPhase.ProbeStarting && this.#roundStart)
      this.#ackPhase = AckPhase.ProbeFeedback;
    if (this.#ackPhase === AckPhase.ProbeStopping && this.#roundStart) {
      this.#isProbeSample = false;
      this.#ackPhase = AckPhase.Init;
      if (this.#isInProbeBw) {
        // AdvanceMaxBwFilter
        if (!rate.isAppLimited) this.#cycleCount++;
        if (this.#prevProbePrecautionary && !this.#prevProbeTooHigh) {
          this.#startRefill();
          return true;
        }
      }
    }
    if (this.#isInflightTooHigh() || this.#inflightLongterm === Infinity) return false;
    if (this.#txInFlightBytes > this.#inflightLongterm) this.#inflightLongterm = this.#txInFlightBytes;
    if (this.state === BbrState.ProbeBwUp) this.#probeInflightLongtermUpward(rate);
    return false;
  }

  #raiseInflightLongtermSlope(): void {
    const growth = 2 ** this.#probeUpRounds;
    this.#probeUpRounds = Math.min(this.#probeUpRounds + 1, MAX_PROBE_UP_ROUNDS);
    this.#probeUpAckedPerIncrement = Math.max(this.cwndBytes / growth, this.#mssBytes);
  }

  #probeInflightLongtermUpward(rate: DeliveryRate): void {
    if (!this.#isCwndLimited || this.cwndBytes < this.#inflightLongterm) return;
    this.#probeUpAcked += rate.newlyAckedBytes;
    const steps = Math.floor(this.#probeUpAcked / this.#probeUpAckedPerIncrement);
    if (steps > 0) {
      this.#probeUpAcked -= steps * this.#probeUpAckedPerIncrement;
      this.#inflightLongterm += steps * this.#mssBytes;
    }
    if (this.#roundStart) this.#raiseInflightLongtermSlope();
  }

  /** §5.3.3.5.3 */
  #isTimeToProbeBw(): boolean {
    if (this.#now > this.#cycleAt + this.#probeWaitMs) return true;
    const renoRounds = this.#targetInflight() / this.#mssBytes;
    return this.#roundsSinceProbeUp >= Math.min(renoRounds, MAX_RENO_ROUNDS);
  }

  #targetInflight(): number {
    return Math.min(this.#bdp(1), this.cwndBytes);
  }

  #isTimeToCruise(): boolean {
    if (this.#inFlightBytes > this.#inflightWithHeadroom()) return false;
    return this.#inFlightBytes <= this.#quantized(this.#maxBw.value * this.#minRttMs);
  }

  #isTimeToGoDown(rate: DeliveryRate): boolean {
    if (this.#prevProbeTooHigh && this.#inFlightBytes >= this.#inflightLongterm) {
      this.#prevProbePrecautionary = true;
      return true;
    }
    if (this.#isCwndLimited && this.cwndBytes >= this.#inflightLongterm) {
      this.#resetFullBw();
      this.#fullBw = rate.bytesPerMs;
      return false;
    }
    return this.#fullBwNow;
  }

  #inflightWithHeadroom(): number {
    if (this.#inflightLongterm === Infinity) return Infinity;
    const headroom = Math.max(this.#mssBytes, HEADROOM * this.#inflightLongterm);
    return Math.max(this.#inflightLongterm - headroom, this.#minPipeBytes);
  }

  // ---------------------------------------------------------------- ProbeRTT (§5.3.4.3)

  #updateMinRtt(rttMs: number): void {
    this.#probeRttExpired = this.#now > this.#probeRttMinAt + PROBE_RTT_INTERVAL_MS;
    if (rttMs >= 0 && (rttMs < this.#probeRttMinMs || this.#probeRttExpired)) {
      this.#probeRttMinMs = rttMs;
      this.#probeRttMinAt = this.#now;
    }
    if (this.#probeRttMinMs >= this.#minRttMs && this.#now <= this.#minRttAt + MIN_RTT_WINDOW_MS) return;
    this.#minRttMs = this.#probeRttMinMs;
    this.#minRttAt = this.#probeRttMinAt;
  }

  #checkProbeRtt(rate: DeliveryRate): void {
    if (this.state !== BbrState.ProbeRtt && this.#probeRttExpired && !this.#idleRestart) {
      this.#saveCwnd();
      this.state = BbrState.ProbeRtt;
      this.#probeRttDoneAt = 0;
      this.#ackPhase = AckPhase.ProbeStopping;
      this.#startRound();
    }
    if (this.state === BbrState.ProbeRtt) this.#handleProbeRtt(rate);
    if (rate.sampleBytes > 0) this.#idleRestart = false;
  }

  #handleProbeRtt(rate: DeliveryRate): void {
    rate.markAppLimited(this.#inFlightBytes);
    if (this.#probeRttDoneAt === 0) {
      if (this.#inFlightBytes > this.#probeRttCwnd()) return;
      this.#probeRttDoneAt = this.#now + PROBE_RTT_MS;
      this.#probeRttRoundDone = false;
      this.#startRound();
      return;
    }
    if (this.#roundStart) this.#probeRttRoundDone = true;
    if (this.#probeRttRoundDone) this.#checkProbeRttDone();
  }

  #checkProbeRttDone(): void {
    if (this.#probeRttDoneAt === 0 || this.#now <= this.#probeRttDoneAt) return;
    this.#probeRttMinAt = this.#now;
    this.#restoreCwnd();
    // ExitProbeRTT
    this.#resetShortTermModel();
    if (this.#fullBwReached) {
      this.#startDown();
      this.state = BbrState.ProbeBwCruise;
    } else {
      this.state = BbrState.Startup;
    }
  }

  #probeRttCwnd(): number {
    return Math.max(this.#bdp(CWND_GAINS[BbrState.ProbeRtt]!), this.#minPipeBytes);
  }

  // ---------------------------------------------------------------- idle (§5.4.1)

  beginTransmit(rate: DeliveryRate, now: number): void {
    if (rate.appLimitedTo === 0) return;
    this.#now = now;
    this.#idleRestart = true;
    this.#extraAckedFrom = now;
    if (this.#isInProbeBw) this.#setPacingRate(1);
    else if (this.state === BbrState.ProbeRtt) this.#checkProbeRttDone();
  }

  // ---------------------------------------------------------------- losses (§5.5.10.2)

  pieceLost(
    start: number,
    bytes: number,
    txInFlightBytes: number,
    lostSinceBytes: number,
    isAppLimited: boolean,
  ): void {
    // NoteLoss
    if (!this.#lossInRound) {
      this.#lossRoundDelivered = this.#rate?.deliveredBytes ?? 0;
      this.#saveStateUponLoss();
    }
    this.#lossInRound = true;
    if (this.#lossRangesInRound === 0 || start !== this.#lastLostEnd) this.#lossRangesInRound++;
    this.#lastLostEnd = (start + bytes) | 0;
    if (!this.#isProbeSample) return;
    this.#txInFlightBytes = txInFlightBytes;
    this.#lostBytes = lostSinceBytes;
    this.#isAppLimited = isAppLimited;
    if (!this.#isInflightTooHigh()) return;
    // InflightAtLoss: where within the piece the losses became too many
    const inflightBefore = txInFlightBytes - bytes;
    const lostBefore = lostSinceBytes - bytes;
    this.#txInFlightBytes = inflightBefore + (LOSS_THRESH * inflightBefore - lostBefore) / (1 - LOSS_THRESH);
    this.#handleInflightTooHigh();
  }

  #isInflightTooHigh(): boolean {
    return this.#lostBytes > this.#txInFlightBytes * LOSS_THRESH || (this.#lostBytes > 0 && !this.#sackOk);
  }

  #handleInflightTooHigh(): void {
    this.#prevProbeTooHigh = true;
    this.#isProbeSample = false;
    if (!this.#isAppLimited)
      this.#inflightLongterm = Math.max(this.#txInFlightBytes, this.#targetInflight() * BETA);
    if (this.state !== BbrState.ProbeBwUp) return;
    this.#undoState = BbrState.ProbeBwUp;
    this.#startDown();
  }

  // ---------------------------------------------------------------- recovery (§5.6.4.4, §5.5.11)

  /** OnEnterFastRecovery. differs from the draft: an ECN echo comes here, too, and counts as a loss (§3.5 leaves open how). */
  congestion(_inFlightBytes: number, _isEcho: boolean, now: number): void {
    this.#now = now;
    this.#saveCwnd();
    if (!this.#lossInRound) {
      this.#lossRoundDelivered = this.#rate?.deliveredBytes ?? 0;
      this.#saveStateUponLoss();
      this.#lossInRound = true;
    }
    this.#inRecovery = true;
  }

  /** OnEnterRTO */
  timeout(_inFlightBytes: number, again: boolean, now: number): void {
    this.#now = now;
    if (!again) {
      this.#saveCwnd();
      this.#saveStateUponLoss();
    }
    this.#inRecovery = true;
    this.cwndBytes = this.#mssBytes;
  }

  recovered(now: number): void {
    this.#now = now;
    this.#inRecovery = false;
    this.#restoreCwnd();
  }

  /** HandleSpuriousLossDetection */
  undo(): void {
    this.#inRecovery = false;
    this.#restoreCwnd();
    this.#lossInRound = false;
    this.#resetFullBw();
    this.#bwShortterm = Math.max(this.#bwShortterm, this.#undoBwShortterm);
    this.#inflightShortterm = Math.max(this.#inflightShortterm, this.#undoInflightShortterm);
    this.#inflightLongterm = Math.max(this.#inflightLongterm, this.#undoInflightLongterm);
    const before = this.#undoState;
    this.#undoState = -1;
    if (before === this.state) return;
    if (before === BbrState.Startup) {
      this.#fullBwReached = false;
      if (this.state !== BbrState.ProbeRtt) this.state = BbrState.Startup;
    } else if (before === BbrState.ProbeBwUp && this.state !== BbrState.ProbeRtt) {
      this.#startRefill();
    }
  }

  #saveStateUponLoss(): void {
    this.#saveCwnd();
    this.#undoState = -1;
    this.#undoBwShortterm = this.#bwShortterm;
    this.#undoInflightShortterm = this.#inflightShortterm;
    this.#undoInflightLongterm = this.#inflightLongterm;
  }

  #saveCwnd(): void {
    if (!this.#inRecovery && this.state !== BbrState.ProbeRtt) this.#priorCwnd = this.cwndBytes;
    else this.#priorCwnd = Math.max(this.#priorCwnd, this.cwndBytes);
  }

  #restoreCwnd(): void {
    this.cwndBytes = Math.max(this.cwndBytes, this.#priorCwnd);
  }

  // ---------------------------------------------------------------- control parameters (§5.6)

  #setPacingRate(gain: number): void {
    const rate = gain * this.#bw * PACING_MARGIN;
    if (this.#fullBwReached || rate > this.pacingBytesPerMs) this.pacingBytesPerMs = rate;
  }

  get #minPipeBytes(): number {
    return MIN_PIPE_SEGMENTS * this.#mssBytes;
  }

  /** BDPMultiple */
  #bdp(gain: number): number {
    return this.#minRttMs === Infinity ? this.#initialCwndBytes : gain * this.#bw * this.#minRttMs;
  }

  /** QuantizationBudget, with SetSendQuantum */
  #quantized(inflight: number): number {
    const quantum = Math.max(
      Math.min(this.pacingBytesPerMs, MAX_QUANTUM_BYTES),
      MIN_QUANTUM_SEGMENTS * this.#mssBytes,
    );
    const enough = Math.max(inflight, OFFLOAD_QUANTA * quantum, this.#minPipeBytes);
    return this.state === BbrState.ProbeBwUp ? enough + 2 * this.#mssBytes : enough;
  }

  #setCwnd(rate: DeliveryRate): void {
    const maxInflight = this.#quantized(this.#bdp(CWND_GAINS[this.state]!) + this.#extraAcked.value);
    const grown = this.cwndBytes + rate.newlyAckedBytes;
    if (this.#fullBwReached) this.cwndBytes = Math.min(grown, maxInflight);
    else if (this.cwndBytes < maxInflight || rate.deliveredBytes < this.#initialCwndBytes)
      this.cwndBytes = grown;
    this.cwndBytes = Math.max(this.cwndBytes, this.#minPipeBytes);
    if (this.state === BbrState.ProbeRtt) this.cwndBytes = Math.min(this.cwndBytes, this.#probeRttCwnd());
    this.#boundCwndForModel();
  }

  #boundCwndForModel(): void {
    let cap: number = Infinity;
    if (this.state === BbrState.ProbeRtt || this.state === BbrState.ProbeBwCruise)
      cap = this.#inflightWithHeadroom();
    else if (this.#isInProbeBw) cap = this.#inflightLongterm;
    cap = Math.max(Math.min(cap, this.#inflightShortterm), this.#minPipeBytes);
    this.cwndBytes = Math.min(this.cwndBytes, cap);
  }
}
