// needs: tun nginx openssl socat
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { createLab, KERNEL_V4, KERNEL_V6 } from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
import { startNginx, startOpenssl, startSocat } from '../test/peers/servers.ts';
import { jsonOf, startTunwire, tunwire } from './testing/command.ts';

const NAME = 'www.lab.test';
const HELLO = 'hello from nginx\n';

test('nginx: bodies, heads, redirections, ranges, failures', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, [NAME]);
  const large = Buffer.alloc(1_000_003, 'tunwire');
  await startNginx(lab, credentials, { 'hello.txt': HELLO, large });
  mkdirSync(lab.file('www/folder'));
  writeFileSync(lab.file('www/folder/index.html'), 'a page\n');
  const secure = ['--resolve', `${NAME}:443:${KERNEL_V6}`, '--cafile', credentials.caFile];

  const plain = await tunwire(lab, 'get', [`http://${KERNEL_V4}/hello.txt`]);
  t.deepEqual([plain.code, plain.stdout, plain.stderr], [0, HELLO, '']);

  const file = lab.file('large.out');
  const report = await tunwire(lab, 'get', [`https://${NAME}/large`, '-o', file, '--json', ...secure]);
  t.is(report.code, 0, report.stderr);
  t.true(readFileSync(file).equals(large));
  const { status, bodyBytes, tls, remote } = jsonOf(report);
  t.deepEqual({ status, bodyBytes }, { status: 200, bodyBytes: large.length });
  t.like(tls, { version: 'TLSv1.3', authorized: true });
  t.like(remote, { address: KERNEL_V6, port: 443 });

  // the name that is asked for and that the certificate has stays
  const elsewhere = ['--connect-to', `${NAME}:8443:[${KERNEL_V6}]:443`, '--cafile', credentials.caFile];
  const other = await tunwire(lab, 'get', [`https://${NAME}:8443/hello.txt`, '--json', ...elsewhere]);
  t.is(other.code, 0, other.stderr);
  t.like(jsonOf(other), { url: `https://${NAME}:8443/hello.txt`, remote: { address: KERNEL_V6, port: 443 } });
  const any = ['--connect-to', `::${KERNEL_V4}:`];
  t.is((await tunwire(lab, 'get', ['http://nowhere.test/hello.txt', ...any])).stdout, HELLO);
  t.is((await tunwire(lab, 'get', ['http://nowhere.test/', '--connect-to', 'nowhere.test'])).code, 2);

  const head = await tunwire(lab, 'get', ['-I', '-v', `https://${NAME}/hello.txt`, ...secure]);
  t.is(head.code, 0, head.stderr);
  t.regex(head.stdout, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\nContent-Length: 17\r\n[\s\S]*\r\n\r\n$/);
  t.regex(head.stderr, /^\* certificate valid$/m);
  t.regex(head.stderr, /^> HEAD \/hello\.txt HTTP\/1\.1$/m);
  t.regex(head.stderr, /^< HTTP\/1\.1 200 OK$/m);

  const range = ['-i', '-H', 'Range: bytes=6-9', `http://[${KERNEL_V6}]/hello.txt`];
  const part = await tunwire(lab, 'get', range);
  t.regex(part.stdout, /^HTTP\/1\.1 206 [\s\S]*\r\n\r\nfrom$/);

  const moved = await tunwire(lab, 'get', [`http://${KERNEL_V4}/folder`, '-L', '--json']);
  t.like(jsonOf(moved), { status: 200, redirects: 1, url: `http://${KERNEL_V4}/folder/`, bodyBytes: 7 });
  const tooMany = await tunwire(lab, 'get', [`http://${KERNEL_V4}/folder`, '-L', '--max-redirs', '0']);
  t.deepEqual([tooMany.code, tooMany.stdout], [47, '']);

  const none = await tunwire(lab, 'get', [`http://${KERNEL_V4}/none`, '-f']);
  t.deepEqual([none.code, none.stdout], [22, '']);
  t.is(none.stderr, 'tunwire: the server answers 404 Not Found\n');
  const post = await tunwire(lab, 'get', [`http://${KERNEL_V4}/hello.txt`, '-d', 'a=b']);
  t.regex(post.stdout, /405 Not Allowed/);
});

test('certificates: refused with 60, accepted with -k', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, [NAME]);
  await startOpenssl(lab, 4433, credentials, ['-www']);
  const url = `https://${KERNEL_V4}:4433/`;
  const untrusted = await tunwire(lab, 'get', [url]);
  t.is(untrusted.code, 60);
  t.regex(untrusted.stderr, /--cafile FILE, or accept any certificate with --trusted-site/);
  const keylog = lab.file('keys');
  const accepted = await tunwire(lab, 'get', [url, '-k', '--keylog', keylog]);
  t.is(accepted.code, 0, accepted.stderr);
  t.regex(accepted.stdout, /Cipher/);
  t.is(accepted.stderr, `* TLS secrets are appended to ${keylog}\n`);
  t.regex(readFileSync(keylog, 'utf8'), /^CLIENT_TRAFFIC_SECRET_0 /m);
  const other = lab.file('other keys');
  const fromEnvironment = await tunwire(lab, 'get', [url, '-k'], { env: { SSLKEYLOGFILE: other } });
  t.is(fromEnvironment.stderr, `* TLS secrets are appended to ${other}\n`);
  t.regex(readFileSync(other, 'utf8'), /^CLIENT_TRAFFIC_SECRET_0 /m);
});

test('exit codes of curl', async (t) => {
  const lab = await createLab(t);
  const answers: [number, string, number][] = [
    [81, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', 18],
    [82, '220 mail.lab.test ESMTP\r\n', 1],
    [83, '', 52],
  ];
  for (const [port, answer] of answers) {
    const file = lab.file(`answer-${port}`);
    writeFileSync(file, answer);
    // reads the request, so that the end is no reset
    const serve = `SYSTEM:head -n 1 > ${file}.request; cat ${file}`;
    await startSocat(lab, port, [`TCP-LISTEN:${port},fork,reuseaddr`, serve]);
  }
  for (const [port, , code] of answers) {
    const result = await tunwire(lab, 'get', [`http://${KERNEL_V4}:${port}/`]);
    t.is(result.code, code, result.stderr);
    t.regex(result.stderr, /^tunwire: .+\n$/);
  }
  const codes: [string[], number][] = [
    [['ftp://10.77.0.1/'], 1],
    [[`http://${KERNEL_V4}:84/`], 7],
    [[`http://${KERNEL_V4}:81/`, '-w', '-'], 2],
    [[`http://${KERNEL_V4}:81/`, '-o', '/nowhere/file'], 23],
    [['http://name.lab.test/'], 6],
  ];
  for (const [args, code] of codes) {
    const result = await tunwire(lab, 'get', args);
    t.is(result.code, code, result.stderr);
  }
});

test('a limit for everything, and an interruption', async (t) => {
  const lab = await createLab(t);
  await startSocat(lab, 85, ['TCP-LISTEN:85,fork,reuseaddr', 'SYSTEM:sleep 1000']);
  const url = `http://${KERNEL_V4}:85/`;
  const limited = await tunwire(lab, 'get', [url, '-m', '0.2']);
  t.is(limited.code, 28);
  t.is(limited.stderr, 'tunwire: not done within 0.2 s (--max-time)\n');
  const waiting = startTunwire(lab, 'get', [url, '-v']);
  await lab.until('the request is sent', () => waiting.stderr.includes('> GET'));
  waiting.kill('SIGINT');
  t.is(await waiting.exited, 130);
});
