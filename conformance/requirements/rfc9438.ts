import { type Specification, specification } from './specification.ts';

/** CUBIC */
export const RFC9438: Specification = specification(
  'RFC 9438',
  'CUBIC',
  `
§4.2-1 MUST the time of the cubic function leaves out what the application did not use
§4.3-1 SHOULD below what Reno would have, cwnd is what Reno would have
§4.3-2 SHOULD … with a slope of 1 from the last cwnd on
§4.4-1 MUST in the concave region cwnd grows towards W(t + RTT)
§4.5-1 MUST … and in the convex region
§4.6-1 MUST a loss reduces cwnd and ssthresh at once
§4.6-2 SHOULD … to 0.7
§4.6-3 MUST where cwnd and not what is in the network is reduced, something keeps cwnd from growing unused
§4.6-4 MUST ECN-Echo reduces cwnd down to one segment
§4.6-5 MUST … and below it the rate
§4.7-1 SHOULD fast convergence
§4.8-1 SHOULD after a timeout the estimate for Reno begins at cwnd
§4.9-1 MAY spurious timeouts are found by F-RTO
§4.9-2 MAY … and undone as in RFC 4015
§4.9-3 MAY spurious losses are found by timestamps or D-SACK
§4.9-4 MAY … and undone
§4.10-1 MUST slow start below ssthresh
§4.10-2 SHOULD … with HyStart++
§5.1-1 SHOULD C is 0.4
`,
);
