import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { rate } from '../drivers/impair-options.ts';
import type { NetStack, Socket } from '../net/index.ts';
import { NetError, Phase } from '../stack/errors.ts';
import {
  type CongestionControlName,
  isCongestionControl,
} from '../stack/tcp/congestion/congestion-control-names.ts';
import { CHARGEN_PORT, DISCARD_PORT } from './bench-server.ts';
import { sendDatagrams, UDP_BYTES } from './bench-udp.ts';
import { ExitCode } from './exit-code.ts';
import { LAUNCHER } from './launcher.ts';
import { withStack } from './own-stack.ts';
import { Pace } from './pace.ts';
import { formatBytes, Progress } from './progress.ts';
import { printerOf, tlsOptionsOf } from './stack-options.ts';
import type { BenchFlags } from './verbs/bench.ts';

const CONNECT_TIMEOUT_MS = 30_000;
/** Datagrams without a limit of their own, as with iperf3. */
const UDP_BITS_PER_SECOND = 1_000_000;
/** How long the rest may take after the time is over. */
const PATIENCE_MS = 10_000;
const CHUNK: Buffer = Buffer.alloc(256 * 1024, 'tunwire ');

/** @returns the exit code */
export function bench(host: string, port: number | undefined, flags: BenchFlags): Promise<ExitCode> {
  return withStack(flags, async (stack, interrupted) => {
    const reverse = flags.reverse === true;
    const at = port ?? (reverse ? CHARGEN_PORT : DISCARD_PORT);
    checkCombination(flags);
    const pace = new Pace(bitsPerSecondOf(flags));
    const sockets = flags.udp ? [] : await connectAll(stack, host, at, flags, interrupted);
    const lengthBytes = flags.length ?? UDP_BYTES;
    const before = stack.counters;
    const cpuBefore = process.cpuUsage();
    const startedAt = performance.now();
    const progress = new Progress(0);
    const end = AbortSignal.any([interrupted, AbortSignal.timeout(flags.time * 1000)]);
    const senders = Array.from({ length: flags.udp ? Math.max(1, flags.parallel) : 0 }, () =>
      sendDatagrams(stack, host, at, lengthBytes, pace, end, progress),
    );
    const datagrams = (await Promise.all(senders)).reduce((sum, one) => sum + one, 0);
    const counted = await Promise.all(
      sockets.map((socket) => (reverse ? receive(socket, end, progress) : send(socket, end, progress, pace))),
    );
    progress.end();
    const elapsedMs = performance.now() - startedAt;
    const cpu = process.cpuUsage(cpuBefore);
    interrupted.throwIfAborted();
    const bytes = flags.udp ? datagrams * lengthBytes : counted.reduce((sum, one) => sum + one, 0);
    const { rxPackets, txPackets } = stack.counters;
    report(flags, {
      direction: reverse ? 'received' : 'sent',
      connections: Math.max(1, flags.parallel),
      datagrams: flags.udp ? datagrams : null,
      bytes,
      elapsedMs,
      bitsPerSecond: (bytes * 8000) / elapsedMs,
      cpuMs: (cpu.user + cpu.system) / 1000,
      rxPackets: rxPackets - before.rxPackets,
      txPackets: txPackets - before.txPackets,
      machine: `tunwire ${revision()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.versions.node}`,
    });
    return ExitCode.Ok;
  });
}

/** @throws NetError ARGUMENT_INVALID */
function checkCombination({ udp, reverse, secure, bitrate }: BenchFlags): void {
  const detail =
    udp && (reverse || secure)
      ? '--udp only sends, and without TLS: for the other direction run the server with the stack'
      : reverse && bitrate !== undefined
        ? '--bitrate is about what is sent; with --reverse limit the link: --rate 10mbit'
        : '';
  if (detail !== '') throw new NetError('ARGUMENT_INVALID', { phase: Phase.Argument, detail });
}

/** @throws NetError ARGUMENT_INVALID */
function bitsPerSecondOf({ bitrate, udp }: BenchFlags): number {
  if (bitrate === undefined) return udp ? UDP_BITS_PER_SECOND : Infinity;
  // iperf3 writes 10M
  const text = /^[\d.]+[kmg]$/i.test(bitrate) ? `${bitrate}bit` : bitrate;
  return rate('--bitrate', text);
}

interface BenchReport {
  readonly direction: 'sent' | 'received';
  readonly connections: number;
  /** null: over TCP. */
  readonly datagrams: number | null;
  readonly bytes: number;
  readonly elapsedMs: number;
  readonly bitsPerSecond: number;
  /** Of this process, both sides of the shared memory. */
  readonly cpuMs: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly machine: string;
}

/** Its version, in a checkout with the commit. */
function revision(): string {
  const root = resolve(LAUNCHER, '../..');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const git = spawnSync('git', ['-C', root, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' });
  return existsSync(join(root, '.git')) && git.status === 0 ? `${version} (${git.stdout.trim()})` : version;
}

function connectAll(
  stack: NetStack,
  host: string,
  port: number,
  flags: BenchFlags,
  signal: AbortSignal,
): Promise<Socket[]> {
  const congestionControl = congestionOf(flags.congestion);
  const tls = flags.secure ? tlsOptionsOf(flags) : false;
  const options = { host, port, tls, signal, timeoutMs: CONNECT_TIMEOUT_MS, congestionControl };
  return Promise.all(Array.from({ length: Math.max(1, flags.parallel) }, () => stack.connect(options)));
}

function congestionOf(name: string | undefined): CongestionControlName | undefined {
  if (name === undefined || isCongestionControl(name)) return name;
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: `--congestion: there is no '${name}'; see tunwire bench --help`,
  });
}

/** Sends until `end`, and waits until all of it has been taken. @returns the bytes */
async function send(socket: Socket, end: AbortSignal, progress: Progress, pace: Pace): Promise<number> {
  let bytes = 0;
  const failed = once(socket, 'close').then(() => Promise.reject(socket.errored ?? closedEarly()));
  failed.catch(() => {});
  const over = once(end, 'abort');
  while (!end.aborted) {
    bytes += CHUNK.length;
    progress.add(CHUNK.length);
    await pace.sent(CHUNK.length, end);
    if (!socket.write(CHUNK)) await Promise.race([once(socket, 'drain'), over, failed]);
    // writes that never have to wait would keep the timer from running out
    else await sleep(0);
  }
  socket.resume();
  const finished = once(socket, 'finish');
  socket.end();
  const patience = new AbortController();
  const late = sleep(PATIENCE_MS, 'late', { signal: patience.signal });
  late.catch(() => {});
  const result = await Promise.race([finished, failed, late]);
  patience.abort();
  if (result === 'late') throw takesNothing();
  socket.destroy();
  return bytes;
}

async function receive(socket: Socket, end: AbortSignal, progress: Progress): Promise<number> {
  const stop = (): void => {
    socket.destroy();
  };
  end.addEventListener('abort', stop);
  let bytes = 0;
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      progress.add(chunk.length);
    }
  } catch (error) {
    // the end of the time ends the connection in the middle
    if (!end.aborted) throw error;
  }
  if (!end.aborted) throw closedEarly();
  return bytes;
}

function closedEarly(): NetError {
  return new NetError('RESET', {
    phase: Phase.Transfer,
    detail:
      'the peer has ended the connection before the time was over; sending needs a discard server, -R one of chargen',
  });
}

function takesNothing(): NetError {
  return new NetError('TIMEOUT', {
    phase: Phase.Transfer,
    detail: `the peer has not taken what was sent within ${PATIENCE_MS / 1000} s; is there a discard server on that port?`,
  });
}

function report(flags: BenchFlags, result: BenchReport): void {
  const print = printerOf(flags);
  if (flags.json) {
    print(JSON.stringify(result));
    return;
  }
  const { direction, connections, datagrams, bytes, elapsedMs, bitsPerSecond, cpuMs, machine } = result;
  const of = datagrams === null ? '' : ` in ${datagrams} datagrams`;
  const over = connections === 1 || datagrams !== null ? '' : ` over ${connections} connections`;
  print(
    `${direction} ${formatBytes(bytes)}${of} in ${(elapsedMs / 1000).toFixed(2)} s${over}: ${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s, ` +
      `${(cpuMs / 1000).toFixed(2)} s of CPU\non ${machine}`,
  );
}
