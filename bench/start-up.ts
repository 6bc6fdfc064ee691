/**
 * How long the command takes to start: `tunwire --help`, and `tunwire connect` until the kernel of another network namespace has its
 * connection, which is a little later than the SYN. As npm installs it, from a folder of its own; first without compiled code of an earlier start, then
 * with it. Root, `npm run build` before: `node bench/start-up.ts [ROUNDS]`.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createLab, KERNEL_V4, type Lab, OWN_V4 } from '../test/netns.ts';
import { describeMachine } from './machine.ts';
import { median } from './statistics.ts';

const PORT = 7;
/** Says the time of a clock that all processes share when a connection comes. */
const SERVER = `require('node:net').createServer((socket) => {
  console.log(String(process.hrtime.bigint()));
  socket.on('error', () => {}).end();
}).listen(${PORT})`;

const root = resolve(import.meta.dirname, '..');
const rounds = Number(process.argv[2] ?? 7);
const installed = mkdtempSync(join(tmpdir(), 'tunwire-start-'));
const cleanUps: (() => Promise<void> | void)[] = [];
try {
  mkdirSync(join(installed, 'cli'));
  cpSync(join(root, 'dist'), join(installed, 'dist'), { recursive: true });
  cpSync(join(root, 'cli/tunwire.js'), join(installed, 'cli/tunwire.js'));
  cpSync(join(root, 'package.json'), join(installed, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'));
  const lab = await createLab({ teardown: (clean) => cleanUps.push(clean) });
  await measure(lab);
} finally {
  for (const clean of cleanUps.reverse()) await clean();
  rmSync(installed, { recursive: true });
}

async function measure(lab: Lab): Promise<void> {
  const server = lab.start(process.execPath, ['-e', SERVER]);
  await lab.listening(server, PORT);
  const launcher = join(installed, 'cli/tunwire.js');
  const device = ['--device', `tun:${lab.tun}`, '--addr', `${OWN_V4}/24`];
  const connect = ['connect', ...device, KERNEL_V4, String(PORT)];
  for (const kept of [false, true]) {
    const times: Record<string, number[]> = { node: [], help: [], connect: [] };
    for (let round = 0; round < rounds; round++) {
      const cache = join(installed, kept ? 'kept' : `new ${round}`);
      const env = { XDG_CACHE_HOME: cache };
      // one start that is not counted leaves its code
      if (kept && round === 0) await connected(env);
      times['node']?.push(run(['-e', '0'], env));
      times['help']?.push(run([launcher, '--help'], env));
      times['connect']?.push(await connected(env));
    }
    // the least is what the command itself takes, the rest is the machine's
    const figures = Object.entries(times).map(([name, each]) => [
      name,
      { least: Math.round(Math.min(...each)), median: Math.round(median(each)) },
    ]);
    console.log(JSON.stringify({ compiledCodeKept: kept, ms: Object.fromEntries(figures) }));
  }
  console.log(JSON.stringify(describeMachine()));

  /** Milliseconds until the kernel had the connection. */
  async function connected(env: Record<string, string>): Promise<number> {
    const before = server.stdout.length;
    const startedAt = process.hrtime.bigint();
    const child = lab.within(() =>
      spawn(process.execPath, [launcher, ...connect], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, ...env },
      }),
    );
    await once(child, 'exit');
    const line = server.stdout.slice(before).trim();
    if (line === '') throw new Error('not connected');
    return Number(BigInt(line) - startedAt) / 1e6;
  }
}

/** Milliseconds of a whole run. */
function run(args: readonly string[], env: Record<string, string>): number {
  const startedAt = performance.now();
  execFileSync(process.execPath, args, { env: { ...process.env, ...env }, stdio: 'ignore' });
  return performance.now() - startedAt;
}
