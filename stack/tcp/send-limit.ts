import type { TcpConnection } from './connection.ts';

/** What a connection with something to send waits for (Linux's enum tcp_chrono, include/linux/tcp.h). */
export const SendLimit = {
  /** It has nothing to send. */
  Idle: 0,
  /** The network, as congestion control sees it, or the way there and back. */
  Busy: 1,
  /** The peer's window. */
  PeerWindow: 2,
  /** The send buffer is full, and all of it is in flight. */
  SendBuffer: 3,
} as const;
export type SendLimit = (typeof SendLimit)[keyof typeof SendLimit];

/** Takes note of what limits the connection from now on. */
export function noteLimit(c: TcpConnection): void {
  const limit = limitOf(c);
  if (limit === c.sendLimit) return;
  countLimit(c);
  c.sendLimit = limit;
}

/** Counts the time up to now. */
export function countLimit(c: TcpConnection): void {
  const elapsedMs = c.now - c.sendLimitAt;
  c.sendLimitAt = c.now;
  if (c.sendLimit === SendLimit.Idle) return;
  c.busyMs += elapsedMs;
  if (c.sendLimit === SendLimit.PeerWindow) c.peerLimitedMs += elapsedMs;
  else if (c.sendLimit === SendLimit.SendBuffer) c.bufferLimitedMs += elapsedMs;
}

function limitOf(c: TcpConnection): SendLimit {
  const queuedTo = c.queuedTo();
  if (((queuedTo - c.sndUna) | 0) <= 0) return SendLimit.Idle;
  const unsent = (queuedTo - c.sndNxt) | 0;
  if (unsent <= 0) {
    const isFull = c.sendRing !== null && c.sendRing.freeBytes === 0;
    return isFull ? SendLimit.SendBuffer : SendLimit.Busy;
  }
  const window = (c.sndUna + c.sndWnd - c.sndNxt) | 0;
  if (window >= Math.min(unsent, c.mss)) return SendLimit.Busy;
  return c.cc.cwndBytes - c.inFlightBytes() >= c.mss ? SendLimit.PeerWindow : SendLimit.Busy;
}
