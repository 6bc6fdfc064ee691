// needs: tun nginx socat
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { PeerLab } from '../test/peers/tls-server.ts';
import { MemorySessionStore } from './client.ts';
import { issue } from './testing/certificates.ts';
import * as der from './testing/der-writer.ts';
import { ocspResponse } from './testing/revocation.ts';
import { CertificateStatus, RevocationStatus } from './x509/verdict.ts';

const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
const SUITES = {
  rsa2048: ['TLS_AES_128_GCM_SHA256', 'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA'],
  p256: ['TLS_CHACHA20_POLY1305_SHA256', 'TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA'],
} as const;
const PAGE = 'a page\n'.repeat(20_000);

/** Ports: all versions and both certificates; one that demands a certificate; one with a stapled answer. */
const [PORT, DEMANDING, STAPLING] = [4001, 4002, 4003];

let peers: PeerLab;

test.before(async () => {
  peers = await PeerLab.open(['rsa2048', 'p256']);
  const { lab, files } = peers;
  const identity = (key: 'rsa2048' | 'p256'): string =>
    `ssl_certificate ${files.certFile(key)}; ssl_certificate_key ${files.keyFile(key)};`;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (what) => `${what}_temp_path ${lab.file(what)};`,
  );
  writeFileSync(lab.file('page'), PAGE);
  const answer = lab.file('ocsp.der');
  const { serialNumber } = new X509Certificate(readFileSync(files.certFile('p256')));
  const times = { thisUpdate: Date.now() - 3_600_000, nextUpdate: Date.now() + 3_600_000 };
  const serial = der.element(0x02, Buffer.from(serialNumber, 'hex'));
  writeFileSync(answer, ocspResponse(serial, files.root, times));
  const configuration = lab.file('nginx.conf');
  writeFileSync(
    configuration,
    `user root; daemon off; worker_processes 1; pid ${lab.file('nginx.pid')}; error_log stderr;
events { worker_connections 256; }
http {
  access_log off;
  ${temporary.join(' ')}
  ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_ciphers ALL:@SECLEVEL=0;
  ssl_session_cache shared:sessions:1m;
  ${identity('rsa2048')} ${identity('p256')}
  root ${lab.folder};
  server { listen ${PORT} ssl; }
  server { listen ${STAPLING} ssl; ${identity('p256')} ssl_stapling on; ssl_stapling_file ${answer}; }
  server { listen ${DEMANDING} ssl; ssl_verify_client on; ssl_client_certificate ${files.caFile}; }
}
`,
  );
  await peers.start(PORT, 'nginx', ['-p', lab.folder, '-c', configuration, '-e', 'stderr']);
});
test.after.always(() => peers.close());

for (const version of VERSIONS) {
  for (const key of ['rsa2048', 'p256'] as const) {
    test(`${version}, ${key}: a page, again with the session, and with a certificate of ours`, async (t) => {
      const { root } = peers.files;
      const valid = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
      const me = issue({ subject: 'me', issuer: root, key, ...valid });
      const credentials = { chain: [me.der], key: me.privateKey };
      const only = { minVersion: version, maxVersion: version, cipherSuites: SUITES[key], fallback: true };
      const sessions = { store: new MemorySessionStore(), port: PORT, policy: 'interop' };
      for (const [port, isResumed] of [
        [PORT, false],
        [PORT, true],
        [DEMANDING, false],
      ] as const) {
        const isDemanded = port === DEMANDING;
        const client = peers.client({ ...only, ...(isDemanded ? { credentials } : { sessions }) });
        const connection = peers.connect(t, port, client);
        t.is(await connection.handshake(), null);
        const clientCertificate = isDemanded ? 'sent' : 'not requested';
        t.like(client.info, { version, isResumed, clientCertificate });
        connection.send(Buffer.from('GET /page HTTP/1.0\r\n\r\n'));
        await connection.until(() => connection.isClosedByPeer);
        t.regex(connection.received, /^HTTP\/1\.1 200 OK/);
        t.true(connection.receivedBytes > PAGE.length);
        connection.close();
      }
    });
  }
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a stapled answer, ${maxVersion}`, async (t) => {
    const client = peers.client({ maxVersion });
    const connection = peers.connect(t, STAPLING, client);
    t.is(await connection.handshake(), null);
    t.like(client.info.certificate, { status: CertificateStatus.Valid, revocation: RevocationStatus.Good });
    connection.close();
  });
}
