import type { TcpConnection } from './connection.ts';

/** Proportional Rate Reduction (RFC 9937 §6), in its words: prr_delivered, prr_out, RecoverFS. */
export class ProportionalRate {
  deliveredBytes = 0;
  /** What was sent since recovery began. */
  sentBytes = 0;
  flightBytes = 0;
}

/**
 * RFC 9937 §6.1: fast recovery begins. RecoverFS is what the ACKs of this recovery will report: all that is outstanding but for what was
 * reported before.
 * @param deliveredBytes what the ACK that shows the loss reports, its cumulative part included
 */
export function beginReduction(c: TcpConnection, deliveredBytes: number): void {
  const { prr, sent } = c;
  prr.deliveredBytes = 0;
  prr.sentBytes = 0;
  prr.flightBytes = ((c.sndNxt - c.sndUna) | 0) - sent.sackedBytes - c.renoSackedBytes + deliveredBytes;
}

/**
 * RFC 9937 §6.2, for every ACK of fast recovery: cwnd is set so that for every byte delivered somewhat less than one is sent, and ssthresh
 * is in flight at its end.
 * @param deliveredBytes DeliveredData; 0: a timer has found losses, and what is in flight is less
 * @param isSafe SafeACK: SND.UNA moves, and nothing more is lost
 */
export function reduceProportionally(c: TcpConnection, deliveredBytes: number, isSafe: boolean): void {
  const { prr, cc } = c;
  prr.deliveredBytes += deliveredBytes;
  const inFlight = c.inFlightBytes();
  const { ssthreshBytes } = cc;
  let quota: number;
  if (inFlight > ssthreshBytes) {
    // Rounded up: a fraction less would be a segment less
    quota = Math.ceil((prr.deliveredBytes * ssthreshBytes) / Math.max(prr.flightBytes, 1)) - prr.sentBytes;
  } else {
    // The conservative bound, and a segment more (the slow start bound) while recovery makes good progress
    quota = Math.max(prr.deliveredBytes - prr.sentBytes, deliveredBytes);
    if (isSafe) quota += c.mss;
    quota = Math.min(Math.floor(ssthreshBytes) - inFlight, quota);
  }
  // The first retransmission leaves at once. And one segment may always be in flight, or no ACK would ever come
  cc.cwndBytes = Math.max(inFlight + Math.max(quota, prr.sentBytes === 0 ? c.mss : 0), c.mss);
}
