import { SocketEvent, SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { INET_ERROR } from './constants.ts';
import { failed } from './error-codes.ts';
import { anyHandle, type OpenHandle, openConnection } from './handles.ts';
import { deadlineAfter, throwIfEnded, waitWritable } from './wait.ts';

/**
 * Ends the calls that are blocked in a handle now, in whatever thread: they fail with CANCELLED (0x80042714). The handle and
 * the connection stay as they are, and calls that begin later are not touched. Every thread may cancel. Whoever has
 * registered INET_EVENT_CANCEL is told.
 *
 * @param handle of whatever thread
 * @returns 0, also when nothing is blocked; INET_ERROR: HANDLE_INVALID (0x80042736), NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketTools names Cancel as the way to end another thread's call (AttachThread pages); that any thread may call it is
 * inferred from there.
 *
 * @example
 * // the owner is blocked: InetRead(socket, buffer)
 * InetCancel(socket); // in another thread
 */
export function InetCancel(handle: number): number {
  try {
    const opened = anyHandle(handle);
    endCalls(opened);
    opened.socket.client.post(opened.block, SocketEvent.Cancelled);
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/** Ends the calls that other threads have blocked in a handle. The caller's own goes on after `begin`. */
export function endCalls(opened: OpenHandle): void {
  const { block } = opened;
  Atomics.add(block.words, block.at + SocketWord.FaceCancels, 1);
  block.wakeReaders();
  block.wakeWriters();
}

/**
 * Blocks until the peer has acknowledged everything written, or the handle's timeout is over. What was received is not touched.
 * There is never a need for it to get data going: the stack sends without being asked. Over UDP: until all is handed on.
 *
 * @param handle a connection of this thread
 * @returns 0; INET_ERROR: TIMEOUT (0x8004274C: not all was acknowledged in time), RESET (0x80042746) and others (the connection was
 * lost before), CANCELLED (0x80042714), HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_CONNECTED (0x80042749),
 * NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 6 names it; what it does is our choice.
 *
 * @example
 * if (InetFlush(socket) === 0) console.log('the peer has everything');
 */
export function InetFlush(handle: number): number {
  try {
    const opened = openConnection(handle);
    const { socket } = opened;
    const written = socket.writtenTo;
    const deadline = deadlineAfter(opened.timeoutMs);
    for (;;) {
      const { sendSequence } = socket;
      // the socket may be another connection's by now
      throwIfEnded(opened);
      if (((socket.acknowledgedTo - written) | 0) >= 0) return 0;
      if (socket.status === SocketStatus.Closed) {
        socket.throwIfFailed();
        throw new NetError('NOT_CONNECTED', {
          phase: Phase.Transfer,
          detail: `the connection has ended, ${socket.unsentBytes} bytes were not acknowledged`,
        });
      }
      waitWritable(opened, sendSequence, deadline);
    }
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}
