import { type Specification, specification } from './specification.ts';

/** TCP extensions for high performance */
export const RFC7323: Specification = specification(
  'RFC 7323',
  'TCP extensions for high performance',
  `
§2.2-1 SHOULD who can scale windows offers it, even with a shift of 0
§2.2-2 MUST both sides have to offer it before either scales
§2.2-3 MAY a SYN-ACK offers it when the SYN did
§2.2-4 MUST outside SYN segments the option is ignored
§2.2-5 MUST the window of SYN segments is not scaled
§2.3-1 SHOULD a SYN with the option is answered with it
§2.3-2 MUST the offered shift is the one used for the own window
§2.3-3 MUST without the option both shifts are 0
§2.3-4 MUST received windows are shifted left by the peer's shift
§2.3-5 MUST sent windows are shifted right by the own shift
§2.3-6 MUST a shift is 14 at most; a larger one counts as 14
§2.4-1 MUST a window that shrinks is lived with
§2.4-2 MUST the receiver takes what any of its ACKs had in the window
§2.4-3 SHOULD … and keeps the largest right edge for that
§2.4-4 MUST new data stays inside the window announced last
§2.4-5 MAY so do retransmissions
§3.2-1 SHOULD TSecr is 0 without ACK
§3.2-2 MUST with ACK it echoes a TSval that was received
§3.2-3 MUST without ACK a received TSecr is ignored
§3.2-4 MAY timestamps are offered in a SYN, and in a SYN-ACK only when the SYN had them
§3.2-5 MUST once agreed on, they are in every segment but resets
§3.2-6 SHOULD … and in resets
§3.2-7 SHOULD a segment without them is dropped
§3.2-8 MUST … and ends no connection
§3.2-9 MUST timestamps that were not agreed on are ignored, and the segment counts
§4.1-1 MUST the clock is in proportion to time
§4.1-2 MAY a round trip is measured when SND.UNA moves only
§4.2-1 SHOULD many samples in a round trip count as RFC 6298 meant one
§4.3-1 SHOULD a delayed ACK echoes the earliest of its segments
§4.3-2 SHOULD the ACK of a segment out of order echoes the last one in order
§4.3-3 MUST what fills a hole is echoed
§5.2-1 MUST what is kept for comparison never goes down
§5.2-2 SHOULD a reset in answer to a segment with timestamps has them
§5.2-3 SHOULD … with its TSval as TSecr, and TSval 0
§5.2-4 SHOULD a reset because of an abort has them
§5.2-5 MUST PAWS is not for resets
§5.2-6 MUST … nor do their timestamps change anything
§5.3-1 MUST PAWS is for all other segments of a synchronized connection: the old one is answered with an ACK and dropped
§5.3-2 MUST … before the sequence number is looked at
§5.3-3 MUST … when it arrives, and not when it leaves the queue
§5.4-1 SHOULD the clock ticks once per window at least
§5.4-2 MUST it takes longer than MSL to come round
§5.5-1 MAY after 24 idle days TS.Recent counts no more
§5.7-1 MUST who has PAWS has path MTU discovery
§7.1-1 SHOULD the clock begins at random for each connection
`,
);
