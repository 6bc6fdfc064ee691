// needs: tun passt
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import test from 'ava';
import { createLab, type Lab } from '../test/netns.ts';
import { pattern, patternDigest } from '../test/peers/pattern.ts';
import { startNodeServer } from '../test/peers/servers.ts';
import { systemEnvironment } from '../test/requirements.ts';
import { createStack } from './index.ts';
import { readAll } from './testing/consume.ts';

/** What the machine has outside; passt answers for its gateways, and they are its loopback. */
const OUTSIDE = ['192.0.2.2/24', '2001:db8::2/64'];
const GATEWAY = '192.0.2.1';
const GATEWAY_V6 = '2001:db8::1';
const SOURCE_PORT = 47_300;
const SINK_PORT = 47_301;
const BYTES = 1_000_000;
const TUNWIRE = resolve(import.meta.dirname, '../cli/tunwire.ts');
/** nobody and nogroup */
const NOBODY = '65534';
const AS_NOBODY = ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', process.execPath];

interface Ended {
  teardown(clean: () => Promise<void> | void): void;
}

/** A machine with a default route, and servers on its loopback. */
async function createMachine(t: Ended): Promise<Lab> {
  const lab = await createLab(t);
  await lab.ok('sh', [
    '-c',
    `set -e
     ip link add ext0 type veth peer name ext1
     ip link set ext1 up
     ip addr add ${OUTSIDE[0]} dev ext0
     ip addr add ${OUTSIDE[1]} dev ext0 nodad
     ip link set ext0 up
     ip route add default via ${GATEWAY}
     ip -6 route add default via ${GATEWAY_V6}`,
  ]);
  return lab;
}

/** How many passt run in the namespace. */
async function running(lab: Lab): Promise<number> {
  const pids = (await lab.ok('ip', ['netns', 'pids', lab.namespace])).trim().split('\n');
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('passt');
    } catch {
      return false;
    }
  }).length;
}

test('passt: addresses, routes and connections to the loopback of the machine', async (t) => {
  const lab = await createMachine(t);
  const stack = await lab.within(() =>
    createStack({ device: 'passt:', addresses: ['dhcp', 'slaac'], resolver: { hostsFile: null } }),
  );
  t.teardown(() => stack.close());
  await startNodeServer(lab, SOURCE_PORT, 'source', { bytes: BYTES });
  const sink = await startNodeServer(lab, SINK_PORT, 'sink');
  const data = Buffer.concat([...pattern(BYTES)]);
  for (const [host, own] of [
    [GATEWAY, /^192\.0\.2\.2$/],
    [GATEWAY_V6, /^2001:db8::/],
  ] as const) {
    // not both ways at once: passt 2023_03_09 then sends some of it twice, and never our peer's end
    const from = await stack.connect({ host, port: SOURCE_PORT });
    t.regex(from.localAddress ?? '', own);
    t.true((await readAll(from)).equals(data), host);
    const to = await stack.connect({ host, port: SINK_PORT });
    to.end(data);
    t.is((await readAll(to)).length, 0);
  }
  const said = `${BYTES} ${patternDigest(BYTES)}\n`;
  await lab.until('both are told', () => sink.stdout === said + said);
  t.is(await running(lab), 1);
  await stack.close();
  await lab.until('passt has ended', async () => (await running(lab)) === 0);
});

/** Whether this user can read the project. */
const readable = spawnSync('setpriv', [...AS_NOBODY, '--check', TUNWIRE], { env: systemEnvironment() });
const user = readable.status === 0 ? 'nobody' : 'root, for nobody cannot read this folder';

test(`passt: from the command line, as ${user}`, async (t) => {
  const lab = await createMachine(t);
  chmodSync(lab.folder, 0o777);
  const sink = await startNodeServer(lab, SINK_PORT, 'sink');
  const args = [TUNWIRE, 'connect', '--device', 'passt:', '--addr', 'dhcp', GATEWAY, String(SINK_PORT)];
  const [command, ...rest] =
    readable.status === 0 ? ['setpriv', ...AS_NOBODY, ...args] : [process.execPath, ...args];
  const options = { input: 'said to the machine\n', env: { TMPDIR: lab.folder } };
  const { code, stdout, stderr } = await lab.run(command!, rest, options);
  t.is(code, 0, stderr);
  t.is(stdout, '');
  await lab.until('it has come', () => sink.stdout.startsWith('20 '));
  // the folder of control sockets stays, as tmux's does
  const left = readdirSync(lab.folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => !entry.isDirectory(),
  );
  t.deepEqual(left, [], 'the sockets are gone');
  t.false(
    readdirSync(lab.folder).some((name) => name.startsWith('tunwire-passt-')),
    'and the folder of one',
  );
});

test('what passt says is told', async (t) => {
  const lab = await createLab(t);
  const starting = lab.within(() => createStack({ device: 'passt:', addresses: ['dhcp'] }));
  await t.throwsAsync(starting, { message: /passt does not start: .*(not usable|routable interface)/s });
  const wrong = lab.within(() => createStack({ device: 'unix:/none', addresses: ['dhcp'] }));
  await t.throwsAsync(wrong, { message: /connect to \/none: ENOENT; nothing listens there/ });
});
