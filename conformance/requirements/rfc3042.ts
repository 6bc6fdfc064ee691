import { type Specification, specification } from './specification.ts';

/** Limited transmit */
export const RFC3042: Specification = specification(
  'RFC 3042',
  'Limited transmit',
  `
§2-1 SHOULD the first two duplicates of an ACK let new data out
§2-2 MUST cwnd stays
§2-3 MUST with SACK a duplicate has to report something new
`,
);
