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
§3.4-2 RULE cwnd and ssthresh are those from before
§3.6-1 RULE SRTT and RTTVAR are at least those of the late ACK
§3.4-1 MUST with ECN-Echo nothing is undone
`,
);
