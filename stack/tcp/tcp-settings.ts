import type { SendPolicy } from './send-policy.ts';

/**
 * What the connections of a stack begin with. Plain fields, which may be changed at any time; they hold for connections made
 * afterwards.
 */
export class TcpSettings implements SendPolicy {
  /** RFC 7323: offer a window scale, and take the peer's. */
  windowScale = true;
  /**
   * The scale offered, 0 … 14: windows up to 8 MB in steps of 128 bytes (Linux's with 6 MB buffers). Rings that grow have their
   * own: see `maxReceiveBufferBytes`.
   */
  windowShift = 7;
  /** What a receive buffer that can grow begins with. A power of two, at least `passiveWindowBytes`. */
  receiveBufferBytes = 65_536;
  /** … and how far it grows, a power of two. The window scale is chosen for it. Equal to the former: it does not grow. */
  maxReceiveBufferBytes: number = 16 * 1024 * 1024;
  /** What a send buffer that can grow begins with. A power of two. */
  sendBufferBytes = 65_536;
  /** … and how far it grows, a power of two. Equal to the former: it does not grow. */
  maxSendBufferBytes: number = 16 * 1024 * 1024;
  /** RFC 7323: offer timestamps. */
  timestamps = true;
  /**
   * Segments without timestamps are taken on a connection that has agreed on them, as Linux and BSD do.
   * False: dropped (RFC 7323 §3.2, SHOULD).
   */
  tolerateMissingTimestamps = false;
  /** RFC 2018: offer selective acknowledgments. */
  selectiveAcks = true;
  /** 'cubic' (RFC 9438), 'newreno' (RFC 5681), 'bbr' (draft-ietf-ccwg-bbr) or 'none': the peer's window only. */
  congestionControl = 'cubic';
  /** See {@link SendPolicy}, which a connection may have otherwise. */
  pacing = false;
  /** See {@link SendPolicy}, which a connection may have otherwise. */
  windowValidation: SendPolicy['windowValidation'] = 'restart';
  /** RFC 8985 §7: one segment more when the last ones stay without an answer. */
  tailLossProbe = true;
  /** See {@link SendPolicy}, which a connection may have otherwise. */
  ecn: SendPolicy['ecn'] = 'passive';
  /** See {@link SendPolicy}, which a connection may have otherwise. */
  accurateEcn: SendPolicy['accurateEcn'] = 'off';
  /** The option of RFC 9768 §3.2.3. 'needed': for changes, and three times in a round trip. */
  accurateEcnOption: 'off' | 'needed' | 'always' = 'always';
  /** So many times a SYN is sent again before it no longer asks for ECN (RFC 3168 §6.1.1.1; FreeBSD's ecn.maxretries). */
  ecnRetries = 1;
  /**
   * How often a SYN is sent again: with 7 after 1, 2, 4 … 64 s, and the attempt ends after 247 s: more than three minutes
   * (RFC 9293 [MUST-23]).
   */
  synRetries = 7;
  /** … and a SYN-ACK: a peer that does not answer costs us memory (Linux's tcp_synack_retries, 63 s). */
  synAckRetries = 5;
  /** RFC 6298 §5.5 asks for 60 s at least; Linux's TCP_RTO_MAX. */
  maxRtoMs = 120_000;
  /** A newer SYN in TIME-WAIT begins a new connection (RFC 9293 [MAY-2], RFC 6191). False: it is challenged. */
  reuseTimeWait = true;
  /** Window of a SYN-ACK, which is sent before there is a ring; every ring is larger. */
  passiveWindowBytes = 64_240;
  /** So many arrivals of data are acknowledged at once when a connection is new (Linux's TCP_MAX_QUICKACKS); 0: none. */
  quickAcks = 16;
  /** The ACK of a SYN-ACK may wait for data: the driver calls `DeferredAcks.send` before it sleeps. False: it leaves at once. */
  deferHandshakeAck = false;
  /**
   * An ACK at once for this many segments that were not acknowledged, whatever their size; Infinity: for two full ones only
   * (RFC 9293 §3.8.6.3 [SHLD-19]). BSD has 2.
   */
  ackSegments: number = Infinity;
  /**
   * RCV.WND is always the room in the buffer, as in BSD, also where the 16 bits of an unscaled window cannot say so. False: the
   * right edge moves by a segment or not at all (RFC 9293 §3.8.6.2.2), and what was offered is what is accepted.
   */
  windowFollowsBuffer = false;
  /** See {@link SendPolicy}, which a connection may have otherwise. */
  nagle: SendPolicy['nagle'] = 'unacknowledged';
  /**
   * SYN cookies (RFC 4987 §3.6): 'overflow': when the queue of half-open connections is full; 'always': nothing is kept of any SYN, for
   * tests; 'never': a full queue drops SYNs.
   */
  synCookies: 'never' | 'overflow' | 'always' = 'overflow';
  /**
   * The MSS of our SYNs is not more than the path to the peer is known to carry, as on Linux: the way back may be the same. False: that of
   * the interface (RFC 9293 §3.7.1).
   */
  advertisePathMtu = false;
  /** RFC 4821: repeated timeouts of full segments make smaller ones. */
  blackHoleDetection = true;
  /** A SYN that carries a FIN begins no connection, as on Linux. RFC 9293 §3.10.7.2 takes it. */
  dropSynFin = false;
  /** Active opens with Fast Open send data with every SYN and no cookie (RFC 7413 §6.3.2: closed networks only). */
  fastOpenWithoutCookie = false;
  /** … and listeners with Fast Open take it. */
  fastOpenServerWithoutCookie = false;
}
