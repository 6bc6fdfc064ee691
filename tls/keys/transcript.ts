import { concatBytes } from '@noble/hashes/utils.js';
import { HandshakeType } from '../wire/codes.ts';
import { handshakeMessage } from '../wire/messages.ts';
import type { Hash } from './suites.ts';

/** RFC 8446 §4.4.1: the running hash over all handshake messages. */
export class Transcript {
  readonly #running: ReturnType<Hash['create']>;
  /** Null when they are not kept. */
  readonly #messages: Uint8Array[] | null;

  /**
   * @param hash of the cipher suite
   * @param retriedHello the first ClientHello when a HelloRetryRequest followed it, else null
   * @param keepsMessages whether {@link messages} will be asked for
   */
  constructor(hash: Hash, retriedHello: Uint8Array | null = null, keepsMessages = false) {
    this.#running = hash.create();
    this.#messages = keepsMessages ? [] : null;
    // RFC 8446 §4.4.1: ClientHello1 is replaced with a synthetic message_hash message containing Hash(ClientHello1)
    if (retriedHello !== null) this.add(handshakeMessage(HandshakeType.MessageHash, hash(retriedHello)));
  }

  /** @param message header and body */
  add(message: Uint8Array): void {
    this.#running.update(message);
    this.#messages?.push(message.slice());
  }

  /** RFC 5246 §7.4.8: all messages so far, for a signature whose hash is not that of the suite. */
  messages(): Uint8Array {
    return concatBytes(...(this.#messages ?? []));
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
