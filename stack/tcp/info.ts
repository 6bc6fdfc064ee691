import type { TcpConnection } from './connection.ts';
import { TCP_STATE_NAMES } from './tcp-state.ts';

/** A connection's insides, as Linux's TCP_INFO tells them. Plain data. */
export interface ConnectionInfo {
  readonly state: (typeof TCP_STATE_NAMES)[number];
  readonly congestion: string;
  /** -1: not measured yet. */
  readonly srttMs: number;
  readonly rttvarMs: number;
  /** -1: not measured yet. */
  readonly minRttMs: number;
  readonly rtoMs: number;
  readonly cwndBytes: number;
  /** -1: no congestion yet. */
  readonly ssthreshBytes: number;
  readonly inFlightBytes: number;
  readonly unackedBytes: number;
  readonly sackedBytes: number;
  readonly lostBytes: number;
  readonly retransmits: {
    readonly fast: number;
    readonly timeout: number;
    /** RFC 8985; also those that were new data. */
    readonly tailProbe: number;
    readonly syn: number;
    readonly windowProbe: number;
    readonly keepalive: number;
  };
  readonly mssBytes: number;
  readonly advertisedMssBytes: number;
  readonly peerMssBytes: number;
  readonly pathMtuBytes: number;
  readonly sendWindowBytes: number;
  readonly receiveWindowBytes: number;
  /** -1: window scaling is not in use. */
  readonly sendWindowShift: number;
  readonly receiveWindowShift: number;
  readonly sack: boolean;
  readonly timestamps: boolean;
  /** RFC 3168 is in use. */
  readonly ecn: boolean;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly segmentsIn: number;
  readonly segmentsOut: number;
  readonly outOfOrderRanges: number;
}

export function describeConnection(c: TcpConnection): ConnectionInfo {
  return {
    state: TCP_STATE_NAMES[c.state],
    congestion: c.cc.name,
    srttMs: c.rtt.srttMs,
    rttvarMs: c.rtt.rttvarMs,
    minRttMs: c.rtt.minRttMs === Infinity ? -1 : c.rtt.minRttMs,
    rtoMs: c.rtt.backedOffMs(c.backoff),
    cwndBytes: Math.floor(c.cc.cwndBytes),
    ssthreshBytes: c.cc.ssthreshBytes === Infinity ? -1 : Math.floor(c.cc.ssthreshBytes),
    inFlightBytes: c.inFlightBytes(),
    unackedBytes: (c.sndNxt - c.sndUna) | 0,
    sackedBytes: c.sent.sackedBytes,
    lostBytes: c.sent.lostBytes,
    retransmits: {
      fast: c.fastRetransmits,
      timeout: c.timeoutRetransmits,
      tailProbe: c.tailProbes,
      syn: c.synRetransmits,
      windowProbe: c.windowProbes,
      keepalive: c.keepaliveProbesSent,
    },
    mssBytes: c.mss,
    advertisedMssBytes: c.advMss,
    peerMssBytes: c.peerMss,
    pathMtuBytes: c.route.pathMtuBytes,
    sendWindowBytes: c.sndWnd,
    receiveWindowBytes: (c.rcvAdv - c.rcvNxt) | 0,
    sendWindowShift: c.scaleOk ? c.sndShift : -1,
    receiveWindowShift: c.scaleOk ? c.rcvShift : -1,
    sack: c.sackOk,
    timestamps: c.tsOk,
    ecn: c.ecnOk,
    bytesIn: c.bytesIn,
    bytesOut: c.bytesOut,
    segmentsIn: c.segmentsIn,
    segmentsOut: c.segmentsOut,
    outOfOrderRanges: c.assembler.count,
  };
}
