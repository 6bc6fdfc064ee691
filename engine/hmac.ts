import { addressOf, type Native, symbol } from '../drivers/syscalls.ts';

/*
 * HMAC by the OpenSSL that Node brings, called without node:crypto: a call of its hash takes three times as long as hashing what a
 * key schedule hashes, and an HMAC is two of them. The functions are those that Node exports for addons.
 */

/** One of OpenSSL's hashes: openssl/sha.h. */
export interface NativeHash {
  readonly blockBytes: number;
  readonly digestBytes: number;
  /** ctx */
  readonly init: Native;
  /** ctx, in, length in */
  readonly update: Native;
  /** out, ctx */
  readonly final: Native;
}

const HASHES: Readonly<Record<string, readonly [name: string, blockBytes: number, digestBytes: number]>> = {
  sha256: ['SHA256', 64, 32],
  sha384: ['SHA384', 128, 48],
};

const loaded = new Map<string, NativeHash | null>();

/** @returns null when this Node keeps its OpenSSL to itself, or a hash is not among those that are asked for here */
export function nativeHash(algorithm: string): NativeHash | null {
  let hash = loaded.get(algorithm);
  if (hash === undefined) {
    hash = load(algorithm);
    loaded.set(algorithm, hash);
  }
  return hash;
}

function load(algorithm: string): NativeHash | null {
  const known = HASHES[algorithm];
  if (known === undefined) return null;
  const [name, blockBytes, digestBytes] = known;
  const init = symbol(`int ${name}_Init(uintptr_t ctx)`);
  const update = symbol(`int ${name}_Update(uintptr_t ctx, uintptr_t in, size_t inl)`);
  const final = symbol(`int ${name}_Final(uintptr_t out, uintptr_t ctx)`);
  if (init === null || update === null || final === null) return null;
  return { blockBytes, digestBytes, init, update, final };
}

/** SHA512_CTX, the larger one, has 216 bytes. */
export const HASH_CONTEXT_BYTES = 224;
const CONTEXT_AT = 0;
const DIGEST_AT = 256;
const INPUT_AT = 320;
const LONGEST_BLOCK_BYTES = 128;
/** The longest message; those of a key schedule have at most 580 bytes. */
const LONGEST_MESSAGE_BYTES = 640;
const INNER_PAD = 0x36;
const BOTH_PADS = 0x36 ^ 0x5c;

/** Memory of this thread whose address is known; nothing stays in it between two calls. */
interface Scratch {
  readonly bytes: Uint8Array;
  readonly address: number;
}

let scratch: Scratch | null = null;

function makeScratch(): Scratch {
  const bytes = new Uint8Array(new ArrayBuffer(INPUT_AT + LONGEST_BLOCK_BYTES + LONGEST_MESSAGE_BYTES));
  return { bytes, address: addressOf(bytes) };
}

/**
 * RFC 2104, for provideHmac.
 * @returns null when this Node keeps its OpenSSL to itself, has no such hash, or key or message is long
 */
export function openSslHmac(algorithm: string, key: Uint8Array, message: Uint8Array): Uint8Array | null {
  const hash = nativeHash(algorithm);
  if (hash === null || key.length > hash.blockBytes || message.length > LONGEST_MESSAGE_BYTES) return null;
  scratch ??= makeScratch();
  const { bytes, address } = scratch;
  const { blockBytes, digestBytes } = hash;
  const messageAt = INPUT_AT + blockBytes;
  for (let i = 0; i < key.length; i++) bytes[INPUT_AT + i] = key[i]! ^ INNER_PAD;
  bytes.fill(INNER_PAD, INPUT_AT + key.length, messageAt);
  bytes.set(message, messageAt);
  digest(hash, address, blockBytes + message.length);
  for (let i = INPUT_AT; i < messageAt; i++) bytes[i] = bytes[i]! ^ BOTH_PADS;
  bytes.copyWithin(messageAt, DIGEST_AT, DIGEST_AT + digestBytes);
  digest(hash, address, blockBytes + digestBytes);
  const mac = bytes.slice(DIGEST_AT, DIGEST_AT + digestBytes);
  bytes.fill(0);
  return mac;
}

/** Of the input, which begins at INPUT_AT. */
function digest({ init, update, final }: NativeHash, address: number, lengthBytes: number): void {
  const context = address + CONTEXT_AT;
  const isDone =
    init(context) === 1 &&
    update(context, address + INPUT_AT, lengthBytes) === 1 &&
    final(address + DIGEST_AT, context) === 1;
  if (!isDone) throw new Error('OpenSSL refused to hash');
}
