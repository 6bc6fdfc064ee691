import { type CipherGCMTypes, createCipheriv } from 'node:crypto';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../stack/random.ts';
import { generateKeyShare, NamedGroup } from './groups.ts';
import { expand, extract, type Hash, sha256, sha384, sha512 } from './hash.ts';

/** RFC 9180 §7.1: DHKEM(X25519, HKDF-SHA256). */
export const KEM_X25519 = 0x0020;

const NOTHING = new Uint8Array(0);
const VERSION = utf8ToBytes('HPKE-v1');
const TAG_BYTES = 16;
const NONCE_BYTES = 12;

/** RFC 9180 §7.2 */
const KDFS: ReadonlyMap<number, Hash> = new Map([
  [1, sha256],
  [2, sha384],
  [3, sha512],
]);

/** RFC 9180 §7.3 */
const AEADS: ReadonlyMap<number, { readonly name: string; readonly keyBytes: number }> = new Map([
  [1, { name: 'aes-128-gcm', keyBytes: 16 }],
  [2, { name: 'aes-256-gcm', keyBytes: 32 }],
  [3, { name: 'chacha20-poly1305', keyBytes: 32 }],
]);

/** A pair of algorithms by their numbers. */
export interface HpkeSuite {
  readonly kdf: number;
  readonly aead: number;
}

/** Whether this module has both. */
export function isHpkeSuite({ kdf, aead }: HpkeSuite): boolean {
  return KDFS.has(kdf) && AEADS.has(aead);
}

/** Bytes that {@link HpkeSender.seal} adds. */
export const HPKE_TAG_BYTES: number = TAG_BYTES;

/** The sender's side of HPKE in base mode (RFC 9180 §5), with X25519. */
export class HpkeSender {
  /** The encapsulated key. */
  readonly enc: Uint8Array;
  readonly #aead: string;
  readonly #key: Uint8Array;
  readonly #baseNonce: Uint8Array;
  #seq = 0;

  /**
   * @param publicKey of the recipient
   * @throws TlsError InvalidKeyShare when it is none
   */
  constructor(publicKey: Uint8Array, info: Uint8Array, suite: HpkeSuite, random: RandomSource) {
    const share = generateKeyShare(NamedGroup.X25519, random);
    this.enc = share.publicKey;
    const dh = share.agree(publicKey);
    const kemContext = concatBytes(share.publicKey, publicKey);
    const kem = new Labeled(sha256, concatBytes(utf8ToBytes('KEM'), u16(KEM_X25519)));
    // RFC 9180 §4.1: ExtractAndExpand
    const sharedSecret = kem.expand(kem.extract(NOTHING, 'eae_prk', dh), 'shared_secret', kemContext, 32);
    dh.fill(0);
    // RFC 9180 §5.1: KeySchedule, mode_base
    const { name, keyBytes } = AEADS.get(suite.aead)!;
    const id = concatBytes(utf8ToBytes('HPKE'), u16(KEM_X25519), u16(suite.kdf), u16(suite.aead));
    const kdf = new Labeled(KDFS.get(suite.kdf)!, id);
    const context = concatBytes(
      Uint8Array.of(0),
      kdf.extract(NOTHING, 'psk_id_hash', NOTHING),
      kdf.extract(NOTHING, 'info_hash', info),
    );
    const secret = kdf.extract(sharedSecret, 'secret', NOTHING);
    sharedSecret.fill(0);
    this.#aead = name;
    this.#key = kdf.expand(secret, 'key', context, keyBytes);
    this.#baseNonce = kdf.expand(secret, 'base_nonce', context, NONCE_BYTES);
    secret.fill(0);
  }

  /** RFC 9180 §5.2; each call takes the next nonce. */
  seal(additionalData: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const nonce = this.#baseNonce.slice();
    nonce[NONCE_BYTES - 1] = nonce[NONCE_BYTES - 1]! ^ this.#seq;
    // two messages at most: the nonce has one byte that changes
    if (++this.#seq > 255) throw new Error('too many messages for one HPKE context');
    const cipher = createCipheriv(this.#aead as CipherGCMTypes, this.#key, nonce, {
      authTagLength: TAG_BYTES,
    });
    cipher.setAAD(additionalData);
    const sealed = cipher.update(plaintext);
    cipher.final();
    return concatBytes(sealed, cipher.getAuthTag());
  }
}

/** RFC 9180 §4: LabeledExtract and LabeledExpand. */
class Labeled {
  readonly #hash: Hash;
  readonly #suiteId: Uint8Array;

  constructor(hash: Hash, suiteId: Uint8Array) {
    this.#hash = hash;
    this.#suiteId = suiteId;
  }

  extract(salt: Uint8Array, label: string, input: Uint8Array): Uint8Array {
    return extract(this.#hash, concatBytes(VERSION, this.#suiteId, utf8ToBytes(label), input), salt);
  }

  expand(secret: Uint8Array, label: string, info: Uint8Array, lengthBytes: number): Uint8Array {
    const labeled = concatBytes(u16(lengthBytes), VERSION, this.#suiteId, utf8ToBytes(label), info);
    return expand(this.#hash, secret, labeled, lengthBytes);
  }
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value);
}
