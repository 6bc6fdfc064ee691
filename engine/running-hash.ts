import { addressOf } from '../drivers/syscalls.ts';
import type { RunningHash } from '../tls/keys/hash.ts';
import { HASH_CONTEXT_BYTES, type NativeHash, nativeHash } from './hmac.ts';

/*
 * Hashes of transcripts, which are asked for in between, by the OpenSSL that Node brings: its state is plain memory here, and a copy of that
 * takes a tenth of the time of a copy by node:crypto.
 */

/** A thread's working memory: a state that may be ended, what is hashed next, a digest. */
interface Scratch {
  readonly bytes: Uint8Array;
  readonly address: number;
}

const CONTEXT_AT = 0;
const DIGEST_AT = HASH_CONTEXT_BYTES;
const INPUT_AT = 512;
const INPUT_BYTES = 8192;

let scratch: Scratch | null = null;

function makeScratch(): Scratch {
  const bytes = new Uint8Array(new ArrayBuffer(INPUT_AT + INPUT_BYTES));
  return { bytes, address: addressOf(bytes) };
}

/** For provideRunningHash. @returns null when this Node keeps its OpenSSL to itself, or has no such hash */
export function openSslRunningHash(algorithm: string): RunningHash | null {
  const hash = nativeHash(algorithm);
  if (hash === null) return null;
  scratch ??= makeScratch();
  return new OpenSslHash(hash, scratch, null);
}

class OpenSslHash implements RunningHash {
  readonly #hash: NativeHash;
  readonly #scratch: Scratch;
  readonly #state = new Uint8Array(new ArrayBuffer(HASH_CONTEXT_BYTES));
  readonly #address: number = addressOf(this.#state);

  /** @param state what it goes on from; null: the beginning */
  constructor(hash: NativeHash, memory: Scratch, state: Uint8Array | null) {
    this.#hash = hash;
    this.#scratch = memory;
    if (state === null) must(hash.init(this.#address));
    else this.#state.set(state);
  }

  update(message: Uint8Array): RunningHash {
    const { bytes, address } = this.#scratch;
    for (let off = 0; off < message.length; off += INPUT_BYTES) {
      const piece =
        off === 0 && message.length <= INPUT_BYTES ? message : message.subarray(off, off + INPUT_BYTES);
      bytes.set(piece, INPUT_AT);
      must(this.#hash.update(this.#address, address + INPUT_AT, piece.length));
    }
    return this;
  }

  digest(): Uint8Array {
    return this.#end(this.#address);
  }

  peek(): Uint8Array {
    const { bytes, address } = this.#scratch;
    bytes.set(this.#state, CONTEXT_AT);
    return this.#end(address + CONTEXT_AT);
  }

  clone(): RunningHash {
    return new OpenSslHash(this.#hash, this.#scratch, this.#state);
  }

  #end(context: number): Uint8Array {
    const { bytes, address } = this.#scratch;
    must(this.#hash.final(address + DIGEST_AT, context));
    return bytes.slice(DIGEST_AT, DIGEST_AT + this.#hash.digestBytes);
  }
}

function must(result: number): void {
  if (result !== 1) throw new Error('OpenSSL refused to hash');
}
