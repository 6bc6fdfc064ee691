// needs: tun nginx openssl socat curl tshark
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { createLab, KERNEL_V4, OWN_V4 } from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
import { startNginx, startNodeServer, startOpenssl } from '../test/peers/servers.ts';
import { jsonOf, startTunwire, tunwire } from './testing/command.ts';

// flags that a user of nc, curl, openssl, tcpdump and iperf3 types without thinking

const NAME = 'www.lab.test';

test('get -w: what curl says of the same page', async (t) => {
  const lab = await createLab(t);
  await startNginx(lab, makeCredentials(lab.folder, [NAME]), { 'hello.txt': 'hello\n' });
  const names =
    'http_code size_download remote_ip remote_port content_type method num_redirects url_effective';
  const format = `${names.replace(/\w+/g, '%{$&}')} %{no_such} 100%% a\\tb\\n`;
  const args = ['-s', '-w', format, `http://${KERNEL_V4}/hello.txt`];
  const [ours, curls] = [await tunwire(lab, 'get', args), await lab.run('curl', args)];
  t.is(ours.code, 0, ours.stderr);
  t.is(ours.stdout, curls.stdout);
  const times = '%{time_namelookup} %{time_connect} %{time_appconnect} %{time_starttransfer} %{time_total}';
  const timed = await tunwire(lab, 'get', [
    '-o',
    lab.file('page'),
    '--write-out',
    times,
    `http://${KERNEL_V4}/hello.txt`,
  ]);
  const [lookup = 0, connect = 0, tls = 0, first = 0, total = 0] = timed.stdout.split(' ').map(Number);
  t.true(lookup >= 0 && lookup <= connect && connect < first && first <= total, timed.stdout);
  t.is(tls, 0);
});

test('get --local-port with a range, --interface with an address, --trace-ascii', async (t) => {
  const lab = await createLab(t);
  await startNginx(lab, makeCredentials(lab.folder, [NAME]), { 'hello.txt': 'hello\n' });
  const own = ['--addr', '10.77.0.77/24', '--interface', '10.77.0.77', '--local-port', '5000-5002'];
  const url = `http://${KERNEL_V4}/hello.txt`;
  const file = lab.file('trace');
  const page = await tunwire(lab, 'get', [
    url,
    ...own,
    '-s',
    '--trace-ascii',
    file,
    '-w',
    '%{local_ip} %{local_port}',
  ]);
  t.is(page.stdout, 'hello\n10.77.0.77 5000', page.stderr);
  const trace = readFileSync(file, 'latin1');
  t.regex(
    trace,
    /^== Info: connected to .* port 80\n=> Send data, \d+ bytes \(0x[0-9a-f]+\)\n0000: GET \/hello\.txt HTTP\/1\.1\n/,
  );
  t.regex(trace, /^<= Recv data, \d+ bytes[^\n]*\n0000: HTTP\/1\.1 200 OK\n[\s\S]*: hello/m);
  for (const wrong of ['5002-5000', '70000', 'x'])
    t.is((await tunwire(lab, 'get', [url, '--local-port', wrong])).code, 2);
});

test('connect -d, -i, -e', async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, [NAME]);
  await startNodeServer(lab, 7001, 'source', { bytes: 1000 });
  // with standard input open, which without -d had to end first
  const reader = startTunwire(lab, 'connect', [KERNEL_V4, '7001', '-d', '-v']);
  t.is(await reader.exited, 0, reader.stderr);
  t.regex(reader.stderr, /received 1000 bytes/);

  await startNodeServer(lab, 7002, 'echo');
  const slow = await tunwire(lab, 'connect', [KERNEL_V4, '7002', '-i', '0.2', '-v'], {
    input: 'one\ntwo\nthree',
  });
  t.deepEqual([slow.code, slow.stdout], [0, 'one\ntwo\nthree'], slow.stderr);
  t.regex(slow.stderr, /received 13 bytes in (4\d\d\.\d ms|[5-9]\d\d\.\d ms|[\d.]+ s)/);

  await startOpenssl(lab, 4433, credentials, ['-rev']);
  const secure = ['-c', '--cafile', credentials.caFile];
  const other = await tunwire(lab, 'connect', [KERNEL_V4, '4433', ...secure], { input: 'x\n' });
  t.is(other.code, 60);
  const named = await tunwire(lab, 'connect', [KERNEL_V4, '4433', ...secure, '-e', NAME], { input: 'abc\n' });
  t.is(named.stdout, 'cba\n', named.stderr);
});

test('listen --any-port tells its port; -q tells nothing', async (t) => {
  const lab = await createLab(t);
  const server = startTunwire(lab, 'listen', ['--any-port', '--echo']);
  await lab.until('it listens', () => /port \d+/.test(server.stderr) || server.ended);
  const [, port = ''] = /port (\d+)/.exec(server.stderr) ?? [];
  const client = await lab.run('socat', ['-t', '10', '-', `TCP:${OWN_V4}:${port}`], { input: 'hello' });
  t.is(client.stdout, 'hello');
  server.kill('SIGINT');
  t.is(await server.exited, 130);
  t.is((await tunwire(lab, 'listen', [])).code, 2);
  t.is((await tunwire(lab, 'listen', ['--any-port', OWN_V4, '80'])).code, 2);
  await startNodeServer(lab, 7001, 'source', { bytes: 10 });
  const quiet = await tunwire(lab, 'connect', [KERNEL_V4, '7001', '-q'], { input: '' });
  t.deepEqual([quiet.code, quiet.stderr], [0, '']);
  t.is((await tunwire(lab, 'connect', [KERNEL_V4, '7001', '-q', '-v'])).code, 2);
});

test("tls: openssl's flags with one hyphen; -vv", async (t) => {
  const lab = await createLab(t);
  const credentials = makeCredentials(lab.folder, [NAME]);
  await startOpenssl(lab, 4433, credentials, ['-alpn', 'h2']);
  const keys = lab.file('keys');
  const words = `-connect ${KERNEL_V4}:4433 -servername ${NAME} -CAfile ${credentials.caFile} -alpn h2 -keylogfile ${keys} -state -brief -vv`;
  const brief = await tunwire(lab, 'tls', [
    ...words.split(' '),
    '-groups',
    'P-384:X25519',
    '-ciphersuites',
    'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384',
  ]);
  t.is(brief.code, 0, brief.stderr);
  t.regex(
    brief.stdout,
    /^version +TLSv1\.3\ncipher suite +TLS_AES_128_GCM_SHA256\ngroup +P-384\ncertificate +valid.*\n$/,
  );
  t.regex(brief.stderr, /\* server server_hello, \d+ bytes\n/);
  t.regex(brief.stderr, /\* tcp:\n/);
  t.true(existsSync(keys));
  const [target, ...names] = [
    `${KERNEL_V4}:4433`,
    '-CAfile',
    credentials.caFile,
    '-servername',
    'other.test',
  ];
  const refused = await tunwire(lab, 'tls', [target!, ...names, '-verify_return_error']);
  t.deepEqual([refused.code, refused.stdout], [60, '']);
  const reported = await tunwire(lab, 'tls', [target!, ...names]);
  t.is(reported.code, 60);
  t.regex(reported.stdout, /^version/m);
  t.is((await tunwire(lab, 'tls', [target!, '-groups', 'no'])).code, 2);
});

test('bench -s tells what it got; -u, -b', async (t) => {
  const lab = await createLab(t);
  const server = startTunwire(lab, 'bench', ['-s']);
  await lab.until('it serves', () => server.stderr.includes('discard') || server.ended);
  writeFileSync(lab.file('data'), Buffer.alloc(1_000_000));
  await lab.run('socat', ['-u', `OPEN:${lab.file('data')}`, `TCP:${OWN_V4}:9`]);
  await lab.until('it has told', () => server.stdout.includes('\n') || server.ended);
  t.regex(server.stdout, /^10\.77\.0\.1 port \d+: received 1\.0 MB in [\d.]+ s: [\d.]+ Mbit\/s\n$/);
  const sent = await lab.run('sh', ['-c', `socat -u TCP:${OWN_V4}:19 - | head -c 100000 | wc -c`]);
  t.is(sent.stdout.trim(), '100000');
  await lab.run('socat', ['-u', `OPEN:${lab.file('data')}`, `UDP:${OWN_V4}:9`]);
  await lab.until('it has told of datagrams', () => server.stdout.includes('datagrams') || server.ended);
  server.kill('SIGINT');
  t.is(await server.exited, 130, server.stderr);
});

test('bench -u and -b keep to a rate', async (t) => {
  const lab = await createLab(t);
  const udp = await tunwire(lab, 'bench', [
    '-c',
    KERNEL_V4,
    '9',
    '-u',
    '-b',
    '8M',
    '-l',
    '1000',
    '-t',
    '0.5',
    '--json',
  ]);
  t.is(udp.code, 0, udp.stderr);
  const { datagrams, bytes, elapsedMs, machine } = jsonOf(udp) as {
    datagrams: number;
    bytes: number;
    elapsedMs: number;
    machine: string;
  };
  t.is(bytes, datagrams * 1000);
  // a loaded machine sends less, none more
  t.true(datagrams > 0 && datagrams <= elapsedMs + 25, `${datagrams} in ${elapsedMs} ms`);
  t.regex(machine, /^tunwire \d+\.\d+\.\d+/);
  for (const wrong of [
    ['-u', '-R'],
    ['-b', 'fast'],
    ['-R', '-b', '1M'],
  ])
    t.is((await tunwire(lab, 'bench', [KERNEL_V4, ...wrong])).code, 2);
  t.is((await tunwire(lab, 'bench', [])).code, 2);
});

/** Answers a request after a second and a half. */
const SLOW_SERVER = `require('node:http').createServer((_, answer) => {
  setTimeout(() => answer.end('slow\\n'), 1500);
}).listen(8000)`;

test('get --keepalive-time probes a silent connection, --no-keepalive does not', async (t) => {
  const lab = await createLab(t);
  await lab.listening(lab.start(process.execPath, ['-e', SLOW_SERVER]), 8000);
  const url = `http://${KERNEL_V4}:8000/`;
  const probes = async (name: string, flags: readonly string[]): Promise<number> => {
    const file = lab.file(`${name}.pcapng`);
    const page = await tunwire(lab, 'get', [url, ...flags, '--capture', file]);
    t.is(page.stdout, 'slow\n', page.stderr);
    const text = await lab.ok('tshark', ['-r', file, '-Y', 'tcp.analysis.keep_alive']);
    return text.split('\n').filter((line) => line !== '').length;
  };
  t.true((await probes('probed', ['--keepalive-time', '1'])) >= 1);
  t.is(await probes('as it is', []), 0);
  t.is(await probes('unprobed', ['--keepalive-time', '1', '--no-keepalive']), 0);
});
