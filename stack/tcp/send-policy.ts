import { NetError, Phase } from '../errors.ts';
import { CONGESTION_CONTROLS, type CongestionControlName } from './congestion/congestion-control-names.ts';
import type { TcpSettings } from './tcp-settings.ts';

export const WINDOW_VALIDATIONS = ['restart', 'decay', 'preserve'] as const;
export const ECN_MODES = ['off', 'passive', 'active'] as const;
export const NAGLE_MODES = ['unacknowledged', 'short'] as const;

/** How a connection sends where the RFCs leave a choice. */
export interface SendPolicy {
  /**
   * Spreads what cwnd allows over the round trip, at twice its rate in slow start and 1.2 times in avoidance (Linux's rates). BBR
   * always paces, by its model.
   */
  readonly pacing: boolean;
  /**
   * What becomes of a cwnd that is not used. 'restart': after an idle time of more than one RTO sending begins with the initial window (RFC
   * 5681 §4.1). 'decay': cwnd is halved for every RTO of that (RFC 2861, Linux). 'preserve': cwnd is kept for five minutes, does not grow, paces what
   * it allows, and shrinks to what was used of it when something is lost (RFC 7661). BBR, and none, have their own ways.
   */
  readonly windowValidation: (typeof WINDOW_VALIDATIONS)[number];
  /** RFC 3168. 'passive': only when the peer asks, as on Linux; 'active': our SYNs ask, too. */
  readonly ecn: (typeof ECN_MODES)[number];
  /** RFC 9768, feedback for every mark. 'passive': when the peer asks; 'active': our SYNs ask, too, if `ecn` lets them ask at all. */
  readonly accurateEcn: (typeof ECN_MODES)[number];
  /**
   * When the last, short segment of what was written waits (SHLD-7). 'unacknowledged': while anything is not acknowledged (RFC 9293
   * §3.7.4); 'short': while a short one is not, so that a write is not cut in two (G. Minshall's variant, Linux's default).
   */
  readonly nagle: (typeof NAGLE_MODES)[number];
}

/** What applications choose of it; what they leave out is as the stack has it. */
export interface SendOptions {
  /**
   * How much may be in flight: `cubic` (RFC 9438, the default), `newreno`, `bbr` (BBRv3, which measures the path and hardly minds losses)
   * or `none`: only the peer's window limits, for links of one's own.
   */
  readonly congestionControl?: CongestionControlName | undefined;
  /**
   * true: what the congestion window allows is spread over the round trip, and does not leave at once. Default false; `bbr` always does so.
   */
  readonly pacing?: boolean | undefined;
  /**
   * What becomes of a congestion window that is not used. `restart`, the default: after a pause sending begins with the initial window
   * (RFC 5681 §4.1); `decay`: the window is halved for every RTO of the pause (RFC 2861, Linux); `preserve`: it is kept for five minutes, and what it
   * allows is paced (RFC 7661).
   */
  readonly windowValidation?: SendPolicy['windowValidation'] | undefined;
  /**
   * Explicit congestion notification (RFC 3168): `active`: connections that we open ask for it; `passive`, the default: only peers that ask for it
   * get it, as on Linux; `off`.
   */
  readonly ecn?: SendPolicy['ecn'] | undefined;
  /** More accurate feedback of marks (RFC 9768), as `ecn`; it is `active` only where that is, too. Default `off`. */
  readonly accurateEcn?: SendPolicy['accurateEcn'] | undefined;
  /**
   * When a last, short segment waits, unless `noDelay`: `unacknowledged`, the default: while anything is not acknowledged (RFC 9293 §3.7.4);
   * `short`: while another short one is not (Minshall's variant, Linux's).
   */
  readonly nagle?: SendPolicy['nagle'] | undefined;
}

/** What differs from the stack's policy. */
export type PolicyChange = { -readonly [K in keyof SendPolicy]?: SendPolicy[K] };

/** @returns `policy` itself when nothing differs */
export function changedPolicy(policy: SendPolicy, change: PolicyChange | undefined): SendPolicy {
  if (change === undefined) return policy;
  const { pacing, windowValidation, ecn, accurateEcn, nagle } = policy;
  return { pacing, windowValidation, ecn, accurateEcn, nagle, ...change };
}

/** @returns what is given of the policy; undefined: nothing. @throws NetError ARGUMENT_INVALID naming the option */
export function policyChange(options: SendOptions): PolicyChange | undefined {
  const { pacing, windowValidation, ecn, accurateEcn, nagle } = options;
  const change: PolicyChange = {};
  if (pacing !== undefined) change.pacing = requireOne('pacing', pacing, [true, false]);
  if (windowValidation !== undefined)
    change.windowValidation = requireOne('windowValidation', windowValidation, WINDOW_VALIDATIONS);
  if (ecn !== undefined) change.ecn = requireOne('ecn', ecn, ECN_MODES);
  if (accurateEcn !== undefined) change.accurateEcn = requireOne('accurateEcn', accurateEcn, ECN_MODES);
  if (nagle !== undefined) change.nagle = requireOne('nagle', nagle, NAGLE_MODES);
  return Object.keys(change).length === 0 ? undefined : change;
}

/** @throws NetError ARGUMENT_INVALID naming the option that is no choice */
export function checkSendOptions<T extends SendOptions>(options: T): T {
  checkCongestionControl(options.congestionControl);
  policyChange(options);
  return options;
}

/** Makes the options those of all connections of a stack. @throws NetError ARGUMENT_INVALID naming the option */
export function useSendOptions(settings: TcpSettings, options: SendOptions): void {
  settings.congestionControl =
    checkCongestionControl(options.congestionControl) ?? settings.congestionControl;
  Object.assign(settings, policyChange(options));
}

/** @throws NetError ARGUMENT_INVALID */
export function checkCongestionControl(name: unknown): CongestionControlName | undefined {
  return name === undefined ? undefined : requireOne('congestionControl', name, CONGESTION_CONTROLS);
}

function requireOne<T>(option: string, value: unknown, allowed: readonly T[]): T {
  if (allowed.includes(value as T)) return value as T;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `${option} is one of ${allowed.join(', ')}, got ${String(value)}`,
  });
}
