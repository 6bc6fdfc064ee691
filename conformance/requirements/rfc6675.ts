import { type Specification, specification } from './specification.ts';

/** Loss recovery with SACK */
export const RFC6675: Specification = specification(
  'RFC 6675',
  'Loss recovery with SACK',
  `
§4-1 SHOULD the scoreboard can update, tell what is lost, count what is in the network, and choose what is next
§4-2 MUST what was reported stays in the buffer until it is acknowledged
§4-3 MUST what is in the network is estimated
§4-4 MUST the first hole that counts as lost is sent first
§4-5 MUST … then new data, as far as the window allows
§4-6 SHOULD … then what is below a report and not known as lost
§4-7 SHOULD … then the last segment once, as a rescue | outside: the tail loss probe of RFC 8985 §7 does that
§4-8 MUST … and then nothing
§5-1 MUST every ACK with reports updates the scoreboard
§5-2 MUST an ACK of new data sets the count of duplicates to 0 | outside: RFC 8985 §9.2: RACK's recovery takes the place of counting duplicates
§5-3 MUST duplicates are counted, and three begin the recovery | outside: RFC 8985 §9.2: RACK's recovery takes the place of counting duplicates
§5-4 MAY the first two let new data out (limited transmit)
§5-5 MUST an ACK beyond the recovery point ends the recovery
§5-6 SHOULD … and what was reported above it stays known
§5-7 MUST a partial ACK updates the scoreboard and the estimate
§5-8 SHOULD as long as the estimate is below cwnd, segments go out
§5.1-1 SHOULD after a timeout the reports that come are used
§5.1-2 MUST a timeout in a recovery sets the recovery point to what was sent so far, and ends the recovery
§5.1-3 MUST … and no new one begins below that point
`,
);
