import { EndpointEvent } from '../endpoint.ts';
import type { TcpConnection } from './connection.ts';
import { TcpState } from './tcp-state.ts';

/** What a writer gets while memory is scarce: a TLS record of the largest size (RFC 8446 §5.2) fits. */
export const SCARCE_SEND_BYTES = 32_768;

/**
 * The application has put data into a send ring that it took by itself: from here on the connection sends from it.
 * @returns false when there is no ring
 */
export function attachSendRing(c: TcpConnection): boolean {
  const { elastic } = c.context.rings;
  const queuedTo = c.queuedTo();
  if (elastic === null || !elastic.attachSend(c)) return false;
  tie(c, queuedTo);
  return true;
}

/** The application wants to write and has no ring. It gets one now, or as soon as there is memory. */
export function giveSendRing(c: TcpConnection): void {
  if (c.state === TcpState.Closed || c.sendRing !== null || attachSendRing(c)) return;
  const { elastic } = c.context.rings;
  if (elastic === null) return;
  const queuedTo = c.queuedTo();
  const { sendBufferBytes } = c.layer.settings;
  const bytes = elastic.isScarce ? Math.min(sendBufferBytes, SCARCE_SEND_BYTES) : sendBufferBytes;
  const keeper = c.layer.ringKeeper;
  if (!elastic.resizeSend(c, bytes) && !(keeper.reclaim(c) && elastic.resizeSend(c, bytes))) {
    c.layer.counters.writersWithoutMemory++;
    keeper.wait(c);
    return;
  }
  tie(c, queuedTo);
  c.sendRingGivenAt = c.context.now;
  c.signal(EndpointEvent.Writable);
}

/** The ring continues where the last one ended: its tail is the next sequence number. */
function tie(c: TcpConnection, queuedTo: number): void {
  const ring = c.sendRing!;
  c.sendBase = (queuedTo - ring.tail) | 0;
  c.layer.ringKeeper.hold(c);
}

/**
 * Twice the congestion window (Linux's tcp_sndbuf_expand): one is in flight, and the next is there when it is acknowledged.
 * Only for a writer that keeps the ring full. Called when data was acknowledged.
 * @param acked bytes of data just given back
 */
export function tuneSendBuffer(c: TcpConnection, acked: number): void {
  const ring = c.sendRing!;
  const { capacityBytes } = ring;
  const wanted = Math.min(2 * c.cc.cwndBytes, c.layer.settings.maxSendBufferBytes);
  if (wanted <= capacityBytes || ring.usedBytes + acked < capacityBytes - (capacityBytes >> 2)) return;
  const { elastic } = c.context.rings;
  if (elastic === null || !c.hasElasticRings || elastic.isScarce) return;
  let bytes = capacityBytes;
  while (bytes < wanted) bytes *= 2;
  // refused while the application is writing: the next acknowledgment tries again
  if (elastic.resizeSend(c, bytes)) c.layer.counters.sendBuffersGrown++;
}
