import { type Specification, specification } from './specification.ts';

/** Path MTU discovery, IPv6 */
export const RFC8201: Specification = specification(
  'RFC 8201',
  'Path MTU discovery, IPv6',
  `
§4-1 SHOULD "too big" is verified
§4-2 MUST below 1280 it is dropped
§4-3 MUST it lowers the MTU of the path
§4-4 MUST … so that it does not happen again soon
§4-5 MUST an increase is looked for 5 minutes after a decrease at the earliest
§4-6 MUST "too big" makes no MTU larger
§5.2-1 MUST the MTU belongs to a path
§5.2-2 MUST connections on it are told
§5.2-3 SHOULD … and what was dropped is sent again
§5.3-1 SHOULD values are forgotten after a time
§5.4-1 MUST TCP uses the MTU of the path
§5.4-2 MUST … and never more than the peer's MSS
§5.4-3 MUST the MSS that is sent does not follow the path
`,
);
