import { duplexPair } from 'node:stream';
import tls from 'node:tls';
import test from 'ava';
import {
  CLIENT_AUTH,
  dnsName,
  extendedKeyUsage,
  issue,
  issueCa,
  issueServer,
  subjectAltName,
  type TestCertificate,
} from '../tls/testing/certificates.ts';
import { SERVER_V4, type StackPair, stackPair } from './testing/pair.ts';
import { SERVER_NAME } from './testing/tls-identity.ts';
import { serveTls } from './testing/tls-server.ts';

let pair: StackPair;
test.before(async () => {
  pair = await stackPair();
});
test.after.always(() => pair.close());

const HOUR_MS = 3_600_000;
const now = Date.now();
const valid = { notBefore: now - HOUR_MS, notAfter: now + HOUR_MS };
const root = issueCa('the root', valid);
const namesake = issueCa('the root', valid);
const stranger = issueCa('a stranger', valid);
const intermediate = issueCa('intermediate', { issuer: root, ...valid });
const strange = issueCa('strange intermediate', { issuer: stranger, ...valid });
const short = issueCa('nothing below', { issuer: root, pathLength: 0, ...valid });
const below = issueCa('below', { issuer: short, ...valid });
const noCa = issue({ subject: 'no authority', issuer: root, ...valid });
const names = [subjectAltName(dnsName(SERVER_NAME))];
const server = (issuer: TestCertificate, times = valid): TestCertificate =>
  issueServer([SERVER_NAME], issuer, times);
/** It says that the root has issued it. */
const forged = server({ ...stranger, subject: root.subject, publicKey: root.publicKey });

const CHAINS: readonly [string, readonly TestCertificate[], string][] = [
  ['of an unknown issuer', [server(stranger)], 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['without the intermediate', [server(intermediate)], 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  [
    'with an intermediate of an unknown issuer',
    [server(strange), strange],
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  ],
  ['with a root that is not trusted', [server(stranger), stranger], 'SELF_SIGNED_CERT_IN_CHAIN'],
  ['with all of it, untrusted', [server(strange), strange, stranger], 'SELF_SIGNED_CERT_IN_CHAIN'],
  [
    'whose issuer has the name of a root that is trusted',
    [server(namesake), namesake],
    'SELF_SIGNED_CERT_IN_CHAIN',
  ],
  ['of such an issuer, alone', [server(namesake)], 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  [
    'signed by itself',
    [issue({ subject: 'itself', extensions: names, ...valid })],
    'DEPTH_ZERO_SELF_SIGNED_CERT',
  ],
  [
    'that has expired',
    [server(root, { notBefore: now - 2 * HOUR_MS, notAfter: now - HOUR_MS })],
    'CERT_HAS_EXPIRED',
  ],
  [
    'of tomorrow',
    [server(root, { notBefore: now + HOUR_MS, notAfter: now + 2 * HOUR_MS })],
    'CERT_NOT_YET_VALID',
  ],
  ['that is forged', [forged], 'CERT_SIGNATURE_FAILURE'],
  [
    'of a client',
    [issue({ subject: 'c', issuer: root, extensions: [...names, extendedKeyUsage(CLIENT_AUTH)], ...valid })],
    'INVALID_PURPOSE',
  ],
  ['of an issuer that is no authority', [server(noCa), noCa], 'INVALID_PURPOSE'],
  ['below too many', [server(below), below, short], 'PATH_LENGTH_EXCEEDED'],
  ['for another name', [issueServer(['other.test'], root, valid)], 'ERR_TLS_CERT_ALTNAME_INVALID'],
];

/** What a client of Node's own says about a server. */
function codeOfNode(options: tls.TlsOptions): Promise<string> {
  const [near, far] = duplexPair();
  const peer = new tls.TLSSocket(far, { isServer: true, ...options });
  peer.on('error', () => {});
  const client = tls.connect({ socket: near, ca: root.pem, servername: SERVER_NAME });
  return new Promise((resolve) => {
    client.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    client.on('secureConnect', () => resolve('none'));
  });
}

for (const [name, chain, code] of CHAINS) {
  test(`a certificate ${name} has the code that it has in Node: ${code}`, async (t) => {
    const key = chain[0]?.privateKey.export({ type: 'pkcs8', format: 'pem' });
    const options = { cert: chain.map(({ pem }) => pem).join(''), key };
    t.is(await codeOfNode(options), code);
    const { port } = await serveTls(pair.server, options, (peer) => peer.end());
    const secure = { ca: root.pem, servername: SERVER_NAME };
    await t.throwsAsync(pair.client.connect({ host: SERVER_V4, port, tls: secure }), { code });
    const tolerant = { ...secure, rejectUnauthorized: false };
    const socket = await pair.client.connect({ host: SERVER_V4, port, tls: tolerant });
    t.is(socket.authorizationError?.code, code);
    socket.destroy();
  });
}
