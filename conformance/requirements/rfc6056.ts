import { type Specification, specification } from './specification.ts';

/** Port randomization */
export const RFC6056: Specification = specification(
  'RFC 6056',
  'Port randomization',
  `
§3.2-1 SHOULD ports of local services are left out
§3.2-2 SHOULD the range is as large as possible
§3.3-1 SHOULD the choice cannot be guessed
§5-1 MUST algorithm 1 is not used where many ports are taken | outside: no algorithm 1
§4-1 SHOULD address translators | outside: there is no address translation
`,
);
