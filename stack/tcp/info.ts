import type { AccurateEcn, EcnBytes } from './accurate-ecn.ts';
import type { TcpConnection } from './connection.ts';
import { DELAYED_ACK_MS } from './delayed-ack.ts';
import { isReduced } from './ecn.ts';
import type { FastOpenFailure } from './fast-open.ts';
import { pacingRate } from './pacing.ts';
import { RecoveryState } from './recovery.ts';
import { countLimit } from './send-limit.ts';
import { TCP_STATE_NAMES } from './tcp-state.ts';

/** Linux's enum tcp_ca_state. */
export type CongestionState = 'open' | 'disorder' | 'cwr' | 'recovery' | 'loss';

/** What the ends of a connection tell each other of marks (RFC 9768). */
export interface AccurateEcnInfo {
  /** Our segments that arrived with a CE mark, as the peer has told. */
  readonly ceSegmentsOut: number;
  /** Payload received under each mark, modulo 2³² … */
  readonly in: Readonly<EcnBytes>;
  /** … and ours, as the options of the peer tell; 0 without them. */
  readonly out: Readonly<EcnBytes>;
  /** False: something on the way changes the marks, and nothing is sent as ECN-capable. */
  readonly sendsCapable: boolean;
  readonly peerSendsOption: boolean;
}

/** A connection's insides, as Linux's TCP_INFO tells them. Plain data. */
export interface ConnectionInfo {
  readonly state: (typeof TCP_STATE_NAMES)[number];
  readonly congestion: string;
  /** Linux's tcpi_ca_state. */
  readonly congestionState: CongestionState;
  /** -1: not measured yet. */
  readonly srttMs: number;
  readonly rttvarMs: number;
  /** -1: not measured yet. */
  readonly minRttMs: number;
  /** With its back-off. */
  readonly rtoMs: number;
  /** Doublings of the RTO, and timeouts (or probes) without an answer. */
  readonly backoff: number;
  readonly unanswered: number;
  readonly cwndBytes: number;
  /** -1: no congestion yet. */
  readonly ssthreshBytes: number;
  readonly inFlightBytes: number;
  readonly unackedBytes: number;
  readonly sackedBytes: number;
  readonly lostBytes: number;
  /** Of `lostBytes`: in flight again. */
  readonly retransmittedBytes: number;
  /** -1: not paced. */
  readonly pacingBytesPerSecond: number;
  /** -1: no limit of the application's. */
  readonly maxPacingBytesPerSecond: number;
  /** The latest that the application did not limit; 0: not measured yet. */
  readonly deliveryBytesPerSecond: number;
  readonly deliveryIsAppLimited: boolean;
  /** Everything that was delivered, presumed lost, and delivered while congestion was echoed, since the beginning. */
  readonly totalDeliveredBytes: number;
  readonly totalLostBytes: number;
  readonly totalDeliveredCeBytes: number;
  readonly retransmits: {
    readonly fast: number;
    readonly timeout: number;
    /** RFC 8985; also those that were new data. */
    readonly tailProbe: number;
    readonly syn: number;
    readonly windowProbe: number;
    readonly keepalive: number;
  };
  /** Expired retransmission timers, in how many rows, and how long those took until something was acknowledged. */
  readonly timeouts: number;
  readonly timeoutRecoveries: number;
  readonly timeoutMs: number;
  readonly reorderings: number;
  /** The largest distance in segments by which one was late (Linux's tcpi_reordering); 3 before any was, 300 at most. */
  readonly reorderingSegments: number;
  /** Duplicates that the peer has reported. */
  readonly dsacks: number;
  /** Recoveries that were a mistake and were taken back. */
  readonly undone: number;
  readonly mssBytes: number;
  /** Of the peer's segments, as seen. */
  readonly receivedMssBytes: number;
  readonly advertisedMssBytes: number;
  readonly peerMssBytes: number;
  readonly pathMtuBytes: number;
  readonly sendWindowBytes: number;
  readonly receiveWindowBytes: number;
  /** From which windows are promised, as it is now. */
  readonly receiveBufferBytes: number;
  /** The round trip as the receiver sees it (-1: not yet), and what the application read in the last one. */
  readonly receiverRttMs: number;
  readonly readPerRoundBytes: number;
  /** How long an ACK may wait. */
  readonly delayedAckMs: number;
  /** -1: window scaling is not in use. */
  readonly sendWindowShift: number;
  readonly receiveWindowShift: number;
  readonly sack: boolean;
  readonly timestamps: boolean;
  /** RFC 3168 or RFC 9768 is in use. */
  readonly ecn: boolean;
  /** RFC 9768 is in use: what each end has counted. */
  readonly accurateEcn: AccurateEcnInfo | null;
  /** An ECN-capable packet has come, and segments that were marked. */
  readonly ectSeen: boolean;
  readonly ceSegmentsIn: number;
  /** Data of the SYN was acknowledged with it (RFC 7413), and why it was not. */
  readonly fastOpen: boolean;
  readonly fastOpenFailure: FastOpenFailure;
  /** Received in order, and acknowledged by the peer. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Payload, all transmissions of it, and what of that was sent again. */
  readonly bytesSent: number;
  readonly bytesRetransmitted: number;
  /** Queued and not sent yet. */
  readonly unsentBytes: number;
  readonly segmentsIn: number;
  readonly segmentsOut: number;
  readonly dataSegmentsIn: number;
  readonly dataSegmentsOut: number;
  /** Time with something to send; of it limited by the peer's window, and by the send buffer. */
  readonly busyMs: number;
  readonly peerLimitedMs: number;
  readonly bufferLimitedMs: number;
  /** Since something was last sent and received; -1: never. */
  readonly sinceSentMs: number;
  readonly sinceReceivedMs: number;
  readonly sinceDataReceivedMs: number;
  /** Received out of order: in all, and ranges that wait now. */
  readonly segmentsOutOfOrder: number;
  readonly outOfOrderRanges: number;
}

export function describeConnection(c: TcpConnection): ConnectionInfo {
  countLimit(c);
  const rate = pacingRate(c);
  const { rate: delivery } = c.sent;
  return {
    state: TCP_STATE_NAMES[c.state],
    congestion: c.cc.name,
    congestionState: congestionState(c),
    srttMs: c.rtt.srttMs,
    rttvarMs: c.rtt.rttvarMs,
    minRttMs: c.rtt.minRttMs === Infinity ? -1 : c.rtt.minRttMs,
    rtoMs: c.rtt.backedOffMs(c.backoff),
    backoff: c.backoff,
    unanswered: c.retries,
    cwndBytes: Math.floor(c.cc.cwndBytes),
    ssthreshBytes: c.cc.ssthreshBytes === Infinity ? -1 : Math.floor(c.cc.ssthreshBytes),
    inFlightBytes: c.inFlightBytes(),
    unackedBytes: (c.sndNxt - c.sndUna) | 0,
    sackedBytes: c.sent.sackedBytes,
    lostBytes: c.sent.lostBytes,
    retransmittedBytes: c.sent.retransmittedBytes,
    pacingBytesPerSecond: perSecond(rate),
    maxPacingBytesPerSecond: perSecond(c.maxPacingBytesPerMs),
    deliveryBytesPerSecond: perSecond(delivery.latestBytesPerMs),
    deliveryIsAppLimited: delivery.latestIsAppLimited,
    totalDeliveredBytes: delivery.deliveredBytes,
    totalLostBytes: delivery.lostBytes,
    totalDeliveredCeBytes: c.deliveredCeBytes,
    retransmits: {
      fast: c.fastRetransmits,
      timeout: c.timeoutRetransmits,
      tailProbe: c.tailProbes,
      syn: c.synRetransmits,
      windowProbe: c.windowProbes,
      keepalive: c.keepaliveProbesSent,
    },
    timeouts: c.timeouts,
    timeoutRecoveries: c.timeoutRecoveries,
    timeoutMs: c.timeoutMs + (c.timeoutBeganAt < 0 ? 0 : c.now - c.timeoutBeganAt),
    reorderings: c.reorderings,
    reorderingSegments: c.rack.reordering,
    dsacks: c.dsacksIn,
    undone: c.undone,
    mssBytes: c.mss,
    receivedMssBytes: c.rcvMss,
    advertisedMssBytes: c.advMss,
    peerMssBytes: c.peerMss,
    pathMtuBytes: c.route.pathMtuBytes,
    sendWindowBytes: c.sndWnd,
    receiveWindowBytes: (c.rcvAdv - c.rcvNxt) | 0,
    receiveBufferBytes: c.recvBufferBytes,
    receiverRttMs: c.roundMs,
    readPerRoundBytes: c.roundReadBytes,
    delayedAckMs: DELAYED_ACK_MS,
    sendWindowShift: c.scaleOk ? c.sndShift : -1,
    receiveWindowShift: c.scaleOk ? c.rcvShift : -1,
    sack: c.sackOk,
    timestamps: c.tsOk,
    ecn: c.ecnOk || c.accurateEcn !== null,
    accurateEcn: c.isSynchronized ? describeAccurate(c.accurateEcn) : null,
    ectSeen: c.ectSeen,
    ceSegmentsIn: c.ceSegmentsIn,
    fastOpen: c.fastOpen?.succeeded ?? false,
    fastOpenFailure: c.fastOpen?.failure ?? 'none',
    bytesIn: c.bytesIn,
    bytesOut: c.bytesOut,
    bytesSent: c.bytesSent,
    bytesRetransmitted: c.bytesRetransmitted,
    unsentBytes: Math.max((c.queuedTo() - c.sndNxt) | 0, 0),
    segmentsIn: c.segmentsIn,
    segmentsOut: c.segmentsOut,
    dataSegmentsIn: c.dataSegmentsIn,
    dataSegmentsOut: c.dataSegmentsOut,
    busyMs: c.busyMs,
    peerLimitedMs: c.peerLimitedMs,
    bufferLimitedMs: c.bufferLimitedMs,
    sinceSentMs: c.lastSentAt > 0 ? c.now - c.lastSentAt : -1,
    sinceReceivedMs: c.lastReceivedAt > 0 ? c.now - c.lastReceivedAt : -1,
    sinceDataReceivedMs: c.lastDataAt === -Infinity ? -1 : c.now - c.lastDataAt,
    segmentsOutOfOrder: c.segmentsOutOfOrder,
    outOfOrderRanges: c.assembler.count,
  };
}

function describeAccurate(a: AccurateEcn | null): AccurateEcnInfo | null {
  if (a === null) return null;
  return {
    ceSegmentsOut: a.ceOut,
    in: positive(a.bytesIn),
    out: positive(a.bytesOut),
    sendsCapable: !a.mangled,
    peerSendsOption: a.optionSeen && !a.optionBroken,
  };
}

function positive(bytes: EcnBytes): EcnBytes {
  return { ect0: bytes.ect0 >>> 0, ect1: bytes.ect1 >>> 0, ce: bytes.ce >>> 0 };
}

function congestionState(c: TcpConnection): CongestionState {
  if (c.recovery === RecoveryState.Loss) return 'loss';
  if (c.recovery === RecoveryState.Fast) return 'recovery';
  if (isReduced(c)) return 'cwr';
  return c.sent.sackedBytes > 0 || c.dupAcks > 0 ? 'disorder' : 'open';
}

function perSecond(bytesPerMs: number): number {
  return bytesPerMs === Infinity ? -1 : Math.round(bytesPerMs * 1000);
}
