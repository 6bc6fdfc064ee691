import { type Command, Option } from 'commander';
import { addStackFlags, addTlsFlags, number, type StackFlags, type TlsFlags } from '../flags.ts';

const DEFAULT_TIMEOUT_S = 30;

/** What commander makes of the flags. */
export interface ConnectFlags extends StackFlags, TlsFlags {
  readonly ipv4?: true;
  readonly ipv6?: true;
  readonly source?: string;
  readonly sourcePort?: number;
  readonly zero?: true;
  /** `--no-stdin` makes it false. */
  readonly stdin: boolean;
  readonly interval?: number;
  readonly servername?: string;
  readonly secure?: true;
  readonly timeout: number;
  readonly udp?: true;
  readonly nodelay?: true;
  readonly keepalive?: true;
  readonly preferIpv6?: true;
  /** `--no-shutdown` makes it false. */
  readonly shutdown: boolean;
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
    .argument('<port>', '1 … 65535', number)
    .addOption(new Option('-4, --ipv4', 'IPv4 only').conflicts('ipv6'))
    .option('-6, --ipv6', 'IPv6 only')
    .option('-s, --source <address>', 'the own address to use')
    .option('-p, --source-port <port>', 'the own port to use', number)
    .option('-z, --zero', 'only see whether the server is there: nothing is read or written')
    .option('-d, --no-stdin', 'read nothing from standard input')
    .option('-i, --interval <seconds>', 'wait as long after each line that is sent', number)
    .option('-N', 'end our direction at the end of standard input, as it is without (kept for who knows nc)')
    .option('-c, --secure', 'TLS right after the connection (implicit TLS)')
    .option('-e, --servername <name>', 'with -c: the name that the certificate must have')
    .option(
      '--timeout <seconds>',
      'for lookup, connection and TLS handshake together; 0: no limit',
      number,
      DEFAULT_TIMEOUT_S,
    )
    .option('-u, --udp', 'datagrams: one for each piece read; ends a second after the last one')
    .option(
      '--no-shutdown',
      'keep our direction open at the end of standard input; for servers that take its end for ours',
    )
    .option('--nodelay', 'send small pieces at once (no Nagle algorithm)')
    .option('--keepalive', 'probe an idle connection')
    .option('--prefer-ipv6', 'try IPv6 addresses first');
  addTlsFlags(command);
  addStackFlags(command)
    .addHelpText(
      'after',
      `
Exit codes: 0 done, 2 command line, 6 name, 7 connection, 28 timeout, 35 TLS,
45 device, 55 sending, 56 receiving, 60 certificate, 77 --cafile`,
    )
    .action(async (host: string, port: number, flags: ConnectFlags) => {
      const { connect } = await import('../connect.ts');
      process.exit(await connect(host, port, flags));
    });
}
