// needs: tun nginx openssl curl
import { mkdirSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { createLab, KERNEL_V4 } from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
import { startNginx } from '../test/peers/servers.ts';
import { tunwire } from './testing/command.ts';

const NAME = 'www.lab.test';
/** Nobody answers there, from neither side. */
const NOBODY = '10.77.0.99';

/** Answers by port what is wrong, in a process of its own. */
const SERVER = `
  const net = require('node:net');
  const answers = {
    81: 'HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nhalf',
    82: '220 mail.lab.test ESMTP\\r\\n',
    83: '',
    84: 'HTTP/1.1 200 OK\\r\\nContent-Length: ten\\r\\n\\r\\n',
    86: '220 mail.lab.test ESMTP\\r\\n',
  };
  for (const [port, answer] of Object.entries(answers)) {
    net.createServer((socket) => {
      socket.on('error', () => {});
      if (port === '86') {
        // a mail server without STARTTLS
        socket.write(answer);
        socket.on('data', (line) => socket.write(/^EHLO/i.test(line) ? '250 mail.lab.test\\r\\n' : '221 bye\\r\\n'));
      } else socket.once('data', () => socket.end(answer));
    }).listen(Number(port), '${KERNEL_V4}');
  }
  net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\n');
      setImmediate(() => socket.resetAndDestroy());
    });
  }).listen(87, '${KERNEL_V4}');
  net.createServer((socket) => socket.on('error', () => {})).listen(88, '${KERNEL_V4}');`;

test('get ends with what curl ends with in the same situation', async (t) => {
  t.timeout(120_000);
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, [NAME]);
  await startNginx(lab, credentials, { 'hello.txt': 'hello\n' });
  const server = lab.start(process.execPath, ['-e', SERVER]);
  await lab.listening(server, 88);
  const nothing = lab.file('nothing');
  writeFileSync(nothing, 'no certificate\n');
  const http = `http://${KERNEL_V4}`;
  const secure = ['--connect-to', `${NAME}:443:${KERNEL_V4}:443`];
  const trusting = ['--cacert', credentials.caFile];
  const cases: readonly (readonly [number, string, readonly string[]])[] = [
    [0, 'a page', [`${http}/hello.txt`]],
    [0, 'a page over TLS', [`https://${NAME}/hello.txt`, ...secure, ...trusting]],
    [1, 'a scheme that it does not know', ['none://host/']],
    [1, 'what is no HTTP', [`${http}:82/`]],
    [2, 'an unknown flag', ['--no-such-flag', http]],
    [3, 'no URL', ['http://[10.77.0.1/']],
    [6, 'an unknown name', ['http://name.lab.test/']],
    [7, 'a closed port', [`${http}:89/`]],
    [8, 'a broken head', [`${http}:84/`]],
    [18, 'a body that ends too early', [`${http}:81/`]],
    [22, 'a failure, with -f', [`${http}/none`, '-f']],
    [23, 'an output file that cannot be', [`${http}/hello.txt`, '-o', '/nowhere/file']],
    [23, 'an output that is full', [`${http}/hello.txt`, '-o', '/dev/full']],
    [28, 'nobody there', [`http://${NOBODY}/`, '--connect-timeout', '0.3']],
    [28, 'an answer that does not come', [`${http}:88/`, '-m', '0.3']],
    [35, 'a server without TLS', [`https://${KERNEL_V4}:80/`]],
    [47, 'too many redirections', [`${http}/folder`, '-L', '--max-redirs', '0']],
    [52, 'no answer', [`${http}:83/`]],
    [56, 'a reset within the answer', [`${http}:87/`]],
    [60, 'an unknown authority', [`https://${NAME}/hello.txt`, ...secure]],
    [60, 'another name', [`https://${KERNEL_V4}/hello.txt`, ...trusting]],
    [
      77,
      'a file of authorities that is not there',
      [`https://${NAME}/`, ...secure, '--cacert', '/nowhere/ca'],
    ],
    [77, 'a file of authorities without any', [`https://${NAME}/`, ...secure, '--cacert', nothing]],
  ];
  mkdirSync(lab.file('www/folder'));
  for (const [code, what, args] of cases) {
    const [theirs, ours] = await Promise.all([
      lab.run('curl', ['-sS', '--noproxy', '*', ...args]),
      tunwire(lab, 'get', args),
    ]);
    t.is(theirs.code, code, `curl: ${what}: ${theirs.stderr}`);
    t.is(ours.code, code, `${what}: ${ours.stderr}`);
    if (code !== 0) t.regex(ours.stderr, /^tunwire: .+\n/, what);
  }
  // curl's number; an old one sends nothing in its place
  t.is((await tunwire(lab, 'get', [`${http}/`, '-d', '@/nowhere/file'])).code, 26);
});

test('tls ends with what curl ends with: STARTTLS that is not offered, suites that nobody has', async (t) => {
  const lab = await createLab(t);
  const server = lab.start(process.execPath, ['-e', SERVER]);
  await lab.listening(server, 88);
  const mail = await lab.run('curl', ['-sS', '--ssl-reqd', `smtp://${KERNEL_V4}:86/`]);
  t.is(mail.code, 64, mail.stderr);
  const ours = await tunwire(lab, 'tls', [`${KERNEL_V4}:86`, '--starttls', 'smtp']);
  t.is(ours.code, 64, ours.stderr);
  t.regex(ours.stderr, /does not offer STARTTLS/);
  const suites = await lab.run('curl', ['-sS', '--ciphers', 'NO_SUCH_SUITE', `https://${KERNEL_V4}:88/`]);
  t.is(suites.code, 59, suites.stderr);
  const wrong = await tunwire(lab, 'tls', [`${KERNEL_V4}:88`, '--ciphersuites', 'NO_SUCH_SUITE']);
  t.is(wrong.code, 59, wrong.stderr);
  const refused = await tunwire(lab, 'tls', [`${KERNEL_V4}:88`, '--cafile', '/nowhere/ca']);
  t.is(refused.code, 77, refused.stderr);
  const connecting = await tunwire(lab, 'connect', [KERNEL_V4, '88', '--secure', '--cafile', '/nowhere/ca']);
  t.is(connecting.code, 77, connecting.stderr);
});
