import { type Command, Option } from 'commander';
import { addStackFlags, addTlsFlags, collect, number, type StackFlags, type TlsFlags } from '../flags.ts';

const DEFAULT_TIMEOUT_S = 30;

/** The protocols that begin without TLS, with their ports. */
export const START_TLS_PORTS = {
  smtp: 25,
  pop3: 110,
  imap: 143,
  sieve: 4190,
  ftp: 21,
  ldap: 389,
  xmpp: 5222,
  postgres: 5432,
  mysql: 3306,
} as const;
export type StartTlsProtocol = keyof typeof START_TLS_PORTS;

/** What commander makes of the flags. */
export interface TlsVerbFlags extends StackFlags, TlsFlags {
  readonly connect?: string;
  readonly starttls?: StartTlsProtocol;
  readonly servername?: string;
  readonly alpn: readonly string[];
  readonly ciphersuites: readonly string[];
  readonly groups: readonly string[];
  readonly tls1_2?: true;
  readonly tls1_3?: true;
  readonly sess_in?: string;
  readonly sess_out?: string;
  readonly showcerts?: true;
  readonly msg?: true;
  readonly state?: true;
  readonly brief?: true;
  readonly verify_return_error?: true;
  readonly timeout: number;
  readonly json?: true;
}

/** Adds the verb `tls`. */
export function addTlsCommand(program: Command): void {
  const command: Command = program
    .command('tls')
    .summary('show what a TLS server offers, like openssl s_client')
    .description(
      'Makes a TLS handshake and reports what was agreed on, what the certificates say and what they are worth. For a connection to talk ' +
        'over there is tunwire connect --secure.',
    )
    .argument('[host:port]', "a name or address; without a port 443, or the protocol's of --starttls")
    .addOption(
      new Option('--starttls <protocol>', 'first ask for TLS in a protocol that begins without').choices(
        Object.keys(START_TLS_PORTS),
      ),
    )
    .option('--connect <host:port>', 'the same')
    .option('--servername <name>', 'the name to ask for (SNI), and that the certificate must have')
    .option('--alpn <protocols>', 'application protocols in order of preference: h2,http/1.1', collect, [])
    .option('--ciphersuites <names>', 'suites in order of preference, by their IANA names', separate, [])
    .option(
      '--groups <names>',
      'key exchanges in order of preference: X25519MLKEM768,X25519,P-256',
      separate,
      [],
    )
    .option('--tls1_2', 'TLS 1.2 only')
    .option('--tls1_3', 'TLS 1.3 only')
    .option('--sess_in <file>', 'resume the session in the file')
    .option('--sess_out <file>', 'keep the session for --sess_in; it holds secrets')
    .option('--showcerts', 'also write the certificates, in PEM')
    .option('--state', 'also tell each handshake message when it is sent or received')
    .option('--brief', 'only a few lines')
    .option('--verify_return_error', 'end the handshake at once when the certificate is not valid')
    .option('--msg', 'also write the handshake messages, one object of JSON on each line')
    .option('--timeout <seconds>', 'for everything together; 0: no limit', number, DEFAULT_TIMEOUT_S)
    .option('--json', 'report in one line of JSON');
  addTlsFlags(command);
  addStackFlags(command)
    .addHelpText(
      'after',
      `
Exit codes: 0 valid, 2 command line, 6 name, 7 connection, 28 timeout,
35 TLS, 45 device, 59 cipher suite, 60 the certificate is not valid (with -k:
0), 64 no STARTTLS, 77 --cafile

Flags of openssl s_client have their names, also with one hyphen:
-connect HOST:PORT, -servername, -alpn, -CAfile, -showcerts, -keylogfile, …`,
    )
    .action(async (host: string | undefined, flags: TlsVerbFlags) => {
      const target = host ?? flags.connect;
      if (target === undefined) command.error("error: missing required argument 'host:port'");
      const { tls } = await import('../tls.ts');
      process.exit(await tls(target, flags));
    });
}

/** As openssl has lists: colons separate, too. */
function separate(value: string, previous: readonly string[] | undefined): readonly string[] {
  return collect(value.replaceAll(':', ','), previous);
}

/** Flags of openssl s_client that have another name here. */
const OPENSSL_NAMES: Readonly<Record<string, string>> = { CAfile: 'cafile', keylogfile: 'keylog' };

/** `tunwire tls -servername NAME`: openssl's long flags have one hyphen. @param argv as of the process */
export function withLongFlags(program: Command, argv: readonly string[]): string[] {
  if (argv[2] !== 'tls') return [...argv];
  const verb = program.commands.find((command) => command.name() === 'tls');
  const known = new Set(verb?.options.flatMap(({ flags }) => flags.match(/--[\w-]+/g) ?? []));
  return argv.map((word) => {
    const [, name = ''] = /^--?([A-Za-z]\w+)$/.exec(word) ?? [];
    const long = `--${OPENSSL_NAMES[name] ?? name}`;
    return known.has(long) ? long : word;
  });
}
