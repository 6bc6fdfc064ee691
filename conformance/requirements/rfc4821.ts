import { type Specification, specification } from './specification.ts';

/** Packetization layer path MTU discovery */
export const RFC4821: Specification = specification(
  'RFC 4821',
  'Packetization layer path MTU discovery',
  `
§4-1 MUST losses are reported in time and exactly
§4-2 MUST the congestion control stays, but for a lost probe alone
§4-3 SHOULD … which is no congestion
§4-4 MUST … and comes less often than congestion would
§4-5 MUST a larger MTU does not make the window larger in octets
§4-6 SHOULD a smaller one does not make it larger in segments
§4-7 SHOULD other connections on the path are told
§5.2-1 MUST a path is not a network number
§5.2-2 SHOULD the IP layer keeps the value
§7.1-1 SHOULD what is no probe is within the MTU
§7.1-2 MUST a probe is between the lower and the upper limit
§7.2-1 SHOULD the upper limit is what the flow could have at most
§7.2-2 SHOULD the lower one can be chosen
§7.3-1 MUST the search ends
§7.3-2 MUST … and begins again after 5 minutes at least
§7.4-1 MUST nothing is being repaired when a probe goes out
§7.4-2 SHOULD there is enough behind it to notice its loss
§7.6.2-1 SHOULD a lost probe lowers the upper limit and is no congestion
§7.7-1 SHOULD timeouts in a row are a black hole: the MTU goes down
§7.7-2 SHOULD … by halves at further ones, to 68 octets or 1280
§7.8-1 SHOULD a larger MTU that makes losses is taken back
§9-1 MUST an application of datagrams can send more than the MTU without fragmentation
`,
);
