import type { Channel } from '../engine/channel.ts';

/** As the option `onread` of `net.Socket`: data goes to a buffer of the application, with nothing allocated for it. */
export interface OnRead {
  /** Used again and again; a function is asked for another one after each time. */
  readonly buffer: Uint8Array | (() => Uint8Array);
  /** @returns false: reading pauses until {@link Socket.resume} */
  callback(bytes: number, buffer: Uint8Array): boolean;
}

/** Reads from a channel for {@link OnRead}. */
export class OwnBuffer {
  readonly #socket: object;
  readonly #options: OnRead;
  #buffer: Uint8Array;

  /** @param socket what the callback gets as `this` */
  constructor(socket: object, options: OnRead) {
    this.#socket = socket;
    this.#options = options;
    this.#buffer = this.#next();
  }

  /** @returns what the channel returns @throws what the channel throws */
  read(channel: Channel): number {
    return channel.read(this.#buffer, 0, this.#buffer.length);
  }

  /** Hands over what was read. @returns whether to go on */
  tell(bytes: number): boolean {
    const filled = this.#buffer;
    const goesOn = Reflect.apply(this.#options.callback, this.#socket, [bytes, filled]);
    this.#buffer = this.#next();
    return goesOn !== false;
  }

  #next(): Uint8Array {
    const { buffer } = this.#options;
    return typeof buffer === 'function' ? buffer() : buffer;
  }
}
