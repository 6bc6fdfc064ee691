/** What BBR is doing (draft-ietf-ccwg-bbr §5.1). */
export const BbrState = {
  Startup: 0,
  Drain: 1,
  ProbeBwDown: 2,
  ProbeBwCruise: 3,
  ProbeBwRefill: 4,
  ProbeBwUp: 5,
  ProbeRtt: 6,
} as const;
export type BbrState = (typeof BbrState)[keyof typeof BbrState];

/** What the ACKs tell about the probing for bandwidth (§2.11, BBR.ack_phase). */
export const AckPhase = {
  Init: 0,
  Refilling: 1,
  ProbeStarting: 2,
  ProbeFeedback: 3,
  ProbeStopping: 4,
} as const;

/** §5.6.1: pacing_gain by state. */
export const PACING_GAINS: readonly number[] = [2.77, 0.5, 0.9, 1, 1, 1.25, 1];
/** … and cwnd_gain. */
export const CWND_GAINS: readonly number[] = [2, 2, 2, 2, 2, 2.25, 0.5];
/** §2.4: BBR.PacingMarginPercent. */
export const PACING_MARGIN = 0.99;
/** §2.7: BBR.LossThresh, BBR.Beta, BBR.Headroom, BBR.MinPipeCwnd. */
export const LOSS_THRESH = 0.02;
export const BETA = 0.7;
export const HEADROOM = 0.15;
export const MIN_PIPE_SEGMENTS = 4;
/** §2.10: BBR.MaxBwFilterLen in cycles: this one and the one before. §2.9: BBR.ExtraAckedFilterLen in round trips. */
export const MAX_BW_CYCLES = 1;
export const EXTRA_ACKED_ROUNDS = 10;
/** §5.3.1.2, §5.3.1.3 */
export const FULL_BW_GROWTH = 1.25;
export const FULL_BW_ROUNDS = 3;
export const STARTUP_FULL_LOSS_COUNT = 6;
export const DRAIN_ROUNDS = 3;
/** §5.3.3.5.3 */
export const MIN_PROBE_WAIT_MS = 2000;
export const RANDOM_PROBE_WAIT_MS = 1000;
export const MAX_RENO_ROUNDS = 63;
export const MAX_PROBE_UP_ROUNDS = 30;
/** §2.13: BBR.MinRTTFilterLen, BBR.ProbeRTTInterval, BBR.ProbeRTTDuration. */
export const MIN_RTT_WINDOW_MS = 10_000;
export const PROBE_RTT_INTERVAL_MS = 5000;
export const PROBE_RTT_MS = 200;
/** §5.6.3 */
export const MAX_QUANTUM_BYTES = 65_536;
export const MIN_QUANTUM_SEGMENTS = 2;
/** §5.5.9.1 */
export const OFFLOAD_QUANTA = 3;
