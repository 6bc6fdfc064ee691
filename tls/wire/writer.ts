/**
 * perf: memory that writers of this thread have done with: each of the dozen that a ClientHello takes would have to allocate some, and more as
 * it grows.
 */
const idle: Uint8Array[] = [];
const MOST_IDLE = 4;
const FIRST_BYTES = 4096;
/** What has grown beyond is not kept. */
const MOST_IDLE_BYTES = 16_384;

const NOTHING = new Uint8Array(0);

/** Builds TLS presentation language (RFC 8446 §3) in a buffer that grows. */
export class Writer {
  #bytes: Uint8Array = idle.pop() ?? new Uint8Array(FIRST_BYTES);
  #length = 0;

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  u16(value: number): void {
    this.u8(value >>> 8);
    this.u8(value);
  }

  u24(value: number): void {
    this.u8(value >>> 16);
    this.u16(value);
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** A vector with a length of one byte around what `content` writes. */
  vector8(content: () => void): void {
    this.#vector(1, content);
  }

  /** A vector with a length of two bytes around what `content` writes. */
  vector16(content: () => void): void {
    this.#vector(2, content);
  }

  /** A vector with a length of three bytes around what `content` writes. */
  vector24(content: () => void): void {
    this.#vector(3, content);
  }

  /** A copy of what was written; the writer begins again with nothing. */
  finish(): Uint8Array {
    const bytes = this.#bytes;
    const written = bytes.slice(0, this.#length);
    // it may have been a secret
    bytes.fill(0, 0, this.#length);
    this.#length = 0;
    this.#bytes = NOTHING;
    if (idle.length < MOST_IDLE && bytes.length <= MOST_IDLE_BYTES) idle.push(bytes);
    return written;
  }

  #vector(lengthOfLength: number, content: () => void): void {
    const at = this.#length;
    this.#reserve(lengthOfLength);
    this.#length += lengthOfLength;
    content();
    const lengthBytes = this.#length - at - lengthOfLength;
    if (lengthBytes >= 256 ** lengthOfLength) {
      throw new RangeError(`a vector of ${lengthBytes} bytes does not fit a ${lengthOfLength}-byte length`);
    }
    for (let i = 0; i < lengthOfLength; i++) {
      this.#bytes[at + i] = lengthBytes >>> (8 * (lengthOfLength - 1 - i));
    }
  }

  #reserve(lengthBytes: number): void {
    if (this.#length + lengthBytes <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#length + lengthBytes));
    larger.set(this.#bytes);
    this.#bytes.fill(0, 0, this.#length);
    this.#bytes = larger;
  }
}
