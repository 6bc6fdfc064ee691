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
  let keyUsage = -1;
  try {
    keyUsage = new Certificate(leaf).extensions.keyUsage;
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    // not well-formed: a verifier that accepts it all the same has been told to
    return;
  }
  // RFC 8446 §4.4.2.2, RFC 8422 §5.3: the digitalSignature bit MUST be set if the Key Usage extension is present
  if (keyUsage !== -1 && (keyUsage & KeyUsage.DigitalSignature) === 0) throw new TlsError('KeyUsageMismatch');
}
