import { type Specification, specification } from './specification.ts';

/** Forward RTO-Recovery */
export const RFC5682: Specification = specification(
  'RFC 5682',
  'Forward RTO-Recovery',
  `
§2.1-1 MUST the steps are taken after a timeout
§2.1-2 MUST … from the first one at the next timeout
§2.1-3 SHOULD … and not when a recovery is under way
§2.1-4 SHOULD an ACK that tells nothing new is passed over
§2.1-5 MAY Nagle's algorithm is overridden for the probe
§3.1-1 MAY with SACK the second form is used
§3.1-2 MUST … with its steps
§3.1-3 SHOULD … and not when a recovery is under way
§3.1-4 MUST … from the first one at the next timeout
§4-1 SHOULD without an own response, RFC 5681's
`,
);
