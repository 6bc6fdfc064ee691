import { EndpointEvent } from '../endpoint.ts';
import { TcpFlag } from '../wire/tcp.ts';
import { accurateMark, duplicateArrives, synAckRepeated, synRepeated } from './accurate-ecn.ts';
import { challengeAck } from './challenge-ack.ts';
import type { TcpConnection } from './connection.ts';
import { congestionMark } from './ecn.ts';
import { established, takeSyn } from './handshake.ts';
import { receiveRingFor } from './receive-buffer.ts';
import {
  noteFullSegment,
  receiveText,
  receiveWindow,
  reportDuplicate,
  takeInOrder,
  takeQueued,
} from './receiver.ts';
import { ackArrives } from './recovery.ts';
import type { Segment } from './segment.ts';
import { TcpState } from './tcp-state.ts';
import { urgentArrives } from './urgent.ts';

/** RFC 7323 §5.5: a timestamp that nothing was compared with for 24 days says nothing. */
const TS_RECENT_VALID_MS = 24 * 24 * 3600 * 1000;
/** The flags that header prediction looks at. */
const PREDICTED_FLAGS = TcpFlag.Fin | TcpFlag.Syn | TcpFlag.Rst | TcpFlag.Ack | TcpFlag.Urg;

const ACK_ONLY = TcpFlag.Ack | TcpFlag.Syn | TcpFlag.Rst;

/** SEGMENT ARRIVES for a connection: RFC 9293 §3.10.7.3 and §3.10.7.4, in their order. Nothing is sent here. */
export function segmentArrives(c: TcpConnection, seg: Segment): void {
  c.segmentsIn++;
  if (seg.payloadLen > 0) c.dataSegmentsIn++;
  if (!seg.optionsLegal) c.layer.counters.optionErrors++;
  if (c.state === TcpState.SynSent) synSent(c, seg);
  else if (c.state !== TcpState.Established || !predicted(c, seg)) synchronized(c, seg);
  c.context.wantsToTransmit(c);
}

/**
 * The segment that was to be expected in ESTABLISHED: in order, nothing but ACK and text (V. Jacobson's header prediction).
 * @returns false when it is not of that kind: nothing was done
 */
function predicted(c: TcpConnection, seg: Segment): boolean {
  if ((seg.flags & PREDICTED_FLAGS) !== TcpFlag.Ack || seg.seq !== c.rcvNxt || c.detached || c.finSeen)
    return false;
  const length = seg.payloadLen;
  if (length > ((c.rcvAdv - c.rcvNxt) | 0)) return false;
  if (length > 0 && (c.recvRing === null || c.recvRing.freeBytes < length)) return false;
  if (c.tsOk) {
    const { options } = seg;
    if (!options.hasTimestamps || ((options.tsVal - c.tsRecent) | 0) < 0) return false;
  }
  c.lastReceivedAt = c.now;
  if (!ackArrives(c, seg)) return true;
  noteTimestamp(c, seg);
  if (c.accurateEcn !== null) accurateMark(c, c.accurateEcn, seg);
  else if (c.ecnOk) congestionMark(c, seg);
  if (length === 0) return true;
  if (length > c.rcvMss) noteFullSegment(c, length);
  takeInOrder(c, seg, seg.payloadOff, length);
  return true;
}

/** RFC 9293 §3.10.7.3 */
function synSent(c: TcpConnection, seg: Segment): void {
  const { flags } = seg;
  const hasAck = (flags & TcpFlag.Ack) !== 0;
  // First: the ACK
  if (hasAck && (((seg.ack - c.iss) | 0) <= 0 || ((seg.ack - c.sndNxt) | 0) > 0)) {
    if ((flags & TcpFlag.Rst) === 0) c.layer.resetReply(seg);
    c.layer.counters.dropAckRange++;
    return;
  }
  // Second: RST, which must acknowledge our SYN
  if ((flags & TcpFlag.Rst) !== 0) {
    if (hasAck) {
      c.layer.counters.resetsIn++;
      c.terminate('CONNECT_REFUSED', `${c.remote}:${c.remotePort} answered with a reset`);
    } else {
      c.layer.counters.dropSynSent++;
    }
    return;
  }
  // Third, security: differs from RFC 9293 A.1, as every TCP does that has no IP security option
  // Fourth: SYN
  if ((flags & TcpFlag.Syn) === 0) {
    c.layer.counters.dropSynSent++;
    return;
  }
  if (!hasAck && (flags & TcpFlag.Fin) !== 0 && c.layer.settings.dropSynFin) {
    c.layer.counters.dropSynFin++;
    return;
  }
  c.lastReceivedAt = c.now;
  takeSyn(c, seg);
  if (!hasAck) {
    // [MUST-10]: simultaneous open
    c.state = TcpState.SynReceived;
    c.synToSend = true;
    c.retries = 0;
    queueTextAndFinOfSyn(c, seg);
    return;
  }
  established(c, seg);
  const isBare = seg.payloadLen === 0 && (flags & TcpFlag.Fin) === 0;
  // RFC 9768 §3.2.2.1: with AccECN this very ACK tells what became of the SYN-ACK
  if (isBare && c.layer.settings.deferHandshakeAck && c.fastOpen === null && c.accurateEcn === null)
    c.layer.deferredAcks.defer(c);
  else c.ackNow = true;
  // RFC 9293: text and FIN of the SYN-ACK count; they follow the SYN
  if (seg.payloadLen > 0 || (flags & TcpFlag.Fin) !== 0) {
    seg.seq = (seg.seq + 1) | 0;
    textAndFin(c, seg);
  }
}

/** RFC 9293 §3.10.7.3: what comes with the SYN waits until the connection is established, as if it had come out of order. */
function queueTextAndFinOfSyn(c: TcpConnection, seg: Segment): void {
  const length = Math.min(seg.payloadLen, receiveWindow(c));
  if (length > 0) {
    const ring = receiveRingFor(c, length);
    if (ring === null || ring.freeBytes < length) return;
    ring.copyIn(ring.head, seg.slab.bytes, seg.payloadOff, length);
    c.assembler.add(c.rcvNxt, (c.rcvNxt + length) | 0);
  }
  if ((seg.flags & TcpFlag.Fin) === 0 || length < seg.payloadLen) return;
  c.finSeen = true;
  c.rcvFinSeq = (c.rcvNxt + length) | 0;
}

/** RFC 9293 §3.10.7.4 */
function synchronized(c: TcpConnection, seg: Segment): void {
  // First: the sequence number, and before it PAWS (RFC 7323 §5.3 R1)
  if (!timestampFits(c, seg) || !sequenceFits(c, seg)) return;
  // Second: RST
  if ((seg.flags & TcpFlag.Rst) !== 0) {
    resetArrives(c, seg);
    return;
  }
  // Third, security: see SYN-SENT
  // Fourth: SYN. RFC 5961 §4.2: a challenge ACK, whatever the sequence number
  if ((seg.flags & TcpFlag.Syn) !== 0) {
    challengeAck(c);
    return;
  }
  // Fifth: ACK
  if ((seg.flags & TcpFlag.Ack) === 0) {
    c.layer.counters.dropNoAck++;
    return;
  }
  const completes = c.state === TcpState.SynReceived;
  if (completes && !synReceivedAck(c, seg)) return;
  c.lastReceivedAt = c.now;
  if (!ackArrives(c, seg)) return;
  if (completes) {
    // RFC 5681 §2: it repeats none, though text may be in flight already (RFC 7413 §4.2.2 [RFC 7413 §4.2.2-4])
    c.dupAcks = 0;
    c.renoSackedBytes = 0;
  }
  // Not before the ACK: a forged segment with an impossible one could set TS.Recent to where PAWS drops all that follows
  noteTimestamp(c, seg);
  if (!finAcknowledged(c)) return;
  if (c.accurateEcn !== null) accurateMark(c, c.accurateEcn, seg);
  else if (c.ecnOk) congestionMark(c, seg);
  // Sixth: URG
  if ((seg.flags & TcpFlag.Urg) !== 0) urgentArrives(c, seg);
  // Seventh and eighth
  textAndFin(c, seg);
}

/** @returns false when an old duplicate was dropped */
function timestampFits(c: TcpConnection, seg: Segment): boolean {
  if (!c.tsOk || (seg.flags & TcpFlag.Rst) !== 0) return true;
  const { options } = seg;
  if (!options.hasTimestamps) {
    // RFC 7323 §3.2: SHOULD be dropped. A SYN of an earlier life may lack them and gets its challenge below.
    if ((seg.flags & TcpFlag.Syn) !== 0) return true;
    if (c.layer.settings.tolerateMissingTimestamps) return true;
    c.layer.counters.dropNoTimestamp++;
    return false;
  }
  if (((options.tsVal - c.tsRecent) | 0) >= 0) return true;
  if (c.now - c.tsRecentAt > TS_RECENT_VALID_MS) return true;
  c.layer.counters.dropPaws++;
  answerUnacceptable(c, seg);
  return false;
}

/** RFC 7323 §4.3: of the segment that our last ACK asked for */
function noteTimestamp(c: TcpConnection, seg: Segment): void {
  if (!c.tsOk || !seg.options.hasTimestamps || ((seg.seq - c.lastAckSent) | 0) > 0) return;
  c.tsRecent = seg.options.tsVal;
  c.tsRecentAt = c.now;
}

/** The four cases of RFC 9293 §3.4, table 5. @returns false when the segment was dropped */
function sequenceFits(c: TcpConnection, seg: Segment): boolean {
  // Figure 7 of RFC 9293: the SYN-ACK of a peer that opened at the same time counts as the ACK it carries
  if (c.state === TcpState.SynReceived && crossedSynAck(c, seg)) {
    seg.seq = (seg.seq + 1) | 0;
    seg.flags &= ~TcpFlag.Syn;
    seg.unscaled = true;
    c.ackNow = true;
    return true;
  }
  const window = receiveWindow(c);
  const first = (seg.seq - c.rcvNxt) | 0;
  const length = seg.lengthSeq;
  if (length === 0) {
    if (window > 0 ? first >= 0 && first < window : first === 0) return true;
  } else if (window > 0) {
    if (first < window && first + length > 0) return true;
  } else if (first === 0) {
    // [MUST-66]: ACK, RST and URG of a segment at a closed window count; its text is cut off later
    return true;
  }
  // RFC 9293 leaves open what a duplicate of the SYN is; Linux sends the SYN-ACK again, and so does this
  if (
    c.state === TcpState.SynReceived &&
    seg.seq === c.irs &&
    (seg.flags & (TcpFlag.Syn | TcpFlag.Ack)) === TcpFlag.Syn
  ) {
    if (c.accurateEcn !== null) synRepeated(c.accurateEcn, seg);
    if (c.challenges.take(c.now)) c.synToSend = true;
    return false;
  }
  // Both sides have probed a closed window, and both octets were taken: neither knows, and every ACK lies an octet before the window.
  // RFC 9293 §3.10.7.4, first: special allowance should be made for valid ACKs
  if (c.probeSent && first === -1 && length <= 1 && (seg.flags & ACK_ONLY) === TcpFlag.Ack)
    ackArrives(c, seg);
  c.layer.counters.dropUnacceptable++;
  if ((seg.flags & TcpFlag.Rst) !== 0) c.layer.counters.dropRstOutOfWindow++;
  else answerUnacceptable(c, seg);
  return false;
}

/** In SYN-RECEIVED by an active open: the peer's SYN again, with the ACK of ours; text and FIN may follow it. */
function crossedSynAck(c: TcpConnection, seg: Segment): boolean {
  if (c.passive || seg.seq !== c.irs) return false;
  return (
    (seg.flags & (TcpFlag.Syn | TcpFlag.Ack | TcpFlag.Rst)) === (TcpFlag.Syn | TcpFlag.Ack) &&
    seg.ack === c.sndNxt
  );
}

/** An ACK that tells what is expected; text gets one each time, anything else may be part of a loop. */
function answerUnacceptable(c: TcpConnection, seg: Segment): void {
  if (seg.payloadLen > 0 || (seg.flags & TcpFlag.Fin) !== 0) {
    if (((seg.seq - c.rcvNxt) | 0) < 0) reportDuplicate(c, seg.seq, (seg.seq + seg.payloadLen) | 0);
    if (c.accurateEcn !== null && (seg.flags & TcpFlag.Syn) === 0) {
      duplicateArrives(c.accurateEcn);
      accurateMark(c, c.accurateEcn, seg);
    }
    c.ackNow = true;
    return;
  }
  if (c.accurateEcn !== null && !c.passive && (seg.flags & TcpFlag.Syn) !== 0)
    synAckRepeated(c.accurateEcn, seg);
  challengeAck(c);
}

/** RFC 5961 §3.2: only the exact sequence number resets; another one in the window is asked about. */
function resetArrives(c: TcpConnection, seg: Segment): void {
  if (seg.seq !== c.rcvNxt) {
    challengeAck(c);
    return;
  }
  c.layer.counters.resetsIn++;
  switch (c.state) {
    case TcpState.SynReceived:
      // [MUST-11]: a passive open goes back to LISTEN, which never stopped; an active one was refused
      if (c.passive) c.terminate('RESET', '');
      else c.terminate('CONNECT_REFUSED', `${c.remote}:${c.remotePort} answered with a reset`);
      break;
    default:
      // In CLOSING and LAST-ACK, too: our FIN was never acknowledged, so the end was not in order [MUST-12]
      c.terminate('RESET', `by ${c.remote}:${c.remotePort}`);
  }
}

/** The ACK of our SYN-ACK. @returns false when the segment was dropped */
function synReceivedAck(c: TcpConnection, seg: Segment): boolean {
  const early = c.isEarly;
  const least = early ? c.sndUna : (c.sndUna + 1) | 0;
  if (((seg.ack - least) | 0) < 0 || ((seg.ack - c.sndNxt) | 0) > 0) {
    c.layer.counters.dropAckRange++;
    c.layer.resetReply(seg);
    return false;
  }
  const { parent } = c;
  if (parent !== null && !early && !parent.admit(c)) return false;
  // RFC 9293: the window is taken from this segment, scaled now
  c.sndWl1 = (seg.seq - 1) | 0;
  established(c, seg);
  takeQueued(c);
  return true;
}

/** What the acknowledgment of our FIN changes. @returns false when the connection is over */
function finAcknowledged(c: TcpConnection): boolean {
  if (!c.finAcked) return true;
  switch (c.state) {
    case TcpState.FinWait1:
      c.state = TcpState.FinWait2;
      if (c.detached) c.startFinWait2Timer();
      return true;
    case TcpState.Closing:
      c.timeWait();
      return false;
    case TcpState.LastAck:
      c.terminate(null, '');
      return false;
    default:
      return true;
  }
}

function textAndFin(c: TcpConnection, seg: Segment): void {
  const { state } = c;
  if (state !== TcpState.Established && state !== TcpState.FinWait1 && state !== TcpState.FinWait2) {
    // The peer has said that nothing follows its FIN
    if (seg.lengthSeq > 0) c.ackNow = true;
    return;
  }
  const end = (seg.seq + seg.payloadLen) | 0;
  if (seg.payloadLen > 0) {
    // RFC 9293 §3.6.1, RFC 2525 §2.17: nobody is left to read what comes after CLOSE
    if (c.detached && ((end - c.rcvNxt) | 0) > 0) {
      c.terminateWithReset('ABORTED', 'data arrived after the application had closed');
      return;
    }
    receiveText(c, seg);
  }
  if ((seg.flags & TcpFlag.Fin) !== 0 && !c.finSeen && ((end - c.rcvAdv) | 0) <= 0) {
    c.finSeen = true;
    c.rcvFinSeq = end;
    // Something before it is missing
    if (end !== c.rcvNxt) c.ackNow = true;
  }
  if (c.finSeen && ((c.rcvNxt - c.rcvFinSeq) | 0) >= 0) finArrives(c);
}

/** The eighth step: everything before the FIN is here. */
function finArrives(c: TcpConnection): void {
  c.rcvNxt = (c.rcvNxt + 1) | 0;
  c.ackNow = true;
  // Nothing can follow; the edge stays where it is, or just behind the FIN
  if (((c.rcvAdv - c.rcvNxt) | 0) < 0) c.rcvAdv = c.rcvNxt;
  c.signal(EndpointEvent.PeerFinished);
  switch (c.state) {
    case TcpState.Established:
      c.state = TcpState.CloseWait;
      break;
    case TcpState.FinWait1:
      // Were our FIN acknowledged, this would be FIN-WAIT-2
      c.state = TcpState.Closing;
      break;
    case TcpState.FinWait2:
      c.timeWait();
      break;
  }
}
