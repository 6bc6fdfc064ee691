import { type Specification, specification } from './specification.ts';

/** The Eifel response */
export const RFC4015: Specification = specification(
  'RFC 4015',
  'The Eifel response',
  `
§2-1 MUST it goes with a way of detection from an RFC
§3.1-1 MAY it may be used
§3.1-2 MUST the steps begin with a timeout
§3.1-3 MUST … and not anew while that is being repaired
§3.3-1 RULE what is next is new data
§3.4-2 RULE cwnd is what is in flight and what was acknowledged, an initial window of it at most
§3.4-3 RULE ssthresh is what was in flight before the timeout, or more if it was
§3.4-4 MUST the ACK that restores cwnd does not change it any further
§3.4-1 MUST with ECN-Echo nothing is undone
§3.5-1 RULE waiting for that ACK is no idle time
§3.6-1 RULE the first round trip of new data makes SRTT and RTTVAR at least what they were, and at least what it says
`,
);
