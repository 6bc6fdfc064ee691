import { addressOf, type Native, symbol } from '../drivers/syscalls.ts';
import type { RawKeyKind, RawKeyPair } from '../tls/keys/raw-key.ts';

/*
 * Ephemeral keys by the OpenSSL that Node brings, called without node:crypto: reading a peer's X25519 key of 32 bytes costs that four exceptions
 * and more time than agreeing with it does. The functions are those that Node exports for addons.
 */

/** openssl/evp.h: addresses of an EVP_PKEY, an EVP_PKEY_CTX or of memory, all of them numbers. */
interface LibCrypto {
  /** library (0: the default one), name of an algorithm, properties */
  readonly contextFor: Native;
  /** key, engine */
  readonly contextOf: Native;
  readonly freeContext: Native;
  readonly startGenerating: Native;
  /** ctx, where the address of the key goes */
  readonly generate: Native;
  /** key, out, address of the length of it */
  readonly publicBytes: Native;
  /** type, engine, key, length of it */
  readonly publicKey: Native;
  readonly startDeriving: Native;
  /** ctx, key */
  readonly setPeer: Native;
  /** ctx, out, address of the length of it */
  readonly derive: Native;
  /** ctx, parameters */
  readonly startDecapsulating: Native;
  /** ctx, out, address of the length of it, in, length in */
  readonly decapsulate: Native;
  readonly freeKey: Native;
  readonly forgetErrors: Native;
}

const PROTOTYPES: Readonly<Record<keyof LibCrypto, string>> = {
  contextFor:
    'uintptr_t EVP_PKEY_CTX_new_from_name(uintptr_t library, const char *name, uintptr_t properties)',
  contextOf: 'uintptr_t EVP_PKEY_CTX_new(uintptr_t key, uintptr_t engine)',
  freeContext: 'void EVP_PKEY_CTX_free(uintptr_t ctx)',
  startGenerating: 'int EVP_PKEY_keygen_init(uintptr_t ctx)',
  generate: 'int EVP_PKEY_generate(uintptr_t ctx, uintptr_t out)',
  publicBytes: 'int EVP_PKEY_get_raw_public_key(uintptr_t key, uintptr_t out, uintptr_t length)',
  publicKey:
    'uintptr_t EVP_PKEY_new_raw_public_key(int type, uintptr_t engine, uintptr_t key, size_t length)',
  startDeriving: 'int EVP_PKEY_derive_init(uintptr_t ctx)',
  setPeer: 'int EVP_PKEY_derive_set_peer(uintptr_t ctx, uintptr_t peer)',
  derive: 'int EVP_PKEY_derive(uintptr_t ctx, uintptr_t out, uintptr_t length)',
  startDecapsulating: 'int EVP_PKEY_decapsulate_init(uintptr_t ctx, uintptr_t parameters)',
  decapsulate:
    'int EVP_PKEY_decapsulate(uintptr_t ctx, uintptr_t out, uintptr_t length, uintptr_t in, size_t inLength)',
  freeKey: 'void EVP_PKEY_free(uintptr_t key)',
  forgetErrors: 'void ERR_clear_error()',
};

/** A kind of key that is known here. */
interface Algorithm {
  readonly type: RawKeyKind['type'];
  /** openssl/obj_mac.h: of a key that is agreed with; 0: the peer answers with a ciphertext. */
  readonly peerType: number;
  readonly publicBytes: number;
  readonly fromPeerBytes: number;
  readonly secretBytes: number;
  /** Keys of its kind come from here. */
  readonly generator: number;
}

const NID_X25519 = 1034;

const ALGORITHMS: readonly (Omit<Algorithm, 'generator'> & { readonly name: string })[] = [
  {
    type: 'x25519',
    name: 'X25519',
    peerType: NID_X25519,
    publicBytes: 32,
    fromPeerBytes: 32,
    secretBytes: 32,
  },
  {
    type: 'ml-kem-768',
    name: 'ML-KEM-768',
    peerType: 0,
    publicBytes: 1184,
    fromPeerBytes: 1088,
    secretBytes: 32,
  },
];

const ADDRESS_AT = 0;
const LENGTH_AT = 8;
const IN_AT = 64;
const OUT_AT = 2048;
const SCRATCH_BYTES = 4096;

/** What is made once for a thread: keys leave nothing in its memory. */
interface Loaded {
  readonly lib: LibCrypto;
  readonly algorithms: readonly Algorithm[];
  readonly scratch: Uint8Array;
  readonly words: Uint32Array;
  readonly address: number;
  /** Frees keys that were never agreed with. */
  readonly forgotten: FinalizationRegistry<number>;
}

let loaded: Loaded | null | undefined;

function load(): Loaded | null {
  const lib = {} as Record<keyof LibCrypto, Native>;
  for (const [name, prototype] of Object.entries(PROTOTYPES)) {
    const native = symbol(prototype);
    if (native === null) return null;
    lib[name as keyof LibCrypto] = native;
  }
  const algorithms: Algorithm[] = [];
  for (const { name, ...algorithm } of ALGORITHMS) {
    const generator = lib.contextFor(0, name, 0);
    if (generator !== 0 && lib.startGenerating(generator) === 1) algorithms.push({ ...algorithm, generator });
  }
  // of an algorithm that this OpenSSL does not have
  lib.forgetErrors();
  const scratch = new Uint8Array(new ArrayBuffer(SCRATCH_BYTES));
  return {
    lib,
    algorithms,
    scratch,
    words: new Uint32Array(scratch.buffer),
    address: addressOf(scratch),
    forgotten: new FinalizationRegistry((key) => void lib.freeKey(key)),
  };
}

/**
 * A new key pair of a kind, for provideKeyPairs.
 * @returns null when this Node keeps its OpenSSL to itself, or has no such algorithm
 */
export function openSslKeyPair({ type }: Pick<RawKeyKind, 'type'>): RawKeyPair | null {
  if (loaded === undefined) loaded = load();
  const algorithm = loaded?.algorithms.find((each) => each.type === type);
  return loaded && algorithm !== undefined ? new OpenSslKeyPair(loaded, algorithm) : null;
}

class OpenSslKeyPair implements RawKeyPair {
  readonly publicKey: Uint8Array;
  readonly #loaded: Loaded;
  readonly #algorithm: Algorithm;
  /** 0: it was given back. */
  #key: number;

  constructor(loaded: Loaded, algorithm: Algorithm) {
    const { lib, scratch, words, address, forgotten } = loaded;
    this.#loaded = loaded;
    this.#algorithm = algorithm;
    words.fill(0, ADDRESS_AT >> 2, IN_AT >> 2);
    must(lib, lib.generate(algorithm.generator, address + ADDRESS_AT));
    this.#key = words[ADDRESS_AT >> 2]! + words[(ADDRESS_AT >> 2) + 1]! * 2 ** 32;
    forgotten.register(this, this.#key, this);
    words[LENGTH_AT >> 2] = algorithm.publicBytes;
    must(lib, lib.publicBytes(this.#key, address + OUT_AT, address + LENGTH_AT));
    this.publicKey = scratch.slice(OUT_AT, OUT_AT + algorithm.publicBytes);
  }

  agree(fromPeer: Uint8Array): Uint8Array {
    const { lib, scratch, words } = this.#loaded;
    const { fromPeerBytes, peerType, secretBytes } = this.#algorithm;
    if (this.#key === 0) throw new Error('the key is not there any more');
    // addresses trust their callers: nothing behind them knows where memory ends
    if (fromPeer.length !== fromPeerBytes) throw new RangeError(`${fromPeerBytes} bytes come from the peer`);
    scratch.set(fromPeer, IN_AT);
    words[LENGTH_AT >> 2] = secretBytes;
    words[(LENGTH_AT >> 2) + 1] = 0;
    const context = lib.contextOf(this.#key, 0);
    try {
      must(lib, context);
      if (peerType === 0) this.#decapsulate(context);
      else this.#derive(context);
      return scratch.slice(OUT_AT, OUT_AT + secretBytes);
    } finally {
      scratch.fill(0, OUT_AT, OUT_AT + secretBytes);
      lib.freeContext(context);
      this.wipe();
    }
  }

  wipe(): void {
    if (this.#key === 0) return;
    const { lib, forgotten } = this.#loaded;
    forgotten.unregister(this);
    lib.freeKey(this.#key);
    this.#key = 0;
  }

  #decapsulate(context: number): void {
    const { lib, address } = this.#loaded;
    const { fromPeerBytes } = this.#algorithm;
    must(lib, lib.startDecapsulating(context, 0));
    must(
      lib,
      lib.decapsulate(context, address + OUT_AT, address + LENGTH_AT, address + IN_AT, fromPeerBytes),
    );
  }

  #derive(context: number): void {
    const { lib, address } = this.#loaded;
    const { fromPeerBytes, peerType } = this.#algorithm;
    const peer = lib.publicKey(peerType, 0, address + IN_AT, fromPeerBytes);
    try {
      must(lib, peer);
      must(lib, lib.startDeriving(context));
      must(lib, lib.setPeer(context, peer));
      must(lib, lib.derive(context, address + OUT_AT, address + LENGTH_AT));
    } finally {
      lib.freeKey(peer);
    }
  }
}

/** What OpenSSL notes of an error is not left for node:crypto to find. */
function must(lib: LibCrypto, result: number): void {
  if (result > 0) return;
  lib.forgetErrors();
  throw new Error('OpenSSL refused a key');
}
