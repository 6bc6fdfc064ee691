// needs: ip unshare tshark
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { systemEnvironment } from '../test/requirements.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.js');
/** nobody and nogroup */
const NOBODY = 65_534;

/** Who runs the command: somebody without any right, unless this machine does not let such a user have a lab. */
interface User {
  readonly name: string;
  readonly ids: { readonly uid?: number; readonly gid?: number };
}

const user = ordinaryUser();

function ordinaryUser(): User {
  if (process.getuid?.() !== 0) return { name: 'an ordinary user', ids: {} };
  const ids = { uid: NOBODY, gid: NOBODY };
  const command = ['--user', '--map-root-user', '--net', process.execPath, '--check', TUNWIRE];
  const probe = spawnSync('unshare', command, { ...ids, env: systemEnvironment(), encoding: 'utf8' });
  if (probe.status === 0) return { name: 'nobody', ids };
  const reason = (probe.stderr || String(probe.error)).trim().split('\n')[0];
  return { name: `root, for nobody cannot: ${reason}`, ids: {} };
}

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function folderOf(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-lab-test-'));
  chmodSync(folder, 0o777);
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function lab(folder: string, ...args: string[]): Promise<Result> {
  const child = spawn(process.execPath, [TUNWIRE, 'lab', ...args], {
    ...user.ids,
    cwd: folder,
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

test(`a decrypted capture of an HTTPS request under 5 % loss, as ${user.name}`, async (t) => {
  const folder = folderOf(t);
  const url = 'https://server.lab.test/';
  const flags = ['--loss', '5%', '--seed', '2', '-w', 'out.pcapng'];
  const { code, stdout, stderr } = await lab(folder, '--serve', 'tunwire', 'get', url, ...flags);
  t.deepEqual([code, stderr], [0, '']);
  t.regex(stdout, /^Hello from the kernel's side/);
  const fields = ['-T', 'fields', '-e', 'http.request.method', '-e', 'http.response.code'];
  const shark = spawnSync('tshark', ['-r', join(folder, 'out.pcapng'), '-Y', 'http', ...fields], {
    encoding: 'utf8',
  });
  t.deepEqual(shark.stdout.trim().split(/\s+/), ['GET', '200'], shark.stderr);
  t.deepEqual(readdirSync(folder), ['out.pcapng'], 'nothing else is left behind');
});

test(`connections over both kinds of link, as ${user.name}`, async (t) => {
  const folder = folderOf(t);
  // a TUN device takes the right to open /dev/net/tun
  const canTun =
    spawnSync('sh', ['-c', 'exec 3<>/dev/net/tun'], { ...user.ids, stdio: 'ignore' }).status === 0;
  for (const link of canTun ? ['veth', 'tun'] : ['veth']) {
    const script = 'echo hello | tunwire connect server.lab.test 7';
    const { code, stdout, stderr } = await lab(folder, '--link', link, '--serve', 'sh', '-c', script);
    t.deepEqual([code, stdout, stderr], [0, 'hello\n', ''], link);
  }
  if (!canTun) {
    t.log('a TUN device: not as this user, who cannot open /dev/net/tun');
    const { code, stderr } = await lab(folder, '--link', 'tun', 'true');
    t.is(code, 45);
    t.regex(stderr, /tuntap add/);
  }
});

test(`the command's exit code, its signal, its options; what it leaves running ends`, async (t) => {
  const folder = folderOf(t);
  t.is((await lab(folder, 'sh', '-c', 'exit 7')).code, 7);
  t.is((await lab(folder, '--', 'sh', '-c', 'kill -TERM $$')).code, 143);
  const missing = await lab(folder, 'no-such-program');
  t.is(missing.code, 127);
  // EACCES: the PATH has folders that the user may not read
  t.regex(missing.stderr, /^tunwire: cannot run no-such-program: spawn no-such-program (ENOENT|EACCES)\n$/);
  // it would keep standard output open, and so this test from seeing its end
  const left = await lab(folder, 'sh', '-c', 'sleep 1000 & echo --serve');
  t.deepEqual([left.code, left.stdout], [0, '--serve\n']);
  t.deepEqual(readdirSync(folder), []);
});

test('a lab ends when the process that made it is killed', async (t) => {
  const folder = folderOf(t);
  const child = spawn(process.execPath, [TUNWIRE, 'lab', 'sh', '-c', 'echo started; sleep 1000'], {
    ...user.ids,
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  t.true(readdirSync(folder).length > 0, 'the folder of the lab');
  // comes when the pipe's last writer is gone
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
  t.deepEqual(readdirSync(folder), []);
});

test('SIGTERM reaches the command', async (t) => {
  const folder = folderOf(t);
  const script = 'trap "echo bye; exit 5" TERM; echo started; while :; do sleep 0.05; done';
  const child = spawn(process.execPath, [TUNWIRE, 'lab', 'sh', '-c', script], {
    ...user.ids,
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => {
    if (stdout === '') child.kill('SIGTERM');
    stdout += chunk;
  });
  const [code] = (await once(child, 'close')) as [number];
  t.deepEqual([code, stdout], [5, 'started\nbye\n']);
});
