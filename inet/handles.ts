import { ArenaWord } from '../engine/arena.ts';
import type { Channel } from '../engine/channel.ts';
import type { EngineClient } from '../engine/client.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { Operation, SocketBlock, SocketStatus, SocketWord } from '../engine/socket-block.ts';
import { TlsChannel } from '../engine/tls-channel.ts';
import { TlsRegion } from '../engine/tls-region.ts';
import { NetError, Phase } from '../stack/errors.ts';
import {
  INET_OPTION_FREETHREAD,
  INET_OPTION_SECURE,
  INET_STATUS_IDLE,
  INET_STATUS_UNUSED,
} from './constants.ts';
import { CURRENT_THREAD, currentSession } from './session.ts';

/** In SocketWord.Owner: every thread may use the handle. */
export const ANY_THREAD = -1;

/** A handle's lower bits are the index of its socket block + 1, so that 0 is none; above is the block's generation. */
const INDEX_BITS = 20;
const INDEX_MASK: number = (1 << INDEX_BITS) - 1;

/** A handle as one thread uses it. */
export class OpenHandle {
  readonly handle: number;
  readonly socket: SharedSocket;
  #channel: Channel;
  #secured: number;
  /** Cancellations of the handle when this thread's current call began. */
  #cancels = 0;

  constructor(handle: number, socket: SharedSocket, channel: Channel) {
    this.handle = handle;
    this.socket = socket;
    this.#channel = channel;
    this.#secured = socket.block.get(SocketWord.FaceSecured);
  }

  /** The byte stream over the socket: the socket itself, or TLS. Whatever thread has changed it. */
  get channel(): Channel {
    const secured = this.block.get(SocketWord.FaceSecured);
    if (secured !== this.#secured) {
      this.#secured = secured;
      this.#channel = this.isSecure ? new TlsChannel(this.socket) : this.socket;
    }
    return this.#channel;
  }

  /** The stream is TLS now. */
  get isSecure(): boolean {
    return (this.block.get(SocketWord.FaceSecured) & 1) !== 0;
  }

  /** A call begins: only cancellations from now on end it. */
  begin(): void {
    this.#cancels = this.block.get(SocketWord.FaceCancels);
  }

  /** Another thread wants the current call to end. */
  get isCancelled(): boolean {
    return this.block.get(SocketWord.FaceCancels) !== this.#cancels;
  }

  get block(): SocketBlock {
    return this.socket.block;
  }

  /** False after a disconnect, in whatever thread. */
  get isLive(): boolean {
    return handleOf(this.block) === this.handle && this.status !== INET_STATUS_UNUSED;
  }

  /** One of INET_STATUS_*. */
  get status(): number {
    return this.block.get(SocketWord.FaceStatus);
  }

  /** Changes the status, unless somebody else has changed it meanwhile. @returns false then */
  changeStatus(from: number, to: number): boolean {
    const { words, at } = this.block;
    return Atomics.compareExchange(words, at + SocketWord.FaceStatus, from, to) === from;
  }

  /** Takes the handle out of use: only the first caller gets true, and has to release the socket. */
  close(): boolean {
    const { words, at } = this.block;
    if (handleOf(this.block) !== this.handle) return false;
    return Atomics.exchange(words, at + SocketWord.FaceStatus, INET_STATUS_UNUSED) !== INET_STATUS_UNUSED;
  }

  get isDatagram(): boolean {
    return this.block.get(SocketWord.Protocol) === 17;
  }

  get isListener(): boolean {
    return this.block.get(SocketWord.Operation) === Operation.Listen;
  }

  /** Milliseconds that reading and writing wait at most; 0: no limit. */
  get timeoutMs(): number {
    return this.block.get(SocketWord.FaceTimeoutMs);
  }
}

/** What this thread has used, by index of the socket block: at most one entry each, the last. */
const used = new Map<number, OpenHandle>();
/** Handles for any thread that this thread has made. */
const shared = new Set<number>();

const releaseListeners: ((opened: OpenHandle) => void)[] = [];

/** Is told of every handle that this thread closes. */
export function onRelease(listener: (opened: OpenHandle) => void): void {
  releaseListeners.push(listener);
}

/** Makes a connected socket a handle of the calling thread. */
export function registerHandle(
  socket: SharedSocket,
  channel: Channel,
  options: number,
  timeoutMs: number,
): number {
  const { block } = socket;
  const free = (options & INET_OPTION_FREETHREAD) !== 0;
  block.set(SocketWord.FaceOptions, options);
  block.set(SocketWord.FaceTimeoutMs, timeoutMs);
  block.set(SocketWord.FaceSecured, (options & INET_OPTION_SECURE) === 0 ? 0 : 1);
  block.set(SocketWord.Owner, free ? ANY_THREAD : CURRENT_THREAD);
  block.set(SocketWord.FaceStatus, INET_STATUS_IDLE);
  const handle = handleOf(block);
  used.set(block.index, new OpenHandle(handle, socket, channel));
  if (free) shared.add(handle);
  return handle;
}

/**
 * The socket behind a handle, for its owner.
 * @throws NetError NOT_INITIALIZED, HANDLE_INVALID, WRONG_THREAD
 */
export function openHandle(handle: number): OpenHandle {
  const opened = anyHandle(handle);
  const owner = opened.block.get(SocketWord.Owner);
  if (owner !== CURRENT_THREAD && owner !== ANY_THREAD) {
    throw new NetError('WRONG_THREAD', {
      phase: Phase.Argument,
      detail: `it belongs to thread ${owner}, this is thread ${CURRENT_THREAD}; take it over with InetAttachThread, or connect with INET_OPTION_FREETHREAD`,
    });
  }
  opened.begin();
  return opened;
}

/** {@link openHandle} for what carries data. @throws NetError NOT_CONNECTED for a listener, and what openHandle throws */
export function openConnection(handle: number): OpenHandle {
  const opened = openHandle(handle);
  if (!opened.isListener) return opened;
  throw new NetError('NOT_CONNECTED', {
    phase: Phase.Argument,
    detail: 'the handle listens; InetAccept gives handles of connections',
  });
}

/** The socket behind a handle, whoever owns it. @throws NetError NOT_INITIALIZED, HANDLE_INVALID */
export function anyHandle(handle: number): OpenHandle {
  const { client } = currentSession();
  const index = (handle & INDEX_MASK) - 1;
  const known = used.get(index);
  if (known !== undefined && known.handle === handle && known.socket.client === client && known.isLive)
    return known;
  const found = find(client, handle, index);
  if (found === null) {
    used.delete(index);
    throw new NetError('HANDLE_INVALID', {
      phase: Phase.Argument,
      detail: `${String(handle)} is not, or no longer, a connection`,
    });
  }
  used.set(index, found);
  return found;
}

/** Decrypted data of a record that was read in part. */
export function hasBufferedPlaintext(opened: OpenHandle): boolean {
  const region = opened.block.get(SocketWord.TlsOffset);
  return opened.isSecure && opened.block.arena.slab.view.getInt32(region + TlsRegion.PlainLen) > 0;
}

/** Forgets a handle in this thread; it has been closed. */
export function forgetHandle(opened: OpenHandle): void {
  used.delete(opened.block.index);
  shared.delete(opened.handle);
}

/** Releases everything the calling thread owns. What was written is still delivered; blocked calls elsewhere end. */
export function releaseThreadHandles(client: EngineClient): void {
  const taken = Math.min(client.arena.load(ArenaWord.Fresh), client.arena.maxSockets);
  for (let index = 0; index < taken; index++) {
    const block = new SocketBlock(client.arena, index);
    if (block.get(SocketWord.FaceStatus) === INET_STATUS_UNUSED) continue;
    const handle = handleOf(block);
    if (block.get(SocketWord.Owner) !== CURRENT_THREAD && !shared.has(handle)) continue;
    const socket = SharedSocket.adopt(client, index);
    releaseHandle(new OpenHandle(handle, socket, socket));
  }
  used.clear();
  shared.clear();
}

/** Closes a handle, lets go of its socket, and wakes whoever is blocked in it. @returns false when it was closed before */
export function releaseHandle(opened: OpenHandle): boolean {
  if (!opened.close()) return false;
  for (const listener of releaseListeners) listener(opened);
  // whoever has registered events looks, and finds the handle gone
  opened.socket.client.ring(opened.block);
  opened.socket.release();
  opened.block.wakeReaders();
  opened.block.wakeWriters();
  return true;
}

function handleOf(block: SocketBlock): number {
  return (block.get(SocketWord.Generation) << INDEX_BITS) | (block.index + 1);
}

function find(client: EngineClient, handle: number, index: number): OpenHandle | null {
  if (!Number.isInteger(handle) || handle <= 0 || handle > 0x7fffffff) return null;
  if (index < 0 || index >= client.arena.maxSockets) return null;
  const socket = SharedSocket.adopt(client, index);
  const { block } = socket;
  if (handleOf(block) !== handle || block.get(SocketWord.Status) === SocketStatus.Free) return null;
  if (block.get(SocketWord.FaceStatus) === INET_STATUS_UNUSED) return null;
  const secure = (block.get(SocketWord.FaceSecured) & 1) !== 0;
  return new OpenHandle(handle, socket, secure ? new TlsChannel(socket) : socket);
}
