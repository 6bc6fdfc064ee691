import { createHash, createHmac, createSecretKey, hash as hashNow } from 'node:crypto';

/** A hash by node:crypto: synchronous, and its running state can be cloned. */
export interface Hash {
  (message: Uint8Array): Uint8Array;
  /** As node:crypto calls it. */
  readonly algorithm: string;
  /** Bytes of a digest. */
  readonly outputLen: number;
  create(): RunningHash;
}

/** A hash that is being computed. */
export interface RunningHash {
  update(bytes: Uint8Array): RunningHash;
  /** Ends it. */
  digest(): Uint8Array;
  clone(): RunningHash;
}

export const md5: Hash = hashOf('md5', 16);
export const sha1: Hash = hashOf('sha1', 20);
export const sha256: Hash = hashOf('sha256', 32);
export const sha384: Hash = hashOf('sha384', 48);
export const sha512: Hash = hashOf('sha512', 64);

/** RFC 2104. */
export function hmac({ algorithm }: Hash, key: Uint8Array, message: Uint8Array): Uint8Array {
  // perf: bytes in place of a KeyObject take 12 µs more
  return plain(createHmac(algorithm, createSecretKey(key)).update(message).digest());
}

/** RFC 5869 §2.2: HKDF-Extract. */
export function extract(hash: Hash, input: Uint8Array, salt: Uint8Array): Uint8Array {
  return hmac(hash, salt, input);
}

/**
 * RFC 5869 §2.3: HKDF-Expand.
 *
 * @throws RangeError for more than 255 digests
 */
export function expand(hash: Hash, secret: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array {
  if (lengthBytes > 255 * hash.outputLen) throw new RangeError(`HKDF gives no ${lengthBytes} bytes`);
  const key = createSecretKey(secret);
  const out = new Uint8Array(lengthBytes);
  const counter = new Uint8Array(1);
  let block = new Uint8Array(0);
  for (let off = 0; off < lengthBytes; off += hash.outputLen) {
    counter[0] = counter[0]! + 1;
    // T(i) = HMAC(PRK, T(i - 1) | info | i)
    const next = createHmac(hash.algorithm, key).update(block).update(info).update(counter).digest();
    block.fill(0);
    block = next;
    out.set(block.subarray(0, lengthBytes - off), off);
  }
  block.fill(0);
  return out;
}

function hashOf(algorithm: string, outputLen: number): Hash {
  const now = (message: Uint8Array): Uint8Array => plain(hashNow(algorithm, message, 'buffer'));
  return Object.assign(now, {
    algorithm,
    outputLen,
    create: (): RunningHash => new NodeHash(createHash(algorithm)),
  });
}

class NodeHash implements RunningHash {
  readonly #running: ReturnType<typeof createHash>;

  constructor(running: ReturnType<typeof createHash>) {
    this.#running = running;
  }

  update(bytes: Uint8Array): RunningHash {
    this.#running.update(bytes);
    return this;
  }

  digest(): Uint8Array {
    return plain(this.#running.digest());
  }

  clone(): RunningHash {
    return new NodeHash(this.#running.copy());
  }
}

/** A Buffer's `slice` shares its memory; nobody here expects that. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
