import { type Specification, specification } from './specification.ts';

/** Duplicate SACK */
export const RFC2883: Specification = specification(
  'RFC 2883',
  'Duplicate SACK',
  `
§4-1 RULE a duplicate is reported in the first block, once
§4-2 RULE … with just the octets that were received twice
§4-3 RULE … also when they are below the ACK
§4-4 RULE a second block tells of the larger block that the duplicate is part of
§4.1-1 RULE a duplicate of what is acknowledged is reported below the ACK
§4.2-1 RULE partial overlaps are reported with what is really there twice
§4.3-1 RULE two duplicates in one segment are reported one at a time
§5-1 MUST blocks are compared with the ACK of their own segment, and not with SND.UNA
`,
);
