import { once } from 'node:events';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetStack, Socket } from '../net/index.ts';
import { NetError, Phase } from '../stack/errors.ts';
import {
  type CongestionControlName,
  isCongestionControl,
} from '../stack/tcp/congestion/congestion-controls.ts';
import { ExitCode } from './exit-code.ts';
import { withStack } from './own-stack.ts';
import { formatBytes, Progress } from './progress.ts';
import { printerOf, tlsOptionsOf } from './stack-options.ts';
import type { BenchFlags } from './verbs/bench.ts';

const DISCARD_PORT = 9;
const CHARGEN_PORT = 19;
const CONNECT_TIMEOUT_MS = 30_000;
/** How long the rest may take after the time is over. */
const PATIENCE_MS = 10_000;
const CHUNK: Buffer = Buffer.alloc(256 * 1024, 'tunwire ');

/** @returns the exit code */
export function bench(host: string, port: number | undefined, flags: BenchFlags): Promise<ExitCode> {
  return withStack(flags, async (stack, interrupted) => {
    const reverse = flags.reverse === true;
    const sockets = await connectAll(
      stack,
      host,
      port ?? (reverse ? CHARGEN_PORT : DISCARD_PORT),
      flags,
      interrupted,
    );
    const before = stack.counters;
    const cpuBefore = process.cpuUsage();
    const startedAt = performance.now();
    const progress = new Progress(0);
    const end = AbortSignal.any([interrupted, AbortSignal.timeout(flags.time * 1000)]);
    const counted = await Promise.all(
      sockets.map((socket) => (reverse ? receive(socket, end, progress) : send(socket, end, progress))),
    );
    progress.end();
    const elapsedMs = performance.now() - startedAt;
    const cpu = process.cpuUsage(cpuBefore);
    interrupted.throwIfAborted();
    const bytes = counted.reduce((sum, one) => sum + one, 0);
    const { rxPackets, txPackets } = stack.counters;
    report(flags, {
      direction: reverse ? 'received' : 'sent',
      connections: sockets.length,
      bytes,
      elapsedMs,
      bitsPerSecond: (bytes * 8000) / elapsedMs,
      cpuMs: (cpu.user + cpu.system) / 1000,
      rxPackets: rxPackets - before.rxPackets,
      txPackets: txPackets - before.txPackets,
      machine: `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.versions.node}`,
    });
    return ExitCode.Ok;
  });
}

interface BenchReport {
  readonly direction: 'sent' | 'received';
  readonly connections: number;
  readonly bytes: number;
  readonly elapsedMs: number;
  readonly bitsPerSecond: number;
  /** Of this process, both sides of the shared memory. */
  readonly cpuMs: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly machine: string;
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
async function send(socket: Socket, end: AbortSignal, progress: Progress): Promise<number> {
  let bytes = 0;
  const failed = once(socket, 'close').then(() => Promise.reject(socket.errored ?? closedEarly()));
  failed.catch(() => {});
  const over = once(end, 'abort');
  while (!end.aborted) {
    bytes += CHUNK.length;
    progress.add(CHUNK.length);
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
  const { direction, connections, bytes, elapsedMs, bitsPerSecond, cpuMs, machine } = result;
  const over = connections === 1 ? '' : ` over ${connections} connections`;
  print(
    `${direction} ${formatBytes(bytes)} in ${(elapsedMs / 1000).toFixed(2)} s${over}: ${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s, ` +
      `${(cpuMs / 1000).toFixed(2)} s of CPU\non ${machine}`,
  );
}
