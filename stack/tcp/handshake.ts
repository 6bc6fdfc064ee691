import { EndpointEvent } from '../endpoint.ts';
import { IpProtocol } from '../wire/ipv4.ts';
import {
  ECN_OPTION_PADDED_BYTES,
  fastOpenOptionBytes,
  synOptionBytes,
  TCP_HEADER_BYTES,
  TCP_MAX_HEADER_BYTES,
  Tcp,
  TcpFlag,
  type TcpOptions,
  writeFastOpen,
  writeSynOptions,
  writeTcpHeader,
} from '../wire/tcp.ts';
import { AccurateEcn, MAX_ECN_OPTION_FIELDS, thirdAckArrives } from './accurate-ecn.ts';
import { type TcpConnection, TcpTimer } from './connection.ts';
import { acknowledged } from './delayed-ack.ts';
import { ecnSetupFlags, negotiateEcn } from './ecn.ts';
import { earlySettled, fastOpenAnswered, fastOpenTimeout, synDataBytes } from './fast-open.ts';
import { startKeepAlive } from './keepalive.ts';
import { receiveText } from './receiver.ts';
import { RETRIES_BEFORE_ADVICE } from './recovery.ts';
import { RTO_AFTER_SYN_LOSS_MS } from './rto.ts';
import type { Segment } from './segment.ts';
import { writeEcnOption } from './segment-options.ts';
import type { CookieState } from './syn-cookies.ts';
import type { TcpLayer } from './tcp-layer.ts';
import { TCP_STATE_NAMES, TcpState } from './tcp-state.ts';
import { beginValidation } from './window-validation.ts';

/** RFC 7323 §2.3: higher shifts count as this. */
const MAX_WINDOW_SHIFT = 14;
const MSS_OPTION_BYTES = 4;
const MSS_AND_TIMESTAMPS_BYTES = 16;
/** What the peer's segments are taken for before one was seen (RFC 9293 §3.7.1). */
const INITIAL_RCV_MSS_BYTES = 536;

/** Active open: chooses the sequence number and queues the SYN. */
export function startActive(c: TcpConnection): void {
  begin(c);
  c.state = TcpState.SynSent;
  c.layer.counters.activeOpens++;
}

/** Passive open: takes the peer's SYN and queues the SYN-ACK. @param issFloor see RFC 9293 §3.10.7.4 [MAY-2]; 0: none */
export function startPassive(c: TcpConnection, seg: Segment, issFloor: number): void {
  begin(c);
  if (issFloor !== 0 && ((c.iss - issFloor) | 0) <= 0) {
    c.iss = (issFloor + 1) | 0;
    c.sndUna = c.iss;
    c.sndNxt = (c.iss + 1) | 0;
  }
  c.state = TcpState.SynReceived;
  takeSyn(c, seg);
  c.layer.counters.passiveOpens++;
  if (c.fastOpen?.early) startEarly(c, seg);
}

/** Passive open from what a SYN cookie has kept: as it would be if the SYN-ACK had been sent from here. */
export function startFromCookie(c: TcpConnection, state: CookieState): void {
  begin(c);
  c.iss = state.iss;
  c.sndUna = c.iss;
  c.sndNxt = (c.iss + 1) | 0;
  c.synToSend = false;
  c.setTimer(TcpTimer.Retransmit, Infinity);
  c.state = TcpState.SynReceived;
  c.irs = state.irs;
  c.rcvNxt = (c.irs + 1) | 0;
  c.rcvAdv = (c.rcvNxt + synWindow(c)) | 0;
  c.lastAckSent = c.rcvNxt;
  negotiate(c, state.options);
  c.layer.counters.passiveOpens++;
}

/** RFC 7413 §4.2.2: the client is known by its cookie; its data is taken, and ours may go, before it has answered. */
function startEarly(c: TcpConnection, seg: Segment): void {
  if (!c.openRings()) {
    c.layer.counters.acceptedWithoutMemory++;
    earlySettled(c);
    return;
  }
  c.sndUna = c.sndNxt;
  c.roundEnd = c.sndNxt;
  c.updateMss();
  c.cc.start(c.mss, c.sent.rate, c.rtt.srttMs, c.sackOk, c.now);
  beginValidation(c);
  c.rcvAdv = (c.rcvNxt + synWindow(c)) | 0;
  // The text follows the SYN; a FIN with it is left to be sent again
  seg.seq = c.rcvNxt;
  if (seg.payloadLen > 0) receiveText(c, seg);
  if (c.bytesIn === 0) return;
  c.fastOpen!.succeeded = true;
  c.layer.counters.fastOpenPassive++;
}

function begin(c: TcpConnection): void {
  const { isn } = c.layer;
  isn.compute(c.local, c.localPort, c.remote, c.remotePort);
  c.iss = isn.isn(c.now);
  c.tsOffset = isn.timestampOffset;
  c.sndUna = c.iss;
  c.sndNxt = (c.iss + 1) | 0;
  const { settings } = c.layer;
  c.scaleOk = settings.windowScale;
  c.sackOk = settings.selectiveAcks;
  c.tsOk = settings.timestamps;
  c.ecnAsked = c.policy.ecn === 'active';
  if (c.ecnAsked && c.policy.accurateEcn === 'active' && !c.passive) c.accurateEcn = new AccurateEcn();
  c.offeredShift = ourWindowShift(c.layer);
  c.rcvShift = c.scaleOk ? c.offeredShift : 0;
  c.rcvMss = Math.min(INITIAL_RCV_MSS_BYTES, c.advMss);
  c.synToSend = true;
  c.lastReceivedAt = c.now;
  if (!c.fastOpen?.held) c.setTimer(TcpTimer.Retransmit, c.now + c.rtt.rtoMs);
  c.context.wantsToTransmit(c);
}

/** The window scale that our SYNs offer. */
export function ourWindowShift({ context, settings }: TcpLayer): number {
  return context.rings.elastic === null
    ? settings.windowShift
    : windowShiftFor(settings.maxReceiveBufferBytes);
}

/** Notes IRS, the options and the window of a SYN or SYN-ACK. */
export function takeSyn(c: TcpConnection, seg: Segment): void {
  // What our SYN has offered begins here [SHLD-14]; a SYN-ACK that is still to be sent offers anew
  const offered = (c.rcvAdv - c.rcvNxt) | 0;
  c.irs = seg.seq;
  c.rcvNxt = (seg.seq + 1) | 0;
  c.rcvAdv = (c.rcvNxt + offered) | 0;
  c.lastAckSent = c.rcvNxt;
  c.roundReadTo = c.rcvNxt;
  c.roundStartMs = c.now;
  negotiate(c, seg.options);
  negotiateEcn(c, seg);
  // RFC 7323 §2.2: the window of a segment with SYN is never scaled
  c.sndWnd = seg.windowField;
  c.maxSndWnd = Math.max(c.maxSndWnd, c.sndWnd);
  c.sndWl1 = seg.seq;
  c.sndWl2 = seg.ack;
}

/** The smallest scale with which a window of `bytes` bytes can be told (RFC 7323 §2.3). */
export function windowShiftFor(bytes: number): number {
  let shift = 0;
  while (shift < MAX_WINDOW_SHIFT && 0xffff * (1 << shift) < bytes - (1 << shift)) shift++;
  return shift;
}

/** What both sides have offered is used. */
function negotiate(c: TcpConnection, options: TcpOptions): void {
  // RFC 9293 §3.7.1 [MUST-14]; without the option the default stays [MUST-15]
  if (options.mssBytes >= 0) c.peerMss = options.mssBytes;
  c.scaleOk = c.scaleOk && options.windowShift >= 0;
  if (c.scaleOk) c.sndShift = Math.min(options.windowShift, MAX_WINDOW_SHIFT);
  else c.rcvShift = 0;
  c.sackOk = c.sackOk && options.sackPermitted;
  c.tsOk = c.tsOk && options.hasTimestamps;
  if (c.tsOk) {
    c.tsRecent = options.tsVal;
    c.tsRecentAt = c.now;
  }
}

function synWindow(c: TcpConnection): number {
  if (c.recvRing === null) return Math.min(c.layer.settings.passiveWindowBytes, c.recvLimitBytes);
  return Math.min(c.recvRing.freeBytes - (1 << c.offeredShift), c.recvLimitBytes, 0xffff);
}

/** Sends the SYN of SYN-SENT or the SYN-ACK of SYN-RECEIVED. @returns false when the device was full */
export function sendSyn(c: TcpConnection): boolean {
  const { context, fastOpen } = c;
  if (fastOpen?.held) return true;
  const answer = c.state === TcpState.SynReceived;
  // The buffer may have been set since the SYN came; what went out before stays offered [SHLD-14]
  const window = Math.max(synWindow(c), Math.min((c.rcvAdv - c.rcvNxt) | 0, 0xffff));
  c.rcvAdv = (c.rcvNxt + window) | 0;
  if (c.layer.settings.advertisePathMtu)
    c.advMss = Math.min(c.advMss, c.route.pathMtuBytes - c.ipHeaderBytes - TCP_HEADER_BYTES);
  const cookie = c.bareSyn || answer !== c.passive ? null : (fastOpen?.option ?? null);
  const cookieBytes = cookie === null ? 0 : fastOpenOptionBytes(cookie.length, fastOpen!.experimental);
  const optionBytes = c.bareSyn ? 0 : synOptionBytes(c.scaleOk, c.sackOk, c.tsOk);
  const ecnBytes = answer ? synAckOptionBytes(c, optionBytes + cookieBytes) : 0;
  const headerBytes = TCP_HEADER_BYTES + optionBytes + ecnBytes + cookieBytes;
  const off = context.ip.begin(c.route, headerBytes);
  const { view } = context.tx.head;
  const flags = (answer ? TcpFlag.Syn | TcpFlag.Ack : TcpFlag.Syn) | ecnSetupFlags(c, answer);
  const ack = answer ? c.rcvNxt : 0;
  writeTcpHeader(view, off, c.localPort, c.remotePort, c.iss, ack, headerBytes, flags, window);
  const tsEcr = answer ? c.tsRecent : 0;
  const shift = c.scaleOk ? c.offeredShift : -1;
  // [SHLD-5] [MAY-3]: always with MSS
  let at = off + Tcp.Options;
  if (!c.bareSyn) at += writeSynOptions(view, at, c.advMss, shift, c.sackOk, c.tsOk, c.timestamp(), tsEcr);
  if (ecnBytes > 0) {
    // Before the window scale, as Linux has it
    const from = off + Tcp.Options + (c.tsOk ? MSS_AND_TIMESTAMPS_BYTES : MSS_OPTION_BYTES);
    context.tx.head.bytes.copyWithin(from + ecnBytes, from, at);
    writeEcnOption(view, from, c.accurateEcn!, MAX_ECN_OPTION_FIELDS, from + ecnBytes);
    at += ecnBytes;
  }
  if (cookie !== null) writeFastOpen(view, at, cookie, fastOpen!.experimental);
  const data = fastOpen === null || answer ? 0 : synDataBytes(c);
  if (data > 0) appendData(c, data);
  if (c.retries > 0) context.tx.comment = `retransmission ${c.retries} after RTO`;
  if (!context.ip.finish(c.route, IpProtocol.Tcp, Tcp.Checksum, c.trafficClass, c.ttl)) {
    c.layer.counters.deviceFull++;
    return false;
  }
  c.synToSend = false;
  if (answer) acknowledged(c);
  if (answer && c.accurateEcn !== null) c.accurateEcn.synAckSent = true;
  if (data > 0) {
    fastOpen!.synDataBytes = data;
    c.sndNxt = (c.iss + 1 + data) | 0;
  }
  c.lastSentAt = c.now;
  c.segmentsOut++;
  c.layer.counters.segmentsOut++;
  if (c.retries > 0) {
    c.synRetransmits++;
    c.layer.counters.synRetransmits++;
  }
  c.setTimer(TcpTimer.Retransmit, c.now + c.rtt.backedOffMs(c.backoff));
  return true;
}

/** RFC 9768 §3.2.3.2: the option goes with the first SYN-ACK only, for it may be what is dropped. @returns 0: without */
function synAckOptionBytes(c: TcpConnection, otherBytes: number): number {
  const { accurateEcn } = c;
  if (accurateEcn === null || accurateEcn.synAckSent) return 0;
  const fits = TCP_HEADER_BYTES + otherBytes + ECN_OPTION_PADDED_BYTES <= TCP_MAX_HEADER_BYTES;
  return fits && c.layer.settings.accurateEcnOption !== 'off' ? ECN_OPTION_PADDED_BYTES : 0;
}

/** The first bytes of the send ring go with the SYN. */
function appendData(c: TcpConnection, length: number): void {
  const { tx } = c.context;
  const ring = c.sendRing!;
  tx.body = ring.slab;
  tx.bodyOff = ring.offsetOf(ring.tail);
  tx.bodyLen = ring.contiguous(ring.tail, length);
  tx.body2Off = ring.base;
  tx.body2Len = length - tx.bodyLen;
}

/** No answer to a SYN or SYN-ACK [MUST-22]. */
export function handshakeTimeout(c: TcpConnection): void {
  // [MUST-23]: see the setting
  const { settings } = c.layer;
  const limit = c.synRetries >= 0 ? c.synRetries : c.passive ? settings.synAckRetries : settings.synRetries;
  if (c.retries >= limit) {
    c.terminate(
      c.softError ?? 'TIMEOUT',
      `no answer to ${c.retries + 1} SYNs in ${TCP_STATE_NAMES[c.state]}`,
    );
    return;
  }
  fastOpenTimeout(c);
  c.retries++;
  if (c.retries === RETRIES_BEFORE_ADVICE) c.trouble();
  c.backoff++;
  c.synToSend = true;
  c.setTimer(TcpTimer.Retransmit, c.now + c.rtt.backedOffMs(c.backoff));
  c.context.wantsToTransmit(c);
}

/** Our SYN is acknowledged and the peer's is known. */
export function established(c: TcpConnection, seg: Segment): void {
  const early = c.isEarly;
  c.state = TcpState.Established;
  if (early) {
    earlySettled(c);
  } else {
    if (c.fastOpen !== null) synDataAcked(c, seg);
    c.sndUna = seg.ack;
    c.sndNxt = seg.ack;
    c.roundEnd = seg.ack;
  }
  c.quickAcks = c.layer.settings.quickAcks;
  c.route.progressAt = c.now;
  c.synToSend = false;
  c.layer.counters.established++;
  if (c.ecnOk || c.accurateEcn !== null) c.layer.counters.ecnNegotiated++;
  if (c.accurateEcn !== null && (seg.flags & TcpFlag.Syn) === 0) thirdAckArrives(c.accurateEcn, seg);
  if (c.lastSentAt === 0) {
    // A SYN cookie: when it was sent is not known
  } else if (c.synRetransmits === 0) {
    c.rtt.sample(c.now - c.lastSentAt);
  } else if (c.tsOk && seg.options.hasTimestamps) {
    c.rtt.sample(Math.max((c.timestamp() - seg.options.tsEcr) | 0, 0));
  } else {
    c.rtt.rtoMs = RTO_AFTER_SYN_LOSS_MS;
  }
  c.retries = 0;
  c.backoff = 0;
  if (!early) {
    c.updateMss();
    c.cc.start(c.mss, c.sent.rate, c.rtt.srttMs, c.sackOk, c.now);
    beginValidation(c);
    // RFC 5681 §3.1 [RFC 5681 §3.1-4], RFC 6928 §2 [RFC 6928 §2-2]: one segment; [RFC 6928 §2-3] not for the loss of one SYN
    if (c.synRetransmits > 1 && c.cc.name !== 'none') c.cc.cwndBytes = Math.min(c.cc.cwndBytes, c.mss);
  }
  c.setTimer(TcpTimer.Retransmit, c.sndUna === c.sndNxt ? Infinity : c.now + c.rtt.rtoMs);
  c.setTimer(TcpTimer.User, Infinity);
  startKeepAlive(c);
  if (c.hasElasticRings) c.layer.ringKeeper.hold(c);
  c.signal(EndpointEvent.Ready);
  // RFC 9293 §3.10.4: a CLOSE that came before
  if (c.finQueued) c.state = TcpState.FinWait1;
}

/** Data of the SYN that the SYN-ACK acknowledges is done with; the rest counts as not sent. */
function synDataAcked(c: TcpConnection, seg: Segment): void {
  if (c.passive) return;
  fastOpenAnswered(c, seg.ack, seg.slab, seg.options);
  const acked = (seg.ack - c.iss - 1) | 0;
  if (acked <= 0) return;
  c.sendRing!.advanceTail(acked);
  c.bytesOut += acked;
  c.signal(EndpointEvent.Writable);
}
