import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { ExitCode } from './exit-code.ts';
import type { LabSignal, LabWord } from './lab.ts';
import { LAUNCHER } from './launcher.ts';
import { programPath, systemPath } from './programs.ts';
import { note } from './report.ts';
import type { LabFlags } from './verbs/lab.ts';

/** The two ends of the link. */
export const KERNEL_V4 = '10.9.0.1';
export const KERNEL_V6 = 'fd09::1';
const OWN = ['10.9.0.2/24', 'fd09::2/64'];
const NAME = 'lab0';
/** The kernel's end of an Ethernet cable. */
const PEER = 'lab1';
/** No program of that name, as shells have it. */
const NOT_FOUND = 127;
const SIGNALLED = 128;

/**
 * The first process of a lab, inside of its namespaces: makes the network, runs the command beside the servers, and takes with it
 * what the command has left running, for it is process 1 of the lab. @returns the command's exit code
 */
export async function labInside(words: readonly string[], flags: LabFlags): Promise<number> {
  process.send?.({ started: true } satisfies LabWord);
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-lab-'));
  try {
    const link = flags.link ?? (canOpenTun() ? 'tun' : 'veth');
    const problem = makeNetwork(link);
    if (problem !== '') {
      console.error(`tunwire: the lab's network could not be made: ${problem}`);
      return ExitCode.Device;
    }
    const environment = environmentFor(folder, link);
    if (flags.serve) {
      const { serveLab } = await import('./lab-servers.ts');
      const { name, authority } = await serveLab([KERNEL_V4, KERNEL_V6]);
      const caFile = join(folder, 'authority.pem');
      writeFileSync(caFile, authority);
      environment['TUNWIRE_CAFILE'] = caFile;
      if (flags.verbose) note(`${name}: DNS, HTTP, HTTPS, echo, discard and chargen on the kernel`);
    }
    if (flags.verbose) note(`kernel ${KERNEL_V4}, ${KERNEL_V6}; tunwire ${OWN.join(', ')} by ${link}`);
    const [command = process.env['SHELL'] ?? '/bin/sh', ...args] = words;
    const child = spawn(command, args, { stdio: 'inherit', env: environment });
    return await follow(child, command);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns the exit code as a shell would have it */
function follow(child: ChildProcess, command: string): Promise<number> {
  process.on('SIGINT', () => {});
  process.on('message', ({ signal }: LabSignal) => child.kill(signal));
  // whoever made the lab is gone
  process.on('disconnect', () => child.kill('SIGKILL'));
  return new Promise((done) => {
    child.once('error', (error) => {
      console.error(`tunwire: cannot run ${command}: ${error.message}`);
      done(NOT_FOUND);
    });
    child.once('exit', (code, signal) =>
      done(code ?? SIGNALLED + (signal === null ? 0 : constants.signals[signal])),
    );
  });
}

function canOpenTun(): boolean {
  try {
    closeSync(openSync('/dev/net/tun', 'r+'));
    return true;
  } catch {
    return false;
  }
}

/** @returns what went wrong; '': nothing */
function makeNetwork(link: 'tun' | 'veth'): string {
  const kernelEnd = link === 'tun' ? NAME : PEER;
  const lines = [
    'link set lo up',
    link === 'tun' ? `tuntap add dev ${NAME} mode tun` : `link add ${NAME} type veth peer name ${PEER}`,
    // no link-local addresses, and so nothing that the kernel sends of its own accord
    `link set ${NAME} addrgenmode none`,
    ...(link === 'tun' ? [] : [`link set ${PEER} addrgenmode none`]),
    `addr add ${KERNEL_V4}/24 dev ${kernelEnd}`,
    `addr add ${KERNEL_V6}/64 dev ${kernelEnd} nodad`,
    `link set ${NAME} up`,
    ...(link === 'tun' ? [] : [`link set ${PEER} up`]),
  ];
  const ip = programPath('ip') ?? 'ip';
  for (const line of lines) {
    const { status, stderr, error } = spawnSync(ip, line.split(' '), { encoding: 'utf8' });
    if (status !== 0) return `ip ${line}: ${(error?.message ?? stderr).trim()}`;
  }
  return '';
}

/** What makes `tunwire` do without flags about the network. */
function environmentFor(folder: string, link: 'tun' | 'veth'): NodeJS.ProcessEnv {
  const shim = join(folder, 'tunwire');
  writeFileSync(shim, `#!/bin/sh\nexec '${process.execPath}' '${LAUNCHER}' "$@"\n`, { mode: 0o755 });
  return {
    ...process.env,
    PATH: `${folder}${delimiter}${systemPath()}`,
    TUNWIRE_DEVICE: `${link === 'tun' ? 'tun' : 'raw'}:${NAME}`,
    TUNWIRE_ADDR: OWN.join(','),
    TUNWIRE_GW: `${KERNEL_V4},${KERNEL_V6}`,
    TUNWIRE_DNS: KERNEL_V4,
    TUNWIRE_RUN: folder,
  };
}
