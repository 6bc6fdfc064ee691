import type { EngineClient } from '../engine/client.ts';
import { SocketEvent, SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { NetError, Phase } from '../stack/errors.ts';
import {
  INET_ERROR,
  INET_EVENT_CANCEL,
  INET_EVENT_CONNECT,
  INET_EVENT_DISCONNECT,
  INET_EVENT_READ,
  INET_EVENT_TIMEOUT,
  INET_EVENT_WRITE,
} from './constants.ts';
import { failed, INET_ERRORS } from './error-codes.ts';
import { hasBufferedPlaintext, type OpenHandle, onRelease, openHandle } from './handles.ts';

/**
 * Is told of an event.
 * @param handle the handle it was registered for
 * @param event one of INET_EVENT_*
 * @param error why the connection ended or the call failed, as InetGetLastError has it; 0: nothing
 * @param param what InetRegisterEvent was given
 */
export type InetEventProc<Param> = (handle: number, event: number, error: number, param: Param) => void;

const EVENTS: readonly number[] = [
  INET_EVENT_CONNECT,
  INET_EVENT_DISCONNECT,
  INET_EVENT_READ,
  INET_EVENT_WRITE,
  INET_EVENT_TIMEOUT,
  INET_EVENT_CANCEL,
];

/** What the calling thread has registered, by index of the socket block. */
const watched = new Map<number, Watch>();

onRelease((opened) => {
  const watch = watched.get(opened.block.index);
  if (watch?.handle === opened.handle) watch.stop();
});

/**
 * Has a function called for an event of a handle, in the event loop of the calling thread: never inside of another call, and
 * only while the thread is not blocked. A registered event keeps the event loop alive, until the handle is closed.
 *
 * - INET_EVENT_CONNECT once, at once: InetConnect returns when there is a connection
 * - INET_EVENT_READ when something can be read (for a listener: accepted), and not again until something was read; what is left then counts
 * - INET_EVENT_WRITE at first, then after a write that found no room in its time
 * - INET_EVENT_DISCONNECT once, when the peer has ended the connection or it was lost, never for one's own InetDisconnect. Data may
 *   be left: read until 0
 * - INET_EVENT_TIMEOUT, INET_EVENT_CANCEL after a call that was blocked in the handle has failed so
 *
 * The events of a handle go to one thread: that which has registered one last.
 *
 * @param handle of this thread
 * @param event one of INET_EVENT_*
 * @param callback null: the event is not wanted any more
 * @param param is given back to the callback
 * @returns 0; INET_ERROR: ARGUMENT_INVALID (0x80042726), HANDLE_INVALID (0x80042736), WRONG_THREAD, NO_BUFFERS (0x80042747: too many
 * threads wait for events), NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 10 RegisterEvent; the callback's arguments are our choice. There READ and WRITE need an asynchronous
 * socket; here every handle has them.
 *
 * @example
 * InetRegisterEvent(socket, INET_EVENT_READ, (handle) => console.log(InetPeek(handle, null)), null);
 */
export function InetRegisterEvent<Param>(
  handle: number,
  event: number,
  callback: InetEventProc<Param> | null,
  param: Param,
): number {
  try {
    const opened = openHandle(handle);
    if (!EVENTS.includes(event) || (callback !== null && typeof callback !== 'function')) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: `expected one of INET_EVENT_* and a function or null, got ${String(event)} and ${typeof callback}`,
      });
    }
    const known = watchOf(opened);
    if (callback === null) known?.remove(event);
    else (known ?? new Watch(opened)).add(event, (error) => callback(handle, event, error, param));
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

/**
 * Has the registered events of a handle delivered again, after {@link InetDisableEvents}. What is the case by then counts as new.
 * @param handle of this thread, in which the events were registered
 * @returns 0; INET_ERROR: HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 10 names it; what it does is our choice.
 *
 * @example
 * InetEnableEvents(socket);
 */
export function InetEnableEvents(handle: number): number {
  return change(handle, (watch) => watch.enable(true));
}

/**
 * Has no events of a handle delivered, and those under way dropped, until {@link InetEnableEvents}.
 * @param handle of this thread, in which the events were registered
 * @returns 0; INET_ERROR: HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: SocketWrench 10 names it; what it does is our choice.
 *
 * @example
 * InetDisableEvents(socket);
 */
export function InetDisableEvents(handle: number): number {
  return change(handle, (watch) => watch.enable(false));
}

/**
 * Holds the events of a handle back, or lets them go: each that has happened meanwhile is delivered then, once.
 * @param handle of this thread, in which the events were registered
 * @param freeze true: hold back
 * @returns 0; INET_ERROR: HANDLE_INVALID (0x80042736), WRONG_THREAD, NOT_INITIALIZED (0x8004276D)
 *
 * Source: none published.
 *
 * @example
 * InetFreezeEvents(socket, true);
 * InetWrite(socket, bytes);
 * InetFreezeEvents(socket, false);
 */
export function InetFreezeEvents(handle: number, freeze: boolean): number {
  return change(handle, (watch) => watch.freeze(freeze));
}

/** The calling thread lets go of everything it has registered with an engine. */
export function dropEvents(client: EngineClient): void {
  for (const watch of [...watched.values()]) if (watch.client === client) watch.stop();
}

/** Another thread has closed the handle, or registered its events. */
function stopStale(): void {
  for (const watch of [...watched.values()]) if (watch.isStale) watch.stop();
}

function change(handle: number, how: (watch: Watch) => void): number {
  try {
    const watch = watchOf(openHandle(handle));
    if (watch !== null) how(watch);
    return 0;
  } catch (error) {
    return failed(error, INET_ERROR);
  }
}

function watchOf(opened: OpenHandle): Watch | null {
  const watch = watched.get(opened.block.index);
  if (watch === undefined) return null;
  if (watch.handle === opened.handle && watch.client === opened.socket.client) return watch;
  watch.stop();
  return null;
}

/** The events of one handle in this thread. */
class Watch {
  readonly handle: number;
  readonly client: EngineClient;
  readonly #opened: OpenHandle;
  readonly #callbacks = new Map<number, (error: number) => void>();
  #enabled = true;
  #frozen = false;
  /** Bits of SocketEvent held back. */
  #held = 0;
  #connectTold = false;
  #disconnectTold = false;
  #writeTold = false;
  /** The count of reads when READ was told last; -1: never. */
  #readToldAt = -1;
  #stopped = false;

  constructor(opened: OpenHandle) {
    this.#opened = opened;
    this.handle = opened.handle;
    this.client = opened.socket.client;
    // whoever had them before is to let go
    this.client.ring(opened.block);
    opened.socket.watch((events) => this.#happened(events));
    watched.set(opened.block.index, this);
    this.client.onRing = stopStale;
    this.client.ref();
  }

  get isStale(): boolean {
    return !this.#opened.isLive || !this.client.watches(this.#opened.block);
  }

  add(event: number, callback: (error: number) => void): void {
    this.#callbacks.set(event, callback);
    if (!this.client.watches(this.#opened.block)) {
      this.#opened.socket.watch((events) => this.#happened(events));
    }
    this.#look();
  }

  remove(event: number): void {
    this.#callbacks.delete(event);
    if (this.#callbacks.size === 0) this.stop();
  }

  enable(enabled: boolean): void {
    this.#enabled = enabled;
    this.#held = 0;
    this.#readToldAt = -1;
    if (enabled) this.#look();
  }

  freeze(freeze: boolean): void {
    this.#frozen = freeze;
    if (freeze || this.#held === 0) return;
    this.client.post(this.#opened.block, this.#held);
    this.#held = 0;
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const { block } = this.#opened;
    if (watched.get(block.index) === this) watched.delete(block.index);
    if (this.#opened.isLive && this.client.watches(block)) this.client.unwatch(block);
    this.client.unref();
  }

  /** Has the state looked at in the event loop: something may be the case already. */
  #look(): void {
    this.client.post(
      this.#opened.block,
      SocketEvent.Opened | SocketEvent.Readable | SocketEvent.Writable | SocketEvent.Closed,
    );
  }

  #happened(events: number): void {
    const opened = this.#opened;
    if (this.#stopped) return;
    if (this.isStale) {
      this.stop();
      return;
    }
    if (!this.#enabled) return;
    if (this.#frozen) {
      this.#held |= events;
      return;
    }
    for (const [event, error] of this.#due(events)) {
      // a callback may have closed the handle, or changed what is wanted
      if (this.#stopped || !opened.isLive || !this.#enabled) break;
      if (event === INET_EVENT_READ) this.#readToldAt = opened.block.get(SocketWord.FaceReads);
      this.#callbacks.get(event)?.(error);
    }
    if (!opened.isLive) this.stop();
  }

  /** What is to be told, in the order of a connection's life. */
  #due(events: number): [event: number, error: number][] {
    const { socket, block, isDatagram, isListener } = this.#opened;
    const due: [number, number][] = [];
    const wants = (event: number): boolean => this.#callbacks.has(event);
    if (!this.#connectTold && wants(INET_EVENT_CONNECT) && !isListener) {
      this.#connectTold = true;
      due.push([INET_EVENT_CONNECT, 0]);
    }
    const room = socket.writableBytes > 0 && socket.status === SocketStatus.Open && !isListener;
    if (wants(INET_EVENT_WRITE) && room) {
      const wasBlocked = Atomics.exchange(block.words, block.at + SocketWord.FaceWriteBlocked, 0) !== 0;
      if (wasBlocked || !this.#writeTold) due.push([INET_EVENT_WRITE, 0]);
      this.#writeTold = true;
    }
    if (wants(INET_EVENT_READ) && isReadable(this.#opened)) {
      if (this.#readToldAt !== block.get(SocketWord.FaceReads)) due.push([INET_EVENT_READ, 0]);
    }
    if ((events & SocketEvent.TimedOut) !== 0) due.push([INET_EVENT_TIMEOUT, codeNumber('TIMEOUT')]);
    if ((events & SocketEvent.Cancelled) !== 0) due.push([INET_EVENT_CANCEL, codeNumber('CANCELLED')]);
    const over = socket.status === SocketStatus.Closed || (socket.peerFinished && !isDatagram);
    if (over && !this.#disconnectTold && wants(INET_EVENT_DISCONNECT)) {
      this.#disconnectTold = true;
      const { error } = block;
      due.push([INET_EVENT_DISCONNECT, error === null ? 0 : codeNumber(error.tunwireCode)]);
    }
    return due;
  }
}

function isReadable(opened: OpenHandle): boolean {
  return opened.socket.readableBytes > 0 || hasBufferedPlaintext(opened);
}

function codeNumber(code: keyof typeof INET_ERRORS): number {
  return INET_ERRORS[code].number;
}
