import type { TcpConnection } from './connection.ts';
import { RecoveryState } from './recovery.ts';

/*
 * Path MTU discovery without ICMP (RFC 4821, RFC 8899): where routers that drop large packets do not say so, or firewalls drop what they say,
 * full segments vanish and small ones pass. That is noticed by repeated timeouts; smaller segments are tried then, and larger ones again with
 * single probes, whose loss is no sign of congestion (RFC 4821 §7.7).
 */

/** RFC 8899 §5.1.2: BASE_PLPMTU is 1200 bytes, which nearly every path carries; here without the 60 bytes of headers. */
const BASE_SEGMENT_BYTES = 1140;
/** It does not go below (RFC 4821 §7.2: 512 bytes are a safe choice). */
const LEAST_SEGMENT_BYTES = 512;
/** So many timeouts in a row of a segment that is larger (Linux's tcp_retries1). */
const TIMEOUTS = 3;
/** … and of one that nearly every path carries: it is more likely that nothing gets through. */
const TIMEOUTS_OF_BASE = 6;
/** The search ends when the two ends are so near (RFC 4821 §7.4: the gain is not worth a probe). */
const NEAR_BYTES = 32;
/** A size whose probe was lost so often is too large (RFC 8899 §5.1.2: MAX_PROBES). */
const MAX_PROBES = 3;
/** RFC 8899 §5.1.1: PMTU_RAISE_TIMER. */
const RAISE_MS = 600_000;
/** Between two probes after a loss, at least. */
const PROBE_PAUSE_MS = 1000;

/** A search between a size that passes and one that does not. Sizes are those of the MSS option: options of segments included. */
export class PathMtuSearch {
  /** Passes: the limit of segments now. */
  low: number;
  /** The least that is known not to pass; where the search began, when nothing is. */
  high: number;
  /** What the segments would be without a search. */
  readonly full: number;
  /** Acknowledgments have come for segments of `low`: the hole is real, or over. */
  confirmed = false;
  /** The probe in flight; valid while `probeBytes` is not 0. */
  probeFrom = 0;
  probeBytes = 0;
  losses = 0;
  notBefore = 0;

  constructor(low: number, full: number) {
    this.low = low;
    this.full = full;
    this.high = full + 1;
  }
}

/** A timeout, the `c.retries`th without an answer: are segments too large for the path? */
export function suspectBlackHole(c: TcpConnection): void {
  if (c.retries < TIMEOUTS || !c.layer.settings.blackHoleDetection) return;
  const options = c.segmentOptionBytes;
  const segment = c.mss + options;
  const { sent } = c;
  if (segment <= BASE_SEGMENT_BYTES && c.retries < TIMEOUTS_OF_BASE) return;
  const headBytes = Math.min((sent.end[sent.first]! - sent.start[sent.first]!) | 0, c.mss) + options;
  const smaller =
    segment > BASE_SEGMENT_BYTES ? BASE_SEGMENT_BYTES : Math.max(segment >> 1, LEAST_SEGMENT_BYTES);
  if (headBytes <= smaller) return;
  if (c.pmtuSearch === null) c.pmtuSearch = new PathMtuSearch(smaller, segment);
  const search = c.pmtuSearch;
  search.low = smaller;
  search.high = Math.min(search.high, search.confirmed ? segment : search.high);
  search.confirmed = false;
  search.probeBytes = 0;
  c.layer.counters.blackHolesSuspected++;
  c.updateMss();
}

/** SND.UNA has advanced. */
export function searchAcked(c: TcpConnection): void {
  const search = c.pmtuSearch!;
  if (!search.confirmed) {
    search.confirmed = true;
    // The size that failed before is tried once more first: it may have been an outage
    search.notBefore = c.now;
  }
  if (search.probeBytes === 0) return;
  if (((c.sndUna - search.probeFrom - search.probeBytes) | 0) < 0) return;
  search.low = search.probeBytes + c.segmentOptionBytes;
  search.probeBytes = 0;
  search.losses = 0;
  if (search.low >= search.full) c.pmtuSearch = null;
  c.updateMss();
}

/**
 * Payload of a probe that is to be sent now; 0: none is. There must be enough behind it for its loss to be noticed without a
 * timeout (RFC 4821 §7.4), so SACK is needed.
 */
export function probeBytesDue(c: TcpConnection, unsent: number, windowBytes: number): number {
  const search = c.pmtuSearch!;
  if (!search.confirmed || search.probeBytes > 0 || c.now < search.notBefore) return 0;
  if (!c.sackOk) {
    // Without SACK nothing tells the loss of a probe from others: all of the path again, at times
    if (search.notBefore > 0 && c.now >= search.notBefore + RAISE_MS) stopSearch(c);
    return 0;
  }
  if (c.recovery !== RecoveryState.Open || c.sent.lostBytes > 0) return 0;
  if (search.high - search.low <= NEAR_BYTES) {
    // Found; after a while the path may be another
    search.high = search.full + 1;
    search.notBefore = c.now + RAISE_MS;
    return 0;
  }
  const size = search.high > search.full ? search.full : (search.low + search.high) >> 1;
  const payload = size - c.segmentOptionBytes;
  const needed = payload + 4 * c.mss;
  const room = Math.floor(c.cc.cwndBytes) - c.inFlightBytes();
  return unsent >= needed && windowBytes >= needed && room >= needed ? payload : 0;
}

/** The probe begins at SND.NXT. */
export function probeLeaves(c: TcpConnection, payload: number): void {
  const search = c.pmtuSearch!;
  search.probeFrom = c.sndNxt;
  search.probeBytes = payload;
  c.layer.counters.mtuProbes++;
}

/** Segments were found to be lost. @returns true when it is nothing but the probe: no congestion */
export function onlyProbeLost(c: TcpConnection): boolean {
  const search = c.pmtuSearch!;
  if (search.probeBytes === 0) return false;
  const { sent } = c;
  const at = sent.nextLost();
  const isProbe = at >= 0 && sent.start[at] === search.probeFrom && sent.lostBytes === search.probeBytes;
  // Something else is lost, too: that the probe is, says nothing
  search.probeBytes = 0;
  if (!isProbe) return false;
  c.layer.counters.mtuProbesLost++;
  const size = search.high > search.full ? search.full : (search.low + search.high) >> 1;
  search.notBefore = c.now + Math.max(PROBE_PAUSE_MS, 5 * c.rtt.srttMs);
  if (++search.losses >= MAX_PROBES) {
    search.losses = 0;
    search.high = size;
  }
  return true;
}

function stopSearch(c: TcpConnection): void {
  c.pmtuSearch = null;
  c.updateMss();
}
