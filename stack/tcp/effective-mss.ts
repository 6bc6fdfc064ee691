import { TCP_HEADER_BYTES, TCP_MAX_HEADER_BYTES } from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';

/** Below this a peer's MSS is not believed: every byte would cost a header (Linux's TCP_MIN_SND_MSS, CVE-2019-11479). */
const MIN_SEND_MSS_BYTES = 48;
/** RFC 9293 §3.7.1 [MUST-15]: what a peer takes that sends no MSS option. */
const DEFAULT_MSS_V4_BYTES = 536;
const DEFAULT_MSS_V6_BYTES = 1220;

/** What is known before the handshake: the default for the peer, and what our SYN says. */
export function initializeMss(c: TcpConnection): void {
  const { iface, destination } = c.route;
  c.peerMss = destination.family === 4 ? DEFAULT_MSS_V4_BYTES : DEFAULT_MSS_V6_BYTES;
  // RFC 9293 §3.7.1 [MUST-67]: what the interface takes in one piece, whatever the path out is
  c.advMss = Math.min(iface.mtuBytes(destination.family) - c.ipHeaderBytes - TCP_HEADER_BYTES, 0xffff);
}

/** Computes the effective MSS for the path MTU of now (RFC 9293 §3.7.1 [MUST-16]). */
export function computeMss(c: TcpConnection): void {
  const { route } = c;
  c.pathMtuBytes = route.pathMtuBytes;
  const headers = c.ipHeaderBytes + TCP_HEADER_BYTES;
  const options = c.segmentOptionBytes;
  const byPath = Math.min(route.pathMtuBytes - headers, c.pmtuSearch?.low ?? Infinity);
  const segment = Math.max(Math.min(c.peerMss, byPath, c.maxSegmentBytes), MIN_SEND_MSS_BYTES + options);
  c.mss = segment - options;
  const room = route.iface.capabilities.txSegmentBytes - c.ipHeaderBytes - TCP_MAX_HEADER_BYTES;
  c.chunkBytes = room > c.mss ? room - (room % c.mss) : c.mss;
  c.cc.setMss(c.mss);
}
