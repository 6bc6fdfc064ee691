import { DeliveryRate } from './delivery-rate.ts';

/** State of a sent piece; bits. The three sums below follow from them, as in Linux (net/ipv4/tcp_input.c). */
export const SentFlag = {
  /** The peer has reported it (RFC 2018). */
  Sacked: 1,
  /** Presumed dropped; stays set while its retransmission is under way. */
  Lost: 2,
  /** A retransmission is in flight. */
  Retransmitted: 4,
  /** Was sent more than once: no round-trip sample (Karn). */
  EverRetransmitted: 8,
} as const;

/** Records are split by SACK blocks only while there are fewer: a peer could report every other byte. */
export const MAX_SENT_RECORDS = 8192;

/** Differences of times are rounded: less than this is nothing. */
const CLOCK_ERROR_MS = 0.001;

/** RFC 5681 §3.2, RFC 6675 §2. */
export const DUP_THRESH = 3;

/** What a piece remembers of the moment it was sent (draft-ietf-ccwg-bbr §4.1.2.1): columns of `snapshots`. */
const Snapshot = {
  Delivered: 0,
  DeliveredAt: 1,
  FirstSentAt: 2,
  /** In flight, the piece included. */
  InFlight: 3,
  Lost: 4,
  AppLimited: 5,
  Columns: 6,
} as const;

/** Learns of every piece that is presumed lost. */
export interface LossObserver {
  /**
   * @param start its first sequence number
   * @param txInFlightBytes in flight when it was sent, itself included
   * @param lostSinceBytes lost since then, itself included
   */
  pieceLost(
    start: number,
    bytes: number,
    txInFlightBytes: number,
    lostSinceBytes: number,
    isAppLimited: boolean,
  ): void;
}

/** Records there is room for once data flows. */
const FIRST_RECORDS = 16;
const NO_NUMBERS: Int32Array = new Int32Array(0);
const NO_TIMES: Float64Array = new Float64Array(0);
const NO_FLAGS: Uint8Array = new Uint8Array(0);

/**
 * What is sent and not yet acknowledged, one record per packet handed to the device (a super-segment is one): when it was
 * sent and what became of it. The scoreboard of RFC 6675 with the times that RFC 8985 needs. Parallel arrays,
 * ordered by sequence number without gaps.
 */
export class SentQueue {
  start: Int32Array = NO_NUMBERS;
  end: Int32Array = NO_NUMBERS;
  sentAt: Float64Array = NO_TIMES;
  flags: Uint8Array = NO_FLAGS;
  snapshots: Float64Array = NO_TIMES;
  readonly rate: DeliveryRate = new DeliveryRate();
  /** Null: nobody wants to know. */
  lossObserver: LossObserver | null = null;
  /** Records are at indexes first … last - 1. */
  first = 0;
  last = 0;
  sackedBytes = 0;
  lostBytes = 0;
  retransmittedBytes = 0;
  /** After `ackTo`: when the oldest newly acknowledged piece had been sent; -1: no sample can be taken (Karn). */
  ackedSentAt = -1;
  /** After `markLostBefore`: so long until the last piece that may be lost is; 0: there is none. */
  waitMs = 0;

  // What one ACK reports as arrived, since `beginAck`; for RFC 8985 §6.2
  deliveredBytes = 0;
  /** When the latest piece that was sent only once was sent; -1: none has arrived. */
  deliveredAt = -1;
  deliveredEnd = 0;
  /** The same for pieces that were sent again. */
  resentDeliveredAt = -1;
  resentDeliveredEnd = 0;
  /** Lowest end of a piece that was sent only once; valid while `deliveredAt` >= 0. */
  originalEnd = 0;
  /** A piece that was sent once has arrived after one that was sent later. */
  reordered = false;
  /** … and the first such piece began so far below the highest sequence number that had arrived. */
  reorderedBytes = 0;
  /** Highest sequence number that has arrived (RACK.fack), and the same before this ACK. */
  #arrivedTo = 0;
  #arrivedBefore = 0;
  /** No record before this sequence number waits to be retransmitted. */
  #lostFrom = 0;
  #now = 0;

  get count(): number {
    return this.last - this.first;
  }

  /** Notes a packet just sent: sequence numbers `start` … `end` - 1. @param inFlightBytes before it */
  push(start: number, end: number, now: number, inFlightBytes: number): void {
    if (this.first === this.last) {
      this.first = 0;
      this.last = 0;
      this.#arrivedTo = start;
      this.#lostFrom = start;
    }
    if (this.last === this.start.length) this.#makeRoom();
    const at = this.last++;
    this.start[at] = start;
    this.end[at] = end;
    this.flags[at] = 0;
    this.#stamp(at, now, inFlightBytes);
  }

  /** OnPacketSent of draft-ietf-ccwg-bbr §4.1.2.2. */
  #stamp(at: number, now: number, inFlightBytes: number): void {
    const { rate, snapshots } = this;
    if (inFlightBytes <= 0) rate.restart(now);
    this.sentAt[at] = now;
    const columns = at * Snapshot.Columns;
    snapshots[columns + Snapshot.Delivered] = rate.deliveredBytes;
    snapshots[columns + Snapshot.DeliveredAt] = rate.deliveredAt;
    snapshots[columns + Snapshot.FirstSentAt] = rate.firstSentAt;
    snapshots[columns + Snapshot.InFlight] = inFlightBytes + ((this.end[at]! - this.start[at]!) | 0);
    snapshots[columns + Snapshot.Lost] = rate.lostBytes;
    snapshots[columns + Snapshot.AppLimited] = rate.appLimitedTo > 0 ? 1 : 0;
  }

  /** An ACK (or a timer that judges losses) is about to be worked off. */
  beginAck(now: number): void {
    this.#now = now;
    this.rate.begin();
    this.deliveredBytes = 0;
    this.deliveredAt = -1;
    this.resentDeliveredAt = -1;
    this.reordered = false;
    this.reorderedBytes = 0;
    this.#arrivedBefore = this.#arrivedTo;
  }

  /** Record `at` has arrived, up to `end`. */
  #delivered(at: number, end: number, bytes: number): void {
    const sentAt = this.sentAt[at]!;
    this.deliveredBytes += bytes;
    const { snapshots } = this;
    const columns = at * Snapshot.Columns;
    this.rate.arrived(
      this.#now,
      bytes,
      end,
      sentAt,
      snapshots[columns + Snapshot.Delivered]!,
      snapshots[columns + Snapshot.DeliveredAt]!,
      snapshots[columns + Snapshot.FirstSentAt]!,
      snapshots[columns + Snapshot.InFlight]!,
      snapshots[columns + Snapshot.Lost]!,
      snapshots[columns + Snapshot.AppLimited]! !== 0,
    );
    if (this.flags[at]! & SentFlag.EverRetransmitted) {
      // RFC 8985 §6.2: of what was sent at one time the end decides
      const before = this.resentDeliveredAt;
      if (sentAt > before || (sentAt === before && ((end - this.resentDeliveredEnd) | 0) > 0)) {
        this.resentDeliveredAt = sentAt;
        this.resentDeliveredEnd = end;
      }
    } else {
      if (this.deliveredAt < 0 || ((end - this.originalEnd) | 0) < 0) this.originalEnd = end;
      if (sentAt >= this.deliveredAt && (this.deliveredAt < 0 || ((end - this.deliveredEnd) | 0) > 0)) {
        this.deliveredAt = sentAt;
        this.deliveredEnd = end;
      }
      if (((end - this.#arrivedBefore) | 0) < 0) {
        this.reordered = true;
        this.reorderedBytes = Math.max(this.reorderedBytes, (this.#arrivedBefore - end + bytes) | 0);
      }
    }
    if (((end - this.#arrivedTo) | 0) > 0) this.#arrivedTo = end;
  }

  /** Forgets everything before `ack`. Sets `ackedSentAt`. */
  ackTo(ack: number): void {
    this.ackedSentAt = -1;
    let karn = false;
    while (this.first < this.last) {
      const at = this.first;
      const flags = this.flags[at]!;
      const whole = ((ack - this.end[at]!) | 0) >= 0;
      const bytes = ((whole ? this.end[at]! : ack) - this.start[at]!) | 0;
      if (bytes <= 0) break;
      if (!(flags & SentFlag.Sacked)) this.#delivered(at, (this.start[at]! + bytes) | 0, bytes);
      if (flags === 0) {
        if (this.ackedSentAt < 0) this.ackedSentAt = this.sentAt[at]!;
      } else {
        if (flags & SentFlag.EverRetransmitted) karn = true;
        this.#discount(flags, bytes);
      }
      if (!whole) {
        this.start[at] = ack;
        break;
      }
      this.first++;
    }
    // What lay behind a retransmitted piece may have arrived long ago and waited for it
    if (karn) this.ackedSentAt = -1;
    if (((this.#arrivedTo - ack) | 0) < 0) this.#arrivedTo = ack;
    if (((this.#lostFrom - ack) | 0) < 0) this.#lostFrom = ack;
  }

  #discount(flags: number, bytes: number): void {
    if (flags & SentFlag.Sacked) this.sackedBytes -= bytes;
    if (flags & SentFlag.Lost) this.lostBytes -= bytes;
    if (flags & SentFlag.Retransmitted) this.retransmittedBytes -= bytes;
  }

  /** Index of the record that contains `seq`; `last` when it lies behind all. */
  find(seq: number): number {
    let low = this.first;
    let high = this.last;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (((seq - this.end[middle]!) | 0) >= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Makes `seq`, inside record `at`, the start of a record of its own, at index `at` + 1. */
  split(at: number, seq: number): void {
    if (this.last === this.start.length) {
      const offset = at - this.first;
      this.#makeRoom();
      at = this.first + offset;
    }
    this.#move(at + 1, at, this.last);
    this.last++;
    this.end[at] = seq;
    this.start[at + 1] = seq;
  }

  /**
   * Marks `left` … `right` - 1 as received by the peer; pieces outside of what is recorded are ignored.
   * @returns bytes newly marked, or -1 when the block would have split too many records
   */
  markSacked(left: number, right: number): number {
    if (this.first === this.last) return 0;
    let from = this.find(left);
    if (from === this.last) return 0;
    if (((left - this.start[from]!) | 0) > 0 && !(this.flags[from]! & SentFlag.Sacked)) {
      if (this.count >= MAX_SENT_RECORDS) return -1;
      const offset = from - this.first;
      this.split(from, left);
      from = this.first + offset + 1;
    }
    let to = this.find(right);
    if (to < this.last && ((right - this.start[to]!) | 0) > 0) {
      if (!(this.flags[to]! & SentFlag.Sacked)) {
        if (this.count >= MAX_SENT_RECORDS) return -1;
        const offset = from - this.first;
        const toOffset = to - this.first;
        this.split(to, right);
        from = this.first + offset;
        to = this.first + toOffset;
      }
      to++;
    }
    if (from >= to) return 0;
    let marked = 0;
    for (let at = from; at < to; at++) {
      const flags = this.flags[at]!;
      if (flags & SentFlag.Sacked) continue;
      const bytes = (this.end[at]! - this.start[at]!) | 0;
      this.#delivered(at, this.end[at]!, bytes);
      this.#discount(flags, bytes);
      this.sackedBytes += bytes;
      marked += bytes;
      this.flags[at] = (flags & SentFlag.EverRetransmitted) | SentFlag.Sacked;
    }
    if (marked === 0) return 0;
    this.#merge(from, to);
    return marked;
  }

  /** Joins the sacked records `from` … `to` - 1 and sacked neighbours to one. */
  #merge(from: number, to: number): void {
    let low = from;
    let high = to;
    if (low > this.first && this.flags[low - 1]! & SentFlag.Sacked) low--;
    if (high < this.last && this.flags[high]! & SentFlag.Sacked) high++;
    if (high - low < 2) return;
    this.end[low] = this.end[high - 1]!;
    this.#move(low + 1, high, this.last);
    this.last -= high - low - 1;
  }

  /**
   * Step 5 of RFC 8985 §6.2: presumes lost what was sent before the piece that was sent last of all that have arrived, and
   * not after `sentBefore`; retransmissions too. Sets `waitMs`.
   * @param xmitAt when that piece was sent
   * @param xmitEnd where it ended
   * @returns bytes newly marked
   */
  markLostBefore(xmitAt: number, xmitEnd: number, sentBefore: number): number {
    this.waitMs = 0;
    let marked = 0;
    for (let at = this.first; at < this.last; at++) {
      const flags = this.flags[at]!;
      if (flags & SentFlag.Sacked) continue;
      if ((flags & (SentFlag.Lost | SentFlag.Retransmitted)) === SentFlag.Lost) continue;
      const sentAt = this.sentAt[at]!;
      if (sentAt > xmitAt || (sentAt === xmitAt && ((this.end[at]! - xmitEnd) | 0) >= 0)) {
        // What was sent once was sent in order
        if (flags === 0) break;
        continue;
      }
      const waitMs = sentAt - sentBefore;
      if (waitMs <= CLOCK_ERROR_MS) marked += this.#markRecordLost(at);
      else if (waitMs > this.waitMs) this.waitMs = waitMs;
    }
    return marked;
  }

  #markRecordLost(at: number): number {
    const flags = this.flags[at]!;
    const bytes = (this.end[at]! - this.start[at]!) | 0;
    if (flags & SentFlag.Retransmitted) {
      this.flags[at] = flags & ~SentFlag.Retransmitted;
      this.retransmittedBytes -= bytes;
    } else {
      if (flags & (SentFlag.Sacked | SentFlag.Lost)) return 0;
      this.flags[at] = flags | SentFlag.Lost;
      this.lostBytes += bytes;
    }
    if (((this.start[at]! - this.#lostFrom) | 0) < 0) this.#lostFrom = this.start[at]!;
    this.#noteLoss(at, bytes);
    return bytes;
  }

  #noteLoss(at: number, bytes: number): void {
    const { rate, snapshots, lossObserver } = this;
    rate.lostBytes += bytes;
    if (lossObserver === null) return;
    const columns = at * Snapshot.Columns;
    lossObserver.pieceLost(
      this.start[at]!,
      bytes,
      snapshots[columns + Snapshot.InFlight]!,
      rate.lostBytes - snapshots[columns + Snapshot.Lost]!,
      snapshots[columns + Snapshot.AppLimited]! !== 0,
    );
  }

  /** Without SACK: presumes the first `mssBytes` bytes lost (RFC 6582). @returns bytes newly marked */
  markHeadLost(mssBytes: number): number {
    if (this.first === this.last) return 0;
    const cut = (this.start[this.first]! + mssBytes) | 0;
    if (((this.end[this.first]! - cut) | 0) > 0) this.split(this.first, cut);
    const at = this.first;
    // On a partial ACK the head may have been retransmitted long ago: that one is lost as well
    return this.#markRecordLost(at);
  }

  /** After a timeout everything that is not sacked is presumed lost, retransmissions included (RFC 6675 §5.1). */
  markAllLost(): void {
    for (let at = this.first; at < this.last; at++) {
      const flags = this.flags[at]!;
      if (flags & SentFlag.Sacked) continue;
      const bytes = (this.end[at]! - this.start[at]!) | 0;
      this.flags[at] = (flags | SentFlag.Lost) & ~SentFlag.Retransmitted;
      if (!(flags & SentFlag.Lost)) this.lostBytes += bytes;
      if ((flags & (SentFlag.Lost | SentFlag.Retransmitted)) !== SentFlag.Lost) this.#noteLoss(at, bytes);
    }
    this.retransmittedBytes = 0;
    if (this.first < this.last) {
      this.#lostFrom = this.start[this.first]!;
    }
  }

  /** Nothing was lost after all: what was not sent again yet need not be. */
  forgetLosses(): void {
    for (let at = this.first; at < this.last; at++) {
      const flags = this.flags[at]!;
      if ((flags & (SentFlag.Lost | SentFlag.Retransmitted)) !== SentFlag.Lost) continue;
      this.flags[at] = flags & ~SentFlag.Lost;
      this.lostBytes -= (this.end[at]! - this.start[at]!) | 0;
    }
  }

  /** The peer has thrown away what it had reported (RFC 2018 §8). */
  forgetSacks(): void {
    for (let at = this.first; at < this.last; at++) this.flags[at] = this.flags[at]! & ~SentFlag.Sacked;
    this.sackedBytes = 0;
  }

  get headIsSacked(): boolean {
    return this.first < this.last && (this.flags[this.first]! & SentFlag.Sacked) !== 0;
  }

  /** Index of the first lost record that is not retransmitted yet; -1: none. */
  nextLost(): number {
    if (this.lostBytes === this.retransmittedBytes) return -1;
    for (let at = this.find(this.#lostFrom); at < this.last; at++) {
      if ((this.flags[at]! & (SentFlag.Lost | SentFlag.Retransmitted)) === SentFlag.Lost) {
        this.#lostFrom = this.start[at]!;
        return at;
      }
    }
    return -1;
  }

  /** Record `at` was sent again. @param inFlightBytes before it */
  retransmitted(at: number, now: number, inFlightBytes: number): void {
    const flags = this.flags[at]!;
    if (!(flags & SentFlag.Retransmitted)) this.retransmittedBytes += (this.end[at]! - this.start[at]!) | 0;
    this.flags[at] = flags | SentFlag.Lost | SentFlag.Retransmitted | SentFlag.EverRetransmitted;
    if (!(flags & SentFlag.Lost)) this.lostBytes += (this.end[at]! - this.start[at]!) | 0;
    this.#stamp(at, now, inFlightBytes);
  }

  #move(to: number, from: number, end: number): void {
    this.start.copyWithin(to, from, end);
    this.end.copyWithin(to, from, end);
    this.sentAt.copyWithin(to, from, end);
    this.flags.copyWithin(to, from, end);
    const columns = Snapshot.Columns;
    this.snapshots.copyWithin(to * columns, from * columns, end * columns);
  }

  /** Frees a place behind `last`: moves the records down, or doubles the arrays. */
  #makeRoom(): void {
    const count = this.count;
    if (this.first > this.start.length >> 1) {
      this.#move(0, this.first, this.last);
    } else {
      // perf: one record, a SYN or a FIN, fits into arrays that V8 keeps in its heap; each of the others has a buffer outside
      const length = this.start.length === 0 ? 1 : Math.max(FIRST_RECORDS, 2 * this.start.length);
      this.start = grown(this.start, new Int32Array(length), this.first, this.last);
      this.end = grown(this.end, new Int32Array(length), this.first, this.last);
      this.sentAt = grown(this.sentAt, new Float64Array(length), this.first, this.last);
      this.flags = grown(this.flags, new Uint8Array(length), this.first, this.last);
      const columns = Snapshot.Columns;
      const snapshots = new Float64Array(length * columns);
      this.snapshots = grown(this.snapshots, snapshots, this.first * columns, this.last * columns);
    }
    this.first = 0;
    this.last = count;
  }
}

function grown<T extends Int32Array | Float64Array | Uint8Array>(
  old: T,
  into: T,
  first: number,
  last: number,
): T {
  if (first < last) into.set(old.subarray(first, last));
  return into;
}
