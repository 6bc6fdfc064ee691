import { type Specification, specification } from './specification.ts';

/** Path MTU discovery, IPv4 */
export const RFC1191: Specification = specification(
  'RFC 1191',
  'Path MTU discovery, IPv4',
  `
§3-1 MUST "too big" lowers the MTU of the path
§3-2 MUST … so that it does not happen again soon
§3-3 MUST … at once
§3-4 MAY increases may be looked for
§3-5 MUST … 5 minutes after a decrease at the earliest
§3-6 MUST "too big" without an MTU is understood
§3-7 MUST the MTU is 68 at least
§3-8 MUST "too big" makes no MTU larger
§3.1-1 SHOULD the MSS that is sent is not that of a path
§3.1-2 MAY … but that of the link
§4-1 MUST routers tell the MTU | outside: about routers
§6.3-1 MUST nothing is sent again because an MTU is larger
§6.4-1 MUST not every "too big" sends everything again
`,
);
