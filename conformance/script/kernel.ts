import { spawn } from 'node:child_process';
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Verdict } from './runner.ts';

/** How a script is run on the kernel. */
export interface KernelOptions {
  /** The program packetdrill. */
  readonly packetdrill: string;
  /** `NAME=VALUE` for words of the script. */
  readonly define: readonly string[];
}

/** What a script says of itself and the kernel in a line of its own. */
export interface KernelClaim {
  /** 'differs': the kernel fails the script. 'not run': it is not tried. */
  readonly kind: 'differs' | 'not run';
  readonly because: string;
}

/** A run longer than this is ended, ms. */
const TIMEOUT_MS = 120_000;
/** packetdrill lives in real time: on a busy machine it is late, and then the script says nothing about the kernel. */
const TRIES = 10;

/**
 * In a shell, for everything must happen inside the namespace. What our stack has by default where a kernel could have something else;
 * Reno, because not every kernel lets a namespace have CUBIC: scripts that judge CUBIC are not run.
 */
const SETUP = `set -e
ip link set lo up
sysctl -qw net.ipv4.tcp_congestion_control=reno net.ipv4.tcp_rmem="4096 131072 6291456" net.ipv4.tcp_wmem="4096 262144 4194304" \\
  net.ipv4.tcp_no_metrics_save=1 net.ipv4.tcp_syn_linear_timeouts=0 net.ipv4.tcp_invalid_ratelimit=0 net.ipv4.tcp_ecn=2 net.ipv4.tcp_fastopen=0 \\
  net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
exec "$@"`;
/** Segments leave one by one, as from a stack without offload; and an IPv6 address takes a moment to be one. */
const DEVICE_SETUP =
  'ip link set dev tun0 gso_max_segs 1 gso_max_size 1500; ' +
  'for turn in 1 2 3 4 5 6 7 8 9; do ip -6 addr show dev tun0 tentative | grep -q . || break; sleep 0.1; done';

/** Finds packetdrill: `named`, or the environment's PACKETDRILL, or on the PATH. @returns null when there is none that can be run */
export function findPacketdrill(named: string | undefined): string | null {
  const given = named ?? process.env['PACKETDRILL'];
  if (given !== undefined) return isExecutable(given) ? given : null;
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, 'packetdrill')).find(isExecutable) ?? null;
}

/** `// kernel: differs, because …` or `// kernel: not run, because …`; null when the kernel has to pass. */
export function kernelClaim(source: string): KernelClaim | null {
  const found = /^\/\/ kernel: (differs|not run), because (.{10,})$/m.exec(source);
  if (found === null) return null;
  const [, kind, because = ''] = found;
  return { kind: kind === 'differs' ? 'differs' : 'not run', because };
}

/**
 * Runs a script with packetdrill in a network namespace of its own, which goes with the run. Needs root.
 * @param folder for a copy of the script, which first sets packetdrill's device up
 */
export async function runOnKernel(file: string, folder: string, options: KernelOptions): Promise<Verdict> {
  const source = readFileSync(file, 'utf8');
  const claim = kernelClaim(source);
  if (claim?.kind === 'not run') return verdict('skip', `not run on the kernel, because ${claim.because}`);
  const copy = join(folder, `${file.replaceAll(/[^\w.-]/g, '_')}`);
  writeFileSync(copy, withDeviceSetup(source));
  const begin = performance.now();
  let output = '';
  for (let turn = 1; turn <= TRIES; turn++) {
    output = await packetdrill(copy, options);
    if (!output.includes('timing error')) break;
  }
  const seconds = (performance.now() - begin) / 1000;
  const [first = '', ...details] = output.replaceAll(copy, file).trim().split('\n');
  const at = /:(\d+): (.*)$/.exec(first);
  const reason = at?.[2] ?? first;
  const line = Number(at?.[1] ?? 0);
  if (claim === null || / (?:parse|syntax|semantic) error/.test(output))
    return output === '' ? verdict('pass', '', seconds) : { kind: 'fail', reason, line, details, seconds };
  if (output !== '') return verdict('differ', claim.because, seconds);
  return verdict('fail', 'the script says that the kernel differs, and the kernel passes it', seconds);
}

/**
 * The script with a command that sets packetdrill's device up before the first event. A script can begin with one command without
 * a time; where it has one, ours goes before it. No line moves.
 */
export function withDeviceSetup(source: string): string {
  // what may come before: blank lines, comments, options
  const head = /^(?:\s+|\/\/.*|\/\*[\s\S]*?\*\/|--\S+)*/.exec(source)?.[0].length ?? 0;
  const rest = source.slice(head);
  const own = rest.startsWith('`') ? `\`${DEVICE_SETUP}; ${rest.slice(1)}` : `\`${DEVICE_SETUP}\` ${rest}`;
  return source.slice(0, head) + own;
}

/** @returns '' when packetdrill is content; else what it prints */
function packetdrill(file: string, options: KernelOptions): Promise<string> {
  const args = ['--net', '--', 'sh', '-c', SETUP, 'sh', options.packetdrill];
  for (const definition of options.define) args.push('--define', definition);
  args.push(file);
  return new Promise((resolve) => {
    const child = spawn('unshare', args, { timeout: TIMEOUT_MS, killSignal: 'SIGKILL' });
    let output = '';
    const add = (text: Buffer): void => {
      output += text.toString();
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => {
      if (code === 0) resolve('');
      else if (signal !== null) resolve(`packetdrill did not end (${signal})`);
      else resolve(output === '' ? `packetdrill ended with ${code}` : output);
    });
  });
}

function verdict(kind: Verdict['kind'], reason: string, seconds = 0): Verdict {
  return { kind, reason, line: 0, details: [], seconds };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
