import { type Specification, specification } from './specification.ts';

/** More accurate ECN feedback */
export const RFC9768: Specification = specification(
  'RFC 9768',
  'More accurate ECN feedback',
  `
§3.1.1-1 MUST a SYN asks with all three flags
§3.1.1-2 MUST a SYN and SYN-ACK that agree begin AccECN mode
§3.1.1-3 MUST the SYN-ACK tells how the SYN came in
§3.1.2-1 MUST a SYN with other flags than those of RFC 3168 is taken as one that asks
§3.1.2-2 MUST … and one with those of RFC 3168 gets classic ECN
§3.1.2-3 MUST a SYN-ACK of RFC 3168 gives classic ECN
§3.1.2-4 MUST a SYN-ACK without flags, or with all, gives none
§3.1.4-1 SHOULD a SYN that gets no answer goes without the flags later
§3.1.4-2 SHOULD … and a SYN-ACK, too
§3.1.5-1 MUST no ECT after a SYN without the flags was sent or seen
§3.2.1-1 MUST counters begin with 5 and 1, not with 0
§3.2.2.1-1 MUST the ACK of the SYN-ACK tells how that came in
§3.2.2.1-2 MUST … also that of a repeated one
§3.2.2.1-3 MUST nothing else is taken for such an ACK, nor such an ACK for a counter
§3.2.2.2-1 MUST the field of all other segments counts CE marks modulo 8
§3.2.2.3-1 SHOULD no ECT when the field of IP is changed wrongly on the way
§3.2.2.4-1 MUST no ECT when the first field is zero
§3.2.2.5.1-1 MUST an ACK when the mark changes
§3.2.2.5.1-2 MUST an ACK for every second mark on data
§3.2.2.5.2-1 MUST the growth of the counter is that of the marks
§3.2.2.5.2-2 SHOULD what acknowledges nothing new does not count
§3.2.2.5.2-3 SHOULD a wrap of the counter is assumed unless it is unlikely
§3.2.3-1 MUST the option is optional: left out of a repeated SYN-ACK
§3.2.3.1-1 MUST counters of bytes, payload only, in 24 bits
§3.2.3.2-1 MUST no option before one has come
§3.2.3.2-2 MAY an option that begins with zeros is not believed
§3.2.3.2-3 SHOULD no option when segments with it are lost
§3.2.3.3-1 MUST room for the option is not taken from what is needed more
§3.3-1 MUST congestion that is told counts as a loss, once per window
`,
);
