import { type Specification, specification } from './specification.ts';

/** Proportional rate reduction */
export const RFC6937: Specification = specification(
  'RFC 6937',
  'Proportional rate reduction',
  `
§3-1 RULE while more than ssthresh is in the network, the share ssthresh / RecoverFS of what is delivered goes out
§3-2 RULE below ssthresh as much goes out as is delivered
§3-3 RULE … and one segment more where the ACK moves SND.UNA and tells of no new loss (slow start reduction bound)
§3-4 RULE at the end cwnd is ssthresh
`,
);
