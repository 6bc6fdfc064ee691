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

/** The application wants to write and has no ring. It gets one now, or as soon as there is memory and its turn has come. */
export function giveSendRing(c: TcpConnection): void {
  if (c.state === TcpState.Closed || c.sendRing !== null || attachSendRing(c)) return;
  const keeper = c.layer.ringKeeper;
  if (c.context.rings.elastic === null || keeper.isWaiting(c)) return;
  // whoever has asked before is first
  if (!keeper.hasWriters && tryGiveSendRing(c)) return;
  c.layer.counters.writersWithoutMemory++;
  keeper.wait(c);
}

/**
 * Gives a send ring, if need be from what others do not use, and rather a small one than none.
 * @returns false when there is no memory now; true also when the connection needs none any more
 */
export function tryGiveSendRing(c: TcpConnection): boolean {
  if (c.state === TcpState.Closed || c.sendRing !== null) return true;
  const elastic = c.context.rings.elastic!;
  const queuedTo = c.queuedTo();
  const { sendBufferBytes } = c.layer.settings;
  const least = Math.min(sendBufferBytes, SCARCE_SEND_BYTES);
  const bytes = elastic.isScarce ? least : sendBufferBytes;
  if (!elastic.giveSend(c, bytes)) {
    const isReclaimed = c.layer.ringKeeper.reclaim(c) && elastic.giveSend(c, bytes);
    if (!isReclaimed && (bytes === least || !elastic.giveSend(c, least))) return false;
  }
  tie(c, queuedTo);
  c.sendRingGivenAt = c.context.now;
  c.signal(EndpointEvent.Writable);
  return true;
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
  const keeper = c.layer.ringKeeper;
  if (keeper.hasWriters && ring.usedBytes === 0) keeper.emptied();
  const wanted = Math.min(2 * c.cc.cwndBytes, c.layer.settings.maxSendBufferBytes);
  if (wanted <= capacityBytes || ring.usedBytes + acked < capacityBytes - (capacityBytes >> 2)) return;
  const { elastic } = c.context.rings;
  if (elastic === null || !c.hasElasticRings || elastic.isScarce) return;
  let bytes = capacityBytes;
  while (bytes < wanted) bytes *= 2;
  // refused while the application is writing: the next acknowledgment tries again
  if (elastic.resizeSend(c, bytes)) c.layer.counters.sendBuffersGrown++;
}
