import tls from 'node:tls';
import test from 'ava';
import { CIPHER_SUITES } from '../tls/keys/suites.ts';
import { cipherOf } from './cipher-name.ts';

test("all suites have the names that Node's OpenSSL gives them", (t) => {
  for (const suite of CIPHER_SUITES) {
    const { name, standardName } = cipherOf(suite.name);
    t.is(standardName, suite.name);
    if (suite.version === 'TLSv1.3') t.is(name, standardName);
    // OpenSSL is built without RC4 and 3DES
    if (suite.version === 'TLSv1.3' || /RC4|3DES/.test(standardName)) continue;
    t.notThrows(
      () => tls.createSecureContext({ ciphers: `${name}:@SECLEVEL=0` }),
      `${standardName}: ${name}`,
    );
  }
  t.throws(() => tls.createSecureContext({ ciphers: 'ECDHE-RSA-AES1-SHA' }));
  t.is(cipherOf('TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA').name, 'ECDHE-RSA-DES-CBC3-SHA');
  t.is(cipherOf('TLS_RSA_WITH_RC4_128_MD5').name, 'RC4-MD5');
});
