import { type Specification, specification } from './specification.ts';

/** The retransmission timer */
export const RFC6298: Specification = specification(
  'RFC 6298',
  'The retransmission timer',
  `
§1-1 MUST nothing is more aggressive than this
§2-1 SHOULD without a sample the timeout is 1 second
§2-2 MUST the first sample R: SRTT = R, RTTVAR = R / 2
§2-3 MUST the next ones: RTTVAR first, then SRTT
§2-4 SHOULD … with 1/8 and 1/4
§2-5 MUST the timeout is SRTT + max(G, 4 RTTVAR)
§2-6 SHOULD … and 1 second at least | outside: 200 ms, as on Linux, FreeBSD and every larger stack
§2-7 MAY … and 60 seconds at most or more
§3-1 MUST no samples of what was sent again (Karn), unless timestamps tell
§3-2 MUST one sample per round trip at least
§4-1 MUST a variance of 0 counts as the clock's tick
§5-1 MUST nothing is sent again within less than one timeout
§5-2 SHOULD data that is sent starts the timer, unless it runs
§5-3 SHOULD … which stops when all is acknowledged
§5-4 SHOULD … and starts anew with an ACK of new data
§5-5 SHOULD the oldest segment is sent again
§5-6 MUST the timeout doubles
§5-7 MUST after the loss of a SYN it is 3 seconds when data begins
§5-8 MAY SRTT and RTTVAR are forgotten after several
`,
);
