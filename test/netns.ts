import {
  type ChildProcess,
  type ChildProcessByStdio,
  type ChildProcessWithoutNullStreams,
  execFile,
  spawn,
} from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { setns } from '../drivers/syscalls.ts';
import { systemEnvironment } from './requirements.ts';

/** Addresses on the two sides of the TUN device. Every lab uses the same: namespaces do not see each other. */
export const KERNEL_V4 = '10.77.0.1';
export const KERNEL_V6 = 'fd77::1';
export const OWN_V4 = '10.77.0.2';
export const OWN_V6 = 'fd77::2';
/** Addresses on an Ethernet link between two labs, see {@link joinByEthernet}. */
export const PEER_V4 = '10.78.0.1';
export const PEER_V6 = 'fd78::1';
export const ETHERNET_V4 = '10.78.0.2';
export const ETHERNET_V6 = 'fd78::2';
/** The name of either end. */
export const ETHERNET_NAME = 'veth0';

/** As the stack's configuration takes them. */
export const OWN_ADDRESSES: readonly string[] = [`${OWN_V4}/24`, `${OWN_V6}/64`];

export interface LabOptions {
  /** Of the TUN device. Default 1500. */
  readonly mtuBytes?: number;
}

/** What AVA's `t` gives: called at the end of the test, whatever its result. */
export interface Teardown {
  teardown(clean: () => Promise<void> | void): void;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** After so long the process is killed. Default 30,000. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** Exit code; null when a signal ended the process. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const PREFIX = 'tunwire';
const NAMESPACES = '/run/netns';
const CLONE_NEWNET = 0x40000000;
const TUN_NAME = 'tun0';
const POLL_MS = 25;

let counter = 0;
let swept = false;

/**
 * A network namespace with a TUN device, the kernel's side of which has {@link KERNEL_V4} and {@link KERNEL_V6}. It is
 * removed, together with every process in it and its folder, at the end of the test; and by a process of its own that
 * outlives this one when that is interrupted or killed.
 */
export async function createLab(t: Teardown, options: LabOptions = {}): Promise<Lab> {
  if (!swept) {
    swept = true;
    await sweep();
  }
  const namespace = `${PREFIX}-${process.pid}-${threadId}-${counter++}`;
  const folder = mkdtempSync(join(tmpdir(), `${PREFIX}-`));
  const reaper = startReaper(namespace, folder);
  t.teardown(() => reap(reaper));
  await run('ip', ['netns', 'add', namespace]);
  const lab = new Lab(namespace, folder);
  await lab.ok('sh', ['-c', SETUP, 'sh', TUN_NAME, String(options.mtuBytes ?? 1500)]);
  return lab;
}

/** No duplicate address detection (it delays), no router solicitations and no link-local address (they are noise). */
const SETUP = `set -e
for what in all default; do
  echo 0 > /proc/sys/net/ipv6/conf/$what/accept_dad
  echo 0 > /proc/sys/net/ipv6/conf/$what/router_solicitations
done
ip link set lo up
ip tuntap add dev $1 mode tun
ip link set $1 mtu $2 addrgenmode none
ip addr add ${KERNEL_V4}/24 dev $1
ip addr add ${KERNEL_V6}/64 dev $1 nodad
ip link set $1 up`;

/**
 * Lays an Ethernet cable (a pair of veth devices) from `own`, where the kernel has no address on it, to `peer`, whose kernel has
 * {@link PEER_V4} and {@link PEER_V6}.
 * @param cable of several of one lab: with 1 it is `veth1`, and the addresses are 10.79.0.1 and fd79::1
 */
export async function joinByEthernet(own: Lab, peer: Lab, cable = 0): Promise<void> {
  const name = ETHERNET_NAME.replace(/\d+$/, String(cable));
  const ends = ['type', 'veth', 'peer', 'name', name, 'netns', peer.namespace];
  await run('ip', ['-n', own.namespace, 'link', 'add', name, ...ends]);
  for (const lab of [own, peer]) {
    await lab.ok('ip', ['link', 'set', name, 'addrgenmode', 'none']);
    await lab.ok('ip', ['link', 'set', name, 'up']);
  }
  const network = 78 + cable;
  await peer.ok('ip', ['addr', 'add', `10.${network}.0.1/24`, 'dev', name]);
  await peer.ok('ip', ['addr', 'add', `fd${network}::1/64`, 'dev', name, 'nodad']);
}

/** Cleans up when its standard input ends: because the lab was closed, or because the process that made it is gone. */
const REAPER = `read -r _
for turn in 1 2 3 4 5 6 7 8 9 10; do
  pids=$(ip netns pids "$1" 2>/dev/null)
  [ -z "$pids" ] && break
  kill -9 $pids 2>/dev/null
  sleep 0.02
done
ip netns del "$1" 2>/dev/null
[ -n "$2" ] && rm -rf "$2"`;

type Reaper = ChildProcessByStdio<Writable, null, null>;

function startReaper(namespace: string, folder: string): Reaper {
  const child = spawn('sh', ['-c', REAPER, 'sh', namespace, folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: systemEnvironment(),
    cwd: '/',
  });
  // it must not keep this process from ending
  child.unref();
  return child;
}

async function reap(reaper: Reaper): Promise<void> {
  reaper.ref();
  const gone = new Promise((done) => reaper.once('exit', done));
  reaper.stdin.end();
  await gone;
}

/** Removes what processes that are gone left behind, should their reapers have been killed too. */
async function sweep(): Promise<void> {
  let names: string[];
  try {
    names = readdirSync(NAMESPACES);
  } catch {
    // no namespace was ever made on this machine
    return;
  }
  for (const name of names) {
    const pid = Number(new RegExp(`^${PREFIX}-(\\d+)-\\d+-\\d+$`).exec(name)?.[1] ?? process.pid);
    if (isAlive(pid)) continue;
    await reap(startReaper(name, ''));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Runs a command on the host. @throws when it fails */
function run(command: string, args: readonly string[]): Promise<string> {
  return new Promise((done, fail) => {
    execFile(command, args, { env: systemEnvironment() }, (error, stdout, stderr) => {
      if (error === null) done(stdout);
      else fail(new Error(`${command} ${args.join(' ')}: ${stderr || error.message}`));
    });
  });
}

/** See {@link createLab}. */
export class Lab {
  /** Name of the namespace, for `ip netns exec`. */
  readonly namespace: string;
  /** A folder of the lab's own for configurations, keys, logs. */
  readonly folder: string;
  /** Name of the TUN device in the namespace. */
  readonly tun: string = TUN_NAME;

  constructor(namespace: string, folder: string) {
    this.namespace = namespace;
    this.folder = folder;
  }

  /** The path of a file in the lab's folder. */
  file(name: string): string {
    return join(this.folder, name);
  }

  /** Starts a program in the namespace, in a process group of its own. It ends with the lab at the latest. */
  start(command: string, args: readonly string[], options: RunOptions = {}): LabProcess {
    const child = spawn('ip', ['netns', 'exec', this.namespace, command, ...args], {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...systemEnvironment(), ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    return new LabProcess(child, `${command} ${args.join(' ')}`);
  }

  /** Runs a program in the namespace to its end. */
  async run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const process = this.start(command, args, options);
    process.child.stdin.end(options.input);
    const timer = new AbortController();
    const timeoutMs = options.timeoutMs ?? 30_000;
    const late = sleep(timeoutMs, 'late', { signal: timer.signal }).catch(() => 'done');
    if ((await Promise.race([process.exited, late])) === 'late') {
      process.kill('SIGKILL');
      await process.exited;
      throw new Error(`${process.title}: not done after ${timeoutMs} ms\n${process.stdout}${process.stderr}`);
    }
    timer.abort();
    return { code: await process.exited, stdout: process.stdout, stderr: process.stderr };
  }

  /** Like {@link run}. @throws when the exit code is not 0. @returns standard output */
  async ok(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    const result = await this.run(command, args, options);
    if (result.code !== 0) {
      throw new Error(`${command} ${args.join(' ')}: exit code ${result.code}\n${result.stderr}`);
    }
    return result.stdout;
  }

  /** Starts a TypeScript or JavaScript file of the project under this Node. @param script path from the project's root */
  node(script: string, args: readonly string[] = [], options: RunOptions = {}): LabProcess {
    return this.start(process.execPath, [resolve(import.meta.dirname, '..', script), ...args], options);
  }

  /**
   * Calls `body` with the calling thread in the namespace: devices it opens, and threads and processes it starts, belong to it. Only
   * what happens before `body` returns does, so `body` must not be asynchronous.
   */
  within<T>(body: () => T): T {
    const back = openSync('/proc/thread-self/ns/net', 'r');
    try {
      const there = openSync(join(NAMESPACES, this.namespace), 'r');
      try {
        enter(there);
      } finally {
        closeSync(there);
      }
      try {
        return body();
      } finally {
        enter(back);
      }
    } finally {
      closeSync(back);
    }
  }

  /**
   * Waits until a socket listens, without connecting to it.
   * @throws when `server` ends before, or after `timeoutMs`
   */
  async listening(
    server: LabProcess,
    port: number,
    protocol: 'tcp' | 'udp' = 'tcp',
    timeoutMs = 30_000,
  ): Promise<void> {
    const flags = protocol === 'tcp' ? '-Hltn' : '-Hlun';
    for (const end = Date.now() + timeoutMs; ; await sleep(POLL_MS)) {
      if (server.ended) throw new Error(`${server.title}: ended\n${server.stdout}${server.stderr}`);
      if ((await this.ok('ss', [flags, `sport = :${port}`])).trim() !== '') return;
      if (Date.now() > end) {
        throw new Error(`${server.title}: nothing listens on ${protocol} port ${port} after ${timeoutMs} ms`);
      }
    }
  }

  /** Waits until `condition` holds. @throws after `timeoutMs`, naming `what` */
  async until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> {
    for (const end = Date.now() + timeoutMs; !(await condition()); await sleep(POLL_MS)) {
      if (Date.now() > end) throw new Error(`${what}: not so after ${timeoutMs} ms`);
    }
  }
}

function enter(fd: number): void {
  const result = setns(fd, CLONE_NEWNET);
  if (result < 0) throw new Error(`setns: error ${-result}`);
}

/** A program that runs in a lab. What it prints is kept. */
export class LabProcess {
  readonly child: ChildProcessWithoutNullStreams;
  /** The command line. */
  readonly title: string;
  /** Resolves with the exit code, or null when a signal ended it; never rejects. */
  readonly exited: Promise<number | null>;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];

  constructor(child: ChildProcessWithoutNullStreams, title: string) {
    this.child = child;
    this.title = title;
    child.stdout.on('data', (chunk: Buffer) => this.#stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => this.#stderr.push(chunk));
    // a program that ends without reading its input is no error here
    child.stdin.on('error', () => {});
    this.exited = new Promise((done) => {
      child.once('close', (code) => done(code));
      child.once('error', () => done(-1));
    });
  }

  get stdout(): string {
    return this.stdoutBytes.toString();
  }

  /** Standard output as it came. */
  get stdoutBytes(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString();
  }

  get ended(): boolean {
    return hasEnded(this.child);
  }

  /** Sends a signal to the program and everything it started. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (this.child.pid === undefined || this.ended) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch {
      // it has just ended by itself
    }
  }

  /** Ends the program and waits until it is gone. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.kill(signal);
    await this.exited;
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
