import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type ECDH,
  type KeyObject,
} from 'node:crypto';
import { hexToBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../stack/random.ts';
import { TlsError } from '../errors.ts';

/** RFC 8446 §4.2.7 */
export const NamedGroup = { Secp256r1: 0x0017, Secp384r1: 0x0018, X25519: 0x001d } as const;
export type NamedGroup = (typeof NamedGroup)[keyof typeof NamedGroup];

/** In order of preference; the first is the one whose key share goes into the first ClientHello. */
export const GROUPS: readonly NamedGroup[] = [NamedGroup.X25519, NamedGroup.Secp256r1, NamedGroup.Secp384r1];

const NAMES: Readonly<Record<NamedGroup, string>> = {
  [NamedGroup.X25519]: 'X25519',
  [NamedGroup.Secp256r1]: 'P-256',
  [NamedGroup.Secp384r1]: 'P-384',
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
}

/** Draws a private key and makes its share. */
export function generateKeyShare(group: NamedGroup, random: RandomSource): KeyShare {
  switch (group) {
    case NamedGroup.X25519:
      return new X25519KeyShare(random);
    case NamedGroup.Secp256r1:
      return new EcKeyShare(group, 'prime256v1', 32, random);
    case NamedGroup.Secp384r1:
      return new EcKeyShare(group, 'secp384r1', 48, random);
  }
}

const X25519_BYTES = 32;
// RFC 8410 §7, §4: what stands before the 32 bytes of a key in PKCS #8 and in SubjectPublicKeyInfo
const X25519_PKCS8_PREFIX = hexToBytes('302e020100300506032b656e04220420');
const X25519_SPKI_PREFIX = hexToBytes('302a300506032b656e032100');

class X25519KeyShare implements KeyShare {
  readonly group = NamedGroup.X25519;
  readonly publicKey: Uint8Array;
  readonly #privateKey: KeyObject;

  constructor(random: RandomSource) {
    const der = Buffer.alloc(X25519_PKCS8_PREFIX.length + X25519_BYTES);
    der.set(X25519_PKCS8_PREFIX);
    random.fill(der.subarray(X25519_PKCS8_PREFIX.length));
    this.#privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    der.fill(0);
    const spki = createPublicKey(this.#privateKey).export({ format: 'der', type: 'spki' });
    this.publicKey = new Uint8Array(spki.subarray(X25519_SPKI_PREFIX.length));
  }

  agree(peerPublicKey: Uint8Array): Uint8Array {
    if (peerPublicKey.length !== X25519_BYTES) {
      throw new TlsError(
        'InvalidKeyShare',
        `expected ${X25519_BYTES} bytes for X25519, got ${peerPublicKey.length}`,
      );
    }
    const spki = Buffer.concat([X25519_SPKI_PREFIX, peerPublicKey]);
    let shared: Buffer;
    try {
      const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
      shared = diffieHellman({ privateKey: this.#privateKey, publicKey });
    } catch (cause) {
      // OpenSSL refuses points of small order by itself
      throw invalidPoint('X25519', cause);
    }
    // RFC 8446 §7.4.2: the all-zero output MUST be checked and the handshake aborted
    let bits = 0;
    for (const byte of shared) bits |= byte;
    if (bits === 0) throw new TlsError('InvalidKeyShare', 'the X25519 result is zero');
    return shared;
  }
}

// RFC 8446 §4.2.8.2: uncompressed points only
const UNCOMPRESSED_POINT = 4;

class EcKeyShare implements KeyShare {
  readonly group: NamedGroup;
  readonly publicKey: Uint8Array;
  readonly #ecdh: ECDH;

  constructor(group: NamedGroup, curve: string, scalarBytes: number, random: RandomSource) {
    this.group = group;
    this.#ecdh = createECDH(curve);
    const scalar = Buffer.alloc(scalarBytes);
    for (;;) {
      random.fill(scalar);
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
}

function invalidPoint(group: string, cause: unknown): TlsError {
  return new TlsError(
    'InvalidKeyShare',
    `${group}: ${cause instanceof Error ? cause.message : String(cause)}`,
  );
}
