// the decorators that @peculiar/x509 is written with need it
import 'reflect-metadata';
import { KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** What a TLS server of the demo needs, and what its clients have to trust. All PEM. */
export interface DemoCertificates {
  readonly authority: string;
  readonly certificate: string;
  readonly privateKey: string;
}

const ALGORITHM: webcrypto.EcKeyGenParams & webcrypto.EcdsaParams = {
  name: 'ECDSA',
  namedCurve: 'P-256',
  hash: 'SHA-256',
};
const HOUR_MS = 3_600_000;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/** Makes a certificate authority and a certificate of it for `names`, both good for an hour. */
export async function makeCertificates(names: readonly string[]): Promise<DemoCertificates> {
  const times = { notBefore: new Date(Date.now() - HOUR_MS), notAfter: new Date(Date.now() + HOUR_MS) };
  const authorityKeys = await makeKeys();
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    ...times,
    name: 'CN=tunwire demo authority',
    serialNumber: '01',
    keys: authorityKeys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(authorityKeys.publicKey),
    ],
  });
  const serverKeys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    ...times,
    subject: `CN=${names[0] ?? 'server'}`,
    issuer: authority.subject,
    serialNumber: '02',
    publicKey: serverKeys.publicKey,
    signingKey: authorityKeys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([SERVER_AUTH]),
      await x509.AuthorityKeyIdentifierExtension.create(authorityKeys.publicKey),
    ],
  });
  const privateKey = KeyObject.from(serverKeys.privateKey).export({ type: 'pkcs8', format: 'pem' });
  return {
    authority: authority.toString('pem'),
    certificate: certificate.toString('pem'),
    privateKey: `${privateKey}`,
  };
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}
