import { type Specification, specification } from './specification.ts';

/** TCP selective acknowledgment options */
export const RFC2018: Specification = specification(
  'RFC 2018',
  'TCP selective acknowledgment options',
  `
§2-1 MUST SACK-permitted is on SYN segments only
§4-1 SHOULD who sends SACK options at all sends them wherever it may
§4-2 MUST … and never without the peer's permission
§4-3 SHOULD every ACK that is below the highest octet in the queue has one
§4-4 SHOULD every segment with new data is acknowledged
§4-5 MUST the first block is the one with the segment that caused the ACK
§4-6 SHOULD there are as many blocks as fit
§4-7 SHOULD … the others being those reported last
§5-1 SHOULD the sender keeps what was reported
§5-2 SHOULD after a timeout it forgets it | outside: RFC 6675 §5.1 calls that too strong, and Linux keeps it, too
§5-3 MUST after a timeout the segment at the left edge is sent again, whatever was reported of it
§5.1-1 MUST the congestion control stays
§8-1 MUST the first block tells of the newest segment, even of one that is not kept
§8-2 MUST the other blocks tell of what is still there only
§8-3 MUST the sender keeps data until it is acknowledged, whatever was reported
`,
);
