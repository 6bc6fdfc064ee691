import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { ExitCode } from './exit-code.ts';
import { LAUNCHER } from './launcher.ts';
import { programPath } from './programs.ts';
import type { LabFlags } from './verbs/lab.ts';

/** What the process inside tells the one outside. */
export interface LabWord {
  /** The namespaces are there, and it runs in them. */
  readonly started: true;
}

/** What the process outside tells the one inside: a signal that it got. */
export interface LabSignal {
  readonly signal: NodeJS.Signals;
}

/** Signals that end a lab; a terminal sends SIGINT to the command inside by itself. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP'];

/** Runs a command in namespaces of its own. @returns its exit code */
export async function lab(words: readonly string[], flags: LabFlags): Promise<number> {
  const unshare = programPath('unshare');
  if (unshare === null || programPath('ip') === null) {
    console.error(
      `tunwire: a lab needs the programs unshare and ip; sudo apt-get install util-linux iproute2 (or what your system calls them)`,
    );
    return ExitCode.Device;
  }
  const inside = [
    process.execPath,
    LAUNCHER,
    'lab-inside',
    ...(flags.link === undefined ? [] : ['--link', flags.link]),
    ...(flags.serve ? ['--serve'] : []),
    ...(flags.verbose ? ['--verbose'] : []),
    '--',
    ...words,
  ];
  const child = spawn(unshare, [...namespaceFlags(unshare), '--fork', '--pid', '--', ...inside], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  return await follow(child);
}

/** Root may make a network namespace as it is; everybody else is root in a user namespace of his own. */
export function namespaceFlags(unshare: string): readonly string[] {
  const asRoot = ['--net', '--pid', '--fork'];
  if (process.getuid?.() === 0 && spawnSync(unshare, [...asRoot, 'true']).status === 0) return ['--net'];
  return ['--user', '--map-root-user', '--net'];
}

/** What to do when namespaces cannot be made. */
export const NAMESPACE_REPAIR: string =
  'this system does not let you make namespaces: on Ubuntu sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, on an old ' +
  'Debian sudo sysctl kernel.unprivileged_userns_clone=1, in Docker --security-opt seccomp=unconfined; or run it as root';

async function follow(child: ChildProcess): Promise<number> {
  let started = false;
  child.on('message', (word: LabWord) => {
    started = word.started;
  });
  // the command gets a terminal's ^C itself, and decides
  process.on('SIGINT', () => {});
  for (const signal of FORWARDED) {
    process.on(signal, () => {
      if (child.connected) child.send({ signal } satisfies LabSignal);
    });
  }
  const code = await new Promise<number>((done) => {
    child.once('error', () => done(ExitCode.Device));
    child.once('exit', (exitCode) => done(exitCode ?? ExitCode.Failed));
  });
  if (started || code === ExitCode.Device) return code;
  console.error(`tunwire: the lab could not be made; ${NAMESPACE_REPAIR}`);
  return ExitCode.Device;
}
