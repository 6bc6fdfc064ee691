import { type Specification, specification } from './specification.ts';

/** RACK-TLP loss detection */
export const RFC8985: Specification = specification(
  'RFC 8985',
  'RACK-TLP loss detection',
  `
§4-1 MUST SACK is in use
§3.3-1 SHOULD the reordering window is 0 or small at the beginning
§6.1-1 RULE every segment has the time it was sent last
§6.2-1 SHOULD the least round trip is that of a window of time
§6.2-2 RULE the segment sent last of those delivered is the mark (RACK.segment)
§6.2-3 RULE an ACK that came too soon for a retransmission says nothing of it
§6.2-4 RULE without reordering, three segments above are enough
§6.2-5 RULE with reordering, a quarter of the least round trip is waited, more with every duplicate that is reported, SRTT at most
§6.2-6 RULE what was sent before the mark by more than that is lost
§6.2-7 SHOULD a timer waits for what may be late
§6.3-1 RULE at a timeout the first segment, and all older than the window, count as lost
§7.2-1 SHOULD new data, or an ACK of it, starts the probe's timer, unless something is being repaired
§7.2-2 SHOULD without SRTT it runs for 1 second
§7.2-3 MAY with one segment out, the peer's delay of ACKs is added
§7.2-4 SHOULD otherwise it runs for two SRTT, and not longer than the timeout
§7.3-1 MUST one probe per episode, and none without a round trip measured since
§7.3-2 MUST otherwise the timeout is started again
§7.3-3 SHOULD a probe is new data where there is some and the window allows
§7.3-4 SHOULD … else the last segment
§7.3-5 MUST it is a transmission like any other for RACK
§7.3-6 MUST after it the timer is the timeout's
§7.4.2-1 MUST a loss that the probe repaired, and nobody tells of, is congestion
§7.4.2-2 SHOULD … and cwnd is reduced as after a fast recovery
§8-1 SHOULD one timer runs at a time
§9.2-1 MUST the recovery of RFC 6675 is not used beside it
§9.3-1 MUST what is lost is sent again when congestion control lets it
§9.3-2 SHOULD … by proportional rate reduction
§9.3-3 MUST without that, a lost retransmission is congestion anew | outside: proportional rate reduction is always there
`,
);
