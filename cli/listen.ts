import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Server, Socket, UdpSocket } from '../net/index.ts';
import { NetError, Phase } from '../stack/errors.ts';
import { ExitCode } from './exit-code.ts';
import { withStack } from './own-stack.ts';
import { complain, note } from './report.ts';
import { chargen } from './small-services.ts';
import { capturesToOutput } from './stack-options.ts';
import { writeAll } from './standard-io.ts';
import type { ListenFlags } from './verbs/listen.ts';

const STDOUT = 1;
/** One datagram of chargen (RFC 864: 0 to 512 characters). */
const CHARGEN_DATAGRAM_BYTES = 512;

interface ListenPlace {
  readonly port: number | 'any';
  readonly host?: string;
}

/** @param first the port, when there is no second; without a port in the command line the address, if any. @returns the exit code */
export function listen(
  first: string | undefined,
  second: string | undefined,
  flags: ListenFlags,
): Promise<ExitCode> {
  return withStack(flags, async (stack, interrupted) => {
    if (capturesToOutput(flags)) {
      throw new NetError('ARGUMENT_INVALID', {
        phase: Phase.Argument,
        detail: 'standard output is for what peers send: give the capture a file',
      });
    }
    const { port, host } = placeOf(first, second, flags);
    const at = { ...(host === undefined ? {} : { host }), signal: interrupted };
    if (port !== 'any' && flags.udp)
      return await datagrams(await stack.udp({ ...at, port }), flags, interrupted);
    const server = await stack.listen({ ...at, port, allowHalfOpen: true });
    note(port === 'any' ? 'listening on all ports' : `listening on port ${server.address()?.port}`);
    return await connections(server, flags, interrupted);
  });
}

function placeOf(
  first: string | undefined,
  second: string | undefined,
  { anyPort, allPorts }: ListenFlags,
): ListenPlace {
  const isOpen = (anyPort ?? allPorts) === true;
  const [host, port] = second === undefined && !isOpen ? [undefined, first] : [first, second];
  if (isOpen ? port === undefined : port !== undefined) {
    const number = allPorts ? 'any' : anyPort ? 0 : Number(port);
    return { port: number, ...(host === undefined ? {} : { host }) };
  }
  throw new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: isOpen
      ? `--${allPorts ? 'all-ports' : 'any-port'} takes the place of the port`
      : 'which port? tunwire listen [ADDRESS] PORT',
  });
}

async function connections(server: Server, flags: ListenFlags, interrupted: AbortSignal): Promise<ExitCode> {
  const isService = flags.echo || flags.discard || flags.chargen;
  for await (const socket of server) {
    const to = flags.allPorts ? ` to port ${socket.localPort}` : '';
    if (flags.verbose > 0) note(`connection from ${socket.remoteAddress} port ${socket.remotePort}${to}`);
    interrupted.addEventListener('abort', () => socket.resetAndDestroy());
    if (isService) {
      void serve(socket, flags);
      continue;
    }
    const code = await converse(socket);
    interrupted.throwIfAborted();
    if (!flags.keep) return code;
  }
  interrupted.throwIfAborted();
  return ExitCode.Ok;
}

async function serve(socket: Socket, flags: ListenFlags): Promise<void> {
  const from = `${socket.remoteAddress} port ${socket.remotePort}`;
  try {
    if (flags.echo) await pipeline(socket, socket);
    else if (flags.discard) {
      for await (const _ of socket);
      socket.end();
    } else {
      socket.resume();
      await pipeline(Readable.from(chargen()), socket);
    }
  } catch (error) {
    // the end of chargen is always that the peer has gone
    if (flags.verbose > 0) note(`${from}: ${(error as Error).message}`);
  }
  if (flags.verbose > 0) note(`${from}: ${socket.bytesRead} bytes received, ${socket.bytesWritten} sent`);
}

/** Joins a connection to standard input and output. */
async function converse(socket: Socket): Promise<ExitCode> {
  const startedAt = performance.now();
  const output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      writeAll(STDOUT, chunk).then(() => done(), done);
    },
  });
  const sending = pipeline(process.stdin, socket, { end: true }).then(
    () => null,
    (error: unknown) => error,
  );
  try {
    await pipeline(socket, output);
    const failure = process.stdin.isTTY ? null : await sending;
    return failure === null ? ExitCode.Ok : complain(failure, startedAt, ExitCode.Send);
  } catch (error) {
    return complain(socket.errored ?? error, startedAt, ExitCode.Receive);
  } finally {
    process.stdin.destroy();
    socket.destroy();
  }
}

async function datagrams(socket: UdpSocket, flags: ListenFlags, interrupted: AbortSignal): Promise<ExitCode> {
  note(`listening on UDP port ${socket.address().port}`);
  let last: { address: string; port: number } | null = null;
  if (!flags.echo && !flags.discard && !flags.chargen) {
    process.stdin.on('data', (chunk: Buffer) => {
      if (last !== null) void socket.send(chunk, last.port, last.address);
    });
  }
  const characters = chargen();
  for await (const { data, address, port } of socket) {
    if (flags.verbose > 0) note(`${data.length} bytes from ${address} port ${port}`);
    last = { address, port };
    if (flags.echo) await socket.send(data, port, address);
    else if (flags.chargen) {
      const chunk = characters.next().value as Buffer;
      await socket.send(chunk.subarray(0, CHARGEN_DATAGRAM_BYTES), port, address);
    } else if (!flags.discard) await writeAll(STDOUT, data);
  }
  interrupted.throwIfAborted();
  return ExitCode.Ok;
}
