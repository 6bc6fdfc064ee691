import { SocketWord } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { INET_ERROR } from './constants.ts';
import { failed } from './error-codes.ts';
import { ANY_THREAD, anyHandle } from './handles.ts';
import { CURRENT_THREAD } from './session.ts';

/**
 * Gives a handle to a thread; every thread may do so. From then on only that thread may use it.
 *
 * Do not take a handle away from a thread that is blocked in it: end its call first.
 *
 * @param handle a connection of whatever thread
 * @param threadId 0 (default): the calling thread; or what {@link InetGetCurrentThread} gave in another one. It is not
 * checked: a handle of a thread that does not exist, or has ended, is closed within moments
 * @returns the id of the previous owner, with which ownership can be given back. INET_ERROR on failure:
 * HANDLE_INVALID (0x80042736), OPTION_INVALID (0x8004273A: it was opened with INET_OPTION_FREETHREAD and has no owner),
 * ARGUMENT_INVALID (0x80042726), NOT_INITIALIZED (0x8004276D: InetInitialize comes first in every thread)
 *
 * Source: SocketTools AttachThread.
 *
 * @example
 * // in a worker that was given the number of a handle
 * InetInitialize();
 * const owner = InetAttachThread(socket);
 * InetWrite(socket, bytes);
 * InetAttachThread(socket, owner);
 */
export function InetAttachThread(handle: number, threadId = 0): number {
  try {
    const opened = anyHandle(handle);
    if (!Number.isInteger(threadId) || threadId < 0 || threadId > 0x7fffffff) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `a thread id is a whole number from 0, got ${threadId}`,
      });
    }
    const { words, at } = opened.block;
    const owner = at + SocketWord.Owner;
    const previous = Atomics.load(words, owner);
    if (previous === ANY_THREAD) {
      throw new NetError('OPTION_INVALID', {
        phase: Phase.Argument,
        detail: 'the handle was opened with INET_OPTION_FREETHREAD: every thread may use it as it is',
      });
    }
    return Atomics.exchange(words, owner, threadId === 0 ? CURRENT_THREAD : threadId);
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * The calling thread's id for {@link InetAttachThread}, 1 or more: the counterpart of Windows' GetCurrentThreadId.
 *
 * @example
 * const owner = InetGetCurrentThread();
 */
export function InetGetCurrentThread(): number {
  return CURRENT_THREAD;
}
