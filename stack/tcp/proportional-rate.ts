import type { TcpConnection } from './connection.ts';

/** Proportional Rate Reduction (RFC 6937 §3), in its words: prr_delivered, prr_out, RecoverFS. */
export class ProportionalRate {
  deliveredBytes = 0;
  /** What was sent since recovery began. */
  sentBytes = 0;
  flightBytes = 0;
}

/** Fast recovery begins with what is in flight now. */
export function beginReduction(c: TcpConnection): void {
  const { prr, sent } = c;
  prr.deliveredBytes = 0;
  prr.sentBytes = 0;
  // What this ACK reports was in flight before it
  prr.flightBytes = ((c.sndNxt - c.sndUna) | 0) - sent.sackedBytes + sent.deliveredBytes;
}

/**
 * Sets cwnd during fast recovery, so that for every byte delivered somewhat less than one is sent, and ssthresh is in
 * flight at its end.
 * @param safe the ACK moves SND.UNA and shows no new loss: a little faster is harmless (RFC 6937 §3, SSRB)
 */
export function reduceProportionally(c: TcpConnection, safe: boolean): void {
  const { prr, cc, sent } = c;
  prr.deliveredBytes += sent.deliveredBytes;
  const pipe = c.inFlightBytes();
  const { ssthreshBytes } = cc;
  let quota: number;
  if (pipe > ssthreshBytes) {
    quota = (prr.deliveredBytes * ssthreshBytes) / Math.max(prr.flightBytes, 1) - prr.sentBytes;
  } else {
    quota = Math.max(prr.deliveredBytes - prr.sentBytes, sent.deliveredBytes);
    if (safe) quota += c.mss;
    quota = Math.min(ssthreshBytes - pipe, quota);
  }
  // The first retransmission leaves at once; and one segment may always be in flight, or no ACK would ever come
  cc.cwndBytes = Math.max(pipe + Math.max(quota, prr.sentBytes === 0 ? c.mss : 0), c.mss);
}
