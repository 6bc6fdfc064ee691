import { initialWindowBytes } from './congestion/congestion-control.ts';
import { WindowedMax } from './congestion/windowed-max.ts';
import type { TcpConnection } from './connection.ts';
import { RecoveryState } from './recovery.ts';

/** RFC 7661 §4.4, §5: so long a window that is not validated is kept. */
export const NON_VALIDATED_PERIOD_MS = 300_000;
/** RFC 7661 §4.2: pipeACK is the largest sample of this time at least, and of three round trips. */
const SAMPLING_PERIOD_MS = 1000;
const SAMPLING_ROUNDS = 3;

/** What RFC 7661 keeps: how much of cwnd was used of late, as acknowledgments tell. */
export class WindowValidation {
  /** pipeACK; -1: undefined, and the window counts as validated. */
  pipeAckBytes = -1;
  /** Since when less than half of cwnd is used; -1: the window is validated. */
  nonValidatedSince = -1;
  /** LossFlightSize, or pipeACK where that was more, of a recovery from the non-validated phase; -1: there is none. */
  lossPipeBytes = -1;
  /** What had been sent again when that recovery began. */
  resentBefore = 0;
  /** Acknowledged since the round trip began; -1: none is measured. */
  roundBytes = -1;
  samples: WindowedMax = new WindowedMax();

  get isValidated(): boolean {
    return this.nonValidatedSince < 0;
  }

  /** Nothing is known. */
  reset(): void {
    this.pipeAckBytes = -1;
    this.nonValidatedSince = -1;
    this.lossPipeBytes = -1;
    this.roundBytes = -1;
    this.samples = new WindowedMax();
  }
}

/** The connection is established, or has another congestion control. */
export function beginValidation(c: TcpConnection): void {
  const wanted = c.policy.windowValidation === 'preserve' && !c.cc.ownsRecovery;
  c.validation = wanted ? new WindowValidation() : null;
}

/** SND.UNA moves. @param begins a round trip begins with it */
export function measureUse(c: TcpConnection, v: WindowValidation, ackedBytes: number, begins: boolean): void {
  // RFC 7661 §4.2 [RFC 7661 §4.2-3]
  if (c.recovery !== RecoveryState.Open) return;
  if (v.roundBytes >= 0) v.roundBytes += ackedBytes;
  if (!begins) return;
  // [RFC 7661 §4.2-1] [RFC 7661 §4.2-2]
  if (v.roundBytes >= 0) {
    v.samples.update(v.roundBytes, c.now, samplingPeriodMs(c));
    v.pipeAckBytes = v.samples.value;
    judge(c, v, c.now);
  }
  v.roundBytes = 0;
}

function samplingPeriodMs(c: TcpConnection): number {
  return Math.max(SAMPLING_ROUNDS * c.rtt.srttMs, SAMPLING_PERIOD_MS);
}

/**
 * RFC 7661 §4.3, §4.4 [RFC 7661 §4.4-1] [RFC 7661 §4.4-6]. Where cwnd has held something back, all of it is in flight: its acknowledgments show it a
 * round trip later.
 * @param since when the non-validated phase has begun, should it begin now
 */
function judge(c: TcpConnection, v: WindowValidation, since: number): void {
  if (v.pipeAckBytes * 2 >= c.cc.cwndBytes || c.isLimited) {
    v.nonValidatedSince = -1;
    return;
  }
  if (v.isValidated) v.nonValidatedSince = since;
  endPeriods(c, v);
}

/** RFC 7661 §4.4.3 [RFC 7661 §4.4-2] [RFC 7661 §4.4.3-1]: five minutes without use, and part of the window is given up. */
function endPeriods(c: TcpConnection, v: WindowValidation): void {
  const { cc } = c;
  const least = initialWindowBytes(c.mss);
  while (c.now - v.nonValidatedSince >= NON_VALIDATED_PERIOD_MS) {
    v.nonValidatedSince += NON_VALIDATED_PERIOD_MS;
    if (cc.cwndBytes <= least) continue;
    cc.ssthreshBytes = Math.max(cc.ssthreshBytes, (cc.cwndBytes * 3) / 4);
    cc.restartAfterIdle(Math.max(cc.cwndBytes / 2, least));
  }
}

/** Sending begins again. @param idleMs since something was sent */
export function restartAfterIdle(c: TcpConnection, idleMs: number): void {
  const { cc, validation } = c;
  const { rtoMs } = c.rtt;
  if (validation !== null) {
    if (idleMs < samplingPeriodMs(c)) return;
    // No sample is left of the sampling period; time without use is none of CUBIC's
    validation.samples = new WindowedMax();
    validation.pipeAckBytes = 0;
    cc.restartAfterIdle(cc.cwndBytes);
    c.isLimited = false;
    judge(c, validation, c.lastSentAt);
    return;
  }
  if (idleMs <= rtoMs) return;
  const least = initialWindowBytes(c.mss);
  if (c.policy.windowValidation !== 'decay' || cc.ownsRecovery || cc.cwndBytes <= least) {
    // RFC 5681 §4.1
    cc.restartAfterIdle(least);
    return;
  }
  // RFC 2861 §3 [RFC 2861 §3-1] [RFC 2861 §3-2]
  cc.ssthreshBytes = Math.max(cc.ssthreshBytes, (cc.cwndBytes * 3) / 4);
  let cwndBytes = cc.cwndBytes;
  for (let left = idleMs - rtoMs; left > 0 && cwndBytes > least; left -= rtoMs) cwndBytes /= 2;
  cc.restartAfterIdle(Math.max(cwndBytes, least));
}

/** RFC 7661 §4.4: cwnd does not grow while it is not validated. */
export function mayGrow(c: TcpConnection): boolean {
  return c.validation === null || c.validation.isValidated;
}

/**
 * RFC 7661 §4.4.1 [RFC 7661 §4.4-4] [RFC 7661 §4.4.1-1]: a loss or an echo in the non-validated phase, after congestion control has reduced
 * cwnd: what counts is what was used of it.
 * @param recovers the end of a recovery reduces once more
 */
export function reduceNonValidated(c: TcpConnection, v: WindowValidation, recovers: boolean): void {
  if (v.isValidated) {
    v.reset();
    return;
  }
  const pipe = Math.max(v.pipeAckBytes, (c.sndNxt - c.sndUna) | 0);
  v.reset();
  const { cc } = c;
  cc.cwndBytes = Math.max(pipe / 2, c.mss);
  cc.ssthreshBytes = Math.max(pipe / 2, 2 * c.mss);
  if (!recovers) return;
  v.lossPipeBytes = pipe;
  v.resentBefore = c.bytesRetransmitted;
}

/** RFC 7661 §4.4.1 [RFC 7661 §4.4.1-2] [RFC 7661 §4.4.1-3]: recovery is over. What was sent again twice counts twice. */
export function repaired(c: TcpConnection, v: WindowValidation): void {
  const pipe = v.lossPipeBytes;
  v.reset();
  if (pipe < 0) return;
  const resent = Math.min(c.bytesRetransmitted - v.resentBefore, pipe);
  c.cc.cwndBytes = Math.max((pipe - resent) / 2, c.mss);
}
