import { SocketStatus, SocketWord, StreamFlag } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { endCalls } from './cancel.ts';
import {
  INET_ERROR,
  INET_SHUTDOWN_BOTH,
  INET_SHUTDOWN_RECEIVE,
  INET_SHUTDOWN_SEND,
  INET_STATUS_DISCONNECT,
} from './constants.ts';
import { failed } from './error-codes.ts';
import { forgetHandle, type OpenHandle, openConnection, openHandle, releaseHandle } from './handles.ts';
import { deadlineAfter, sleepSend } from './wait.ts';

/** The longest that InetDisconnect waits for the peer's acknowledgements. */
const DISCONNECT_PATIENCE_MS = 5000;

/**
 * Ends a connection in order, and the handle with it: TLS's close_notify, then FIN after everything written. It blocks until
 * the peer has acknowledged what was written, but not longer than the handle's timeout and 5 s. If it has not by then, the
 * stack goes on trying while it runs. When there is unread data the connection is reset instead, so that the peer does not
 * believe it was read (RFC 9293 §3.6.1).
 *
 * @param handle a connection of this thread; invalid after the call, whatever it returns. Its number may be used again
 * @returns 0 when the peer has everything; INET_ERROR otherwise:
 * - TIMEOUT (0x8004274C): not all was acknowledged in time
 * - RESET (0x80042746) and others: the connection was lost before the peer had everything
 * - ABORTED (0x80042745): another thread has called InetAbort, or InetDisconnect, meanwhile
 * - HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 10 InetDisconnect; the close sequence and its bound are our choice.
 *
 * @example
 * if (InetDisconnect(socket) === INET_ERROR) console.error(InetGetErrorString(InetGetLastError()));
 */
export function InetDisconnect(handle: number): number {
  try {
    const opened = openHandle(handle);
    // first: the peer's answer to our end must not look like its own to a call that is blocked
    endCalls(opened);
    opened.begin();
    opened.changeStatus(opened.status, INET_STATUS_DISCONNECT);
    try {
      if (!opened.isDatagram) finish(opened);
    } finally {
      releaseHandle(opened);
      forgetHandle(opened);
    }
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * Ends a connection at once, and the handle with it: the peer gets a reset, what was not yet delivered is lost. Calls that other
 * threads have blocked in it end with CANCELLED (0x80042714), an InetDisconnect with ABORTED (0x80042745).
 * @param handle a connection of this thread; invalid after the call
 * @returns 0; INET_ERROR for HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: none published; the family's counterpart to InetDisconnect.
 *
 * @example
 * InetAbort(socket);
 */
export function InetAbort(handle: number): number {
  try {
    const opened = openHandle(handle);
    // first: calls that are blocked end as cancelled, whatever they would see of the connection's end
    endCalls(opened);
    opened.socket.abort();
    releaseHandle(opened);
    forgetHandle(opened);
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * Ends one direction of a connection; the handle stays.
 * @param handle a TCP connection of this thread
 * @param how INET_SHUTDOWN_SEND (default): the peer reads the end of the stream after what was written, InetWrite fails
 * with SHUT_DOWN from now on. INET_SHUTDOWN_RECEIVE: what arrives is the application's to ignore; nothing is sent (as on Linux).
 * INET_SHUTDOWN_BOTH: both
 * @returns 0; INET_ERROR: TIMEOUT (0x8004274C: no room for close_notify), NOT_CONNECTED (0x80042749), ARGUMENT_INVALID
 * (0x80042726), OPTION_INVALID (0x8004273A: over UDP), HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: none published; after Winsock's shutdown.
 *
 * @example
 * InetShutdown(socket);
 * const buffer = new Uint8Array(16384);
 * while (InetRead(socket, buffer) > 0) console.log('the peer goes on');
 */
export function InetShutdown(handle: number, how: number = INET_SHUTDOWN_SEND): number {
  try {
    const opened = openConnection(handle);
    if (how !== INET_SHUTDOWN_SEND && how !== INET_SHUTDOWN_RECEIVE && how !== INET_SHUTDOWN_BOTH) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `expected one of INET_SHUTDOWN_RECEIVE, SEND, BOTH; got ${how}`,
      });
    }
    if (opened.isDatagram) {
      throw new NetError('OPTION_INVALID', {
        phase: Phase.Argument,
        detail: 'datagrams have no end to send',
      });
    }
    if (opened.socket.status === SocketStatus.Closed) {
      throw new NetError('NOT_CONNECTED', { phase: Phase.Transfer, detail: 'the connection has ended' });
    }
    if (how !== INET_SHUTDOWN_RECEIVE) endSending(opened, deadlineAfter(opened.timeoutMs));
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/** Ends the own direction and waits until the peer has what was written before. @throws NetError */
function finish(opened: OpenHandle): void {
  const { socket } = opened;
  const written = socket.writtenTo;
  const bound =
    opened.timeoutMs === 0 ? DISCONNECT_PATIENCE_MS : Math.min(opened.timeoutMs, DISCONNECT_PATIENCE_MS);
  const deadline = deadlineAfter(bound);
  const delivered = (): boolean => ((socket.acknowledgedTo - written) | 0) >= 0;
  if (socket.status === SocketStatus.Open) endSending(opened, deadline);
  for (;;) {
    const { sendSequence } = socket;
    // the socket may be another connection's by now
    if (!opened.isLive) {
      const detail = 'another thread has ended the connection before the peer was known to have everything';
      throw new NetError('ABORTED', { phase: Phase.Close, detail });
    }
    // close_notify itself need not arrive: a peer that has closed completely answers it with a reset
    if (delivered()) return;
    if (socket.status === SocketStatus.Closed) {
      socket.throwIfFailed();
      throw new NetError('ABORTED', { phase: Phase.Close, detail: undelivered(opened) });
    }
    if (!sleepSend(socket, sendSequence, deadline)) {
      throw new NetError('TIMEOUT', {
        phase: Phase.Close,
        detail: `${undelivered(opened)} after ${bound / 1000} s; delivery goes on`,
      });
    }
  }
}

function endSending(opened: OpenHandle, deadline: number): void {
  const { socket, channel } = opened;
  for (;;) {
    const { sendSequence } = socket;
    if (socket.status === SocketStatus.Closed || hasEnded(opened) || channel.shutdown()) return;
    if (!sleepSend(socket, sendSequence, deadline)) {
      throw new NetError('TIMEOUT', { phase: Phase.Close, detail: 'there was no room for the close_notify' });
    }
  }
}

function hasEnded(opened: OpenHandle): boolean {
  return (opened.block.get(SocketWord.Flags) & StreamFlag.ShutDown) !== 0;
}

function undelivered(opened: OpenHandle): string {
  return `${opened.socket.unsentBytes} bytes were not acknowledged`;
}
