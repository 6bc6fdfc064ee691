import type { Ring } from '../ring.ts';
import type { TcpConnection } from './connection.ts';
import type { Segment } from './segment.ts';

/** The smallest receive ring: a request, a reply, a page of memory. */
const LEAST_RING_BYTES = 4096;
/** What a connection may still be promised while memory is scarce: a TLS record of the largest size (RFC 8446 §5.2) fits. */
export const SCARCE_RECEIVE_BYTES = 32_768;
/**
 * A round trip counts as at least this. On one machine it is shorter than a turn of the engine; a window that follows it
 * would have the peer wait for every turn.
 */
const LEAST_ROUND_MS = 0.25;
/** The round trip when nothing was measured: the handshake was repeated and there are no timestamps. */
const UNKNOWN_ROUND_MS = 100;
/** Segments more than two windows' worth: the slow start that goes on meanwhile (Linux's tcp_rcv_space_adjust). */
const SPARE_SEGMENTS = 16;

/** Most bytes that may lie in the receive buffer now. More than this is not promised, but what was promised is kept. */
export function receiveCapacity(c: TcpConnection): number {
  const { elastic } = c.context.rings;
  if (elastic === null || !elastic.isScarce) return c.recvBufferBytes;
  const held = c.recvRing === null ? 0 : c.recvRing.capacityBytes;
  return Math.min(c.recvBufferBytes, Math.max(held, SCARCE_RECEIVE_BYTES));
}

/**
 * The receive ring, with room for `bytes` bytes from its tail on; it is made or grown for them.
 * @returns the ring as it is when there is no memory, null when there is none
 */
export function receiveRingFor(c: TcpConnection, bytes: number): Ring | null {
  const { elastic } = c.context.rings;
  if (elastic === null || !c.hasElasticRings) return c.recvRing;
  let capacity = c.recvRing === null ? LEAST_RING_BYTES : c.recvRing.capacityBytes;
  while (capacity < bytes) capacity *= 2;
  capacity = Math.min(capacity, c.recvBufferBytes);
  const keeper = c.layer.ringKeeper;
  const kept = keptInReceiveRing(c);
  if (!elastic.resizeReceive(c, capacity, kept)) {
    if (!keeper.reclaim(c) || !elastic.resizeReceive(c, capacity, kept)) return c.recvRing;
  }
  keeper.hold(c);
  return c.recvRing;
}

/** Memory before a closed window opens again. @returns false when there is none */
export function makeReceiveRoom(c: TcpConnection): boolean {
  const kept = keptInReceiveRing(c);
  const offered = Math.max((c.rcvAdv - c.rcvNxt) | 0, LEAST_RING_BYTES);
  const used = c.recvRing === null ? 0 : c.recvRing.usedBytes;
  const wanted = Math.min(Math.max(kept, used + Math.min(offered, SCARCE_RECEIVE_BYTES)), c.recvBufferBytes);
  const ring = receiveRingFor(c, wanted);
  return ring !== null && ring.capacityBytes >= wanted;
}

/** Bytes from the tail of the receive ring on that must be kept, those out of order included. */
export function keptInReceiveRing(c: TcpConnection): number {
  const { assembler, recvRing } = c;
  if (recvRing === null) return 0;
  const ahead = assembler.count === 0 ? 0 : (assembler.right[assembler.count - 1]! - c.rcvNxt) | 0;
  return recvRing.usedBytes + ahead;
}

/**
 * Dynamic right-sizing (Fisk and Feng; Linux's tcp_rcv_space_adjust): when the application has read a good part of the
 * buffer within a round trip, the window may be what keeps the peer back, and the buffer grows to twice what was read. A
 * slow reader makes nothing grow. Called for data in order.
 */
export function tuneReceiveBuffer(c: TcpConnection, seg: Segment, len: number): void {
  if (!c.hasElasticRings || c.recvBufferBytes >= c.layer.settings.maxReceiveBufferBytes) return;
  if (c.tsOk && seg.options.tsEcr !== c.roundEcho && len >= c.rcvMss) sampleRound(c, seg.options.tsEcr);
  const roundMs = Math.max(roundTripMs(c), LEAST_ROUND_MS);
  const elapsedMs = c.now - c.roundStartMs;
  if (elapsedMs < roundMs) return;
  const used = c.recvRing === null ? 0 : c.recvRing.usedBytes;
  const readTo = (c.rcvNxt - used) | 0;
  const readBytes = (((readTo - c.roundReadTo) | 0) * roundMs) / elapsedMs;
  c.roundStartMs = c.now;
  c.roundReadTo = readTo;
  const isFaster = readBytes > c.roundReadBytes + c.roundReadBytes / 2;
  c.roundReadBytes = Math.round(readBytes);
  // in slow start the round that answers this one's window brings four times as much
  const wanted = (isFaster ? 4 : 2) * readBytes + SPARE_SEGMENTS * c.rcvMss;
  if (wanted <= c.recvBufferBytes || 4 * readBytes <= c.recvBufferBytes) return;
  growTo(c, wanted);
}

function growTo(c: TcpConnection, wanted: number): void {
  const { elastic } = c.context.rings;
  if (elastic === null || elastic.isScarce) return;
  const most = c.layer.settings.maxReceiveBufferBytes;
  let bytes = c.recvBufferBytes;
  while (bytes < wanted && bytes < most) bytes *= 2;
  c.recvBufferBytes = bytes;
  c.layer.counters.receiveBuffersGrown++;
  elastic.receiveBufferChanged(c);
}

/**
 * RFC 7323 §4: what a data segment echoes is at least a round trip old. A sender that paused makes it look longer, so
 * a shorter one is believed at once, a longer one little by little.
 */
function sampleRound(c: TcpConnection, tsEcr: number): void {
  c.roundEcho = tsEcr;
  const sampleMs = (c.timestamp() - tsEcr) | 0;
  if (sampleMs < 0) return;
  if (c.roundMs < 0 || sampleMs < c.roundMs) c.roundMs = sampleMs;
  else c.roundMs += (sampleMs - c.roundMs) / 8;
}

function roundTripMs(c: TcpConnection): number {
  const { minRttMs } = c.rtt;
  // the clock of timestamps ticks in milliseconds, that of the handshake does not
  if (c.roundMs > 1 && c.roundMs > minRttMs) return c.roundMs;
  return minRttMs === Infinity ? UNKNOWN_ROUND_MS : minRttMs;
}
