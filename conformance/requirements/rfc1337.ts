import { type Specification, specification } from './specification.ts';

/** TIME-WAIT hazards */
export const RFC1337: Specification = specification(
  'RFC 1337',
  'TIME-WAIT hazards',
  `
§3-1 RULE a reset does not end TIME-WAIT
`,
);
