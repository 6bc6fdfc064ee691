import { createECDH, type ECDH } from 'node:crypto';
import { concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../stack/random.ts';
import { TlsError } from '../errors.ts';
import { type FfdheGroup, FfdheKeyPair } from './ffdhe.ts';
import { drawKeyPair, type RawKeyKind, type RawKeyPair } from './raw-key.ts';

/** RFC 8446 §4.2.7, and RFC 10024 for the hybrid group. */
export const NamedGroup = {
  Secp256r1: 0x0017,
  Secp384r1: 0x0018,
  Secp521r1: 0x0019,
  X25519: 0x001d,
  X448: 0x001e,
  /** RFC 7919: finite fields, offered on request. */
  Ffdhe2048: 0x0100,
  Ffdhe3072: 0x0101,
  Ffdhe4096: 0x0102,
  Ffdhe6144: 0x0103,
  Ffdhe8192: 0x0104,
  X25519MlKem768: 0x11ec,
} as const;
export type NamedGroup = (typeof NamedGroup)[keyof typeof NamedGroup];

/** What is offered when nothing else is asked for, in order of preference. */
export const GROUPS: readonly NamedGroup[] = [
  NamedGroup.X25519MlKem768,
  NamedGroup.X25519,
  NamedGroup.Secp256r1,
  NamedGroup.Secp384r1,
  NamedGroup.Secp521r1,
];

/** All groups. */
export const GROUP_NUMBERS: readonly NamedGroup[] = Object.values(NamedGroup);

/** RFC 7919 §2: what the numbers of finite-field groups begin with. */
const FINITE_FIELDS = 0x0100;

/** Whether ECDHE of TLS 1.2 can use a group: not those of finite fields, and there are no hybrid ones. */
export function isTls12Group(group: NamedGroup): boolean {
  return group !== NamedGroup.X25519MlKem768 && (group & 0xff00) !== FINITE_FIELDS;
}

/**
 * The groups whose shares go into the first ClientHello: the first one, and beside a hybrid group its classical part, so
 * that a server without the hybrid group needs no HelloRetryRequest (RFC 10024).
 */
export function sharedGroups(groups: readonly NamedGroup[]): readonly NamedGroup[] {
  return groups.filter(
    (group, i) => i === 0 || (groups[0] === NamedGroup.X25519MlKem768 && group === NamedGroup.X25519),
  );
}

const NAMES: Readonly<Record<NamedGroup, string>> = {
  [NamedGroup.X25519MlKem768]: 'X25519MLKEM768',
  [NamedGroup.X25519]: 'X25519',
  [NamedGroup.Secp256r1]: 'P-256',
  [NamedGroup.Secp384r1]: 'P-384',
  [NamedGroup.Secp521r1]: 'P-521',
  [NamedGroup.X448]: 'X448',
  [NamedGroup.Ffdhe2048]: 'ffdhe2048',
  [NamedGroup.Ffdhe3072]: 'ffdhe3072',
  [NamedGroup.Ffdhe4096]: 'ffdhe4096',
  [NamedGroup.Ffdhe6144]: 'ffdhe6144',
  [NamedGroup.Ffdhe8192]: 'ffdhe8192',
};

/** The name of a group as users know it. */
export function groupName(group: NamedGroup): string {
  return NAMES[group];
}

/** An ephemeral key pair; used once. */
export interface KeyShare {
  readonly group: NamedGroup;
  /** As it goes into key_exchange (RFC 8446 §4.2.8.2). */
  readonly publicKey: Uint8Array;
  /**
   * The shared secret.
   *
   * @throws TlsError InvalidKeyShare when the peer's key is none of the group
   */
  agree(peerPublicKey: Uint8Array): Uint8Array;
  /** It will not be used: the private key is given up. */
  wipe(): void;
}

/** Draws a private key and makes its share. */
export function generateKeyShare(group: NamedGroup, random: RandomSource): KeyShare {
  switch (group) {
    case NamedGroup.X25519MlKem768:
      return new HybridKeyShare(random);
    case NamedGroup.X25519:
      return new MontgomeryKeyShare(X25519, random);
    case NamedGroup.X448:
      return new MontgomeryKeyShare(X448, random);
    case NamedGroup.Secp256r1:
      return new EcKeyShare(group, 'prime256v1', 32, 0xff, random);
    case NamedGroup.Secp384r1:
      return new EcKeyShare(group, 'secp384r1', 48, 0xff, random);
    case NamedGroup.Secp521r1:
      return new EcKeyShare(group, 'secp521r1', 66, 0x01, random);
    case NamedGroup.Ffdhe2048:
    case NamedGroup.Ffdhe3072:
    case NamedGroup.Ffdhe4096:
    case NamedGroup.Ffdhe6144:
    case NamedGroup.Ffdhe8192:
      return new FfdheKeyShare(group, random);
  }
}

/**
 * The shares of one ClientHello. Beside a hybrid group, X25519 has the key of the hybrid's classical part: only one of the two is
 * ever used (draft-ietf-tls-hybrid-design §3.2 allows it), and making a key is a good part of a handshake's work.
 */
export function generateKeyShares(groups: readonly NamedGroup[], random: RandomSource): KeyShare[] {
  const shares: KeyShare[] = [];
  for (const group of groups) {
    const hybrid = shares.find((share) => share instanceof HybridKeyShare);
    shares.push(group === NamedGroup.X25519 && hybrid ? hybrid.classical : generateKeyShare(group, random));
  }
  return shares;
}

/** None of these is of use any more. */
export function wipeKeyShares(shares: readonly KeyShare[]): void {
  for (const share of shares) share.wipe();
}

/** RFC 7748; RFC 8410 §7, §4: what stands before a key in PKCS #8 and in SubjectPublicKeyInfo. */
interface MontgomeryCurve extends RawKeyKind {
  readonly group: NamedGroup;
}

const X25519_BYTES = 32;
const X448_BYTES = 56;
const X25519: MontgomeryCurve = {
  group: NamedGroup.X25519,
  type: 'x25519',
  privateFormat: 'raw-private',
  privateBytes: X25519_BYTES,
  publicBytes: X25519_BYTES,
  pkcs8Prefix: hexToBytes('302e020100300506032b656e04220420'),
  spkiPrefix: hexToBytes('302a300506032b656e032100'),
};
const X448: MontgomeryCurve = {
  group: NamedGroup.X448,
  type: 'x448',
  privateFormat: 'raw-private',
  privateBytes: X448_BYTES,
  publicBytes: X448_BYTES,
  pkcs8Prefix: hexToBytes('3046020100300506032b656f043a0438'),
  spkiPrefix: hexToBytes('3042300506032b656f033900'),
};

class MontgomeryKeyShare implements KeyShare {
  readonly group: NamedGroup;
  readonly publicKey: Uint8Array;
  readonly #pair: RawKeyPair;

  constructor(curve: MontgomeryCurve, random: RandomSource) {
    this.group = curve.group;
    this.#pair = drawKeyPair(curve, random);
    this.publicKey = this.#pair.publicKey;
  }

  agree(peerPublicKey: Uint8Array): Uint8Array {
    const keyBytes = this.publicKey.length;
    const name = groupName(this.group);
    if (peerPublicKey.length !== keyBytes) {
      throw new TlsError(
        'InvalidKeyShare',
        `expected ${keyBytes} bytes for ${name}, got ${peerPublicKey.length}`,
      );
    }
    let shared: Uint8Array;
    try {
      shared = this.#pair.agree(peerPublicKey);
    } catch (cause) {
      // OpenSSL refuses points of small order by itself
      throw invalidPoint(name, cause);
    }
    // RFC 8446 §7.4.2: the all-zero output MUST be checked and the handshake aborted
    let bits = 0;
    for (const byte of shared) bits |= byte;
    if (bits === 0) throw new TlsError('InvalidKeyShare', `the ${name} result is zero`);
    return shared;
  }

  wipe(): void {
    this.#pair.wipe();
  }
}

const ML_KEM_KEY_BYTES = 1184;
const ML_KEM_CIPHERTEXT_BYTES = 1088;
// FIPS 203 §7.1: d and z, from which the key pair follows
const ML_KEM_SEED_BYTES = 64;
// RFC 9935 §6, §4: what stands before the seed in PKCS #8, and before the key in SubjectPublicKeyInfo
const ML_KEM_768: RawKeyKind = {
  type: 'ml-kem-768',
  privateFormat: 'raw-seed',
  pkcs8Prefix: hexToBytes('3054020100300b060960864801650304040204428040'),
  spkiPrefix: hexToBytes('308204b2300b0609608648016503040402038204a100'),
  privateBytes: ML_KEM_SEED_BYTES,
  publicBytes: ML_KEM_KEY_BYTES,
};

/** RFC 10024: X25519MLKEM768, ML-KEM first in the shares and in the secret. */
class HybridKeyShare implements KeyShare {
  readonly group = NamedGroup.X25519MlKem768;
  readonly publicKey: Uint8Array;
  readonly #postQuantum: RawKeyPair;
  /** What is X25519 of it. */
  readonly classical: MontgomeryKeyShare;

  constructor(random: RandomSource) {
    this.#postQuantum = drawKeyPair(ML_KEM_768, random);
    this.classical = new MontgomeryKeyShare(X25519, random);
    this.publicKey = concatBytes(this.#postQuantum.publicKey, this.classical.publicKey);
  }

  agree(peerPublicKey: Uint8Array): Uint8Array {
    const expectedBytes = ML_KEM_CIPHERTEXT_BYTES + X25519_BYTES;
    if (peerPublicKey.length !== expectedBytes) {
      throw new TlsError(
        'InvalidKeyShare',
        `expected ${expectedBytes} bytes for X25519MLKEM768, got ${peerPublicKey.length}`,
      );
    }
    const classical = this.classical.agree(peerPublicKey.subarray(ML_KEM_CIPHERTEXT_BYTES));
    // FIPS 203 §6.3: a wrong ciphertext of the right length gives another secret, no error
    const ciphertext = peerPublicKey.subarray(0, ML_KEM_CIPHERTEXT_BYTES);
    const postQuantum = this.#postQuantum.agree(ciphertext);
    const shared = concatBytes(postQuantum, classical);
    postQuantum.fill(0);
    classical.fill(0);
    return shared;
  }

  wipe(): void {
    this.#postQuantum.wipe();
    this.classical.wipe();
  }
}

// RFC 8446 §4.2.8.2: uncompressed points only
const UNCOMPRESSED_POINT = 4;

class EcKeyShare implements KeyShare {
  readonly group: NamedGroup;
  readonly publicKey: Uint8Array;
  readonly #ecdh: ECDH;

  /** @param topMask the bits of a scalar's first byte that may be set */
  constructor(group: NamedGroup, curve: string, scalarBytes: number, topMask: number, random: RandomSource) {
    this.group = group;
    this.#ecdh = createECDH(curve);
    const scalar = Buffer.alloc(scalarBytes);
    for (;;) {
      random.fill(scalar);
      scalar[0] = scalar[0]! & topMask;
      try {
        this.#ecdh.setPrivateKey(scalar);
        break;
      } catch {
        // the scalar is zero or not below the order of the curve (less than 2^-32 of all): draw again
      }
    }
    scalar.fill(0);
    this.publicKey = new Uint8Array(this.#ecdh.getPublicKey());
  }

  agree(peerPublicKey: Uint8Array): Uint8Array {
    if (peerPublicKey.length !== this.publicKey.length || peerPublicKey[0] !== UNCOMPRESSED_POINT) {
      throw new TlsError(
        'InvalidKeyShare',
        `expected an uncompressed point of ${this.publicKey.length} bytes for ${groupName(this.group)}`,
      );
    }
    try {
      return this.#ecdh.computeSecret(peerPublicKey);
    } catch (cause) {
      throw invalidPoint(groupName(this.group), cause);
    }
  }

  /** node:crypto keeps the scalar. */
  wipe(): void {}
}

class FfdheKeyShare extends FfdheKeyPair implements KeyShare {
  readonly group: NamedGroup & FfdheGroup;

  constructor(group: NamedGroup & FfdheGroup, random: RandomSource) {
    super(group, random);
    this.group = group;
  }

  /** node:crypto keeps the exponent. */
  wipe(): void {}
}

function invalidPoint(group: string, cause: unknown): TlsError {
  return new TlsError(
    'InvalidKeyShare',
    `${group}: ${cause instanceof Error ? cause.message : String(cause)}`,
  );
}
