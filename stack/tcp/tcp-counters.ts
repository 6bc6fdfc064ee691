/** The group 'tcp' of a stack's counters. Names follow `netstat -s` and RFC 4022 where they have one. */
export class TcpCounters {
  segmentsIn = 0;
  segmentsOut = 0;
  bytesIn = 0;
  bytesOut = 0;
  activeOpens = 0;
  passiveOpens = 0;
  established = 0;
  /** Attempts that never were established. */
  attemptFails = 0;
  /** Established connections that ended with an error. */
  aborts = 0;
  resetsIn = 0;
  resetsOut = 0;

  // received segments that were dropped, by reason
  dropTooShort = 0;
  dropBadOffset = 0;
  dropChecksum = 0;
  /** Of connections of another engine on the same device: put together from fragments, which all engines get. */
  dropNotOwn = 0;
  dropMulticast = 0;
  dropInvalidSource = 0;
  dropNoConnection = 0;
  dropNoAck = 0;
  dropSynFin = 0;
  dropUnacceptable = 0;
  dropPaws = 0;
  dropNoTimestamp = 0;
  dropAckRange = 0;
  dropRstOutOfWindow = 0;
  dropTimeWait = 0;
  dropClosing = 0;
  dropSynSent = 0;
  /** Data beyond the offered window or the room in the ring. */
  dropBeyondWindow = 0;
  /** Data that was promised a place when there was memory; the peer sends it again. */
  dropNoMemory = 0;
  /** … and the peer was told of a closed window. */
  windowsClosedForMemory = 0;
  /** A peer's window opened that had been taken back from what was in flight, which was sent again. */
  windowsReopened = 0;

  // things a peer can make us do or keep, and their limits
  optionErrors = 0;
  listenOverflows = 0;
  synBacklogOverflows = 0;
  /** RFC 4987 §3.6 */
  synCookiesSent = 0;
  synCookiesTaken = 0;
  /** ACKs to a listener that were no answer to one. */
  synCookiesFailed = 0;
  acceptedWithoutMemory = 0;
  timeWaitOverflows = 0;
  challengeAcks = 0;
  challengeAcksSuppressed = 0;
  outOfOrder = 0;
  /** Urgent pointers that were new. */
  urgentIn = 0;
  reassemblyOverflows = 0;
  sackSplitsRefused = 0;
  sackInvalid = 0;
  sackReneging = 0;

  // memory
  receiveBuffersGrown = 0;
  sendBuffersGrown = 0;
  /** Empty rings were taken back because others needed memory. */
  ringsReclaimed = 0;
  /** Idle connections that were folded up. */
  parked = 0;
  /** Writers that had to wait for memory. */
  writersWithoutMemory = 0;

  // sending
  retransmits = 0;
  fastRetransmits = 0;
  timeouts = 0;
  synRetransmits = 0;
  tailLossProbes = 0;
  /** Reductions that were taken back. */
  spuriousRetransmits = 0;
  /** Connections that were seen to be reordered. */
  reorderings = 0;
  windowProbes = 0;
  keepaliveProbes = 0;
  delayedAcks = 0;
  deviceFull = 0;
  sendUnroutable = 0;

  // Fast Open (RFC 7413)
  /** Active opens whose SYN data was taken whole … */
  fastOpenActive = 0;
  /** … and those where it was not. */
  fastOpenActiveFails = 0;
  /** Passive opens that took data with the SYN. */
  fastOpenPassive = 0;
  fastOpenRequestsIn = 0;
  fastOpenCookiesRefused = 0;
  /** A listener had too many that were not confirmed: ordinary handshakes. */
  fastOpenOverflows = 0;
  /** Servers that turned out not to want it. */
  fastOpenRefused = 0;
  /** Paths that turned out to swallow such SYNs. */
  fastOpenBlackHoles = 0;
  /** Active opens without it for one of these two reasons. */
  fastOpenAvoided = 0;

  // ECN (RFC 3168)
  ecnNegotiated = 0;
  ecnMarksIn = 0;
  ecnEchoesIn = 0;
  ecnReductions = 0;

  // ICMP (RFC 5927)
  icmpMatched = 0;
  icmpIgnored = 0;
  pathMtuReduced = 0;
  // without ICMP (RFC 4821)
  blackHolesSuspected = 0;
  mtuProbes = 0;
  mtuProbesLost = 0;
}
