import type { SharedSocket } from '../engine/shared-socket.ts';
import { SocketEvent, SocketWord } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { INET_STATUS_ACCEPT, INET_STATUS_IDLE, INET_STATUS_READ, INET_STATUS_WRITE } from './constants.ts';
import type { OpenHandle } from './handles.ts';

/** Sleepers look after the engine this often: one that died without a word wakes nobody. */
const LOOK_UP_MS = 1000;

/** When a wait of `timeoutMs` from now is over, in the time of `performance.now()`; 0: never. */
export function deadlineAfter(timeoutMs: number): number {
  return timeoutMs > 0 ? performance.now() + timeoutMs : Infinity;
}

/** Blocks until the socket has news for writers or openers. @returns false when the deadline has passed */
export function sleepSend(socket: SharedSocket, sequence: number, deadline: number): boolean {
  const leftMs = deadline - performance.now();
  if (leftMs <= 0) return false;
  if (!socket.sleepSend(sequence, Math.min(leftMs, LOOK_UP_MS))) socket.client.checkRunning();
  return true;
}

/** Blocks until the socket has news for readers. @returns false when the deadline has passed */
export function sleepRecv(socket: SharedSocket, sequence: number, deadline: number): boolean {
  const leftMs = deadline - performance.now();
  if (leftMs <= 0) return false;
  if (!socket.sleepRecv(sequence, Math.min(leftMs, LOOK_UP_MS))) socket.client.checkRunning();
  return true;
}

/**
 * {@link sleepRecv} for a call on a handle, which shows in its status.
 * @throws NetError TIMEOUT, CANCELLED when the handle was closed or the call cancelled meanwhile, ENGINE_STOPPED
 */
export function waitReadable(opened: OpenHandle, sequence: number, deadline: number): void {
  waitRecv(
    opened,
    sequence,
    deadline,
    INET_STATUS_READ,
    `nothing to read came in ${opened.timeoutMs / 1000} s`,
  );
}

/** {@link waitReadable} for a writer that TLS lets wait for the peer. */
export function waitForPeer(opened: OpenHandle, sequence: number, deadline: number): void {
  waitRecv(opened, sequence, deadline, INET_STATUS_WRITE, 'the peer did not end its renegotiation');
}

/** {@link waitReadable} for a listener. */
export function waitAcceptable(opened: OpenHandle, sequence: number, deadline: number): void {
  waitRecv(opened, sequence, deadline, INET_STATUS_ACCEPT, 'nobody connected');
}

function waitRecv(
  opened: OpenHandle,
  sequence: number,
  deadline: number,
  status: number,
  missing: string,
): void {
  throwIfEnded(opened);
  opened.changeStatus(INET_STATUS_IDLE, status);
  const inTime = sleepRecv(opened.socket, sequence, deadline);
  opened.changeStatus(status, INET_STATUS_IDLE);
  throwIfEnded(opened);
  if (!inTime) throw timedOut(opened, missing);
}

/**
 * {@link sleepSend} for a call on a handle.
 * @throws NetError TIMEOUT, CANCELLED when the handle was closed or the call cancelled meanwhile, ENGINE_STOPPED
 */
export function waitWritable(opened: OpenHandle, sequence: number, deadline: number): void {
  throwIfEnded(opened);
  opened.changeStatus(INET_STATUS_IDLE, INET_STATUS_WRITE);
  const acknowledged = opened.socket.acknowledgedTo;
  const inTime = sleepSend(opened.socket, sequence, deadline);
  opened.changeStatus(INET_STATUS_WRITE, INET_STATUS_IDLE);
  throwIfEnded(opened);
  // the engine wakes writers for a good part of the buffer; a slow peer may have made room for less
  if (inTime || opened.socket.acknowledgedTo !== acknowledged) return;
  opened.block.set(SocketWord.FaceWriteBlocked, 1);
  throw timedOut(opened, 'the peer took no more data');
}

/** @throws NetError CANCELLED */
export function throwIfEnded(opened: OpenHandle): void {
  const live = opened.isLive;
  if (live && !opened.isCancelled) return;
  throw new NetError('CANCELLED', {
    phase: Phase.Transfer,
    detail: live
      ? 'another thread has called InetCancel'
      : 'another thread has closed the connection during the call',
  });
}

/** Tells whoever has registered INET_EVENT_TIMEOUT. */
function timedOut(opened: OpenHandle, what: string): NetError {
  opened.socket.client.post(opened.block, SocketEvent.TimedOut);
  const { remoteAddress, remotePort } = opened.socket;
  return new NetError('TIMEOUT', {
    phase: Phase.Transfer,
    // how long InetAccept waits is not the handle's
    detail: opened.isListener ? what : `${what} in ${opened.timeoutMs / 1000} s`,
    ...(remoteAddress === null ? {} : { address: remoteAddress.toString(), port: remotePort }),
  });
}
