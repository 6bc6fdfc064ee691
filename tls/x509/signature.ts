import { constants, type KeyObject, verify } from 'node:crypto';
import { contextTag, DerError, DerReader, Tag } from './der.ts';
import type { KeyKind } from './public-key.ts';

/** How a certificate is signed. */
export interface SignatureAlgorithm {
  readonly name: string;
  /** node:crypto's name, or null where the scheme has its own hash. */
  readonly hash: string | null;
  /** Kinds of keys that can have made it. */
  readonly keys: readonly KeyKind[];
  /** MD5 or SHA-1. */
  readonly weak: boolean;
  /** Octets of the salt for RSASSA-PSS, else -1. */
  readonly saltLength: number;
}

/**
 * Reads an AlgorithmIdentifier.
 * @returns null when the algorithm is not supported
 * @throws DerError when it is malformed or its parameters are not those of its RFC
 */
export function readSignatureAlgorithm(der: Uint8Array): SignatureAlgorithm | null {
  const fields = new DerReader(der).enter(Tag.Sequence);
  const oid = fields.oid();
  if (oid === RSASSA_PSS) return readPss(fields);
  const known = ALGORITHMS[oid];
  if (known === undefined) return null;
  if (known.keys[0] === 'rsa' && !fields.atEnd) {
    // RFC 4055 §5: NULL, and absent parameters MUST be accepted too.
    if (fields.contents(Tag.Null).length !== 0) throw new DerError('malformed NULL');
  }
  // RFC 5758 §3.2, RFC 8410 §3: the others have none.
  fields.finish();
  return known;
}

/** Whether `signature` over `data` was made with the private half of `key`. */
export function verifySignature(
  algorithm: SignatureAlgorithm,
  data: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  try {
    if (algorithm.saltLength < 0) return verify(algorithm.hash, data, key, signature);
    const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: algorithm.saltLength };
    return verify(algorithm.hash, data, pss, signature);
  } catch {
    // OpenSSL reports some malformed signatures, and keys that do not allow the hash, as errors.
    return false;
  }
}

const RSASSA_PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';

const RSA: readonly KeyKind[] = ['rsa'];
const RSA_PSS: readonly KeyKind[] = ['rsa', 'rsa-pss'];
const EC: readonly KeyKind[] = ['ec'];

function scheme(
  name: string,
  hash: string | null,
  keys: readonly KeyKind[],
  weak = false,
): SignatureAlgorithm {
  return { name, hash, keys, weak, saltLength: -1 };
}

const ALGORITHMS: Readonly<Record<string, SignatureAlgorithm>> = {
  '1.2.840.113549.1.1.4': scheme('md5WithRSAEncryption', 'md5', RSA, true),
  '1.2.840.113549.1.1.5': scheme('sha1WithRSAEncryption', 'sha1', RSA, true),
  '1.2.840.113549.1.1.11': scheme('sha256WithRSAEncryption', 'sha256', RSA),
  '1.2.840.113549.1.1.12': scheme('sha384WithRSAEncryption', 'sha384', RSA),
  '1.2.840.113549.1.1.13': scheme('sha512WithRSAEncryption', 'sha512', RSA),
  '1.2.840.10045.4.1': scheme('ecdsa-with-SHA1', 'sha1', EC, true),
  '1.2.840.10045.4.3.2': scheme('ecdsa-with-SHA256', 'sha256', EC),
  '1.2.840.10045.4.3.3': scheme('ecdsa-with-SHA384', 'sha384', EC),
  '1.2.840.10045.4.3.4': scheme('ecdsa-with-SHA512', 'sha512', EC),
  '1.3.101.112': scheme('Ed25519', null, ['ed25519']),
  '1.3.101.113': scheme('Ed448', null, ['ed448']),
};

/** Digests of RSASSA-PSS, with the octets of a digest. SHA-1, the default of its parameters, is not among them. */
const PSS_HASHES: Readonly<Record<string, readonly [string, number]>> = {
  '2.16.840.1.101.3.4.2.1': ['sha256', 32],
  '2.16.840.1.101.3.4.2.2': ['sha384', 48],
  '2.16.840.1.101.3.4.2.3': ['sha512', 64],
};

/** RSASSA-PSS-params (RFC 4055 §3.1), of which only the sane combinations are supported: one hash, for both uses. */
function readPss(algorithm: DerReader): SignatureAlgorithm | null {
  const params = algorithm.enter(Tag.Sequence);
  algorithm.finish();
  const hashField = params.enterOptional(contextTag(0, true));
  const maskField = params.enterOptional(contextTag(1, true));
  const saltField = params.enterOptional(contextTag(2, true));
  const saltLength = saltField === null ? 20 : saltField.smallInteger();
  saltField?.finish();
  const trailer = params.enterOptional(contextTag(3, true));
  if (trailer !== null && trailer.smallInteger() !== 1) return null;
  params.finish();
  // Absent means SHA-1.
  if (hashField === null || maskField === null) return null;
  const hash = readHash(hashField);
  const mask = maskField.enter(Tag.Sequence);
  maskField.finish();
  if (mask.oid() !== MGF1 || readHash(mask) !== hash) return null;
  const known = PSS_HASHES[hash];
  // A salt shorter than the digest is weaker than the digest; CAs use one of its length (RFC 4055 §3.1).
  if (known === undefined || saltLength < known[1]) return null;
  return { name: `RSASSA-PSS with ${known[0]}`, hash: known[0], keys: RSA_PSS, weak: false, saltLength };
}

function readHash(field: DerReader): string {
  const identifier = field.enter(Tag.Sequence);
  field.finish();
  const oid = identifier.oid();
  if (!identifier.atEnd && identifier.contents(Tag.Null).length !== 0) throw new DerError('malformed NULL');
  identifier.finish();
  return oid;
}
