import { concatBytes } from '@noble/hashes/utils.js';
import { HandshakeType } from '../wire/codes.ts';
import { handshakeMessage } from '../wire/messages.ts';
import { md5, type RunningHash, sha1 } from './hash.ts';

/** A hash as a transcript needs it; those of cipher suites are. */
export interface TranscriptHash {
  (message: Uint8Array): Uint8Array;
  create(): RunningHash;
}

/** RFC 2246 §7.4.9, RFC 4346 §7.4.9: MD5 and behind it SHA-1. */
export const MD5_AND_SHA1: TranscriptHash = Object.assign(
  (message: Uint8Array) => concatBytes(md5(message), sha1(message)),
  { create: () => new TwoHashes(md5.create(), sha1.create()) },
);

class TwoHashes implements RunningHash {
  readonly #first: RunningHash;
  readonly #second: RunningHash;

  constructor(first: RunningHash, second: RunningHash) {
    this.#first = first;
    this.#second = second;
  }

  update(bytes: Uint8Array): RunningHash {
    this.#first.update(bytes);
    this.#second.update(bytes);
    return this;
  }

  digest(): Uint8Array {
    return concatBytes(this.#first.digest(), this.#second.digest());
  }

  peek(): Uint8Array {
    return concatBytes(this.#first.peek(), this.#second.peek());
  }

  clone(): RunningHash {
    return new TwoHashes(this.#first.clone(), this.#second.clone());
  }
}

/** A hash that begins with what another one has taken. */
function forkOf(running: RunningHash): TranscriptHash {
  return Object.assign((message: Uint8Array) => running.clone().update(message).digest(), {
    create: () => running.clone(),
  });
}

/** RFC 8446 §4.4.1: the running hash over all handshake messages. */
export class Transcript {
  readonly #running: RunningHash;
  /** Null when they are not kept. */
  readonly #messages: Uint8Array[] | null;

  /**
   * @param hash of the cipher suite, before TLS 1.2 MD5_AND_SHA1
   * @param retriedHello the first ClientHello when a HelloRetryRequest followed it, else null
   * @param keepsMessages whether {@link messages} will be asked for
   */
  constructor(hash: TranscriptHash, retriedHello: Uint8Array | null = null, keepsMessages = false) {
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

  /** Another one that goes on from here; it keeps no messages. */
  fork(): Transcript {
    return new Transcript(forkOf(this.#running));
  }

  /** The hash over everything added so far and then this, which is not added. */
  hashWith(message: Uint8Array): Uint8Array {
    return this.#running.clone().update(message).digest();
  }

  /** The hash over everything added so far. */
  hash(): Uint8Array {
    return this.#running.peek();
  }
}
