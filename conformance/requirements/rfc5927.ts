import { type Specification, specification } from './specification.ts';

/** ICMP attacks against TCP */
export const RFC5927: Specification = specification(
  'RFC 5927',
  'ICMP attacks against TCP',
  `
§4.1-1 RULE the quoted sequence number has to be in flight
§5.2-1 RULE hard errors end no synchronized connection
§6.2-1 RULE Source Quench is ignored
§7.2-1 RULE a smaller MTU is believed as far as what is in flight is larger
`,
);
