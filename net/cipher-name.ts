import type { CipherNameAndProtocol } from 'node:tls';
import { CIPHER_SUITES } from '../tls/keys/suites.ts';

/** The answer of `tls.TLSSocket.getCipher`. @param standardName as IANA writes it */
export function cipherOf(standardName: string): CipherNameAndProtocol {
  const suite = CIPHER_SUITES.find(({ name }) => name === standardName);
  const version = suite?.version ?? '';
  // OpenSSL counts what was there before TLS 1.0 to SSL 3.0; the suites of RFC 8422 were not
  const ofOldVersion = suite?.keyExchange === 'ecdhe' ? 'TLSv1.0' : 'SSLv3';
  return {
    name: openSslName(standardName),
    standardName,
    version: version === 'TLSv1' ? ofOldVersion : version,
  };
}

/** As OpenSSL writes a suite (its manual page ciphers(1), "CIPHER SUITE NAMES"); those of TLS 1.3 have one name only. */
function openSslName(standardName: string): string {
  if (!standardName.includes('_WITH_')) return standardName;
  return standardName
    .replace(/^TLS_/, '')
    .replace('_WITH_', '-')
    .replace(/^RSA-/, '')
    .replace('3DES_EDE_CBC', 'DES-CBC3')
    .replace('RC4_128', 'RC4')
    .replace(/AES_(\d+)_CBC/, 'AES$1')
    .replace(/AES_(\d+)_/, 'AES$1-')
    .replace('CCM_8', 'CCM8')
    .replace('POLY1305_SHA256', 'POLY1305')
    .replaceAll('_', '-');
}
