/**
 * How fast the network delivers (draft-ietf-ccwg-bbr §4.1, as Linux's net/ipv4/tcp_rate.c): every piece sent remembers what had been
 * delivered by then; when it arrives, the difference over the time tells the rate. The queue of sent data keeps what belongs to a
 * piece, this what belongs to the connection (C.…) and to the ACK being worked off (RS.…). Rates are in bytes per millisecond.
 */
export class DeliveryRate {
  /** C.delivered: all bytes that have arrived, sacked ones too. */
  deliveredBytes = 0;
  /** C.delivered_time */
  deliveredAt = 0;
  /** C.first_send_time */
  firstSentAt = 0;
  /** C.app_limited: until so much is delivered, what was sent tells about the application; 0: it does not. */
  appLimitedTo = 0;
  /** C.lost: all bytes that were presumed lost. */
  lostBytes = 0;

  // --- the ACK being worked off
  /** RS.has_data: it reports something as arrived. */
  hasSample = false;
  /** RS.prior_delivered, RS.prior_time … of the most recently sent piece that has arrived. */
  priorDelivered = 0;
  priorAt = 0;
  isAppLimited = false;
  /** When that piece was sent. */
  sentAt = 0;
  sendElapsedMs = 0;
  ackElapsedMs = 0;
  /** RS.tx_in_flight */
  txInFlightBytes = 0;
  /** RS.lost: bytes presumed lost since that piece was sent. */
  lostSinceBytes = 0;
  #lastEnd = 0;
  #lostBefore = 0;
  #deliveredBefore = 0;
  #lostAtBegin = 0;
  /** RS.newly_acked and RS.newly_lost. */
  newlyAckedBytes = 0;
  newlyLostBytes = 0;
  /** RS.delivered over RS.interval; 0: the ACK gives no rate. */
  sampleBytes = 0;
  intervalMs = 0;
  bytesPerMs = 0;

  // --- the latest rate that the application did not limit, or a higher one (Linux's rate_delivered, rate_interval_us)
  latestBytesPerMs = 0;
  latestIsAppLimited = false;

  /** The ACK has made something count as lost, again maybe. */
  get hasLosses(): boolean {
    return this.lostBytes > this.#lostAtBegin;
  }

  /** InitRateSample */
  begin(): void {
    this.hasSample = false;
    this.sampleBytes = 0;
    this.intervalMs = 0;
    this.bytesPerMs = 0;
    this.#deliveredBefore = this.deliveredBytes;
    this.#lostAtBegin = this.lostBytes;
  }

  /** OnPacketSent with nothing in flight: the interval begins now. */
  restart(now: number): void {
    this.firstSentAt = now;
    this.deliveredAt = now;
  }

  /** UpdateRateSample: a piece has arrived, whose `end` orders pieces of one instant. Its own values follow in the order of the queue's columns. */
  arrived(
    now: number,
    bytes: number,
    end: number,
    sentAt: number,
    delivered: number,
    deliveredAt: number,
    firstSentAt: number,
    txInFlightBytes: number,
    lostBytes: number,
    isAppLimited: boolean,
  ): void {
    this.deliveredBytes += bytes;
    this.deliveredAt = now;
    const newest =
      !this.hasSample ||
      sentAt > this.firstSentAt ||
      (sentAt === this.firstSentAt && ((end - this.#lastEnd) | 0) > 0);
    if (!newest) return;
    this.hasSample = true;
    this.priorDelivered = delivered;
    this.priorAt = deliveredAt;
    this.isAppLimited = isAppLimited;
    this.sentAt = sentAt;
    this.sendElapsedMs = sentAt - firstSentAt;
    this.ackElapsedMs = now - deliveredAt;
    this.txInFlightBytes = txInFlightBytes;
    this.#lostBefore = lostBytes;
    this.#lastEnd = end;
    this.firstSentAt = sentAt;
  }

  /** GenerateRateSample. @param minRttMs Infinity: none is known */
  generate(minRttMs: number): void {
    if (this.appLimitedTo > 0 && this.deliveredBytes > this.appLimitedTo) this.appLimitedTo = 0;
    this.newlyAckedBytes = this.deliveredBytes - this.#deliveredBefore;
    this.newlyLostBytes = this.lostBytes - this.#lostAtBegin;
    if (!this.hasSample) return;
    this.sampleBytes = this.deliveredBytes - this.priorDelivered;
    this.lostSinceBytes = this.lostBytes - this.#lostBefore;
    const intervalMs = Math.max(this.sendElapsedMs, this.ackElapsedMs);
    // An interval below a round trip is no reliable one
    if (intervalMs <= 0 || (minRttMs !== Infinity && intervalMs < minRttMs)) return;
    this.intervalMs = intervalMs;
    this.bytesPerMs = this.sampleBytes / intervalMs;
    if (this.isAppLimited && this.bytesPerMs < this.latestBytesPerMs) return;
    this.latestBytesPerMs = this.bytesPerMs;
    this.latestIsAppLimited = this.isAppLimited;
  }

  /** MarkConnectionAppLimited */
  markAppLimited(inFlightBytes: number): void {
    this.appLimitedTo = Math.max(this.deliveredBytes + inFlightBytes, 1);
  }
}
