// needs: tun openssl nginx dnsmasq unbound strace
import { createHash } from 'node:crypto';
import { createReadStream, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import test from 'ava';
import {
  createLab,
  KERNEL_V4,
  KERNEL_V6,
  type Lab,
  type LabProcess,
  OWN_V4,
  OWN_V6,
  type RunResult,
} from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
import { pattern, patternDigest } from '../test/peers/pattern.ts';
import {
  startDnsmasq,
  startNginx,
  startNodeServer,
  startOpenssl,
  startSocat,
  startUnbound,
} from '../test/peers/servers.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');
const LARGE_BYTES: number = 100 * 1024 * 1024;
const TRANSFER_MS = 60_000;

function commandLine(lab: Lab, args: readonly string[]): string[] {
  return [TUNWIRE, 'connect', '--tun', lab.tun, '--addr', `${OWN_V4}/24`, '--addr', `${OWN_V6}/64`, ...args];
}

function tunwire(lab: Lab, args: readonly string[], input = '', timeoutMs = 30_000): Promise<RunResult> {
  return lab.run(process.execPath, commandLine(lab, args), { input, timeoutMs });
}

function startTunwire(lab: Lab, args: readonly string[]): LabProcess {
  return lab.start(process.execPath, commandLine(lab, args));
}

/** Runs it in a shell, with files as standard input and output, which go through no pipe of ours. */
function withFiles(lab: Lab, args: readonly string[], input: string, output: string): Promise<RunResult> {
  const script = 'in=$1; out=$2; shift 2; exec "$@" < "$in" > "$out"';
  const command = [process.execPath, ...commandLine(lab, args)];
  return lab.run('sh', ['-c', script, 'sh', input, output, ...command], { timeoutMs: TRANSFER_MS });
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function writePattern(file: string): string {
  const fd = openSync(file, 'w');
  for (const block of pattern(LARGE_BYTES)) writeSync(fd, block);
  return file;
}

for (const secure of [false, true]) {
  const how = secure ? 'over TLS' : 'plain';

  test.serial(`100 MB to the server, ${how}`, async (t) => {
    t.timeout(2 * TRANSFER_MS);
    const lab = await createLab(t);
    const credentials = makeCredentials(lab.folder, ['peer.lab.test', KERNEL_V4]);
    const server = await startNodeServer(lab, 7000, 'sink', secure ? { credentials } : {});
    const flags = secure ? ['--secure', '--cafile', credentials.caFile] : [];
    const input = writePattern(lab.file('input'));
    const result = await withFiles(lab, [KERNEL_V4, '7000', ...flags], input, lab.file('output'));
    t.deepEqual([result.code, result.stderr], [0, '']);
    await lab.until('the server has counted', () => server.stdout.includes('\n'));
    t.is(server.stdout.trim(), `${LARGE_BYTES} ${patternDigest(LARGE_BYTES)}`);
  });

  test.serial(`100 MB from the server, ${how}`, async (t) => {
    t.timeout(2 * TRANSFER_MS);
    const lab = await createLab(t);
    const credentials = makeCredentials(lab.folder, ['peer.lab.test', KERNEL_V4]);
    await startNodeServer(lab, 7000, 'source', { bytes: LARGE_BYTES, ...(secure ? { credentials } : {}) });
    const flags = secure ? ['--secure', '--cafile', credentials.caFile] : [];
    const result = await withFiles(lab, [KERNEL_V4, '7000', ...flags], '/dev/null', lab.file('output'));
    t.deepEqual([result.code, result.stderr], [0, '']);
    t.is(await digestOf(lab.file('output')), patternDigest(LARGE_BYTES));
  });

  test.serial(`100 MB there and back at once, ${how}`, async (t) => {
    t.timeout(2 * TRANSFER_MS);
    const lab = await createLab(t);
    const credentials = makeCredentials(lab.folder, ['peer.lab.test', KERNEL_V4]);
    await startNodeServer(lab, 7000, 'echo', secure ? { credentials } : {});
    const flags = secure ? ['--secure', '--cafile', credentials.caFile] : [];
    const input = writePattern(lab.file('input'));
    const result = await withFiles(lab, [KERNEL_V4, '7000', ...flags], input, lab.file('output'));
    t.deepEqual([result.code, result.stderr], [0, '']);
    t.is(await digestOf(lab.file('output')), patternDigest(LARGE_BYTES));
  });
}

test('HTTPS by name: dnsmasq, nginx, TLS 1.3, and an account of it on standard error', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, ['www.lab.test']);
  await startDnsmasq(lab, { 'www.lab.test': [KERNEL_V4, KERNEL_V6] });
  await startNginx(lab, credentials, { 'hello.txt': 'hello from nginx\n' });
  const request = 'GET /hello.txt HTTP/1.1\r\nHost: www.lab.test\r\nConnection: close\r\n\r\n';
  const flags = ['--dns', KERNEL_V4, '--secure', '--cafile', credentials.caFile, '--no-shutdown', '-v'];
  const result = await tunwire(lab, ['www.lab.test', '443', ...flags], request);
  t.is(result.code, 0, result.stderr);
  t.regex(result.stdout, /^HTTP\/1\.1 200 OK\r\n[\s\S]*hello from nginx\n$/);
  t.regex(result.stderr, new RegExp(`resolved www.lab.test to ${KERNEL_V4} in`));
  t.regex(result.stderr, /TLSv1\.3, TLS_AES_\w+, \S+ in/);
  t.regex(result.stderr, /certificate valid: /);
  t.regex(
    result.stderr,
    new RegExp(`sent ${request.length} bytes, received ${result.stdout.length} bytes in`),
  );
});

test('a server that takes the end of our direction for the end of our interest gets it later', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, [KERNEL_V4]);
  const page = new Uint8Array(5_000_000).fill(0x61);
  await startNginx(lab, credentials, { page });
  for (const [port, ...flags] of [['80'], ['443', '--secure', '--cafile', credentials.caFile]] as const) {
    const args = [KERNEL_V4, port, '--no-shutdown', ...flags];
    const result = await tunwire(lab, args, 'GET /page HTTP/1.0\r\n\r\n');
    t.is(result.code, 0, result.stderr);
    t.is(result.stdout.length - result.stdout.indexOf('\r\n\r\n') - 4, page.length);
  }
});

test('IPv6: on request when there is a choice, and without a choice; unbound is asked over it', async (t) => {
  const lab = await createLab(t);
  await startUnbound(lab, { 'both.lab.test': [KERNEL_V4, KERNEL_V6], 'six.lab.test': [KERNEL_V6] });
  await startNodeServer(lab, 7000, 'echo');
  const flags = ['--dns', KERNEL_V6, '-v'];
  for (const [host, extra, address] of [
    ['both.lab.test', [], KERNEL_V4],
    ['both.lab.test', ['--prefer-ipv6'], KERNEL_V6],
    ['six.lab.test', [], KERNEL_V6],
    [KERNEL_V6, [], KERNEL_V6],
  ] as const) {
    const result = await tunwire(lab, [host, '7000', ...flags, ...extra], 'ping');
    t.deepEqual([result.code, result.stdout], [0, 'ping'], result.stderr);
    t.true(result.stderr.includes(`connected to ${address} port 7000`), result.stderr);
  }
});

test('the hosts file goes before the name server', async (t) => {
  const lab = await createLab(t);
  await startDnsmasq(lab, { 'peer.lab.test': ['10.77.0.200'] });
  await startNodeServer(lab, 7000, 'echo');
  await lab.ok('sh', ['-c', `echo '${KERNEL_V4} peer.lab.test' > ${lab.file('own-hosts')}`]);
  const flags = ['--dns', KERNEL_V4, '--hosts', lab.file('own-hosts')];
  const result = await tunwire(lab, ['peer.lab.test', '7000', ...flags], 'x');
  t.deepEqual([result.code, result.stdout], [0, 'x'], result.stderr);
});

test('TLS with openssl s_server, and certificates that are not good enough', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, ['peer.lab.test']);
  await startOpenssl(lab, 4433, credentials, ['-rev', '-quiet']);
  await lab.ok('sh', ['-c', `echo '${KERNEL_V4} peer.lab.test other.lab.test' > ${lab.file('own-hosts')}`]);
  const hosts = ['--hosts', lab.file('own-hosts'), '--secure'];
  const trusted = ['--cafile', credentials.caFile];
  // s_server answers a line with its reverse, and ends with us
  const good = await tunwire(lab, ['peer.lab.test', '4433', ...hosts, ...trusted], 'stressed\n');
  t.deepEqual([good.code, good.stdout], [0, 'desserts\n'], good.stderr);
  const stranger = await tunwire(lab, ['peer.lab.test', '4433', ...hosts]);
  t.is(stranger.code, 60);
  t.regex(stranger.stderr, /trusted root.*--cafile FILE/);
  const other = await tunwire(lab, ['other.lab.test', '4433', ...hosts, ...trusted]);
  t.is(other.code, 60);
  t.regex(other.stderr, /another name.*--trusted-site/);
  const accepted = await tunwire(
    lab,
    ['other.lab.test', '4433', ...hosts, '--trusted-site', '-v'],
    'stressed\n',
  );
  t.deepEqual([accepted.code, accepted.stdout], [0, 'desserts\n'], accepted.stderr);
  t.regex(accepted.stderr, /certificate untrusted/);
});

test('UDP: datagrams there and back', async (t) => {
  const lab = await createLab(t);
  await startSocat(lab, 7000, ['UDP6-RECVFROM:7000,fork', 'PIPE'], 'udp');
  for (const address of [KERNEL_V4, KERNEL_V6]) {
    const result = await tunwire(lab, [address, '7000', '--udp'], 'ping');
    t.deepEqual([result.code, result.stdout], [0, 'ping'], result.stderr);
  }
  const closed = await tunwire(lab, [KERNEL_V4, '7001', '--udp'], 'ping');
  t.is(closed.code, 56);
  t.regex(closed.stderr, /refused/);
});

test('failures have their own exit codes, and name the next step', async (t) => {
  const lab = await createLab(t);
  await startDnsmasq(lab, { 'peer.lab.test': [KERNEL_V4] });
  const dns = ['--dns', KERNEL_V4];
  const cases: readonly (readonly [args: readonly string[], code: number, message: RegExp])[] = [
    [['nowhere.lab.test', '80', ...dns], 6, /no such host.*--hosts FILE/],
    [['peer.lab.test', '80'], 6, /no name server.*--dns/],
    [['peer.lab.test', '81', ...dns], 7, /refused.*check that the server runs/],
    [['192.0.2.1', '80'], 7, /no route.*--gw IP/],
    [['peer.lab.test', '0', ...dns], 2, /1 … 65535/],
    [['', '80'], 2, /host name/],
    [['peer.lab.test', '80', '--udp', '--secure'], 2, /INET_PROTOCOL_TCP/],
    [['peer.lab.test', '80', '--secure', '--cafile', '/nowhere'], 77, /no such file/],
    [['peer.lab.test', '80', '--tun', 'no/name'], 2, /TUN interface name/],
  ];
  for (const [args, code, message] of cases) {
    const result = await tunwire(lab, args);
    t.is(result.code, code, `${args.join(' ')}: ${result.stderr}`);
    t.regex(result.stderr, message);
    t.is(result.stdout, '');
  }
});

test('a server that is killed gives a clear error within a second', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, ['peer.lab.test', KERNEL_V4]);
  const cases = [
    // it sends, or reads, or is idle with TLS, when it is killed
    { port: 7001, mode: 'sink', secure: false },
    { port: 7002, mode: 'silent', secure: false },
    { port: 7003, mode: 'sink', secure: true },
    { port: 7004, mode: 'echo', secure: true },
  ] as const;
  for (const { port, mode, secure } of cases) {
    const server = await startNodeServer(lab, port, mode, secure ? { credentials } : {});
    const flags = secure ? ['--secure', '--cafile', credentials.caFile, '-v'] : ['-v'];
    const client = startTunwire(lab, [KERNEL_V4, String(port), ...flags]);
    // it never ends: more than all buffers on the way hold, unless the connection is idle
    const feed = mode === 'echo' ? null : createReadStream('/dev/zero');
    feed?.pipe(client.child.stdin);
    await lab.until('connected', () => client.stderr.includes(secure ? 'certificate valid' : 'connected to'));
    const killedAt = performance.now();
    server.kill('SIGKILL');
    const code = await client.exited;
    feed?.destroy();
    const elapsedMs = performance.now() - killedAt;
    t.true(code === 55 || code === 56, `${mode}: exit code ${code}: ${client.stderr}`);
    t.true(elapsedMs < 20_000, `${mode}: ${elapsedMs} ms`);
    t.regex(client.stderr, secure ? /reset the connection|close_notify/ : /reset the connection/);
  }
});

test('a silent server gives a timeout at the asked number of seconds, in whatever phase', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, ['peer.lab.test', KERNEL_V4]);
  // the kernel drops what is sent there without a word
  await lab.ok('ip', ['route', 'add', 'blackhole', '10.77.1.0/24']);
  await startNodeServer(lab, 7000, 'silent');
  await startSocat(lab, 53, ['UDP4-RECVFROM:53,fork', 'EXEC:sleep 20'], 'udp');
  const cases: readonly (readonly [phase: string, args: readonly string[], message: RegExp])[] = [
    ['DNS', ['peer.lab.test', '80', '--dns', KERNEL_V4], /looking up/],
    ['TCP', ['10.77.1.1', '80', '--gw', KERNEL_V4], /no answer to SYN/],
    ['TCP over IPv6', [`${KERNEL_V6}:dead`, '80'], /no answer to SYN/],
    [
      'TLS',
      [KERNEL_V4, '7000', '--secure', '--cafile', credentials.caFile],
      /did not finish the TLS handshake/,
    ],
  ];
  for (const [phase, args, message] of cases) {
    for (const seconds of [1, 2.5]) {
      const client = startTunwire(lab, [...args, '--timeout', String(seconds), '-v']);
      client.child.stdin.end();
      await lab.until('it has started', () => client.stderr.includes('connecting to'));
      const code = await client.exited;
      t.is(code, 28, `${phase}: ${client.stderr}`);
      t.regex(client.stderr, message);
      // its own account: the start of the process is not part of it
      const [, elapsed = '', unit] = /\(after ([\d.]+) (m?s)\)/.exec(client.stderr) ?? [];
      const elapsedS = Number(elapsed) / (unit === 'ms' ? 1000 : 1);
      t.true(Math.abs(elapsedS - seconds) <= 0.2, `${phase}: ${elapsedS} s of ${seconds} s`);
    }
  }
});

test('a signal resets the connection, and the exit code tells it', async (t) => {
  const lab = await createLab(t);
  const server = await startNodeServer(lab, 7000, 'echo');
  const client = startTunwire(lab, [KERNEL_V4, '7000']);
  client.child.stdin.write('ping');
  await lab.until('echoed', () => client.stdout === 'ping');
  client.kill('SIGINT');
  t.is(await client.exited, 130);
  await lab.until('reset', () => server.stderr.includes('ECONNRESET'));
});

test('--capture writes the packets, and on request the secrets', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, [KERNEL_V4]);
  await startNodeServer(lab, 7000, 'echo', { credentials });
  const flags = ['--secure', '--cafile', credentials.caFile, '--capture'];
  for (const [file, extra, secrets] of [
    [lab.file('plain.pcapng'), [], false],
    [lab.file('secret.pcapng'), ['--capture-secrets'], true],
  ] as const) {
    const result = await tunwire(lab, [KERNEL_V4, '7000', ...flags, file, ...extra], 'ping');
    t.deepEqual([result.code, result.stdout], [0, 'ping'], result.stderr);
    const bytes = readFileSync(file);
    t.is(bytes.readUInt32LE(0), 0x0a0d0d0a);
    t.true(bytes.length > 2000);
    t.is(bytes.includes('CLIENT_TRAFFIC_SECRET_0 '), secrets);
  }
});

test('a link that loses, delays, doubles and reorders packets: TLS still delivers every byte', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, [KERNEL_V4]);
  await startNodeServer(lab, 7000, 'echo', { credentials });
  const text = 'every byte '.repeat(50_000);
  const flags = ['--loss', '2%', '--delay', '2ms', '--duplicate', '2%', '--reorder', '5%', '--seed', '7'];
  const result = await tunwire(
    lab,
    [KERNEL_V4, '7000', '--secure', '--cafile', credentials.caFile, ...flags],
    text,
  );
  t.is(result.code, 0, result.stderr);
  t.true(result.stdout === text);
  const wrong = await tunwire(lab, [KERNEL_V4, '7000', '--loss', 'much'], '');
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /loss.*got 'much'/);
});

test('the process makes no socket of the kernel that has an IP protocol', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, ['www.lab.test']);
  await startDnsmasq(lab, { 'www.lab.test': [KERNEL_V4] });
  await startNginx(lab, credentials, { 'hello.txt': 'hello\n' });
  const trace = lab.file('trace');
  const flags = ['--dns', KERNEL_V4, '--secure', '--cafile', credentials.caFile, '--no-shutdown'];
  const command = [
    ...['-f', '-qq', '-e', 'trace=network', '-o', trace, process.execPath],
    ...commandLine(lab, ['www.lab.test', '443', ...flags]),
  ];
  const result = await lab.run('strace', command, { input: 'GET /hello.txt HTTP/1.0\r\n\r\n' });
  t.is(result.code, 0, result.stderr);
  t.true(result.stdout.endsWith('\r\n\r\nhello\n'));
  const calls = readFileSync(trace, 'utf8');
  // that the trace sees sockets at all: the device's MTU is asked for over one of the family AF_UNIX
  t.regex(calls, /socket\(AF_UNIX/);
  t.notRegex(calls, /AF_INET|PF_INET/);
});

test('nc’s flags: -z only looks, -4 and -6 choose, -s and -p are the own end', async (t) => {
  const lab = await createLab(t);
  const script = `require('net').createServer((socket) => socket.on('error', () => {})
    .end(socket.remoteAddress.replace('::ffff:', '') + ' ' + socket.remotePort + '\\n')).listen(8080)`;
  const server = lab.start(process.execPath, ['-e', script]);
  await lab.listening(server, 8080);
  const both = lab.file('hosts');
  writeFileSync(both, `${KERNEL_V4} both.lab.test\n${KERNEL_V6} both.lab.test\n`);
  const hosts = ['--hosts', both];
  const looked = await tunwire(lab, ['both.lab.test', '8080', '-z', ...hosts], 'not sent\n');
  t.deepEqual([looked.code, looked.stdout, looked.stderr], [0, '', '']);
  t.is((await tunwire(lab, [KERNEL_V4, '8081', '-z'])).code, 7);
  for (const [flag, own] of [
    ['-4', OWN_V4],
    ['-6', OWN_V6],
  ] as const) {
    const result = await tunwire(lab, ['both.lab.test', '8080', flag, '-s', own, '-p', '4000', ...hosts]);
    t.is(result.stdout, `${own} 4000\n`, result.stderr);
  }
  t.is((await tunwire(lab, [KERNEL_V4, '8080', '-6'])).code, 6);
  t.is((await tunwire(lab, [KERNEL_V4, '8080', '-4', '-6'])).code, 2);
  t.is((await tunwire(lab, [KERNEL_V4, '8080', '-p', '70000'])).code, 2);
  t.is((await tunwire(lab, [KERNEL_V4, '8080', '-s', '192.0.2.9'])).code, 7);
});
