import { TlsError } from '../errors.ts';
import { Certificate } from '../x509/certificate.ts';
import { DerError, equalBytes } from '../x509/der.ts';
import { KeyUsage } from '../x509/extensions.ts';

/**
 * Checks that the server's own certificate may sign, whatever the verifier thinks of its chain.
 *
 * @param leaf DER
 * @throws TlsError KeyUsageMismatch
 */
export function checkLeafMaySign(leaf: Uint8Array): void {
  // RFC 8446 §4.4.2.2, RFC 8422 §5.3: the digitalSignature bit MUST be set if the Key Usage extension is present
  checkLeafUsage(leaf, KeyUsage.DigitalSignature, 'it is not for signatures');
}

/**
 * The same for RSA key exchange.
 *
 * @throws TlsError KeyUsageMismatch
 */
export function checkLeafMayDecrypt(leaf: Uint8Array): void {
  // RFC 5246 §7.4.2: the keyEncipherment bit MUST be set if the key usage extension is present
  checkLeafUsage(leaf, KeyUsage.KeyEncipherment, 'it is not for the encryption of keys');
}

function checkLeafUsage(leaf: Uint8Array, bit: number, otherwise: string): void {
  const keyUsage = keyUsageOf(leaf);
  if (keyUsage !== -1 && (keyUsage & bit) === 0) throw new TlsError('KeyUsageMismatch', otherwise);
}

/** The certificate that was looked at last: most connections of a thread are to one server. */
let known: { readonly certificate: Uint8Array; readonly keyUsage: number } | null = null;

/** @returns -1: it says nothing of that */
function keyUsageOf(leaf: Uint8Array): number {
  if (known !== null && equalBytes(known.certificate, leaf)) return known.keyUsage;
  try {
    const certificate = leaf.slice();
    const { keyUsage } = new Certificate(certificate).extensions;
    known = { certificate, keyUsage };
    return keyUsage;
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    // not well-formed: a verifier that accepts it all the same has been told to
    return -1;
  }
}
