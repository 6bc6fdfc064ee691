import { type Specification, specification } from './specification.ts';

/** An initial window of ten segments */
export const RFC6928: Specification = specification(
  'RFC 6928',
  'An initial window of ten segments',
  `
§2-1 MAY the initial window may be smaller
§2-2 MUST after the loss of a SYN it is one segment
§2-3 SHOULD … but only after more than one
§2-4 MAY the restart window may be the initial one, cwnd at most
§2-5 SHOULD losses in it make the restart window that of RFC 3390
§9-1 MUST the timer starts anew with every ACK of new data
§12-1 SHOULD who switches it on looks at the effect | outside: about operators
§12-2 MUST not by default where nobody can look | outside: about operators; the counters are there
`,
);
