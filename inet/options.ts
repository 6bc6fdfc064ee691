import { SocketWord } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { checkTimeout, INET_KEEP_ALIVE, KNOWN_OPTIONS } from './connect.ts';
import {
  INET_ERROR,
  INET_OPTION_BROADCAST,
  INET_OPTION_KEEPALIVE,
  INET_OPTION_NODELAY,
  INET_OPTION_SECURE,
} from './constants.ts';
import { failed } from './error-codes.ts';
import { type OpenHandle, openConnection, openHandle } from './handles.ts';
import type { OutValue } from './out.ts';

/**
 * Switches one option of an open connection; options cannot be combined here.
 *
 * @param handle a connection of this thread
 * @param option INET_OPTION_KEEPALIVE, INET_OPTION_NODELAY (TCP), INET_OPTION_BROADCAST (UDP)
 * @param enabled on or off
 * @returns 0; INET_ERROR: OPTION_INVALID (0x8004273A: several options, one that cannot change any more, or one of the other
 * protocol), HANDLE_INVALID (0x80042736), NOT_CONNECTED (0x80042749: a listener), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 10 SetOption. Its REUSEADDRESS is an argument of InetListen here.
 *
 * @example
 * InetSetOption(socket, INET_OPTION_NODELAY, true);
 */
export function InetSetOption(handle: number, option: number, enabled: boolean): number {
  try {
    const opened = openConnection(handle);
    apply(opened, option, enabled);
    const { words, at } = opened.block;
    if (enabled) Atomics.or(words, at + SocketWord.FaceOptions, option);
    else Atomics.and(words, at + SocketWord.FaceOptions, ~option);
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * Tells whether one option of a handle is on.
 *
 * @param handle of this thread
 * @param option one of INET_OPTION_*; INET_OPTION_SECURE: the connection is secure now
 * @param enabled is set
 * @returns 0; INET_ERROR: OPTION_INVALID (0x8004273A: none or several), HANDLE_INVALID (0x80042736), WRONG_THREAD,
 * NOT_INITIALIZED (0x8004276D)
 *
 * Source: the counterpart of SetOption; its signature is not published.
 *
 * @example
 * const keepAlive = { value: false };
 * InetGetOption(socket, INET_OPTION_KEEPALIVE, keepAlive);
 */
export function InetGetOption(handle: number, option: number, enabled: OutValue<boolean>): number {
  try {
    const opened = openHandle(handle);
    if ((option & KNOWN_OPTIONS) !== option || option === 0 || (option & (option - 1)) !== 0) {
      throw badOption(`expected one of INET_OPTION_*, got ${option}`);
    }
    enabled.value =
      option === INET_OPTION_SECURE
        ? opened.isSecure
        : (opened.block.get(SocketWord.FaceOptions) & option) !== 0;
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * How long calls on a handle may block.
 * @param handle of this thread
 * @returns seconds, with fractions; 0: no limit. INET_ERROR: HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 7 names it; seconds are the unit of the family.
 *
 * @example
 * const seconds = InetGetTimeout(socket);
 */
export function InetGetTimeout(handle: number): number {
  try {
    return openHandle(handle).timeoutMs / 1000;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * Sets how long calls on a handle may block, from the next call on. InetConnect has set it to its own timeout.
 * @param handle of this thread
 * @param timeout seconds, fractions allowed; 0: no limit
 * @returns 0; INET_ERROR: ARGUMENT_INVALID (0x80042726), HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 7 names it; seconds are the unit of the family.
 *
 * @example
 * InetSetTimeout(socket, 2.5);
 */
export function InetSetTimeout(handle: number, timeout: number): number {
  try {
    openHandle(handle).block.set(SocketWord.FaceTimeoutMs, checkTimeout(timeout));
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

function apply({ socket, isDatagram }: OpenHandle, option: number, enabled: boolean): void {
  if (option === INET_OPTION_BROADCAST && isDatagram) socket.setBroadcast(enabled);
  else if (option === INET_OPTION_NODELAY && !isDatagram) socket.setNoDelay(enabled);
  else if (option === INET_OPTION_KEEPALIVE && !isDatagram) {
    socket.setKeepAlive(enabled ? INET_KEEP_ALIVE : null);
  } else {
    throw badOption(
      isDatagram
        ? `over UDP only INET_OPTION_BROADCAST can change, got 0x${option.toString(16)}`
        : `expected INET_OPTION_KEEPALIVE or INET_OPTION_NODELAY, one at a time, got 0x${option.toString(16)}`,
    );
  }
}

function badOption(detail: string): NetError {
  return new NetError('OPTION_INVALID', { phase: Phase.Argument, detail });
}
