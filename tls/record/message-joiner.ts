import { TlsError } from '../errors.ts';
import { MAX_CERTIFICATE_MESSAGE_BYTES, MAX_HANDSHAKE_MESSAGE_BYTES } from '../limits.ts';
import { HANDSHAKE_HEADER_BYTES, HandshakeType, handshakeTypeName } from '../wire/codes.ts';
import type { HandshakeMessage } from '../wire/messages.ts';

/** Joins the handshake bytes of records to whole messages. */
export class MessageJoiner {
  #bytes = new Uint8Array(4096);
  #start = 0;
  #end = 0;

  /** No byte waits for the rest of its message. */
  get isEmpty(): boolean {
    return this.#start === this.#end;
  }

  /** Adds the handshake content of one record, by copy. */
  add(bytes: Uint8Array, off: number, lengthBytes: number): void {
    if (this.#end + lengthBytes > this.#bytes.length) this.#makeRoom(lengthBytes);
    this.#bytes.set(bytes.subarray(off, off + lengthBytes), this.#end);
    this.#end += lengthBytes;
  }

  /**
   * The next whole message, or null. It stays valid until the next call of {@link add}.
   *
   * @throws TlsError MessageTooLong, as soon as the header says so
   */
  next(): HandshakeMessage | null {
    const bytes = this.#bytes;
    const at = this.#start;
    if (this.#end - at < HANDSHAKE_HEADER_BYTES) return null;
    const type = bytes[at]!;
    const lengthBytes =
      HANDSHAKE_HEADER_BYTES + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
    const limit =
      type === HandshakeType.Certificate ? MAX_CERTIFICATE_MESSAGE_BYTES : MAX_HANDSHAKE_MESSAGE_BYTES;
    if (lengthBytes > limit) {
      throw new TlsError(
        'MessageTooLong',
        `${handshakeTypeName(type)} of ${lengthBytes} bytes, limit ${limit}`,
      );
    }
    if (this.#end - at < lengthBytes) return null;
    this.#start = at + lengthBytes;
    return { type, raw: bytes.subarray(at, at + lengthBytes) };
  }

  #makeRoom(lengthBytes: number): void {
    const waiting = this.#bytes.subarray(this.#start, this.#end);
    const needed = waiting.length + lengthBytes;
    const roomy =
      needed > this.#bytes.length ? new Uint8Array(2 * needed) : new Uint8Array(this.#bytes.length);
    roomy.set(waiting);
    this.#bytes = roomy;
    this.#start = 0;
    this.#end = waiting.length;
  }
}
