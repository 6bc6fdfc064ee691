// needs: tun gnutls-serv
import { resolve } from 'node:path';
import test from 'ava';
import { createLab, KERNEL_V4, OWN_V4 } from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');
const PORT = 4433;

test('a device that has TLS 1.0 with RC4 and MD5 alone: by --secure-fallback, and a hint without it', async (t) => {
  const lab = await createLab(t);
  const { caFile, certFile, keyFile } = makeCredentials(
    lab.folder,
    ['device.lab.test', KERNEL_V4],
    'rsa2048',
    0x05,
  );
  const server = lab.start('gnutls-serv', [
    ...['-q', '--echo', '-a', '-p', String(PORT), '--x509certfile', certFile, '--x509keyfile', keyFile],
    ...['--priority', 'NONE:+VERS-TLS1.0:+ARCFOUR-128:+MD5:+RSA:+COMP-NULL:+SIGN-ALL'],
  ]);
  await lab.listening(server, PORT);
  const connect = ['connect', '--tun', lab.tun, '--addr', `${OWN_V4}/24`, KERNEL_V4, String(PORT)];
  const line = [TUNWIRE, ...connect, '--secure', '--cafile', caFile, '-v'];
  const text = 'said to a device\n'.repeat(5000);
  const refused = await lab.run(process.execPath, line, { input: text });
  t.not(refused.code, 0);
  t.regex(refused.stderr, /--secure-fallback/);
  const done = await lab.run(process.execPath, [...line, '--secure-fallback'], { input: text });
  t.is(done.code, 0, done.stderr);
  t.is(done.stdout, text);
  t.regex(done.stderr, /TLS_RSA_WITH_RC4_128_MD5/);
});
