import { SharedSocket } from '../engine/shared-socket.ts';
import { SocketStatus } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { checkTimeout, INET_KEEP_ALIVE, localAddressOf } from './connect.ts';
import {
  INET_ERROR,
  INET_OPTION_FREETHREAD,
  INET_OPTION_KEEPALIVE,
  INET_OPTION_NODELAY,
  INET_OPTION_NOINHERIT,
  INET_OPTION_REUSEADDRESS,
  INVALID_SOCKET,
} from './constants.ts';
import { failed } from './error-codes.ts';
import { type OpenHandle, openHandle, registerHandle } from './handles.ts';
import { currentSession } from './session.ts';
import { noteRead } from './transfer.ts';
import { deadlineAfter, sleepSend, waitAcceptable } from './wait.ts';

/** What SocketWrench allows on workstations. */
const DEFAULT_BACKLOG = 5;
const MAX_BACKLOG = 4096;
/** Opening a listener asks nobody else; an engine that takes longer is stuck. */
const LISTEN_PATIENCE_MS = 5000;

const HANDLE_OPTIONS: number = INET_OPTION_FREETHREAD | INET_OPTION_NOINHERIT;
const LISTEN_OPTIONS: number = HANDLE_OPTIONS | INET_OPTION_REUSEADDRESS;
const ACCEPT_OPTIONS: number = HANDLE_OPTIONS | INET_OPTION_KEEPALIVE | INET_OPTION_NODELAY;

/**
 * Waits for connections on a port. The handle takes InetAccept, InetReject, InetDisconnect and the questions about its state
 * (InetIsReadable: somebody has connected); nothing can be read from or written to it.
 *
 * @param localAddress an IP address of the stack's; null or '': all of them
 * @param localPort 1 … 65535
 * @param backlog connections that may wait to be accepted, 1 … 4096; more are not answered
 * @param options INET_OPTION_REUSEADDRESS: also while ended connections of the port are in TIME-WAIT; FREETHREAD, NOINHERIT
 * @returns a handle; INVALID_SOCKET on failure: PORT_INVALID, ADDRESS_IN_USE (0x80042740), ADDRESS_NOT_AVAILABLE (0x80042741),
 * OPTION_INVALID (0x8004273A), ARGUMENT_INVALID (0x80042726), NO_BUFFERS (0x80042747), NOT_INITIALIZED (0x8004276D), ENGINE_STOPPED
 *
 * Source: SocketWrench 11 Listen. Its backlog limits are those of Windows.
 *
 * @example
 * const listener = InetListen(null, 8080);
 * const client = InetAccept(listener, 30);
 */
export function InetListen(
  localAddress: string | null,
  localPort: number,
  backlog: number = DEFAULT_BACKLOG,
  options = 0,
): number {
  try {
    const { client } = currentSession();
    if (!Number.isInteger(localPort) || localPort < 1 || localPort > 65_535) {
      throw new NetError('PORT_INVALID', { phase: Phase.Argument, detail: `got ${localPort}` });
    }
    if (!Number.isInteger(backlog) || backlog < 1 || backlog > MAX_BACKLOG) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `a backlog is 1 … ${MAX_BACKLOG}, got ${backlog}`,
      });
    }
    checkOptions(options, LISTEN_OPTIONS);
    const reuse = (options & INET_OPTION_REUSEADDRESS) !== 0;
    const local = localAddressOf(client, localAddress);
    const socket = SharedSocket.listen(client, local, localPort, backlog, reuse);
    try {
      awaitListening(socket);
    } catch (error) {
      socket.release();
      throw error;
    }
    return registerHandle(socket, socket, options, 0);
  } catch (error) {
    return failed(error, INVALID_SOCKET);
  }
}

/**
 * Blocks until somebody connects, and gives a handle of that connection; it belongs to the calling thread.
 *
 * @param handle of InetListen, of this thread
 * @param timeout seconds to wait, fractions allowed; 0: no limit. It is also how long InetRead and InetWrite will wait on the new handle
 * @param options INET_OPTION_KEEPALIVE, NODELAY, FREETHREAD, NOINHERIT for the new handle
 * @returns a handle; INVALID_SOCKET on failure: TIMEOUT (0x8004274C), CANCELLED (0x80042714), OPTION_INVALID (0x8004273A: also for a
 * handle that does not listen), ARGUMENT_INVALID (0x80042726), HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D),
 * ENGINE_STOPPED
 *
 * Source: SocketWrench 11, guide: it blocks until a client arrives or the timeout. Its signature is not published.
 *
 * @example
 * for (let client = InetAccept(listener); client !== INVALID_SOCKET; client = InetAccept(listener)) serve(client);
 */
export function InetAccept(handle: number, timeout = 0, options = 0): number {
  try {
    const opened = openListener(handle);
    const timeoutMs = checkTimeout(timeout);
    checkOptions(options, ACCEPT_OPTIONS);
    const deadline = deadlineAfter(timeoutMs);
    for (;;) {
      const { recvSequence } = opened.socket;
      const socket = takeClient(opened);
      if (socket !== null) {
        if ((options & INET_OPTION_NODELAY) !== 0) socket.setNoDelay(true);
        if ((options & INET_OPTION_KEEPALIVE) !== 0) socket.setKeepAlive(INET_KEEP_ALIVE);
        return registerHandle(socket, socket, options, timeoutMs);
      }
      waitAcceptable(opened, recvSequence, deadline);
    }
  } catch (error) {
    return failed(error, INVALID_SOCKET);
  }
}

/**
 * Turns away who has connected first and was not accepted yet: the connection is reset. It never blocks.
 *
 * @param handle of InetListen, of this thread
 * @returns 0; INET_ERROR: WOULD_BLOCK (0x80042733: nobody waits), OPTION_INVALID (0x8004273A: the handle does not listen),
 * HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: none published.
 *
 * @example
 * if (InetIsReadable(listener)) InetReject(listener);
 */
export function InetReject(handle: number): number {
  try {
    const socket = takeClient(openListener(handle));
    if (socket === null) {
      throw new NetError('WOULD_BLOCK', { phase: Phase.Transfer, detail: 'nobody waits to be accepted' });
    }
    socket.abort();
    socket.release();
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

function takeClient(opened: OpenHandle): SharedSocket | null {
  const socket = opened.socket.accept();
  if (socket !== null) {
    noteRead(opened);
  } else if (opened.socket.status === SocketStatus.Closed) {
    throw new NetError('NOT_CONNECTED', { phase: Phase.Transfer, detail: 'the listener has ended' });
  }
  return socket;
}

function openListener(handle: number): OpenHandle {
  const opened = openHandle(handle);
  if (opened.isListener) return opened;
  throw new NetError('OPTION_INVALID', {
    phase: Phase.Argument,
    detail: 'the handle does not listen; InetListen gives one that does',
  });
}

function awaitListening(socket: SharedSocket): void {
  const deadline = deadlineAfter(LISTEN_PATIENCE_MS);
  for (;;) {
    const { sendSequence } = socket;
    if (socket.status === SocketStatus.Open) return;
    socket.throwIfFailed();
    if (!sleepSend(socket, sendSequence, deadline)) {
      throw new NetError('TIMEOUT', { phase: Phase.Connect, detail: 'the engine did not open the listener' });
    }
  }
}

function checkOptions(options: number, known: number): void {
  if ((options & known) === options) return;
  throw new NetError('OPTION_INVALID', {
    phase: Phase.Argument,
    detail: `0x${((options & ~known) >>> 0).toString(16)} is no option here`,
  });
}
