import {
  constants,
  type KeyObject,
  type SignKeyObjectInput,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { TlsError } from '../errors.ts';
import { MIN_RSA_BITS } from '../limits.ts';
import type { TlsVersion } from '../wire/codes.ts';
import { equalBytes } from '../x509/der.ts';
import type { SuiteAuthentication } from './suites.ts';

/** How a server may sign its handshake, or only its certificates. */
interface SchemeRow {
  readonly id: number;
  readonly name: string;
  /** What node:crypto calls the type of the key. */
  readonly keyType: 'ec' | 'ed25519' | 'rsa' | 'rsa-pss';
  /** Only for EC keys: TLS 1.3 ties curve and hash together. */
  readonly curve: string | null;
  readonly hash: 'sha256' | 'sha384' | 'sha512' | 'sha1' | 'md5' | 'md5-sha1' | null;
  /** RSASSA-PKCS1-v1_5: TLS 1.3 has it in certificates only. */
  readonly isPkcs1: boolean;
}

/** RFC 2246 §7.4.3: how RSA keys sign before TLS 1.2, where the scheme has no number; one for private use (RFC 8446 §11). */
const RSA_MD5_SHA1 = 0xff01;
/** RFC 8422 §5.4: how ECDSA keys sign before TLS 1.2. */
const ECDSA_SHA1 = 0x0203;

/** RFC 8446 §4.2.3, in order of preference. */
const SCHEMES: readonly SchemeRow[] = [
  row(0x0403, 'ecdsa_secp256r1_sha256', 'ec', 'sha256', 'prime256v1'),
  row(0x0807, 'ed25519', 'ed25519', null),
  row(0x0804, 'rsa_pss_rsae_sha256', 'rsa', 'sha256'),
  row(0x0503, 'ecdsa_secp384r1_sha384', 'ec', 'sha384', 'secp384r1'),
  row(0x0805, 'rsa_pss_rsae_sha384', 'rsa', 'sha384'),
  row(0x0806, 'rsa_pss_rsae_sha512', 'rsa', 'sha512'),
  row(0x0809, 'rsa_pss_pss_sha256', 'rsa-pss', 'sha256'),
  row(0x080a, 'rsa_pss_pss_sha384', 'rsa-pss', 'sha384'),
  row(0x080b, 'rsa_pss_pss_sha512', 'rsa-pss', 'sha512'),
  row(0x0603, 'ecdsa_secp521r1_sha512', 'ec', 'sha512', 'secp521r1'),
  row(0x0401, 'rsa_pkcs1_sha256', 'rsa', 'sha256', null, true),
  row(0x0501, 'rsa_pkcs1_sha384', 'rsa', 'sha384', null, true),
  row(0x0601, 'rsa_pkcs1_sha512', 'rsa', 'sha512', null, true),
];

/** RFC 8446 §4.2.3, RFC 5246 §7.4.1.4.1; RFC 9155 forbids them to all who can do without. */
const WEAK_SCHEMES: readonly SchemeRow[] = [
  row(ECDSA_SHA1, 'ecdsa_sha1', 'ec', 'sha1'),
  row(0x0201, 'rsa_pkcs1_sha1', 'rsa', 'sha1', null, true),
  row(0x0101, 'rsa_pkcs1_md5', 'rsa', 'md5', null, true),
];
const ALL_SCHEMES: readonly SchemeRow[] = [
  ...SCHEMES,
  ...WEAK_SCHEMES,
  row(RSA_MD5_SHA1, 'rsa_pkcs1_md5_sha1', 'rsa', 'md5-sha1', null, true),
];

/** What signature_algorithms offers, for handshakes and certificates. */
export const SIGNATURE_SCHEMES: readonly number[] = SCHEMES.map((scheme) => scheme.id);

/** The same with INET_OPTION_SECURE_FALLBACK. */
export const FALLBACK_SIGNATURE_SCHEMES: readonly number[] = [...SCHEMES, ...WEAK_SCHEMES].map(
  (scheme) => scheme.id,
);

/** What a CertificateRequest implies before TLS 1.2. */
export const IMPLIED_SCHEMES: readonly number[] = [RSA_MD5_SHA1, ECDSA_SHA1];

/** RFC 2246 §7.4.3, RFC 8422 §5.4: before TLS 1.2 the suite says how a server signs. */
export function impliedScheme(authentication: SuiteAuthentication): number {
  return authentication === 'rsa' ? RSA_MD5_SHA1 : ECDSA_SHA1;
}

/** The name of a scheme as RFC 8446 writes it. */
export function signatureSchemeName(id: number): string {
  return ALL_SCHEMES.find((scheme) => scheme.id === id)?.name ?? `0x${id.toString(16).padStart(4, '0')}`;
}

/** The number of a scheme that TLS 1.2 or TLS 1.3 has, or undefined. */
export function signatureSchemeNumber(name: string): number | undefined {
  return [...SCHEMES, ...WEAK_SCHEMES].find((scheme) => scheme.name === name)?.id;
}

/**
 * The schemes with which a key can sign a handshake, in order of preference.
 *
 * @param key a public key
 * @param fallback whether SHA-1 and MD5 may be used in TLS 1.2, if nothing else is wanted
 */
export function schemesForKey(key: KeyObject, version: TlsVersion, fallback: boolean): readonly number[] {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  if (version < 'TLSv1.2') {
    if (key.asymmetricKeyType === 'rsa') return [RSA_MD5_SHA1];
    return key.asymmetricKeyType === 'ec' && CURVES.has(namedCurve) ? [ECDSA_SHA1] : [];
  }
  const known = fallback && version === 'TLSv1.2' ? [...SCHEMES, ...WEAK_SCHEMES] : SCHEMES;
  return known
    .filter((scheme) => {
      if (scheme.keyType !== key.asymmetricKeyType) return false;
      if (
        version === 'TLSv1.3' &&
        (scheme.isPkcs1 || (scheme.curve !== null && scheme.curve !== namedCurve))
      ) {
        return false;
      }
      if (scheme.keyType === 'ec') return CURVES.has(namedCurve);
      // RFC 8017 §9.1.1: PSS needs room for two hashes and two bytes
      const hashBytes = Number(scheme.hash?.slice(3) ?? 0) / 8;
      return modulusLength === undefined || scheme.isPkcs1 || modulusLength / 8 >= 2 * hashBytes + 2;
    })
    .map((scheme) => scheme.id);
}

/**
 * Signs with a scheme of {@link schemesForKey}.
 *
 * @throws what OpenSSL says when the key cannot
 */
export function signContent(schemeId: number, key: KeyObject, content: Uint8Array): Uint8Array {
  const scheme = ALL_SCHEMES.find((each) => each.id === schemeId);
  if (scheme === undefined) throw new RangeError(`no signature scheme ${schemeId}`);
  return new Uint8Array(sign(scheme.hash, content, withPadding(scheme, key)));
}

/** What a client signs in its CertificateVerify of TLS 1.3. */
export function clientVerifyContent(transcriptHash: Uint8Array): Uint8Array {
  return concatBytes(CLIENT_CONTEXT, transcriptHash);
}

// RFC 8446 §4.4.3: 64 spaces, the context string, a zero byte, the transcript hash
const SERVER_CONTEXT = utf8ToBytes(`${' '.repeat(64)}TLS 1.3, server CertificateVerify\0`);
const CLIENT_CONTEXT = utf8ToBytes(`${' '.repeat(64)}TLS 1.3, client CertificateVerify\0`);

/**
 * Checks the signature of a server's CertificateVerify (RFC 8446 §4.4.3).
 *
 * @param certificate DER
 * @param offered the schemes of our signature_algorithms
 * @param transcriptHash over ClientHello … Certificate
 * @throws TlsError when the scheme was not offered, does not fit the key, or the signature is wrong
 */
export function verifyServerSignature(
  certificate: Uint8Array,
  offered: readonly number[],
  schemeId: number,
  signature: Uint8Array,
  transcriptHash: Uint8Array,
): void {
  const scheme = SCHEMES.find((each) => each.id === schemeId);
  // RFC 8446 §4.4.3: the algorithm MUST be one offered in "signature_algorithms"; RSA signatures MUST be RSASSA-PSS
  if (scheme === undefined || scheme.isPkcs1 || !offered.includes(schemeId)) {
    throw new TlsError('UnofferedSignatureScheme', signatureSchemeName(schemeId));
  }
  const key = publicKeyOf(certificate);
  const fits =
    key.asymmetricKeyType === scheme.keyType &&
    (scheme.curve === null || key.asymmetricKeyDetails?.namedCurve === scheme.curve);
  if (!fits) {
    throw new TlsError('SignatureSchemeMismatch', `${scheme.name} with a key of type ${describeKey(key)}`);
  }
  const content = concatBytes(SERVER_CONTEXT, transcriptHash);
  if (!verifies(scheme, content, key, signature)) throw new TlsError('BadSignature', scheme.name);
}

// the curves of the ECDSA schemes: a server's key is on one of them
const CURVES: ReadonlySet<string | undefined> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

/**
 * Checks the signature of a server over its key exchange before TLS 1.3 (RFC 5246 §7.4.3, RFC 8422 §5.4).
 *
 * @param certificate DER
 * @param authentication what the cipher suite demands
 * @param offered the schemes of our signature_algorithms; null before TLS 1.2, where the suite implies the scheme
 * @param content both randoms and the parameters
 * @throws TlsError when the key does not fit the suite, the scheme was not offered or does not fit the key, or the
 * signature is wrong
 */
export function verifyKeyExchangeSignature(
  certificate: Uint8Array,
  authentication: SuiteAuthentication,
  offered: readonly number[] | null,
  schemeId: number,
  signature: Uint8Array,
  content: Uint8Array,
): void {
  const key = publicKeyOf(certificate);
  // RFC 8422 §2.1, §5.10: ECDHE_ECDSA is for ECDSA and EdDSA keys, ECDHE_RSA for RSA keys
  const isRsa = key.asymmetricKeyType === 'rsa' || key.asymmetricKeyType === 'rsa-pss';
  if (isRsa !== (authentication === 'rsa')) {
    throw new TlsError('CertificateTypeMismatch', `${authentication} with a key of type ${describeKey(key)}`);
  }
  checkRsaSize(key);
  const scheme = ALL_SCHEMES.find((each) => each.id === schemeId);
  const isOffered =
    offered === null ? schemeId === impliedScheme(authentication) : offered.includes(schemeId);
  if (scheme === undefined || !isOffered) {
    throw new TlsError('UnofferedSignatureScheme', signatureSchemeName(schemeId));
  }
  // RFC 8446 §4.2.3: in TLS 1.2 the ECDSA schemes do not constrain the curve
  const fits =
    key.asymmetricKeyType === scheme.keyType &&
    (scheme.keyType !== 'ec' || CURVES.has(key.asymmetricKeyDetails?.namedCurve));
  if (!fits) {
    throw new TlsError('SignatureSchemeMismatch', `${scheme.name} with a key of type ${describeKey(key)}`);
  }
  if (!verifies(scheme, content, key, signature)) throw new TlsError('BadSignature', scheme.name);
}

function verifies(scheme: SchemeRow, content: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  try {
    return verify(scheme.hash, content, withPadding(scheme, key), signature);
  } catch {
    // OpenSSL throws instead of answering when an RSA-PSS key demands other parameters, or is too small for the hash
    return false;
  }
}

function withPadding(scheme: SchemeRow, key: KeyObject): KeyObject | SignKeyObjectInput {
  if ((scheme.keyType !== 'rsa' && scheme.keyType !== 'rsa-pss') || scheme.isPkcs1) return key;
  // RFC 8446 §4.2.3: the length of the salt MUST be equal to the length of the digest
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
}

/**
 * The key of a certificate for RSA key exchange (RFC 5246 §7.4.7.1).
 *
 * @throws TlsError when it is none, or too small
 */
export function encryptionKeyOf(certificate: Uint8Array): KeyObject {
  const key = publicKeyOf(certificate);
  if (key.asymmetricKeyType !== 'rsa') {
    throw new TlsError('CertificateTypeMismatch', `RSA key exchange with a key of type ${describeKey(key)}`);
  }
  checkRsaSize(key);
  return key;
}

/** Whatever the verifier thinks of it: A. Beurdouche et al., FREAK, 2015, were about keys of export size. */
function checkRsaSize(key: KeyObject): void {
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < MIN_RSA_BITS) throw new TlsError('KeyTooWeak', `${bits} bits`);
}

/** The certificate whose key was asked for last, with the key: most connections of a thread are to one server. */
let known: { readonly certificate: Uint8Array; readonly key: KeyObject } | null = null;

function publicKeyOf(certificate: Uint8Array): KeyObject {
  if (known !== null && equalBytes(known.certificate, certificate)) return known.key;
  try {
    const { publicKey } = new X509Certificate(certificate);
    known = { certificate: certificate.slice(), key: publicKey };
    return publicKey;
  } catch (cause) {
    throw new TlsError('CertificateUnreadable', cause instanceof Error ? cause.message : String(cause));
  }
}

function describeKey(key: KeyObject): string {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  return curve === undefined ? String(key.asymmetricKeyType) : `${key.asymmetricKeyType} ${curve}`;
}

function row(
  id: number,
  name: string,
  keyType: SchemeRow['keyType'],
  hash: SchemeRow['hash'],
  curve: string | null = null,
  isPkcs1 = false,
): SchemeRow {
  return { id, name, keyType, curve, hash, isPkcs1 };
}
