import { type Specification, specification } from './specification.ts';

/** Congestion control */
export const RFC5681: Specification = specification(
  'RFC 5681',
  'Congestion control',
  `
§2-1 MUST nothing beyond the least of cwnd and the peer's window
§3-1 MUST nothing is more aggressive than this
§3.1-1 MUST slow start and congestion avoidance
§3.1-2 MUST an initial window of 2 to 4 segments | outside: RFC 6928 allows 10
§3.1-3 MUST the SYN-ACK and its ACK grow no window
§3.1-4 MUST after the loss of a SYN the initial window is one segment
§3.1-5 SHOULD a segment size that was too large reduces cwnd in proportion
§3.1-6 SHOULD ssthresh is high at the beginning
§3.1-7 MUST … and reduced by congestion
§3.1-8 MUST congestion avoidance grows cwnd by one segment per round trip at most | outside: RFC 9438 and the BBR draft have other rules
§3.1-9 SHOULD octets are counted, and not ACKs
§3.1-10 MUST a timeout sets ssthresh to half of what is in the network, two segments at least
§3.1-11 MUST … and cwnd to one segment
§3.2-1 SHOULD a segment out of order is acknowledged at once
§3.2-2 SHOULD … and one that fills a gap
§3.2-3 SHOULD duplicates of an ACK bring about a fast retransmit
§3.2-4 SHOULD the first two let new data out
§3.2-5 MUST … which does not change cwnd
§3.2-6 MUST … and with SACK only when they report something new
§3.2-7 MUST that new data does not count for ssthresh
§3.2-8 MUST without SACK every further duplicate makes cwnd larger by a segment | outside: proportional rate reduction (RFC 9937) takes its place
§3.2-9 MUST the ACK of new data sets cwnd to ssthresh
§4.1-1 SHOULD after an idle time of a timeout cwnd is the restart window
§4.2-1 SHOULD ACKs are delayed
§4.2-2 SHOULD … and every second full segment has one
§4.2-3 MUST … within 500 ms
§4.2-4 MUST no segment has more than one ACK, but for updates of the window
§4.3-1 MUST the first loss in a window sets ssthresh
§4.3-2 MUST during the repair no more than half of it goes out per round trip
§4.3-3 MUST after the repair cwnd is ssthresh
§4.3-4 MUST losses in two windows, or of a retransmission, count twice
`,
);
