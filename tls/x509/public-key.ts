import { DerError, DerReader, Tag } from './der.ts';

/** How strong keys and signatures must be. */
export interface StrengthPolicy {
  /** Least size of an RSA modulus in bits. */
  readonly minRsaBits: number;
  /** Whether certificates may be signed with MD5 or SHA-1. */
  readonly weakHashes: boolean;
}

/** CA/Browser Forum Baseline Requirements §6.1.5, NIST SP 800-131A. */
export const MODERN_STRENGTH: StrengthPolicy = { minRsaBits: 2048, weakHashes: false };
/** What INET_OPTION_SECURE_FALLBACK lets pass: devices that nobody can update. */
export const LEGACY_STRENGTH: StrengthPolicy = { minRsaBits: 1024, weakHashes: true };

/** Verifying takes time with the square of the size, so there is an upper end as well: OpenSSL's. */
const MAX_RSA_BITS = 16384;
/** Octets of the public exponent; a large one makes a verification as slow as a signature. */
const MAX_RSA_EXPONENT_OCTETS = 4;

/** Algorithms of SubjectPublicKeyInfo: their names here. */
export type KeyKind = 'rsa' | 'rsa-pss' | 'ec' | 'ed25519' | 'ed448';

const KINDS: Readonly<Record<string, KeyKind>> = {
  '1.2.840.113549.1.1.1': 'rsa',
  '1.2.840.113549.1.1.10': 'rsa-pss',
  '1.2.840.10045.2.1': 'ec',
  '1.3.101.112': 'ed25519',
  '1.3.101.113': 'ed448',
};

/** Curves that TLS 1.3 and today's certificates use, with the octets of a coordinate. RFC 5480 §2.1.1.1 */
const CURVES: Readonly<Record<string, number>> = {
  '1.2.840.10045.3.1.7': 32,
  '1.3.132.0.34': 48,
  '1.3.132.0.35': 66,
};

/** What is known of a key without computing with it. */
export interface KeyInfo {
  readonly kind: KeyKind | null;
  /** Why it may not be used, or '' when it may. */
  readonly problem: string;
}

/**
 * Judges a SubjectPublicKeyInfo. Does not check that a point is on its curve; node:crypto does that on import.
 * @throws DerError when it is malformed
 */
export function inspectKey(spki: Uint8Array, policy: StrengthPolicy): KeyInfo {
  const fields = new DerReader(spki).enter(Tag.Sequence);
  const algorithm = fields.enter(Tag.Sequence);
  const oid = algorithm.oid();
  const kind = KINDS[oid] ?? null;
  const key = fields.octetsOfBitString();
  fields.finish();
  switch (kind) {
    case 'rsa':
      // RFC 3279 §2.3.1: the parameters are NULL.
      if (algorithm.contents(Tag.Null).length !== 0) throw new DerError('malformed NULL');
      algorithm.finish();
      return { kind, problem: rsaProblem(key, policy) };
    case 'rsa-pss':
      return { kind, problem: rsaProblem(key, policy) };
    case 'ec': {
      // RFC 5480 §2.1.1: named curves only.
      if (algorithm.peek() !== Tag.Oid) return { kind, problem: 'its curve has no name' };
      const curve = algorithm.oid();
      algorithm.finish();
      const octets = CURVES[curve];
      if (octets === undefined) return { kind, problem: `its curve ${curve} is not P-256, P-384 or P-521` };
      // RFC 5480 §2.2; compressed points are allowed there and used by nobody.
      if (key.length !== 1 + 2 * octets || key[0] !== 4)
        return { kind, problem: 'its point is not uncompressed' };
      return { kind, problem: '' };
    }
    case 'ed25519':
    case 'ed448':
      // RFC 8410 §3: no parameters.
      algorithm.finish();
      if (key.length !== (kind === 'ed25519' ? 32 : 57))
        throw new DerError(`${kind} key of ${key.length} octets`);
      return { kind, problem: '' };
    default:
      return { kind, problem: `its key algorithm ${oid} is not supported` };
  }
}

function rsaProblem(key: Uint8Array, policy: StrengthPolicy): string {
  const outer = new DerReader(key);
  const fields = outer.enter(Tag.Sequence);
  outer.finish();
  const modulus = fields.integerBytes();
  const exponent = fields.integerBytes();
  fields.finish();
  if ((modulus[0]! & 0x80) !== 0 || (exponent[0]! & 0x80) !== 0) throw new DerError('negative RSA key');
  const lead = modulus[0] === 0 ? 1 : 0;
  const bits = modulus.length === lead ? 0 : (modulus.length - lead) * 8 - (Math.clz32(modulus[lead]!) - 24);
  if (bits < policy.minRsaBits) return `its RSA key of ${bits} bits is shorter than ${policy.minRsaBits}`;
  if (bits > MAX_RSA_BITS) return `its RSA key of ${bits} bits is longer than ${MAX_RSA_BITS}`;
  // CA/Browser Forum Baseline Requirements §6.1.6; an odd size is a generator's mistake.
  if (bits % 8 !== 0) return `its RSA key of ${bits} bits is not whole octets`;
  if ((modulus[modulus.length - 1]! & 1) === 0) return 'its RSA modulus is even';
  const tiny = exponent.length === 1 && exponent[0]! < 3;
  if (tiny || (exponent[exponent.length - 1]! & 1) === 0) return 'its RSA exponent is even or below 3';
  if (exponent.length > MAX_RSA_EXPONENT_OCTETS) return 'its RSA exponent is longer than 31 bits';
  return '';
}

/** The contents of subjectPublicKey without the octet of unused bits: what OCSP hashes (RFC 6960 §4.1.1). @throws DerError */
export function keyBitsOf(spki: Uint8Array): Uint8Array {
  const fields = new DerReader(spki).enter(Tag.Sequence);
  fields.enter(Tag.Sequence);
  return fields.octetsOfBitString();
}
