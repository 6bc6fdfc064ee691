import { addressOf, type Native, symbol } from '../drivers/syscalls.ts';
import { TAG_BYTES } from '../tls/keys/suites.ts';
import { MAX_RECORD_BYTES } from '../tls/limits.ts';
import type { Aead } from '../tls/record/aead.ts';

/*
 * The AEADs of the OpenSSL that Node brings, called without node:crypto: that makes an object for every record, which costs
 * three times as much as encrypting it, and the garbage collector once more. The functions are those that Node exports for addons.
 */

/** openssl/evp.h */
const EVP_CTRL_AEAD_GET_TAG = 0x10;
const EVP_CTRL_AEAD_SET_TAG = 0x11;

interface LibCrypto {
  readonly newContext: Native;
  /** ctx, cipher (0: as before), engine, key (0: as before), nonce, 1 to encrypt */
  readonly init: Native;
  /** ctx, out, address of the length out, in, length in */
  readonly update: Native;
  readonly final: Native;
  /** ctx, what, length, address */
  readonly control: Native;
  /** OpenSSL's ciphers by the names of node:crypto. */
  readonly ciphers: ReadonlyMap<string, number>;
}

const CIPHERS: readonly (readonly [name: string, symbol: string])[] = [
  ['aes-128-gcm', 'EVP_aes_128_gcm'],
  ['aes-256-gcm', 'EVP_aes_256_gcm'],
  ['chacha20-poly1305', 'EVP_chacha20_poly1305'],
];

let loaded: LibCrypto | null | undefined;

function load(): LibCrypto | null {
  const newContext = symbol('uintptr_t EVP_CIPHER_CTX_new()');
  const init = symbol(
    'int EVP_CipherInit_ex(uintptr_t ctx, uintptr_t type, uintptr_t impl, uintptr_t key, uintptr_t iv, int enc)',
  );
  const update = symbol(
    'int EVP_CipherUpdate(uintptr_t ctx, uintptr_t out, uintptr_t outl, uintptr_t in, int inl)',
  );
  const final = symbol('int EVP_CipherFinal_ex(uintptr_t ctx, uintptr_t out, uintptr_t outl)');
  const control = symbol('int EVP_CIPHER_CTX_ctrl(uintptr_t ctx, int type, int arg, uintptr_t ptr)');
  if (newContext === null || init === null || update === null || final === null || control === null)
    return null;
  const ciphers = new Map<string, number>();
  for (const [name, getter] of CIPHERS) {
    const cipher = symbol(`uintptr_t ${getter}()`)?.() ?? 0;
    if (cipher !== 0) ciphers.set(name, cipher);
  }
  return { newContext, init, update, final, control, ciphers };
}

/**
 * The AEAD of a name under a key, for {@link provideAead}.
 * @returns null when this Node keeps its OpenSSL to itself, or has no such cipher
 */
export function openSslAead(name: string, key: Uint8Array): Aead | null {
  if (loaded === undefined) loaded = load();
  const cipher = loaded?.ciphers.get(name);
  return loaded && cipher !== undefined ? new OpenSslAead(loaded, cipher, key) : null;
}

const NONCE_AT = 0;
const ADDITIONAL_DATA_AT = 16;
const LENGTH_AT = 48;
const LAST_AT = 56;
const TAG_AT = 64;
const LARGEST_ADDITIONAL_DATA_BYTES: number = LENGTH_AT - ADDITIONAL_DATA_AT;

/** What the calls of this thread share: small things whose address is known, and the plaintext opened last. */
interface Scratch {
  readonly small: Uint8Array;
  readonly smallAddress: number;
  readonly opened: Uint8Array;
  readonly openedAddress: number;
}

let scratch: Scratch | null = null;

function makeScratch(): Scratch {
  const small = new Uint8Array(new ArrayBuffer(TAG_AT + TAG_BYTES));
  const opened = new Uint8Array(new ArrayBuffer(MAX_RECORD_BYTES));
  return { small, smallAddress: addressOf(small), opened, openedAddress: addressOf(opened) };
}

/** One of OpenSSL's contexts. A thread has one for each cipher and direction, and keeps them: each is used by the keys by turns. */
interface Context {
  readonly address: number;
  /** Whose key it has. */
  user: OpenSslAead | null;
}

const contexts = new Map<number, Context>();

class OpenSslAead implements Aead {
  readonly #lib: LibCrypto;
  readonly #cipher: number;
  readonly #scratch: Scratch;
  readonly #key: Uint8Array;
  readonly #keyAddress: number;

  constructor(lib: LibCrypto, cipher: number, key: Uint8Array) {
    this.#lib = lib;
    this.#cipher = cipher;
    scratch ??= makeScratch();
    this.#scratch = scratch;
    this.#key = new Uint8Array(new ArrayBuffer(key.length));
    this.#key.set(key);
    this.#keyAddress = addressOf(this.#key);
  }

  seal(
    nonce: Uint8Array,
    additionalData: Uint8Array,
    from: Uint8Array,
    off: number,
    lengthBytes: number,
    last: number,
    into: Uint8Array,
    intoOff: number,
  ): void {
    const { update, final, control } = this.#lib;
    const { small, smallAddress } = this.#scratch;
    // addresses trust their callers: nothing behind them knows where memory ends
    checkInside(from, off, lengthBytes);
    checkInside(into, intoOff, lengthBytes + 1 + TAG_BYTES);
    const context = this.#begin(1, nonce, additionalData);
    const out = addressOf(into) + intoOff;
    const length = smallAddress + LENGTH_AT;
    if (lengthBytes > 0) must(update(context, out, length, addressOf(from) + off, lengthBytes));
    small[LAST_AT] = last;
    must(update(context, out + lengthBytes, length, smallAddress + LAST_AT, 1));
    must(final(context, out + lengthBytes + 1, length));
    must(control(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, out + lengthBytes + 1));
  }

  open(
    nonce: Uint8Array,
    additionalData: Uint8Array,
    from: Uint8Array,
    off: number,
    lengthBytes: number,
  ): Uint8Array | null {
    const { update, final, control } = this.#lib;
    const { small, smallAddress, opened, openedAddress } = this.#scratch;
    checkInside(from, off, lengthBytes + TAG_BYTES);
    checkInside(opened, 0, lengthBytes);
    const context = this.#begin(0, nonce, additionalData);
    const length = smallAddress + LENGTH_AT;
    if (lengthBytes > 0) must(update(context, openedAddress, length, addressOf(from) + off, lengthBytes));
    // a copy: what is compared at the end cannot be changed by others meanwhile
    for (let i = 0; i < TAG_BYTES; i++) small[TAG_AT + i] = from[off + lengthBytes + i]!;
    must(control(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, smallAddress + TAG_AT));
    if (final(context, openedAddress + lengthBytes, length) > 0) return opened;
    opened.fill(0, 0, lengthBytes);
    return null;
  }

  /** @returns the address of a context that has the key and the nonce, and has read the additional data */
  #begin(encrypts: 0 | 1, nonce: Uint8Array, additionalData: Uint8Array): number {
    const { init, update } = this.#lib;
    const { small, smallAddress } = this.#scratch;
    checkInside(small, ADDITIONAL_DATA_AT, additionalData.length, LARGEST_ADDITIONAL_DATA_BYTES);
    for (let i = 0; i < nonce.length; i++) small[NONCE_AT + i] = nonce[i]!;
    for (let i = 0; i < additionalData.length; i++) small[ADDITIONAL_DATA_AT + i] = additionalData[i]!;
    const context = this.#contextFor(encrypts);
    const key = context.user === this ? 0 : this.#keyAddress;
    must(init(context.address, 0, 0, key, smallAddress + NONCE_AT, encrypts));
    context.user = this;
    const length = smallAddress + LENGTH_AT;
    must(update(context.address, 0, length, smallAddress + ADDITIONAL_DATA_AT, additionalData.length));
    return context.address;
  }

  #contextFor(encrypts: 0 | 1): Context {
    // addresses are multiples of more than 2
    const name = this.#cipher + encrypts;
    let context = contexts.get(name);
    if (context === undefined) {
      const { newContext, init } = this.#lib;
      context = { address: newContext(), user: null };
      must(context.address);
      must(init(context.address, this.#cipher, 0, 0, 0, encrypts));
      contexts.set(name, context);
    }
    return context;
  }
}

function checkInside(memory: Uint8Array, off: number, lengthBytes: number, most = Infinity): void {
  if (off < 0 || lengthBytes < 0 || off + lengthBytes > memory.length || lengthBytes > most) {
    throw new RangeError(`${lengthBytes} bytes at ${off} do not lie in ${memory.length} bytes`);
  }
}

function must(result: number): void {
  if (result === 0 || result < 0) throw new Error('OpenSSL refused an AEAD call');
}
