import { type Command, InvalidArgumentError, Option } from 'commander';
import { EngineClient } from '../engine/client.ts';
import type { EngineOptions } from '../engine/options.ts';
import type { SharedSocket } from '../engine/shared-socket.ts';
import { SocketWord } from '../engine/socket-block.ts';
import { type EngineHandle, startEngineSync } from '../engine/start.ts';
import { planConnection } from '../inet/connect.ts';
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
import { type Dialed, dial } from '../inet/dial.ts';
import { NetError } from '../stack/errors.ts';
import type { TlsInfo } from '../tls/client.ts';
import { CertificateStatus } from '../tls/x509/verdict.ts';
import { DatagramPump } from './datagram-pump.ts';
import { ExitCode, exitCodeOf, nextStep } from './exit-code.ts';
import { addImpairFlags, type ImpairFlags, impairmentsOf } from './impair-flags.ts';
import { Pump } from './pump.ts';
import { OutputError } from './standard-io.ts';

const DEFAULT_TIMEOUT_S = 30;
/** When the peer has ended its direction and nothing is being sent for so long, the user is told. */
const HALF_OPEN_NOTE_MS = 500;
const STDOUT = 1;
/** With their numbers: shells report 128 + number. */
const SIGNALS: readonly [NodeJS.Signals, number][] = [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
];

/** What commander makes of the flags. */
interface ConnectFlags extends ImpairFlags {
  readonly tun?: string;
  readonly raw?: string;
  /** `--no-offload` makes it false. */
  readonly offload: boolean;
  readonly addr: readonly string[];
  readonly gw: readonly string[];
  readonly dns: readonly string[];
  readonly hosts?: string;
  readonly secure?: true;
  readonly trustedSite?: true;
  readonly secureFallback?: true;
  readonly cafile?: string;
  readonly timeout: number;
  readonly udp?: true;
  readonly nodelay?: true;
  readonly keepalive?: true;
  readonly preferIpv6?: true;
  /** `--no-shutdown` makes it false. */
  readonly shutdown: boolean;
  readonly capture?: string;
  readonly captureSecrets?: true;
  readonly verbose?: true;
}

/** Adds the verb `connect`. */
export function addConnectCommand(program: Command): void {
  const command = program
    .command('connect')
    .summary('connect standard input and output to a server')
    .description(
      'Sends standard input to HOST and writes what it answers to standard output, like nc. The end of standard ' +
        'input ends our direction; the command ends when the peer has ended its own. Everything else goes to standard error.',
    )
    .argument('<host>', 'host name or IP address')
    .argument('<port>', '1 … 65535', parseNumber)
    .option(
      '--tun <name>',
      'TUN device to use; make one with: sudo ip tuntap add dev NAME mode tun user $USER',
    )
    .addOption(
      new Option(
        '--raw <interface>',
        'in place of --tun: an Ethernet interface, beside the kernel',
      ).conflicts('tun'),
    )
    .option('--no-offload', 'make checksums and segments here, not in the device')
    .requiredOption('--addr <cidr>', 'own address with prefix length, 10.9.0.2/24; repeatable', collect)
    .option('--gw <ip>', 'default gateway; once for each IP version', collect, [])
    .option('--dns <ip>', 'name server; repeatable', collect, [])
    .option('--hosts <file>', 'hosts file in place of /etc/hosts')
    .option('--secure', 'TLS right after the connection (implicit TLS)')
    .option('--cafile <file>', 'trusted certificates in place of the system’s')
    .option('--trusted-site', 'accept any certificate')
    .option('--secure-fallback', 'also speak TLS 1.0 and 1.1, RSA, CBC, 3DES, RC4, SHA-1, MD5')
    .option(
      '--timeout <seconds>',
      'for lookup, connection and TLS handshake together; 0: no limit',
      parseNumber,
      DEFAULT_TIMEOUT_S,
    )
    .option('--udp', 'datagrams: one for each piece read; ends a second after the last one')
    .option(
      '--no-shutdown',
      'keep our direction open at the end of standard input; for servers that take its end for ours',
    )
    .option('--nodelay', 'send small pieces at once (no Nagle algorithm)')
    .option('--keepalive', 'probe an idle connection')
    .option('--prefer-ipv6', 'try IPv6 addresses first')
    .option('--capture <file>', 'write all packets to a pcapng file')
    .option('--capture-secrets', 'with the TLS secrets, so that it can be read decrypted')
    .option('-v, --verbose', 'tell what happens, with times');
  addImpairFlags(command)
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 2 command line, 6 name, 7 connection, 28 timeout, 35 TLS, 45 device, 55 sending, 56 receiving, 60 certificate',
    )
    .action(async (host: string, port: number, flags: ConnectFlags) => {
      if (flags.tun === undefined && flags.raw === undefined)
        command.error("error: required option '--tun <name>' or '--raw <interface>' not specified");
      process.exit(await connect(host, port, flags));
    });
}

/** @returns the exit code, once everything is over */
async function connect(host: string, port: number, flags: ConnectFlags): Promise<ExitCode> {
  let startedAt = performance.now();
  let engine: EngineHandle | null = null;
  try {
    const plan = planConnection(
      host,
      port,
      flags.udp ? INET_PROTOCOL_UDP : INET_PROTOCOL_TCP,
      flags.timeout,
      optionsOf(flags),
      null,
      flags.cafile ?? null,
    );
    engine = start(flags);
    const client = EngineClient.of(engine.arena);
    startedAt = performance.now();
    if (flags.verbose)
      note(`connecting to ${host} port ${port} through ${deviceOf(flags)} as ${flags.addr.join(', ')}`);
    let connectedAt = startedAt;
    const dialed = dial(client, plan.request, plan.security, (socket) => {
      connectedAt = performance.now();
      if (flags.verbose) noteConnected(socket, host);
    });
    if (flags.verbose && dialed.info !== null) noteSecurity(dialed.info, performance.now() - connectedAt);
    return await transfer(dialed, flags);
  } catch (error) {
    return complain(error, startedAt);
  } finally {
    await engine?.stop();
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
  const sending = ending('send', ExitCode.Send, pump.send(process.stdin, flags.shutdown));
  try {
    const last =
      pump instanceof Pump
        ? await bothDirections(receiving, sending, interrupted)
        : await Promise.race([receiving, sending, interrupted]);
    if (last.side === 'signal') socket.abort();
    else if (last.error !== null) return complain(last.error, startedAt, last.code);
    return last.side === 'signal' ? last.code : ExitCode.Ok;
  } finally {
    pump.close();
    socket.release();
    if (flags.verbose) {
      const bytes = `sent ${pump.sentBytes} bytes, received ${pump.receivedBytes} bytes`;
      note(`${bytes} in ${formatMs(performance.now() - startedAt)}`);
    }
  }
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

function start(flags: ConnectFlags): EngineHandle {
  const impairments = impairmentsOf(flags);
  const options: EngineOptions = {
    device: deviceOf(flags),
    offload: flags.offload,
    addresses: flags.addr,
    gateways: flags.gw,
    resolver: { servers: flags.dns, ...(flags.hosts === undefined ? {} : { hostsFile: flags.hosts }) },
    ...(impairments === null ? {} : { impairments }),
    ...(flags.capture === undefined
      ? {}
      : { capture: { file: flags.capture, secrets: flags.captureSecrets === true } }),
  };
  return startEngineSync(options);
}

function deviceOf(flags: ConnectFlags): string {
  return flags.raw === undefined ? `tun:${flags.tun}` : `raw:${flags.raw}`;
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

/** Says what went wrong and what to do about it. @returns the exit code */
function complain(error: unknown, startedAt: number, transferCode?: ExitCode): ExitCode {
  if (error instanceof NetError) {
    const step = nextStep(error);
    const elapsed = error.phase === 'argument' ? '' : ` (after ${formatMs(performance.now() - startedAt)})`;
    console.error(`tunwire: ${error.message}${elapsed}${step === '' ? '' : `; ${step}`}`);
    return exitCodeOf(error, transferCode);
  }
  if (error instanceof OutputError) {
    console.error(`tunwire: standard output: ${error.message}`);
    return ExitCode.Output;
  }
  if (isSystemError(error)) {
    console.error(`tunwire: standard input: ${error.message}`);
    return ExitCode.Failed;
  }
  console.error('tunwire: this is a defect in tunwire, please report it:', error);
  return ExitCode.Failed;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
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

function note(text: string): void {
  console.error(`* ${text}`);
}

function formatMs(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Not a number.');
  return value;
}
