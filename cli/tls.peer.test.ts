// needs: tun openssl
import test from 'ava';
import { createLab, KERNEL_V4, KERNEL_V6 } from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
import { startOpenssl } from '../test/peers/servers.ts';
import { jsonOf, tunwire } from './testing/command.ts';

const NAME = 'dut.lab.test';

test('a report about openssl s_server: versions, suites, the chain and its worth', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, [NAME]);
  await startOpenssl(lab, 4433, credentials, ['-alpn', 'h2,http/1.1']);
  const ca = ['--cafile', credentials.caFile, '--servername', NAME];

  const json = await tunwire(lab, 'tls', [`${KERNEL_V4}:4433`, '--json', '--alpn', 'http/1.1', ...ca]);
  t.deepEqual([json.code, json.stderr], [0, '']);
  t.like(jsonOf(json), {
    remote: { address: KERNEL_V4, port: 4433 },
    version: 'TLSv1.3',
    alpn: 'http/1.1',
    serverName: NAME,
  });
  t.like(jsonOf(json)['certificate'], { status: 'valid' });
  t.like(jsonOf(json)['chain'], { 0: { subject: `CN=${NAME}`, names: `DNS:${NAME}` } });

  const old = ['--tls1_2', '--ciphersuites', 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', '--showcerts'];
  const text = await tunwire(lab, 'tls', [`[${KERNEL_V6}]:4433`, ...old, ...ca]);
  t.is(text.code, 0, text.stderr);
  t.regex(text.stdout, /^version {7}TLSv1\.2$/m);
  t.regex(text.stdout, /^cipher suite {2}TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256$/m);
  t.regex(text.stdout, /-----BEGIN CERTIFICATE-----\n[\s\S]+-----END CERTIFICATE-----\n$/);

  const untrusted = await tunwire(lab, 'tls', [`${KERNEL_V4}:4433`, '--msg']);
  t.is(untrusted.code, 60);
  t.regex(untrusted.stderr, /^tunwire: the certificate is not valid: /);
  const [hello = ''] = untrusted.stdout.split('\n');
  t.like(JSON.parse(hello) as object, { sender: 'client', type: 'client_hello' });
  t.regex(untrusted.stdout, /^certificate {3}untrusted: /m);
  t.is((await tunwire(lab, 'tls', [`${KERNEL_V4}:4433`, '-k'])).code, 0);

  t.is((await tunwire(lab, 'tls', [`${KERNEL_V4}:4434`])).code, 7);
  const refused = await tunwire(lab, 'tls', [`${KERNEL_V4}:4433`, '--tls1_3', '--ciphersuites', 'TLS_NO']);
  t.is(refused.code, 59);
});
