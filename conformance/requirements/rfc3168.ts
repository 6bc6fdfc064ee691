import { type Specification, specification } from './specification.ts';

/** Explicit congestion notification */
export const RFC3168: Specification = specification(
  'RFC 3168',
  'Explicit congestion notification',
  `
§5-1 SHOULD ECT(0) where one codepoint is enough
§5-2 MUST one CE counts as one loss
§5-3 SHOULD routers mark what they would drop | outside: about routers
§5.2-1 MUST ECT only where a loss would be noticed
§5.2-2 MUST no ECT on pure ACKs
§5.3-1 MUST reassembly keeps CE
§5.3-2 MUST … unless a fragment is Not-ECT
§6.1.1-1 MUST a SYN-ACK agrees to an ECN-setup SYN only
§6.1.1-2 MUST ECT on data when both have agreed only
§6.1.1-3 MUST then CWR is set as it should
§6.1.1-4 MUST … and CE is answered
§6.1.1-5 SHOULD who does not want it clears both flags
§6.1.1-6 MUST all forms of not agreeing are understood
§6.1.1-7 MUST no ECT on SYN and SYN-ACK
§6.1.1.1-1 MAY a reset for an ECN-setup SYN brings a SYN without
§6.1.1.1-2 MAY so does no answer
§6.1.2-1 MUST ECN-Echo is a loss for congestion control, once per window
§6.1.2-2 SHOULD … and grows no cwnd
§6.1.2-3 MUST with a cwnd of one segment the retransmission timer starts anew
§6.1.2-4 SHOULD CWR is on the first new data
§6.1.2-5 SHOULD … and on no retransmission
§6.1.3-1 MUST ECN-Echo is set from CE until CWR comes
§6.1.4-1 MUST pure ACKs are not ECT
§6.1.5-1 MUST retransmissions are not ECT
§6.1.5-2 SHOULD CE outside the window says nothing
§6.1.6-1 MUST window probes have neither ECT nor CWR
§6.1.6-2 SHOULD CE on a probe is answered
§9.1.1-1 MUST tunnels | outside: there are no tunnels
`,
);
