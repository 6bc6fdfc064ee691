import { type KeyObject, X509Certificate } from 'node:crypto';
import type Forge from 'node-forge';
import { CredentialsError } from './errors.ts';
import { forge } from './forge.ts';
import { isUnsupported, keyOf } from './private-key.ts';
import type { StoredCertificate, StoredKey } from './store.ts';

/** What a PKCS#12 file (RFC 7292) holds. */
export interface Pkcs12 {
  readonly certificates: readonly StoredCertificate[];
  readonly keys: readonly StoredKey[];
}

/** More rounds of a password's derivation are not computed: the number stands in the file, unprotected. */
export const MAX_ITERATIONS = 1_000_000;
/** Structures within structures are not looked into further than this; an ordinary file has about twenty. */
const MAX_DEPTH = 64;

/** @returns whether these bytes begin as a PFX does: a sequence whose first element is the version 3 */
export function looksLikePkcs12(data: Uint8Array): boolean {
  if (data[0] !== 0x30) return false;
  const lengthBytes = (data[1] ?? 0) > 0x80 ? (data[1] ?? 0) & 0x7f : 0;
  const at = 2 + lengthBytes;
  return data[at] === 0x02 && data[at + 1] === 1 && data[at + 2] === 3;
}

/**
 * Reads a PKCS#12 file, of today's kind (AES, HMAC with SHA-2) and of the old one (RC2 and triple DES, SHA-1).
 * @param password null: none
 * @throws CredentialsError password, broken
 */
export function readPkcs12(data: Uint8Array, password: string | null): Pkcs12 {
  const bags = open(data, password);
  const certificates: StoredCertificate[] = [];
  const keys: StoredKey[] = [];
  for (const bag of bags) {
    const friendlyName = attribute(bag, 'friendlyName');
    const localKeyId = attribute(bag, 'localKeyId');
    if (bag.type === forge().pki.oids['certBag']) {
      certificates.push({ der: certificateOf(bag), friendlyName, localKeyId });
    } else {
      const key = privateKeyOf(bag);
      if (key !== null) keys.push({ key, friendlyName, localKeyId });
    }
  }
  return { certificates, keys };
}

function open(data: Uint8Array, password: string | null): Forge.pkcs12.Bag[] {
  let pfx: Forge.asn1.Asn1;
  try {
    pfx = forge().asn1.fromDer(forge().util.createBuffer(Buffer.from(data).toString('latin1')));
  } catch (cause) {
    throw new CredentialsError('broken', 'the PKCS#12 file is damaged', cause);
  }
  checkIterations(pfx, 0);
  let failure: unknown;
  // RFC 7292 appendix B: no password and an empty one are different, and programs disagree about which they mean
  for (const candidate of password === null || password === '' ? ['', undefined] : [password]) {
    try {
      return contents(forge().pkcs12.pkcs12FromAsn1(pfx, false, candidate));
    } catch (cause) {
      failure = cause;
    }
  }
  // RFC 8018 §3 leaves the encoding open: with PBES2 everybody takes UTF-8, but UTF-16 for the MAC, which was right then
  if (password !== null && !isMacWrong(failure) && /[^\0-~]/.test(password)) {
    try {
      return contents(
        forge().pkcs12.pkcs12FromAsn1(withoutMac(pfx), false, forge().util.encodeUtf8(password)),
      );
    } catch (cause) {
      failure = cause;
    }
  }
  if (isMacWrong(failure) || /wrong password|decrypt/i.test(String(failure))) {
    throw new CredentialsError('password', 'the password does not open the PKCS#12 file', failure);
  }
  const reason = isUnsupported(failure) && failure instanceof Error ? `: ${failure.message}` : '';
  throw new CredentialsError('broken', `the PKCS#12 file cannot be read${reason}`, failure);
}

/**
 * Looks for numbers of rounds: they follow their salt, an octet string (RFC 7292 §4 MacData, RFC 8018 appendix A).
 * @throws CredentialsError broken
 */
function checkIterations(element: Forge.asn1.Asn1, depth: number): void {
  const { Type } = forge().asn1;
  if (depth > MAX_DEPTH) return;
  if (!Array.isArray(element.value)) {
    if (element.type === Type.OCTETSTRING) checkInside(element.value, depth);
    return;
  }
  let last: Forge.asn1.Asn1 | null = null;
  for (const part of element.value) {
    const isRounds = part.type === Type.INTEGER && last?.type === Type.OCTETSTRING;
    if (isRounds && typeof part.value === 'string' && numberOf(part.value) > MAX_ITERATIONS) {
      throw new CredentialsError(
        'broken',
        `the PKCS#12 file asks for more than ${MAX_ITERATIONS} iterations`,
      );
    }
    checkIterations(part, depth + 1);
    last = part;
  }
}

function checkInside(octets: string, depth: number): void {
  let inside: Forge.asn1.Asn1;
  try {
    inside = forge().asn1.fromDer(forge().util.createBuffer(octets));
  } catch {
    // encrypted, or no structure
    return;
  }
  checkIterations(inside, depth + 1);
}

function numberOf(bytes: string): number {
  let number = 0;
  for (const char of bytes) number = number * 256 + char.charCodeAt(0);
  return number;
}

function isMacWrong(failure: unknown): boolean {
  return /MAC could not be verified/.test(String(failure));
}

function withoutMac(pfx: Forge.asn1.Asn1): Forge.asn1.Asn1 {
  return { ...pfx, value: Array.isArray(pfx.value) ? pfx.value.slice(0, 2) : pfx.value };
}

function contents(file: Forge.pkcs12.Pkcs12Pfx): Forge.pkcs12.Bag[] {
  return file.safeContents.flatMap((each) => each.safeBags);
}

function certificateOf(bag: Forge.pkcs12.Bag): Uint8Array {
  // forge reads RSA certificates, and leaves all others as they are
  const asn1 = bag.cert ? forge().pki.certificateToAsn1(bag.cert) : bag.asn1;
  const der = Buffer.from(forge().asn1.toDer(asn1).getBytes(), 'latin1');
  try {
    return new Uint8Array(new X509Certificate(der).raw);
  } catch (cause) {
    throw new CredentialsError('broken', 'a certificate in the PKCS#12 file is damaged', cause);
  }
}

/** @returns null for bags that hold neither certificates nor keys */
function privateKeyOf(bag: Forge.pkcs12.Bag): KeyObject | null {
  const { keyBag, pkcs8ShroudedKeyBag } = forge().pki.oids;
  if (bag.type !== keyBag && bag.type !== pkcs8ShroudedKeyBag) return null;
  try {
    const info = bag.key ? forge().pki.wrapRsaPrivateKey(forge().pki.privateKeyToAsn1(bag.key)) : bag.asn1;
    return keyOf(info);
  } catch (cause) {
    throw new CredentialsError('broken', 'a private key in the PKCS#12 file is damaged', cause);
  }
}

function attribute(bag: Forge.pkcs12.Bag, name: 'friendlyName' | 'localKeyId'): string | null {
  const attributes = bag.attributes as Readonly<Record<string, readonly unknown[] | undefined>>;
  const value = attributes[name]?.[0];
  return typeof value === 'string' ? value : null;
}
