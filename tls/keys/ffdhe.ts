import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import type { RandomSource } from '../../stack/random.ts';
import { TlsError } from '../errors.ts';

/** RFC 7919 appendix A: size of the prime, the number that makes it one, and size of private keys. */
const PARAMETERS = {
  256: { bits: 2048, offset: 560316n, secretBits: 225 },
  257: { bits: 3072, offset: 2625351n, secretBits: 275 },
  258: { bits: 4096, offset: 5736041n, secretBits: 325 },
  259: { bits: 6144, offset: 15705020n, secretBits: 375 },
  260: { bits: 8192, offset: 10965728n, secretBits: 400 },
} as const;

/** Numbers of the finite-field groups. */
export type FfdheGroup = keyof typeof PARAMETERS;

const primes = new Map<FfdheGroup, Uint8Array>();

/** The prime of a group, big-endian: 2^b - 2^(b-64) + (floor(2^(b-130) e) + X) 2^64 - 1 (RFC 7919 appendix A). */
export function ffdhePrime(group: FfdheGroup): Uint8Array {
  const known = primes.get(group);
  if (known !== undefined) return known;
  const { bits, offset } = PARAMETERS[group];
  const top = BigInt(bits);
  const value = (1n << top) - (1n << (top - 64n)) + ((scaledE(bits - 130) + offset) << 64n) - 1n;
  const prime = new Uint8Array(Buffer.from(value.toString(16), 'hex'));
  primes.set(group, prime);
  return prime;
}

/** floor(2^bits e): the sum of 2^bits / n!, with bits to spare for the rounding. */
function scaledE(bits: number): bigint {
  const spare = 64n;
  let term = 1n << (BigInt(bits) + spare);
  let sum = 0n;
  for (let n = 1n; term > 0n; n++) {
    sum += term;
    term /= n;
  }
  return sum >> spare;
}

/** A key share in a finite-field group (RFC 8446 §4.2.8.1). */
export class FfdheKeyPair {
  readonly publicKey: Uint8Array;
  readonly #privateKey: KeyObject;
  readonly #prime: Uint8Array;

  constructor(group: FfdheGroup, random: RandomSource) {
    const prime = ffdhePrime(group);
    // RFC 7919 §5.2: short exponents, twice as long as the group is strong; the first byte is neither zero nor negative
    const secret = new Uint8Array(Math.ceil(PARAMETERS[group].secretBits / 8));
    random.fill(secret);
    secret[0] = (secret[0]! & 0x7f) | 1;
    // perf: createDiffieHellman() would look for divisors of the prime for a second; a key in DER is taken as it is
    const key = sequence(integer(Uint8Array.of(0)), algorithm(prime), element(OCTET_STRING, integer(secret)));
    secret.fill(0);
    this.#prime = prime;
    this.#privateKey = createPrivateKey({ key, format: 'der', type: 'pkcs8' });
    key.fill(0);
    const spki = createPublicKey(this.#privateKey).export({ format: 'der', type: 'spki' });
    // it ends with a bit string (tag, length, a zero) of the value as an integer (tag, length)
    const value = contentOf(spki.subarray(spki.indexOf(algorithm(prime)) + algorithm(prime).length)).subarray(
      1,
    );
    this.publicKey = padded(contentOf(value), prime.length);
  }

  /** @throws TlsError InvalidKeyShare */
  agree(peerPublicKey: Uint8Array): Uint8Array {
    const prime = this.#prime;
    // RFC 8446 §4.2.8.1: padded to the size of p
    if (peerPublicKey.length !== prime.length) {
      throw new TlsError('InvalidKeyShare', `expected ${prime.length} bytes, got ${peerPublicKey.length}`);
    }
    const value = element(BIT_STRING, Uint8Array.of(0), integer(peerPublicKey));
    try {
      const publicKey = createPublicKey({
        key: sequence(algorithm(prime), value),
        format: 'der',
        type: 'spki',
      });
      // OpenSSL checks 1 < Y < p - 1 (RFC 8446 §4.2.8.1); RFC 8446 §7.4.1: leading zeros are kept
      return padded(diffieHellman({ privateKey: this.#privateKey, publicKey }), prime.length);
    } catch (cause) {
      throw new TlsError('InvalidKeyShare', cause instanceof Error ? cause.message : String(cause));
    }
  }
}

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const SEQUENCE = 0x30;
/** PKCS #3: dhKeyAgreement, 1.2.840.113549.1.3.1 */
const DH_KEY_AGREEMENT = Uint8Array.of(0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 3, 1);

/** PKCS #3 §9: DHParameter with the generator 2. */
function algorithm(prime: Uint8Array): Buffer {
  return sequence(DH_KEY_AGREEMENT, sequence(integer(prime), integer(Uint8Array.of(2))));
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return element(SEQUENCE, ...parts);
}

/** One that is not negative. */
function integer(value: Uint8Array): Buffer {
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  const digits = value.subarray(start);
  return element(INTEGER, digits[0]! >= 0x80 ? Buffer.concat([Uint8Array.of(0), digits]) : digits);
}

function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const n = content.length;
  const long = n < 0x100 ? [0x81, n] : [0x82, n >>> 8, n & 0xff];
  return Buffer.concat([Uint8Array.of(tag, ...(n < 0x80 ? [n] : long)), content]);
}

function contentOf(der: Uint8Array): Uint8Array {
  const length = der[1]!;
  return der.subarray(length < 0x80 ? 2 : 2 + (length & 0x7f));
}

function padded(value: Uint8Array, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  // an integer may have a zero before its first bit
  const digits = value.subarray(Math.max(0, value.length - lengthBytes));
  bytes.set(digits, lengthBytes - digits.length);
  return bytes;
}
