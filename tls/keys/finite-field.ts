import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../stack/random.ts';
import { TlsError } from '../errors.ts';
import { MAX_DH_BITS } from '../limits.ts';
import { DerReader, Tag } from '../x509/der.ts';

/** The group that a server has chosen and its public value (RFC 5246 §7.4.3), big-endian. */
export interface DhParameters {
  readonly p: Uint8Array;
  readonly g: Uint8Array;
  readonly publicValue: Uint8Array;
}

/** What follows from an exchange. */
export interface DhResult {
  /** Our public value, as long as p. */
  readonly publicValue: Uint8Array;
  readonly sharedSecret: Uint8Array;
  /** The size of p. */
  readonly bits: number;
}

/**
 * A Diffie-Hellman exchange with a fresh key in a group of the peer's. Whether p is prime and safe is not looked at, as
 * nowhere: it takes a hundred times as long as the exchange, and the server has signed it.
 *
 * @param minBits the least size of p
 * @throws TlsError GroupTooWeak, InvalidGroup, InvalidKeyShare
 */
export function agreeInGroup(peer: DhParameters, minBits: number, random: RandomSource): DhResult {
  const p = numberOf(peer.p);
  const bits = p === 0n ? 0 : p.toString(2).length;
  if (bits < minBits) throw new TlsError('GroupTooWeak', `${bits} bits, at least ${minBits} are wanted`);
  if (bits > MAX_DH_BITS) throw new TlsError('InvalidGroup', `${bits} bits, limit ${MAX_DH_BITS}`);
  if ((p & 1n) === 0n) throw new TlsError('InvalidGroup', 'its modulus is even');
  const isTrivial = (value: bigint): boolean => value <= 1n || value >= p - 1n;
  if (isTrivial(numberOf(peer.g))) throw new TlsError('InvalidGroup', 'its generator is 0, 1 or p - 1');
  // RFC 7919 §5.1: 1 < dh_Y < dh_p - 1
  if (isTrivial(numberOf(peer.publicValue))) {
    throw new TlsError('InvalidKeyShare', 'the public value of the server is 0, 1 or p - 1');
  }
  const modulusBytes = Math.ceil(bits / 8);
  // perf: node:crypto's DiffieHellman looks for primes first, for 350 ms with 2048 bits; keys in DER take 5 ms
  const algorithm = der(SEQUENCE, DH_KEY_AGREEMENT, der(SEQUENCE, integer(peer.p), integer(peer.g)));
  const exponent = privateExponent(bits, random);
  const pkcs8 = der(SEQUENCE, Uint8Array.of(2, 1, 0), algorithm, der(OCTET_STRING, integer(exponent)));
  const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
  exponent.fill(0);
  pkcs8.fill(0);
  const publicKey = createPublicKey({
    key: spkiOf(algorithm, peer.publicValue),
    format: 'der',
    type: 'spki',
  });
  const own = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const publicValue = leftPadded(publicValueOf(own), modulusBytes);
  const shared = diffieHellman({ privateKey, publicKey });
  // RFC 5246 §8.1.2: leading bytes that contain all zero bits are stripped before the premaster secret is used
  let start = 0;
  while (start < shared.length && shared[start] === 0) start++;
  const sharedSecret = Uint8Array.from(shared.subarray(start));
  shared.fill(0);
  return { publicValue, sharedSecret, bits };
}

/** A number of one bit less than p: the order of the generator is not known. */
function privateExponent(bits: number, random: RandomSource): Uint8Array {
  const exponentBits = bits - 1;
  const exponent = new Uint8Array(Math.ceil(exponentBits / 8));
  random.fill(exponent);
  const unusedBits = 8 * exponent.length - exponentBits;
  // the highest bit is set: never 0, never short
  exponent[0] = (exponent[0]! & (0xff >>> unusedBits)) | (0x80 >>> unusedBits);
  return exponent;
}

const SEQUENCE = 0x30;
const OCTET_STRING = 0x04;
const BIT_STRING = 0x03;
const INTEGER = 0x02;
// PKCS #3 §9: dhKeyAgreement
const DH_KEY_AGREEMENT = hexToBytes('06092a864886f70d010301');

function spkiOf(algorithm: Uint8Array, publicValue: Uint8Array): Buffer {
  return Buffer.from(der(SEQUENCE, algorithm, der(BIT_STRING, Uint8Array.of(0), integer(publicValue))));
}

/** PKCS #3 §8: the public value is an INTEGER in the BIT STRING. */
function publicValueOf(spki: Uint8Array): Uint8Array {
  const fields = new DerReader(spki).enter(Tag.Sequence);
  fields.element();
  const value = new DerReader(fields.octetsOfBitString()).integerBytes();
  return value[0] === 0 ? value.subarray(1) : value;
}

/** X.690 §8.3: without needless zeros in front, and not negative. */
function integer(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const isHigh = bytes[start]! >= 0x80;
  return der(INTEGER, new Uint8Array(isHigh ? 1 : 0), bytes.subarray(start));
}

/** One element with a definite length (X.690 §8.1.3). */
function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...parts);
  const { length } = content;
  if (length < 0x80) return concatBytes(Uint8Array.of(tag, length), content);
  if (length < 0x100) return concatBytes(Uint8Array.of(tag, 0x81, length), content);
  return concatBytes(Uint8Array.of(tag, 0x82, length >>> 8, length), content);
}

function leftPadded(bytes: Uint8Array, lengthBytes: number): Uint8Array {
  const padded = new Uint8Array(lengthBytes);
  padded.set(bytes, lengthBytes - bytes.length);
  return padded;
}

function numberOf(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytesToHex(bytes)}`);
}
