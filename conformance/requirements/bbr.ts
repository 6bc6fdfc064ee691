import { type Specification, specification } from './specification.ts';

/** BBR, draft-ietf-ccwg-bbr */
export const BBR: Specification = specification(
  'BBR',
  'BBR, draft-ietf-ccwg-bbr',
  `
§2.2-1 SHOULD segments are counted without headers
§2.2-2 MUST pure ACKs do not count as delivered or sent
§3.7-1 MUST CE is congestion where ECT was sent
§4.1-1 MUST the sampler keeps its state per connection and per packet
§4.1.3-1 SHOULD SACK and timestamps are used
§4.1.3-2 MAY samples that cannot be true are left out
§4.2-1 MUST round trips of what was sent again are not taken for others
§5.1-1 MUST the state machine and its rules are all there
§5.3.4-1 MUST ProbeRTT comes every 5 seconds
§5.5.7-1 MAY the least round trip is that of a window of time
§5.6.3-1 SHOULD bursts are as small as possible
`,
);
