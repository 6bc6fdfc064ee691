import { type Specification, specification } from './specification.ts';

/** Initial sequence numbers */
export const RFC6528: Specification = specification(
  'RFC 6528',
  'Initial sequence numbers',
  `
§3-1 SHOULD the number is a clock plus a keyed hash of the connection
§3-2 MUST the hash cannot be computed from outside
§4-1 MUST the key is random
`,
);
