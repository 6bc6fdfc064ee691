import type { DeliveryRate } from '../delivery-rate.ts';
import type { LossObserver } from '../sent-queue.ts';

/**
 * Decides how much may be in flight. Loss recovery tells it what happened; the sender reads `cwndBytes`. One object per
 * connection; plain numbers, no allocation per ACK.
 */
export interface CongestionControl {
  readonly name: string;
  cwndBytes: number;
  /** Infinity before the first congestion event. */
  ssthreshBytes: number;
  /** The rate at which to send, bytes per millisecond; 0: cwnd alone decides. */
  readonly pacingBytesPerMs: number;
  /** cwnd during fast recovery is its own business; false: Proportional Rate Reduction sets it. */
  readonly ownsRecovery: boolean;
  /** Learns of each loss; null: does not want to. */
  readonly lossObserver: LossObserver | null;
  /**
   * The connection is established.
   * @param mssBytes effective send MSS
   * @param rate of the connection's deliveries
   * @param srttMs -1: none was measured
   */
  start(mssBytes: number, rate: DeliveryRate, srttMs: number, sackOk: boolean, now: number): void;
  /** The effective send MSS has changed (path MTU). */
  setMss(mssBytes: number): void;
  /**
   * Every ACK of new data, before `acked`.
   * @param rttMs what it measured; -1: nothing
   * @param begins it acknowledges the first data of a new round trip
   */
  roundTrip(rttMs: number, begins: boolean, isPaced: boolean, now: number): void;
  /**
   * New data was acknowledged outside fast recovery.
   * @param limited the window was used up, so that it may grow (RFC 7661 §4.1)
   */
  acked(ackedBytes: number, srttMs: number, limited: boolean, now: number): void;
  /**
   * Loss was detected by ACKs, and fast recovery begins; or the peer echoes a mark of congestion.
   * @param isEcho the latter: cwnd can become less than ssthresh, which is two segments at least (RFC 9438 §4.6, RFC 3168 §6.1.2)
   */
  congestion(inFlightBytes: number, isEcho: boolean, now: number): void;
  /** The last `congestion` or `timeout` was a mistake: nothing was lost (RFC 4015, RFC 9438 §4.9). */
  undo(): void;
  /** Everything that was in flight at `congestion` is acknowledged. */
  recovered(now: number): void;
  /** The retransmission timer expired. @param again for the same data: ssthresh is kept (RFC 5681 §3.1) */
  timeout(inFlightBytes: number, again: boolean, now: number): void;
  /** Nothing was sent, or little, for a while. @param mostBytes that cwnd may have after that */
  restartAfterIdle(mostBytes: number): void;
  /** Data is about to be sent while nothing is in flight. */
  beginTransmit(rate: DeliveryRate, now: number): void;
  /**
   * Every ACK that reports something as arrived, after everything else.
   * @param rttMs of the latest piece that was sent only once; -1: none
   * @param isCwndLimited cwnd was used up at some time in the last round trip
   */
  sampled(
    rate: DeliveryRate,
    inFlightBytes: number,
    rttMs: number,
    isCwndLimited: boolean,
    now: number,
  ): void;
}

/** RFC 6928 §2: IW = min(10 * MSS, max(2 * MSS, 14600)). */
export function initialWindowBytes(mssBytes: number): number {
  return Math.min(10 * mssBytes, Math.max(2 * mssBytes, 14_600));
}
