import {
  CLIENT_AUTH,
  extendedKeyUsage,
  issue,
  issueCa,
  issueServer,
} from '../../tls/testing/certificates.ts';

const HOUR_MS = 3_600_000;

/** The name of the test server in its certificate. */
export const SERVER_NAME = 'device.lab.test';

/** Key and certificate for Node's TLS servers, and the authority to trust; PEM, valid now. */
export interface TlsIdentity {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

export function makeIdentity(): TlsIdentity {
  const times = { notBefore: Date.now() - HOUR_MS, notAfter: Date.now() + HOUR_MS };
  const authority = issueCa('test authority', times);
  const server = issueServer([SERVER_NAME], authority, times);
  const key = server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { key, cert: server.pem, ca: authority.pem };
}

/** What a client proves itself with, an intermediate certificate after its own, and the authority that a server is to trust; PEM. */
export function makeClientIdentity(name: string): TlsIdentity {
  const times = { notBefore: Date.now() - HOUR_MS, notAfter: Date.now() + HOUR_MS };
  const authority = issueCa('client authority', times);
  const intermediate = issueCa('client intermediate', { ...times, issuer: authority });
  const extensions = [extendedKeyUsage(CLIENT_AUTH)];
  const client = issue({ subject: name, issuer: intermediate, extensions, ...times });
  const key = client.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { key, cert: client.pem + intermediate.pem, ca: authority.pem };
}
