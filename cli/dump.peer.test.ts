// needs: tun tcpdump openssl ping
import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  createLab,
  ETHERNET_NAME,
  ETHERNET_V4,
  ETHERNET_V6,
  joinByEthernet,
  type Lab,
  type LabProcess,
  PEER_V4,
  PEER_V6,
} from '../test/netns.ts';
import { makeCredentials } from '../test/peers/credentials.ts';
import { startOpenssl } from '../test/peers/servers.ts';

const TUNWIRE = new URL('tunwire.ts', import.meta.url).pathname;

/** tcpdump on an interface, once it listens. */
async function capture(lab: Lab, iface: string, file: string): Promise<LabProcess> {
  const capture = lab.start('tcpdump', ['-i', iface, '-U', '--immediate-mode', '-Z', 'root', '-w', file]);
  await lab.until('tcpdump listens', () => capture.stderr.includes('listening on'));
  return capture;
}

test('ARP, neighbour discovery and echoes are told in the words of tcpdump', async (t) => {
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  await own.ok('ip', ['addr', 'add', `${ETHERNET_V4}/24`, 'dev', ETHERNET_NAME]);
  await own.ok('ip', ['addr', 'add', `${ETHERNET_V6}/64`, 'dev', ETHERNET_NAME, 'nodad']);
  const file = own.file('neighbours.pcap');
  const watching = await capture(own, ETHERNET_NAME, file);
  for (const address of [PEER_V4, PEER_V6]) await own.ok('ping', ['-n', '-c', '2', '-i', '0.2', address]);
  const written = async (): Promise<string> => await own.ok('tcpdump', ['-n', '-r', file]);
  await own.until('the last echo is written', async () => /ICMP6, echo reply.* seq 2/.test(await written()));
  await watching.stop('SIGINT');
  const theirs = await written();
  const ours = await own.ok(process.execPath, [TUNWIRE, 'dump', file]);
  // reports of multicast groups come when they like
  const linesOf = (text: string): string[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.slice(16))
      .filter((line) => !line.includes('ff02::16'));
  t.deepEqual(linesOf(ours), linesOf(theirs));
  t.regex(ours, /ARP, Request who-has 10\.78\.0\.1 tell 10\.78\.0\.2, length 28/);
  t.regex(ours, /ICMP6, neighbor advertisement, tgt is fd78::1, length 32/);
  const arp = await own.ok(process.execPath, [TUNWIRE, 'dump', file, 'arp']);
  t.is(linesOf(arp).length, linesOf(theirs).filter((line) => line.startsWith('ARP')).length);
});

for (const [version, suite] of [
  ['-tls1_3', ['-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256']],
  ['-tls1_3', ['-ciphersuites', 'TLS_AES_256_GCM_SHA384']],
  ['-tls1_2', ['-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256']],
  ['-tls1_2', ['-cipher', 'ECDHE-ECDSA-AES256-SHA384']],
] as const) {
  test(`TLS of openssl on both sides is opened by its key log: ${version} ${suite[1]}`, async (t) => {
    const lab = await createLab(t);
    const credentials = makeCredentials(lab.folder, ['peer.lab.test']);
    await startOpenssl(lab, 4433, credentials, ['-rev', version]);
    const file = lab.file('tls.pcap');
    const keyLog = lab.file('keys');
    const watching = await capture(lab, 'lo', file);
    const client = lab.start('openssl', [
      ...['s_client', '-connect', '127.0.0.1:4433', '-keylogfile', keyLog, '-quiet', version],
      ...suite,
    ]);
    client.child.stdin.write('never in the clear\n');
    await lab.until('the server answers', () => client.stdout.includes('raelc eht ni reven'));
    // what came before the end is written when the end is
    await client.stop();
    await lab.until('the end is written', async () =>
      /Flags \[[FPR.]*[FR]/.test(await lab.ok('tcpdump', ['-n', '-r', file])),
    );
    await watching.stop('SIGINT');
    t.false(readFileSync(file).includes('in the clear'));
    const lines = await lab.ok(process.execPath, [TUNWIRE, 'dump', file, '--keylog', keyLog]);
    t.regex(lines, /\tTLS client: handshake client_hello, \d+ bytes\n/);
    t.regex(lines, /\tTLS server: handshake certificate, \d+ bytes\n/);
    t.regex(lines, /\tTLS client: handshake finished, \d+ bytes\n/);
    t.regex(lines, /\tTLS client: application data, 19 bytes\n\t\| never in the clear\n/);
    t.regex(lines, /\tTLS server: application data, 19 bytes\n\t\| raelc eht ni reven\n/);
    const sealed = await lab.ok(process.execPath, [TUNWIRE, 'dump', file]);
    t.regex(sealed, /TLS client: handshake client_hello/);
    t.notRegex(sealed, /application data|finished/);
  });
}
