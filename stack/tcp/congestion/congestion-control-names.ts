/** The names that applications choose by: RFC 9438, RFC 5681, draft-ietf-ccwg-bbr, and the peer's window only. */
export const CONGESTION_CONTROLS = ['cubic', 'newreno', 'bbr', 'none'] as const;
export type CongestionControlName = (typeof CONGESTION_CONTROLS)[number];

export function isCongestionControl(name: string): name is CongestionControlName {
  return (CONGESTION_CONTROLS as readonly string[]).includes(name);
}
