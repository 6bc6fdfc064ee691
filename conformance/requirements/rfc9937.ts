import { type Specification, specification } from './specification.ts';

/** Proportional rate reduction */
export const RFC9937: Specification = specification(
  'RFC 9937',
  'Proportional rate reduction',
  `
§5-1 MAY it goes with every congestion control that reduces to a fixed part of the window
§5-2 MAY … and with every way to detect losses
§5-3 SHOULD … with RACK-TLP best
§6.1-1 MUST its numbers begin anew with every recovery
§6.1-2 RULE RecoverFS is what may still be reported as arrived: not what was before, but what the first ACK reports
§6.2-1 RULE DeliveredData is the way of SND.UNA and the change of what is sacked
§6.2-2 RULE … without SACK a segment for each duplicate, which the next advance is reduced by, and RecoverFS in all
§6.2-3 MUST in flight is what is outstanding, less sacked and lost, plus what was sent again
§6.2-4 MUST … without SACK less a segment for each duplicate, and RecoverFS at most
§6.2-5 RULE with more than ssthresh in flight the share ssthresh / RecoverFS of what was delivered goes out, rounded up
§6.2-6 RULE with less as much goes out as was delivered
§6.2-7 RULE … and a segment more where SND.UNA moves and nothing more is lost, retransmissions included
§6.2-8 RULE the first retransmission is not held back
§6.3-1 RULE whatever is sent counts
§6.4-1 RULE at the end cwnd is ssthresh
§6.4-2 SHOULD pacing spreads what that allows
`,
);
