import { createPrivateKey, type KeyObject } from 'node:crypto';
import type Forge from 'node-forge';
import { CredentialsError } from './errors.ts';
import { forge } from './forge.ts';

/** Labels of private keys in PEM files. */
const KEY_LABEL = /-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----[\s\S]*?-----END \1-----/;

/**
 * Reads a private key: PKCS#8 or the older kinds of RSA and EC, in PEM or DER, encrypted or not. Ciphers that OpenSSL 3 has
 * dropped (RC2, single DES) are opened too: old devices' keys come so.
 *
 * @param password of an encrypted key; null: none
 * @throws CredentialsError password, when it is wrong or one is needed; broken; missing, when there is no key
 */
export function readPrivateKey(data: string | Uint8Array, password: string | null): KeyObject {
  const text = typeof data === 'string' ? data : Buffer.from(data).toString('latin1');
  const pem = KEY_LABEL.exec(text)?.[0];
  if (pem !== undefined) return fromPem(pem, password);
  if (typeof data === 'string') throw new CredentialsError('missing', 'there is no private key in the file');
  return fromDer(data, password);
}

function fromPem(pem: string, password: string | null): KeyObject {
  const isEncrypted = pem.includes('ENCRYPTED');
  if (isEncrypted && password === null) {
    throw new CredentialsError('password', 'the private key is encrypted: give its password');
  }
  try {
    return createPrivateKey({ key: pem, ...(password === null ? {} : { passphrase: password }) });
  } catch (cause) {
    if (!isEncrypted) throw broken(cause);
    if (!pem.includes('BEGIN ENCRYPTED')) return fromOldPem(pem, password ?? '', cause);
    const body = pem.replace(/-----[^-]+-----/g, '').replace(/\s+/g, '');
    return decryptPkcs8(Buffer.from(body, 'base64'), password ?? '', cause);
  }
}

function fromDer(der: Uint8Array, password: string | null): KeyObject {
  const key = Buffer.from(der);
  for (const type of ['pkcs8', 'pkcs1', 'sec1'] as const) {
    try {
      const passphrase = password === null || type !== 'pkcs8' ? {} : { passphrase: password };
      return createPrivateKey({ key, format: 'der', type, ...passphrase });
    } catch {
      // of another kind
    }
  }
  return decryptPkcs8(der, password, null);
}

/** EncryptedPrivateKeyInfo (RFC 5958 §3), for what OpenSSL does not open, and to tell a wrong password from a broken file. */
function decryptPkcs8(der: Uint8Array, password: string | null, cause: unknown): KeyObject {
  const info = parse(der);
  if (!looksEncrypted(info)) throw broken(cause);
  if (password === null) {
    throw new CredentialsError('password', 'the private key is encrypted: give its password');
  }
  let plain: Forge.asn1.Asn1 | null;
  try {
    plain = forge().pki.decryptPrivateKeyInfo(info, password);
  } catch (error) {
    throw isUnsupported(error) ? broken(error) : wrongPassword(error);
  }
  if (plain === null) throw wrongPassword(cause);
  try {
    return keyOf(plain);
  } catch (error) {
    // a wrong password may leave something that looks like a padding
    throw wrongPassword(error);
  }
}

/** A key with the headers of RFC 1421, in a cipher that OpenSSL has dropped. */
function fromOldPem(pem: string, password: string, cause: unknown): KeyObject {
  let key: Forge.pki.rsa.PrivateKey | null;
  try {
    key = forge().pki.decryptRsaPrivateKey(pem, password) as Forge.pki.rsa.PrivateKey | null;
  } catch {
    throw wrongPassword(cause);
  }
  if (key === null) throw wrongPassword(cause);
  return createPrivateKey(forge().pki.privateKeyToPem(key));
}

/** The key in a PrivateKeyInfo. @throws Error when it is none */
export function keyOf(info: Forge.asn1.Asn1): KeyObject {
  const der = Buffer.from(forge().asn1.toDer(info).getBytes(), 'latin1');
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

function parse(der: Uint8Array): Forge.asn1.Asn1 {
  try {
    return forge().asn1.fromDer(forge().util.createBuffer(Buffer.from(der).toString('latin1')));
  } catch (cause) {
    throw broken(cause);
  }
}

/** An algorithm, then an octet string; a plain key begins with its version. */
function looksEncrypted(info: Forge.asn1.Asn1): boolean {
  const [algorithm, data] = Array.isArray(info.value) ? info.value : [];
  return algorithm?.type === forge().asn1.Type.SEQUENCE && data?.type === forge().asn1.Type.OCTETSTRING;
}

/** Says forge of algorithms that it does not know. */
export function isUnsupported(error: unknown): boolean {
  return error instanceof Error && /Unsupported|not supported|Unknown|Cannot read/i.test(error.message);
}

function wrongPassword(cause: unknown): CredentialsError {
  return new CredentialsError('password', 'the password does not open the private key', cause);
}

function broken(cause: unknown): CredentialsError {
  const reason = cause instanceof Error ? `: ${cause.message}` : '';
  return new CredentialsError('broken', `the private key cannot be read${reason}`, cause);
}
