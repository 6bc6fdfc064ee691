import { TlsError } from '../errors.ts';

/**
 * Reads TLS presentation language (RFC 8446 §3) from bytes that it borrows. A child made by one of the `vector` methods
 * ends where its length says: no read can pass its end.
 */
export class Reader {
  readonly bytes: Uint8Array;
  /** Named in errors. */
  readonly what: string;
  #off: number;
  readonly #end: number;

  /**
   * @param bytes borrowed; not to change while the reader is in use
   * @param what the structure, for error messages
   * @param off first byte
   * @param end one past the last byte
   */
  constructor(bytes: Uint8Array, what: string, off = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.what = what;
    this.#off = off;
    this.#end = end;
  }

  /** Of the next byte, in {@link bytes}. */
  get offset(): number {
    return this.#off;
  }

  get remaining(): number {
    return this.#end - this.#off;
  }

  get done(): boolean {
    return this.#off === this.#end;
  }

  u8(): number {
    return this.bytes[this.#take(1)]!;
  }

  u16(): number {
    const at = this.#take(2);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  u24(): number {
    return this.#u24At(this.#take(3));
  }

  u32(): number {
    const at = this.#take(4);
    return this.#u24At(at) * 256 + this.bytes[at + 3]!;
  }

  /** A view of the next bytes: borrowed, copy it to keep it. */
  take(lengthBytes: number): Uint8Array {
    const at = this.#take(lengthBytes);
    return this.bytes.subarray(at, at + lengthBytes);
  }

  /** A view of all that is left. */
  rest(): Uint8Array {
    return this.take(this.remaining);
  }

  /** The content of a vector whose length takes one byte. */
  vector8(what: string): Reader {
    return this.#sub(this.u8(), what);
  }

  /** The content of a vector whose length takes two bytes. */
  vector16(what: string): Reader {
    return this.#sub(this.u16(), what);
  }

  /** The content of a vector whose length takes three bytes. */
  vector24(what: string): Reader {
    return this.#sub(this.u24(), what);
  }

  /** Throws unless everything was read. */
  finish(): void {
    if (this.#off !== this.#end)
      throw new TlsError('TrailingData', `${this.remaining} bytes after ${this.what}`);
  }

  #sub(lengthBytes: number, what: string): Reader {
    const at = this.#take(lengthBytes);
    return new Reader(this.bytes, what, at, at + lengthBytes);
  }

  #u24At(at: number): number {
    return (this.bytes[at]! << 16) | (this.bytes[at + 1]! << 8) | this.bytes[at + 2]!;
  }

  #take(lengthBytes: number): number {
    if (lengthBytes > this.remaining) {
      throw new TlsError(
        'MessageTooShort',
        `${this.what} needs ${lengthBytes} more bytes, ${this.remaining} are left`,
      );
    }
    const at = this.#off;
    this.#off = at + lengthBytes;
    return at;
  }
}
