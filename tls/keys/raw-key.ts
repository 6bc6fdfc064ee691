import {
  createPrivateKey,
  createPublicKey,
  decapsulate,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { concatBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../stack/random.ts';

/** What a kind of key is called, and what stands before its bytes in PKCS #8 and in SubjectPublicKeyInfo. */
export interface RawKeyKind {
  readonly type: 'x25519' | 'x448' | 'ml-kem-768';
  /** What node:crypto calls the bytes of a private key. */
  readonly privateFormat: 'raw-private' | 'raw-seed';
  readonly pkcs8Prefix: Uint8Array;
  readonly spkiPrefix: Uint8Array;
  /** Of those bytes. */
  readonly privateBytes: number;
  /** Of a public key. */
  readonly publicBytes: number;
}

/** An ephemeral key pair: it agrees on one secret. */
export interface RawKeyPair {
  readonly publicKey: Uint8Array;
  /**
   * RFC 7748: the secret that is shared with the owner of a public key; FIPS 203: what is inside of a ciphertext.
   *
   * @throws Error what OpenSSL says of a wrong key
   */
  agree(fromPeer: Uint8Array): Uint8Array;
  /** The private key is of no use any more: its memory is given back at once, where that is possible. */
  wipe(): void;
}

/** Draws a key pair with the system's randomness; null: it cannot, for such a kind. */
export type KeyPairMaker = (kind: RawKeyKind) => RawKeyPair | null;

let makeFaster: KeyPairMaker = () => null;

/** Has key pairs drawn by somebody who is faster at it than node:crypto. */
export function provideKeyPairs(maker: KeyPairMaker): void {
  makeFaster = maker;
}

/** A new key pair. @param random its bytes are the private key, or the seed, unless it is the system's, which others have too */
export function drawKeyPair(kind: RawKeyKind, random: RandomSource): RawKeyPair {
  const pair = random.isSystem === true ? makeFaster(kind) : null;
  return pair ?? new NodeKeyPair(kind, random);
}

class NodeKeyPair implements RawKeyPair {
  readonly publicKey: Uint8Array;
  readonly #kind: RawKeyKind;
  readonly #privateKey: KeyObject;

  constructor(kind: RawKeyKind, random: RandomSource) {
    this.#kind = kind;
    this.#privateKey = drawKey(kind, random);
    this.publicKey = publicBytesOf(this.#privateKey, kind.publicBytes);
  }

  agree(fromPeer: Uint8Array): Uint8Array {
    const privateKey = this.#privateKey;
    if (this.#kind.type === 'ml-kem-768') return decapsulate(privateKey, fromPeer);
    return diffieHellman({ privateKey, publicKey: publicKeyFrom(this.#kind, fromPeer) });
  }

  /** OpenSSL clears what the garbage collector finds. */
  wipe(): void {}
}

/** X25519's base point: any valid key would do. */
const PROBE = Buffer.alloc(32, 9);

/** perf: DER costs up to 50 µs per key more than bytes, which not every node:crypto of version 24 takes. */
const TAKES_BYTES: boolean = takesBytes();

function takesBytes(): boolean {
  try {
    createPublicKey({ key: PROBE, format: 'raw-public', asymmetricKeyType: 'x25519' });
    return true;
  } catch {
    return false;
  }
}

/** @param bytes what the kind's RFC calls the private key or its seed; not kept */
function privateKeyFrom(kind: RawKeyKind, bytes: Uint8Array): KeyObject {
  if (TAKES_BYTES) {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const input = { key, format: kind.privateFormat, asymmetricKeyType: kind.type };
    return withoutStackTraces(() => createPrivateKey(input));
  }
  const der = Buffer.from(concatBytes(kind.pkcs8Prefix, bytes).buffer);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  return key;
}

/** @throws Error what OpenSSL says when they are no key of the kind */
function publicKeyFrom(kind: RawKeyKind, bytes: Uint8Array): KeyObject {
  if (TAKES_BYTES) {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const input = { key, format: 'raw-public', asymmetricKeyType: kind.type } as const;
    return withoutStackTraces(() => createPublicKey(input));
  }
  const der = Buffer.from(concatBytes(kind.spkiPrefix, bytes).buffer);
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}

function drawKey(kind: RawKeyKind, random: RandomSource): KeyObject {
  // perf: a third to a half of what the way by bytes takes
  if (random.isSystem === true) return generate[kind.type]();
  const bytes = new Uint8Array(kind.privateBytes);
  random.fill(bytes);
  const key = privateKeyFrom(kind, bytes);
  bytes.fill(0);
  return key;
}

const generate: Readonly<Record<RawKeyKind['type'], () => KeyObject>> = {
  x25519: () => generateKeyPairSync('x25519').privateKey,
  x448: () => generateKeyPairSync('x448').privateKey,
  'ml-kem-768': () => generateKeyPairSync('ml-kem-768').privateKey,
};

/** The public half of a private key. @param lengthBytes of it */
function publicBytesOf(privateKey: KeyObject, lengthBytes: number): Uint8Array {
  const key = createPublicKey(privateKey);
  if (TAKES_BYTES) return new Uint8Array(key.export({ format: 'raw-public' }));
  const spki = key.export({ format: 'der', type: 'spki' });
  return new Uint8Array(spki.subarray(spki.length - lengthBytes));
}

/**
 * perf: node:crypto learns that bytes are no KeyObject from exceptions of its own, four for each key. Their stack traces take
 * twice as long as all else that it does for an X25519 key.
 */
function withoutStackTraces<T>(work: () => T): T {
  const limit = Error.stackTraceLimit;
  // false where somebody has frozen Error
  const isSet = Reflect.set(Error, 'stackTraceLimit', 0);
  try {
    return work();
  } finally {
    if (isSet) Error.stackTraceLimit = limit;
  }
}
