import { TcpFlag } from '../wire/tcp.ts';
import { AccurateEcn, asksAccurate, synAckAgrees, synAckFlags, synArrives } from './accurate-ecn.ts';
import type { TcpConnection } from './connection.ts';
import { holdForTimeout } from './pacing.ts';
import { RecoveryState, usedWindow } from './recovery.ts';
import type { Segment } from './segment.ts';
import { reduceNonValidated } from './window-validation.ts';

/** The ECN field: the lower two bits of the traffic class (RFC 3168 §5). */
export const EcnField = {
  NotCapable: 0,
  /** ECT(1) */
  Capable1: 1,
  /** ECT(0) */
  Capable: 2,
  CongestionExperienced: 3,
  Mask: 3,
} as const;

const ECN_SETUP = TcpFlag.Ece | TcpFlag.Cwr;

/** The flags that our SYN or SYN-ACK carries for ECN (RFC 3168 §6.1.1). */
export function ecnSetupFlags(c: TcpConnection, answer: boolean): number {
  // RFC 3168 §6.1.1.1, RFC 9768 §3.1.4: a SYN that stays without an answer may have been dropped for these flags
  const isTried = c.retries > c.layer.settings.ecnRetries;
  if (answer) {
    if (c.accurateEcn !== null) return isTried ? 0 : synAckFlags(c.accurateEcn);
    return c.ecnOk ? TcpFlag.Ece : 0;
  }
  if (isTried) c.ecnAsked = false;
  if (!c.ecnAsked) return 0;
  return c.accurateEcn === null ? ECN_SETUP : ECN_SETUP | TcpFlag.Ae;
}

/** What the peer's SYN or SYN-ACK says about ECN (RFC 3168 §6.1.1, RFC 9768 table 2). */
export function negotiateEcn(c: TcpConnection, seg: Segment): void {
  const setup = seg.flags & ECN_SETUP;
  if ((seg.flags & TcpFlag.Ack) !== 0) {
    if (c.accurateEcn !== null && synAckAgrees(c.accurateEcn, seg)) return;
    c.accurateEcn = null;
    c.ecnOk = c.ecnAsked && setup === TcpFlag.Ece;
    return;
  }
  if (c.policy.accurateEcn !== 'off' && asksAccurate(seg.flags)) {
    c.accurateEcn ??= new AccurateEcn();
    synArrives(c.accurateEcn, seg);
    return;
  }
  c.accurateEcn = null;
  const willing = c.policy.ecn !== 'off';
  // As Linux: a SYN must not be ECN-capable (RFC 3168 §6.1.1), so that a path on which it is sets the bits by itself
  c.ecnOk = willing && setup === ECN_SETUP && seg.ecn === EcnField.NotCapable;
}

/** The receiver's part (RFC 3168 §6.1.3): every ACK carries ECE from a CE mark on until the sender says CWR. */
export function congestionMark(c: TcpConnection, seg: Segment): void {
  if (seg.payloadLen > 0 && (seg.flags & TcpFlag.Cwr) !== 0) c.ecnEcho = false;
  if (seg.ecn === EcnField.NotCapable) return;
  c.ectSeen = true;
  if (seg.ecn !== EcnField.CongestionExperienced) return;
  c.layer.counters.ecnMarksIn++;
  c.ceSegmentsIn++;
  if (c.ecnEcho || seg.payloadLen === 0) return;
  c.ecnEcho = true;
  // The sooner the sender knows, the shorter the queue
  c.ackNow = true;
}

/** The sender's part (RFC 3168 §6.1.2): ECE counts as a loss does, once per round trip. */
export function congestionEcho(c: TcpConnection): void {
  c.layer.counters.ecnEchoesIn++;
  if (c.recovery !== RecoveryState.Open || isReduced(c)) return;
  const isLeast = c.cc.cwndBytes <= c.mss && !c.cc.ownsRecovery;
  c.cc.congestion(usedWindow(c), true, c.now);
  if (c.validation !== null) reduceNonValidated(c, c.validation, false);
  // RFC 9438 §4.6: cwnd cannot become less, the rate can
  if (isLeast) holdForTimeout(c);
  c.layer.counters.ecnReductions++;
  noteReduction(c);
}

/** cwnd was reduced for data that is still in flight. */
export function isReduced(c: TcpConnection): boolean {
  return c.cwrPending && ((c.sndUna - c.cwrPoint) | 0) < 0;
}

/** cwnd is reduced, for whatever reason: the next new data tells so (RFC 3168 §6.1.2). */
export function noteReduction(c: TcpConnection): void {
  if (!c.ecnOk && c.accurateEcn === null) return;
  c.cwrPoint = c.sndNxt;
  c.cwrPending = true;
  // RFC 9768: the flag is part of a counter there
  c.cwrToSend = c.ecnOk;
}
