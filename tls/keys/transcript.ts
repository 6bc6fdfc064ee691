import { HandshakeType } from '../wire/codes.ts';
import { handshakeMessage } from '../wire/messages.ts';
import type { Hash } from './suites.ts';

/** RFC 8446 §4.4.1: the running hash over all handshake messages. */
export class Transcript {
  readonly #running: ReturnType<Hash['create']>;

  /**
   * @param hash of the cipher suite
   * @param retriedHello the first ClientHello when a HelloRetryRequest followed it, else null
   */
  constructor(hash: Hash, retriedHello: Uint8Array | null = null) {
    this.#running = hash.create();
    // RFC 8446 §4.4.1: ClientHello1 is replaced with a synthetic message_hash message containing Hash(ClientHello1)
    if (retriedHello !== null) this.add(handshakeMessage(HandshakeType.MessageHash, hash(retriedHello)));
  }

  /** @param message header and body */
  add(message: Uint8Array): void {
    this.#running.update(message);
  }

  /** The hash over everything added so far and then this, which is not added. */
  hashWith(message: Uint8Array): Uint8Array {
    return this.#running.clone().update(message).digest();
  }

  /** The hash over everything added so far. */
  hash(): Uint8Array {
    return this.#running.clone().digest();
  }
}
