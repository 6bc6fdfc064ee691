import { Duplex } from 'node:stream';
import { type Channel, WOULD_BLOCK } from '../engine/channel.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { checkMs } from './options.ts';
import { Outgoing } from './outgoing.ts';
import { type OnRead, OwnBuffer } from './own-buffer.ts';
import { lastRead, readPooled } from './read-pool.ts';

/** Chunks read in one go before other sockets get their turn. */
const READ_BUDGET = 16;

export interface FlowOptions {
  readonly allowHalfOpen?: boolean | undefined;
  /** Of both directions, in bytes. Default: Node's. */
  readonly highWaterMark?: number | undefined;
  /** Destroys the socket, connected or not. */
  readonly signal?: AbortSignal | undefined;
  /** Data goes to a buffer and a callback of one's own in place of the stream, as with `net.Socket`. */
  readonly onread?: OnRead | undefined;
}

/** The data of a socket: between a Duplex's buffers and a channel, with backpressure both ways, and the time without any. */
export abstract class DataFlow extends Duplex {
  /** Quiet time until 'timeout', in milliseconds; 0: none. */
  timeout = 0;
  /** Set when application data can flow. */
  protected channel: Channel | null = null;

  /** `_read` was called and has not been satisfied. */
  #wantsData = false;
  #readScheduled = false;
  #bytesRead = 0;
  /** What `_write` was given and the send ring had no room for. */
  readonly #outgoing: Outgoing = new Outgoing();
  #written: ((error?: Error | null) => void) | null = null;
  #finalCallback: ((error?: Error | null) => void) | null = null;
  #idleTimer: NodeJS.Timeout | null = null;
  /** See {@link FlowOptions.onread}. */
  readonly #own: OwnBuffer | null;

  constructor({ allowHalfOpen = false, highWaterMark, onread }: FlowOptions) {
    const size = highWaterMark === undefined ? {} : { highWaterMark };
    super({ allowHalfOpen, emitClose: false, autoDestroy: true, ...size });
    this.#own = onread === undefined ? null : new OwnBuffer(this, onread);
    this.on('end', onEnd);
  }

  /** The channel has failed: ends the socket. */
  protected abstract fail(error: unknown): void;

  /** {@link isBusy} may have changed. */
  protected abstract busyChanged(): void;

  /** Somebody waits for the channel: to read, to write or to end. */
  protected get isBusy(): boolean {
    return this.#wantsData || this.#written !== null || this.#finalCallback !== null;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes written, those still waiting in the socket included. */
  get bytesWritten(): number {
    return this.#outgoing.dispatchedBytes + this.writableLength;
  }

  /** Bytes waiting in the socket for room in the send buffer. */
  get bufferSize(): number {
    return this.writableLength;
  }

  /** Emits 'timeout' after `ms` milliseconds without data in either direction; 0: never. The connection stays as it is. */
  setTimeout(ms: number, listener?: () => void): this {
    this.timeout = checkMs('timeout', ms);
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
    if (this.timeout === 0) {
      if (listener !== undefined) this.removeListener('timeout', listener);
      return this;
    }
    if (listener !== undefined) this.once('timeout', listener);
    if (!this.destroyed) this.#idleTimer = setTimeout(() => this.emit('timeout'), this.timeout).unref();
    return this;
  }

  /** What was written meanwhile goes out, and the peer's end or reset is noticed even if nobody reads yet. */
  protected startReading(): void {
    if (this.destroyed || this.channel === null) return;
    this.flowOut();
    if (this.#wantsData) this.#pull();
    else if (!this.isPaused() && !this.destroyed) this.read(0);
    this.busyChanged();
  }

  /** The channel may have data. */
  protected flowIn(): void {
    if (this.#wantsData) this.#pull();
  }

  /** The channel may have room. */
  protected flowOut(): void {
    this.#flush();
    this.#finish();
  }

  /** Nothing flows any more: a write under way fails. */
  protected endFlow(error: Error | null): void {
    this.channel = null;
    this.#wantsData = false;
    this.#finalCallback = null;
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    const written = this.#written;
    this.#written = null;
    written?.(error ?? new NetError('ABORTED', { phase: Phase.Transfer, detail: 'destroyed while writing' }));
  }

  /** The socket is used once more. */
  protected renewFlow(): void {
    this.#bytesRead = 0;
    this.#outgoing.reset();
    // what the end of the last connection has put before the method
    Reflect.deleteProperty(this, 'write');
  }

  /** Data has flowed, or the connection has got further: the quiet time begins anew. */
  protected touch(): void {
    this.#idleTimer?.refresh();
  }

  override _read(): void {
    this.#wantsData = true;
    if (this.channel === null) return;
    if (!this.#readScheduled) this.#pull();
    this.busyChanged();
  }

  override pause(): this {
    if (this.#own !== null) this.#wantsData = false;
    super.pause();
    this.busyChanged();
    return this;
  }

  override resume(): this {
    super.resume();
    if (this.#own !== null && !this.readableEnded) this._read();
    return this;
  }

  #pull(): void {
    const channel = this.channel;
    for (let chunks = 0; channel !== null && this.#wantsData && !this.destroyed; chunks++) {
      if (chunks === READ_BUDGET) {
        this.#pullLater();
        return;
      }
      let bytes = 0;
      try {
        bytes = this.#own === null ? readPooled(channel) : this.#own.read(channel);
      } catch (error) {
        this.fail(error);
        return;
      }
      if (bytes === WOULD_BLOCK) return;
      this.touch();
      if (bytes === 0) {
        this.#wantsData = false;
        this.push(null);
        // 'end' comes to pass for those who wait for nothing else
        if (this.readableLength === 0) this.read(0);
        this.busyChanged();
        return;
      }
      this.#bytesRead += bytes;
      if (this.#own === null) this.#wantsData = this.push(lastRead);
      else if (!this.#own.tell(bytes)) this.#wantsData = false;
    }
    if (!this.#wantsData) this.busyChanged();
  }

  #pullLater(): void {
    if (this.#readScheduled) return;
    this.#readScheduled = true;
    setImmediate(() => {
      this.#readScheduled = false;
      this.#pull();
    });
  }

  override _write(
    chunk: Uint8Array,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#send([chunk], callback);
  }

  override _writev(
    chunks: { chunk: Uint8Array; encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      callback,
    );
  }

  #send(chunks: readonly Uint8Array[], callback: (error?: Error | null) => void): void {
    this.#outgoing.put(chunks);
    this.#written = callback;
    this.#flush();
    this.busyChanged();
  }

  #flush(): void {
    const channel = this.channel;
    const written = this.#written;
    if (channel === null || written === null) return;
    try {
      if (this.#outgoing.flush(channel) !== WOULD_BLOCK) this.touch();
    } catch (error) {
      this.fail(error);
      return;
    }
    if (!this.#outgoing.isEmpty) return;
    this.#written = null;
    this.busyChanged();
    written();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#finalCallback = callback;
    this.#finish();
    this.busyChanged();
  }

  #finish(): void {
    const channel = this.channel;
    const callback = this.#finalCallback;
    if (channel === null || callback === null) return;
    try {
      if (!channel.shutdown()) return;
    } catch (error) {
      this.fail(error);
      return;
    }
    this.#finalCallback = null;
    this.busyChanged();
    callback();
  }
}

/** As net.Socket: the peer's end ends this direction, too, and whoever writes on is told why. */
function onEnd(this: DataFlow): void {
  if (!this.allowHalfOpen) this.write = writeAfterEnd;
}

function writeAfterEnd(this: DataFlow, chunk: unknown, ...rest: unknown[]): boolean {
  if (!this.writableEnded) return Reflect.apply(Duplex.prototype.write, this, [chunk, ...rest]) as boolean;
  const detail = 'this socket has been ended by the other party';
  const error = new NetError('SHUT_DOWN', { phase: Phase.Transfer, detail });
  const callback = rest.find((each) => typeof each === 'function');
  if (callback !== undefined) process.nextTick(callback as (error: Error) => void, error);
  this.destroy(error);
  return false;
}
