import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IpAddress } from '../../stack/wire/ip-address.ts';
import {
  DIGITAL_SIGNATURE,
  dnsName,
  extendedKeyUsage,
  ipName,
  issue,
  issueCa,
  type KeyType,
  keyUsage,
  SERVER_AUTH,
  subjectAltName,
} from '../../tls/testing/certificates.ts';

/** PEM files of a server and of the authority that signed its certificate. */
export interface Credentials {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

const DAY_MS = 86_400_000;

/**
 * Makes an authority and a server certificate that are valid from yesterday to tomorrow.
 * @param names DNS names and IP literals of the server
 * @param usage bits of the server's keyUsage
 */
export function makeCredentials(
  folder: string,
  names: readonly string[],
  key: KeyType = 'p256',
  usage: number = DIGITAL_SIGNATURE,
): Credentials {
  const valid = { notBefore: Date.now() - DAY_MS, notAfter: Date.now() + DAY_MS };
  const ca = issueCa('tunwire test authority', valid);
  const server = issue({
    subject: names[0] ?? 'server',
    issuer: ca,
    key,
    extensions: [subjectAltName(...names.map(generalName)), keyUsage(usage), extendedKeyUsage(SERVER_AUTH)],
    ...valid,
  });
  const files = {
    caFile: join(folder, 'ca.pem'),
    certFile: join(folder, 'server.pem'),
    keyFile: join(folder, 'server-key.pem'),
  };
  writeFileSync(files.caFile, ca.pem);
  writeFileSync(files.certFile, server.pem);
  writeFileSync(files.keyFile, server.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return files;
}

function generalName(name: string): Uint8Array {
  const address = IpAddress.parse(name);
  if (address === null) return dnsName(name);
  const octets = new DataView(new ArrayBuffer(16));
  const length = address.write(octets, 0);
  return ipName(...new Uint8Array(octets.buffer, 0, length));
}
