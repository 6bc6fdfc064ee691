import { createHash, hash as hashNow } from 'node:crypto';

/** A hash by node:crypto: synchronous, and its running state can be cloned. */
export interface Hash {
  (message: Uint8Array): Uint8Array;
  /** As node:crypto calls it. */
  readonly algorithm: string;
  /** Bytes of a digest. */
  readonly outputLen: number;
  /** Bytes that it works on at a time. */
  readonly blockLen: number;
  create(): RunningHash;
}

/** A hash that is being computed. */
export interface RunningHash {
  update(bytes: Uint8Array): RunningHash;
  /** Ends it. */
  digest(): Uint8Array;
  /** What {@link digest} would say, and goes on. */
  peek(): Uint8Array;
  clone(): RunningHash;
}

export const md5: Hash = hashOf('md5', 16, 64);
export const sha1: Hash = hashOf('sha1', 20, 64);
export const sha256: Hash = hashOf('sha256', 32, 64);
export const sha384: Hash = hashOf('sha384', 48, 128);
export const sha512: Hash = hashOf('sha512', 64, 128);

const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/** RFC 2104 by the name of a hash; null: it cannot, for such a key or message. What it returns is the caller's. */
export type HmacMaker = (algorithm: string, key: Uint8Array, message: Uint8Array) => Uint8Array | null;

let makeFaster: HmacMaker = () => null;

/** Has HMACs made by somebody who is faster at it than node:crypto. */
export function provideHmac(maker: HmacMaker): void {
  makeFaster = maker;
}

/** RFC 2104, by whoever was {@link provideHmac provided}, or by node:crypto. */
export function hmac(hash: Hash, key: Uint8Array, message: Uint8Array): Uint8Array {
  return makeFaster(hash.algorithm, key, message) ?? hmacOfHashes(hash, key, message);
}

/** perf: two hashes of one call each take a third of the time of an Hmac object with its KeyObject. */
function hmacOfHashes(hash: Hash, key: Uint8Array, message: Uint8Array): Uint8Array {
  const { blockLen, outputLen } = hash;
  const short = key.length <= blockLen ? key : hash(key);
  const inner = new Uint8Array(blockLen + message.length).fill(INNER_PAD, 0, blockLen);
  const outer = new Uint8Array(blockLen + outputLen).fill(OUTER_PAD, 0, blockLen);
  for (let i = 0; i < short.length; i++) {
    inner[i] = short[i]! ^ INNER_PAD;
    outer[i] = short[i]! ^ OUTER_PAD;
  }
  inner.set(message, blockLen);
  outer.set(hash(inner), blockLen);
  const mac = hash(outer);
  inner.fill(0);
  outer.fill(0);
  return mac;
}

/** Begins a hash by its name; null: it cannot. */
export type RunningHashMaker = (algorithm: string) => RunningHash | null;

let makeFasterRunning: RunningHashMaker = () => null;

/** Has running hashes made by somebody who is faster at it than node:crypto. */
export function provideRunningHash(maker: RunningHashMaker): void {
  makeFasterRunning = maker;
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
  const { outputLen } = hash;
  const out = new Uint8Array(lengthBytes);
  // T(i) = HMAC(PRK, T(i - 1) | info | i)
  const input = new Uint8Array(outputLen + info.length + 1);
  input.set(info, outputLen);
  for (let off = 0; off < lengthBytes; off += outputLen) {
    const at = input.length - 1;
    input[at] = input[at]! + 1;
    const block = hmac(hash, secret, off === 0 ? input.subarray(outputLen) : input);
    input.set(block);
    out.set(block.subarray(0, lengthBytes - off), off);
    block.fill(0);
  }
  input.fill(0);
  return out;
}

function hashOf(algorithm: string, outputLen: number, blockLen: number): Hash {
  const now = (message: Uint8Array): Uint8Array => plain(hashNow(algorithm, message, 'buffer'));
  return Object.assign(now, {
    algorithm,
    outputLen,
    blockLen,
    create: (): RunningHash => makeFasterRunning(algorithm) ?? new NodeHash(createHash(algorithm)),
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

  peek(): Uint8Array {
    return plain(this.#running.copy().digest());
  }

  clone(): RunningHash {
    return new NodeHash(this.#running.copy());
  }
}

/** A Buffer's `slice` shares its memory; nobody here expects that. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
