import { type Specification, specification } from './specification.ts';

/** TIME-WAIT and timestamps */
export const RFC6191: Specification = specification(
  'RFC 6191',
  'TIME-WAIT and timestamps',
  `
§2-1 SHOULD a SYN with a later timestamp begins a new connection
§2-2 SHOULD … so does one with the same timestamp and a higher sequence number
§2-3 SHOULD … and one without timestamps and a higher sequence number
§2-4 SHOULD … and one with timestamps after a connection without
§2-5 SHOULD any other is dropped
`,
);
