// needs: tun ip unshare setpriv
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { systemEnvironment } from '../test/requirements.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.js');
const AS_NOBODY = ['--reuid=nobody', '--regid=nogroup', '--clear-groups'];

/** Runs a command with a /dev/net/tun of its own, of which the second argument says who may open it: 666 is what desktops have. */
const WITH_OWN_TUN = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mknod "$1/tun" c 10 200
chmod "$2" "$1/tun"
mount --bind "$1/tun" /dev/net/tun
cd "$1"
shift 2
exec "$@"`;

const environment = { ...systemEnvironment(), TUNWIRE_RUN: '', TMPDIR: '/tmp' };
/** Whether an ordinary user can read the project and make namespaces on this machine. */
const check = ['unshare', '--user', '--map-root-user', '--net', process.execPath, '--check', TUNWIRE];
const isOrdinary = spawnSync('setpriv', [...AS_NOBODY, ...check], { env: environment }).status === 0;
const user = isOrdinary ? 'nobody' : 'root, for nobody cannot have a lab here';

/** Runs the command line as an ordinary user. */
function tunwire(t: ExecutionContext, mode: string, ...args: string[]): SpawnSyncReturns<string> {
  t.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-lab-tun-'));
  chmodSync(folder, 0o755);
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const asUser = isOrdinary ? ['setpriv', ...AS_NOBODY] : [];
  const own = ['--mount', 'sh', '-c', WITH_OWN_TUN, 'sh', folder, mode];
  return spawnSync('unshare', [...own, ...asUser, process.execPath, TUNWIRE, ...args], {
    env: environment,
    encoding: 'utf8',
    timeout: 50_000,
  });
}

test(`a lab on a TUN device without root, where /dev/net/tun may be opened: ${user}`, (t) => {
  const inside = 'echo $TUNWIRE_DEVICE; tunwire get http://server.lab.test/ --json';
  const lab = ['lab', '--link', 'tun', '--serve', 'sh', '-c', inside];
  const { status, stdout, stderr } = tunwire(t, '666', ...lab);
  t.is(status, 0, stderr);
  const [device, report = ''] = stdout.split('\n');
  t.is(device, 'tun:lab0');
  t.like(JSON.parse(report) as object, { status: 200 });
});

test(`doctor says what a lab on a TUN device takes: ${user}`, (t) => {
  t.notRegex(tunwire(t, '666', 'doctor', 'lab').stdout, /chmod/);
  const { status, stdout } = tunwire(t, '600', 'doctor', 'lab');
  t.is(status, 0);
  // root opens what it likes
  if (isOrdinary) t.regex(stdout, /over a TUN device with:\n +sudo chmod 666 \/dev\/net\/tun/);
});
