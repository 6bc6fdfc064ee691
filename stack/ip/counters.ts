/** What the IP layer received, sent and dropped, both families together. */
export class IpCounters {
  received = 0;
  receivedBytes = 0;
  delivered = 0;
  sent = 0;
  sentBytes = 0;
  /** The device took nothing now; the packet was or will be sent again. */
  deviceFull = 0;
  fragmentsSent = 0;
  /** Datagrams of which the device took only the first fragments. */
  fragmentsLostOnSend = 0;
  /** Datagrams in fragments whose identification another one had within two minutes: more than 65,536 were sent (RFC 6864 §4.3). */
  identificationRepeated = 0;
  /** Identifications that may be given again too soon, for too many destinations are sent to at a time. */
  identificationsForgotten = 0;
  pathMtuReduced = 0;
  pathMtuRestored = 0;
  /** Routes that have another gateway since theirs did not answer. */
  gatewayChanged = 0;

  dropTruncated = 0;
  dropVersion = 0;
  dropHeaderLength = 0;
  dropTotalLength = 0;
  dropHeaderChecksum = 0;
  dropOptions = 0;
  dropSourceRoute = 0;
  dropMartianSource = 0;
  dropMartianDestination = 0;
  dropNotForUs = 0;
  /** For one of our unicast addresses, in a frame to a group of stations. */
  dropLinkGroup = 0;
  dropExtensionHeaders = 0;
  dropUnknownProtocol = 0;
  /** RFC 8200 §4.7: no next header. */
  dropNoNextHeader = 0;

  fragmentsReceived = 0;
  /** RFC 6946: fragments that are whole packets. */
  atomicFragments = 0;
  reassembled = 0;
  reassemblyTimeout = 0;
  reassemblyDuplicate = 0;
  reassemblyOverlap = 0;
  reassemblyEvicted = 0;
  reassemblyTooBig = 0;
  reassemblyTooManyFragments = 0;
  dropFragmentLength = 0;
  dropFragmentEcn = 0;
}
