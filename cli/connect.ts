import { setTimeout as sleep } from 'node:timers/promises';
import { EngineClient } from '../engine/client.ts';
import type { SharedSocket } from '../engine/shared-socket.ts';
import { SocketWord } from '../engine/socket-block.ts';
import { startEngine } from '../engine/start.ts';
import {
  INET_OPTION_KEEPALIVE,
  INET_OPTION_NODELAY,
  INET_OPTION_PREFER_IPV6,
  INET_OPTION_SECURE,
  INET_OPTION_SECURE_FALLBACK,
  INET_OPTION_TRUSTEDSITE,
  INET_PROTOCOL_TCP,
  INET_PROTOCOL_UDP,
} from '../inet/constants.ts';
import type { Dialed } from '../inet/dial.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { TlsInfo } from '../tls/client.ts';
import { CertificateStatus } from '../tls/x509/verdict.ts';
import { DatagramPump } from './datagram-pump.ts';
import { ExitCode } from './exit-code.ts';
import { noteStats, offerControl } from './own-stack.ts';
import { Pump } from './pump.ts';
import { beQuiet, complain, formatMs, note } from './report.ts';
import { capturesToOutput, deviceOf, engineOptionsOf, keyLogOf, readAuthorities } from './stack-options.ts';
import type { ConnectFlags } from './verbs/connect.ts';

/** When the peer has ended its direction and nothing is being sent for so long, the user is told. */
const HALF_OPEN_NOTE_MS = 500;
const STDOUT = 1;
const LF = 0x0a;
/** With their numbers: shells report 128 + number. */
const SIGNALS: readonly [NodeJS.Signals, number][] = [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
];

/** @returns the exit code, once everything is over */
export async function connect(host: string, port: number, flags: ConnectFlags): Promise<ExitCode> {
  let startedAt = performance.now();
  let stop = async (): Promise<void> => {};
  try {
    if (capturesToOutput(flags)) throw outputTaken();
    // the engine loads in its thread while this one loads the rest
    const starting = startEngine(engineOptionsOf(flags));
    stop = () => starting.then((engine) => engine.stop()).catch(() => {});
    starting.catch(() => {});
    const { localAddressOf, planConnection } = await import('../inet/connect.ts');
    const { dial } = await import('../inet/dial.ts');
    const protocol = flags.udp ? INET_PROTOCOL_UDP : INET_PROTOCOL_TCP;
    const { timeout, cafile = null } = flags;
    if (cafile !== null && flags.secure) readAuthorities(cafile);
    const plan = planConnection(host, port, protocol, timeout, optionsOf(flags), null, cafile);
    const { arena } = await starting;
    startedAt = performance.now();
    if (flags.quiet) beQuiet();
    if (flags.verbose > 0)
      note(`connecting to ${host} port ${port} through ${deviceOf(flags)} as ${flags.addr.join(', ')}`);
    let connectedAt = startedAt;
    const keyLog = flags.secure ? keyLogOf(flags) : null;
    const { servername } = flags;
    const security = plan.security && {
      ...plan.security,
      ...(keyLog === null ? {} : { keyLog }),
      ...(servername === undefined ? {} : { serverName: servername }),
    };
    const client = EngineClient.of(arena);
    const request = {
      ...plan.request,
      family: flags.ipv4 ? (4 as const) : flags.ipv6 ? (6 as const) : (0 as const),
      localAddress: localAddressOf(client, flags.source ?? null),
      localPort: localPortOf(flags.sourcePort),
    };
    const dialed = dial(client, request, security, (socket) => {
      connectedAt = performance.now();
      if (flags.verbose > 0) noteConnected(socket, host);
    });
    if (flags.verbose > 0 && dialed.info !== null) noteSecurity(dialed.info, performance.now() - connectedAt);
    if (flags.zero) {
      dialed.channel.shutdown();
      dialed.socket.release();
      return ExitCode.Ok;
    }
    const transferred = transfer(dialed, flags);
    const { NetStack } = await import('../net/stack.ts');
    const stack = NetStack.attach(arena);
    offerControl(stack, flags.verbose > 0);
    const code = await transferred;
    if (flags.verbose > 1) await noteStats(stack);
    return code;
  } catch (error) {
    return complain(error, startedAt);
  } finally {
    await stop();
  }
}

/** How one side of a transfer came to its end. */
interface Ending {
  readonly side: 'send' | 'receive' | 'signal';
  /** null: in order. */
  readonly error: unknown;
  readonly code: ExitCode;
}

async function transfer(dialed: Dialed, flags: ConnectFlags): Promise<ExitCode> {
  const { socket, channel } = dialed;
  const startedAt = performance.now();
  const pump = flags.udp ? new DatagramPump(socket) : new Pump(channel);
  const interrupted = nextSignal();
  const receiving = ending('receive', ExitCode.Receive, pump.receive(STDOUT));
  const sending = flags.stdin
    ? ending('send', ExitCode.Send, pump.send(inputOf(flags), flags.shutdown))
    : NEVER;
  try {
    const last =
      pump instanceof Pump && flags.stdin
        ? await bothDirections(receiving, sending, interrupted)
        : await Promise.race([receiving, sending, interrupted]);
    if (last.side === 'signal') socket.abort();
    else if (last.error !== null) return complain(last.error, startedAt, last.code);
    return last.side === 'signal' ? last.code : ExitCode.Ok;
  } finally {
    pump.close();
    socket.release();
    if (flags.verbose > 0) {
      const bytes = `sent ${pump.sentBytes} bytes, received ${pump.receivedBytes} bytes`;
      note(`${bytes} in ${formatMs(performance.now() - startedAt)}`);
    }
  }
}

/** `--no-stdin`: nothing is sent, and nothing ends our direction. */
const NEVER: Promise<Ending> = new Promise(() => {});

/** Standard input, with `--interval` a line at a time. */
function inputOf({ interval }: ConnectFlags): AsyncIterable<Uint8Array> {
  return interval === undefined ? process.stdin : pacedLines(process.stdin, interval * 1000);
}

async function* pacedLines(input: AsyncIterable<Buffer>, intervalMs: number): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of input) {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(LF); end >= 0; end = rest.indexOf(LF)) {
      yield rest.subarray(0, end + 1);
      rest = rest.subarray(end + 1);
      await sleep(intervalMs);
    }
  }
  if (rest.length > 0) yield rest;
}

/** Both directions of a stream have to end; a failure of one ends the other. */
async function bothDirections(
  receiving: Promise<Ending>,
  sending: Promise<Ending>,
  interrupted: Promise<Ending>,
): Promise<Ending> {
  const first = await Promise.race([receiving, sending, interrupted]);
  if (first.side === 'receive') {
    // somebody at a terminal has no more to say to a peer that has gone
    if (first.error !== null || process.stdin.isTTY) return first;
    const timer = setTimeout(() => {
      note('the peer has ended its direction; standard input is still open, end it to finish');
    }, HALF_OPEN_NOTE_MS);
    const second = await Promise.race([sending, interrupted]);
    clearTimeout(timer);
    return second;
  }
  // what had arrived before a connection broke is still written
  if (first.side === 'signal' || (first.error !== null && !(first.error instanceof NetError))) return first;
  const second = await Promise.race([receiving, interrupted]);
  return second.side === 'signal' || first.error === null ? second : first;
}

function ending(side: Ending['side'], code: ExitCode, task: Promise<void>): Promise<Ending> {
  return task.then(
    () => ({ side, code, error: null }),
    (error: unknown) => ({ side, code, error }),
  );
}

/** From here on the signals that end a process end the connection first. */
function nextSignal(): Promise<Ending> {
  return new Promise((done) => {
    for (const [signal, number] of SIGNALS) {
      process.on(signal, () => done({ side: 'signal', code: (128 + number) as ExitCode, error: null }));
    }
  });
}

/** @throws NetError PORT_INVALID */
function localPortOf(port = 0): number {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new NetError('PORT_INVALID', { phase: Phase.Argument, detail: `--source-port: ${port}` });
}

function optionsOf(flags: ConnectFlags): number {
  return (
    (flags.secure ? INET_OPTION_SECURE : 0) |
    (flags.trustedSite ? INET_OPTION_TRUSTEDSITE : 0) |
    (flags.secureFallback ? INET_OPTION_SECURE_FALLBACK : 0) |
    (flags.nodelay ? INET_OPTION_NODELAY : 0) |
    (flags.keepalive ? INET_OPTION_KEEPALIVE : 0) |
    (flags.preferIpv6 ? INET_OPTION_PREFER_IPV6 : 0)
  );
}

function noteConnected(socket: SharedSocket, host: string): void {
  const { resolveMs, connectMs } = socket.times;
  const where = `${socket.remoteAddress} port ${socket.remotePort}`;
  note(`resolved ${host} to ${socket.remoteAddress} in ${formatMs(resolveMs)}`);
  const how =
    socket.block.get(SocketWord.Protocol) === INET_PROTOCOL_UDP ? 'datagrams go to' : 'connected to';
  note(
    `${how} ${where} from ${socket.localAddress} port ${socket.localPort} in ${formatMs(connectMs - resolveMs)}`,
  );
}

function noteSecurity(info: TlsInfo, handshakeMs: number): void {
  note(`${info.version}, ${info.cipherSuite}, ${info.group} in ${formatMs(handshakeMs)}`);
  const verdict = info.certificate;
  if (verdict === null) return;
  const status = Object.entries(CertificateStatus).find(([, value]) => value === verdict.status)?.[0];
  note(`certificate ${(status ?? 'unknown').toLowerCase()}: ${verdict.reason}`);
}

function outputTaken(): NetError {
  return new NetError('ARGUMENT_INVALID', {
    phase: Phase.Argument,
    detail: 'standard output is for what the server sends: give the capture a file, which can be a FIFO',
  });
}
