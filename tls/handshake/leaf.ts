import { TlsError } from '../errors.ts';
import { Certificate } from '../x509/certificate.ts';
import { DerError } from '../x509/der.ts';
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
  let keyUsage = -1;
  try {
    keyUsage = new Certificate(leaf).extensions.keyUsage;
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    // not well-formed: a verifier that accepts it all the same has been told to
    return;
  }
  if (keyUsage !== -1 && (keyUsage & bit) === 0) throw new TlsError('KeyUsageMismatch', otherwise);
}
