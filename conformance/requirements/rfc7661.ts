import { type Specification, specification } from './specification.ts';

/** Congestion window validation */
export const RFC7661: Specification = specification(
  'RFC 7661',
  'Congestion window validation',
  `
§4.2-1 SHOULD what is delivered per round trip is measured once per round trip
§4.2-2 MUST … no higher than its highest sample
§4.2-3 MUST … and not in a recovery
§4.4-1 MUST below half of cwnd the window is not validated
§4.4-2 SHOULD for five minutes at most
§4.4-3 MUST cwnd that is not used does not grow
§4.4-4 MUST a loss ends that
§4.4-5 MUST so does a timeout
§4.4-6 SHOULD so does using more than half
§4.4.1-1 MUST a loss then reduces by what was in the network
§4.4.1-2 MUST the repair ends with half of that
§4.4.1-3 MUST … and a segment at least
§4.4.2-1 SHOULD bursts are limited
§4.4.3-1 MUST after that time ssthresh and cwnd are reduced
`,
);
