import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { NetStack, Socket } from '../net/index.ts';
import { ExitCode } from './exit-code.ts';
import { withStack } from './own-stack.ts';
import { formatBytes } from './progress.ts';
import { note } from './report.ts';
import { chargen } from './small-services.ts';
import { printerOf } from './stack-options.ts';
import type { BenchFlags } from './verbs/bench.ts';

/** RFC 863 and RFC 864. */
export const DISCARD_PORT = 9;
export const CHARGEN_PORT = 19;
/** A sender of datagrams that is silent for so long is done. */
const UDP_QUIET_MS = 1000;

/** What `tunwire bench` measures against, until it is interrupted: port 9 takes everything, port 19 sends. @returns the exit code */
export function benchServer(flags: BenchFlags): Promise<ExitCode> {
  return withStack(flags, async (stack, interrupted) => {
    const print = printerOf(flags);
    const done = (from: string, direction: string, bytes: number, startedAt: number, more = ''): void => {
      const elapsedMs = performance.now() - startedAt;
      const bitsPerSecond = (bytes * 8000) / elapsedMs;
      if (flags.json) print(JSON.stringify({ from, direction, bytes, elapsedMs, bitsPerSecond }));
      else {
        const rate = `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
        print(
          `${from}: ${direction} ${formatBytes(bytes)} in ${(elapsedMs / 1000).toFixed(2)} s: ${rate}${more}`,
        );
      }
    };
    const serve = async (port: number, service: (socket: Socket) => Promise<void>): Promise<void> => {
      for await (const socket of await stack.listen({ port, signal: interrupted, allowHalfOpen: true })) {
        const startedAt = performance.now();
        const from = `${socket.remoteAddress} port ${socket.remotePort}`;
        // a client ends in the middle
        const finish = (): void => {
          const sends = port === CHARGEN_PORT;
          done(from, sends ? 'sent' : 'received', sends ? socket.bytesWritten : socket.bytesRead, startedAt);
          socket.destroy();
        };
        void service(socket).then(finish, finish);
      }
    };
    const all = [
      serve(DISCARD_PORT, discard),
      serve(CHARGEN_PORT, send),
      datagrams(stack, interrupted, done),
    ];
    note(`discard at port ${DISCARD_PORT}, also for datagrams, chargen at port ${CHARGEN_PORT}`);
    await Promise.all(all);
    interrupted.throwIfAborted();
    return ExitCode.Ok;
  });
}

async function discard(socket: Socket): Promise<void> {
  for await (const _ of socket);
  socket.end();
}

async function send(socket: Socket): Promise<void> {
  socket.resume();
  await pipeline(Readable.from(chargen()), socket);
}

/** One sender at a time is told of, as soon as it has become silent. */
async function datagrams(
  stack: NetStack,
  signal: AbortSignal,
  done: (from: string, direction: string, bytes: number, startedAt: number, more: string) => void,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let from = '';
  let bytes = 0;
  let count = 0;
  let startedAt = 0;
  const finish = (): void => {
    // the silence is no part of it
    if (count > 0) done(from, 'received', bytes, startedAt + UDP_QUIET_MS, `, ${count} datagrams`);
    count = 0;
    bytes = 0;
  };
  for await (const { data, address, port } of await stack.udp({ port: DISCARD_PORT, signal })) {
    const sender = `${address} port ${port}`;
    if (sender !== from) finish();
    if (count === 0) {
      from = sender;
      startedAt = performance.now();
      clearTimeout(timer);
      timer = setTimeout(finish, UDP_QUIET_MS);
    }
    timer?.refresh();
    count++;
    bytes += data.length;
  }
  clearTimeout(timer);
  finish();
}
