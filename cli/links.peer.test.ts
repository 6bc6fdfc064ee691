// needs: tun tcpdump
import { resolve } from 'node:path';
import test from 'ava';
import {
  createLab,
  ETHERNET_NAME,
  ETHERNET_V4,
  joinByEthernet,
  KERNEL_V4,
  type Lab,
  OWN_V4,
  PEER_V4,
} from '../test/netns.ts';
import { startNodeServer } from '../test/peers/servers.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');
const PORT = '7000';

function argumentsOf(last: number, verb: string, ...args: readonly string[]): string[] {
  const own = ['--raw', ETHERNET_NAME, '--vlan', '10', '--addr', `10.10.0.${last}/24`];
  return [TUNWIRE, verb, ...own, ...args];
}

test('--vlan: two commands talk in a virtual LAN, each frame of theirs has its tag', async (t) => {
  t.timeout(60_000);
  const own: Lab = await createLab(t);
  const peer: Lab = await createLab(t);
  await joinByEthernet(own, peer);
  const witness = own.start('tcpdump', ['-l', '-n', '-e', '-i', ETHERNET_NAME]);
  await own.until('tcpdump listens', () => witness.stderr.includes('listening on'));
  const server = peer.start(process.execPath, argumentsOf(8, 'listen', '--echo', PORT));
  await peer.until('it listens', () => server.stderr.includes('listening') || server.ended);
  const input = 'behind a tag '.repeat(1000);
  const client = await own.run(process.execPath, argumentsOf(7, 'connect', '10.10.0.8', PORT), {
    input,
    timeoutMs: 60_000,
  });
  t.is(client.code, 0, client.stderr);
  t.true(client.stdout === input);
  server.kill('SIGINT');
  await server.exited;
  await own.until('tcpdump has seen the end', () =>
    /10\.10\.0\.\d+\.7000 > .*Flags \[F/.test(witness.stdout),
  );
  await witness.stop();
  const ours = witness.stdout.split('\n').filter((line) => line.includes('10.10.0.'));
  t.true(ours.length > 5);
  for (const line of ours) t.regex(line, /vlan 10,/);
});

test('--interface: a further device beside the first', async (t) => {
  t.timeout(60_000);
  const own = await createLab(t);
  const peer = await createLab(t);
  await joinByEthernet(own, peer);
  for (const [lab, host] of [
    [own, KERNEL_V4],
    [peer, PEER_V4],
  ] as const) {
    await startNodeServer(lab, Number(PORT), 'echo');
    const args = [
      '--tun',
      own.tun,
      '--addr',
      `${OWN_V4}/24`,
      '--interface',
      `raw:${ETHERNET_NAME},${ETHERNET_V4}/24`,
    ];
    const client = await own.run(process.execPath, [TUNWIRE, 'connect', host, PORT, ...args], {
      input: 'hello',
      timeoutMs: 60_000,
    });
    t.is(client.stdout, 'hello', client.stderr);
  }
});
