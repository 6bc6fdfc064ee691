import { type Command, Option } from 'commander';
import { addStackFlags, addTlsFlags, number, type StackFlags, type TlsFlags, whole } from '../flags.ts';

const DEFAULT_CONNECT_TIMEOUT_S = 30;
const DEFAULT_REDIRECTS = 10;

/** What commander makes of the flags. */
export interface GetFlags extends StackFlags, TlsFlags {
  readonly output?: string;
  readonly include?: true;
  readonly head?: true;
  readonly request?: string;
  readonly header: readonly string[];
  readonly data?: string;
  readonly location?: true;
  readonly maxRedirs: number;
  readonly fail?: true;
  readonly resolve: readonly string[];
  readonly connectTo: readonly string[];
  readonly connectTimeout: number;
  readonly maxTime: number;
  readonly ipv4?: true;
  readonly ipv6?: true;
  readonly localPort?: string;
  readonly keepaliveTime?: number;
  readonly keepalive: boolean;
  readonly tcpNodelay: boolean;
  readonly traceAscii?: string;
  readonly writeOut?: string;
  readonly silent?: true;
  readonly json?: true;
}

/** Adds the verb `get`. */
export function addGetCommand(program: Command): void {
  const command = program
    .command('get')
    .summary('fetch a URL over HTTP/1.1, like curl')
    .description(
      'Fetches a http: or https: URL and writes the body of the response to standard output. Everything else goes to standard ' +
        'error. The flags and the exit codes are those of curl.',
    )
    .argument('<url>', 'http://HOST[:PORT]/PATH or https://…')
    .option('-o, --output <file>', 'write the body to a file')
    .option('-i, --include', 'write the head of the response, too')
    .option('-I, --head', 'ask for the head only, and write it')
    .option('-X, --request <method>', 'the method of the request (default GET; POST with -d)')
    .option('-H, --header <line>', "a header field: 'Accept: text/html'; repeatable", add, [])
    .option('-d, --data <text>', 'send a body; @FILE takes it from a file, @- from standard input')
    .option('-L, --location', 'follow redirections')
    .option('--max-redirs <number>', 'as many as that', whole, DEFAULT_REDIRECTS)
    .option('-f, --fail', 'end with 22 when the status is 400 or higher, without the body')
    .option('--resolve <host:port:address>', 'use this address for the name; repeatable', add, [])
    .option(
      '--connect-to <host:port:host:port>',
      'connect to the second instead of the first; repeatable',
      add,
      [],
    )
    .option(
      '--connect-timeout <seconds>',
      'for lookup, connection and TLS handshake together; 0: no limit',
      number,
      DEFAULT_CONNECT_TIMEOUT_S,
    )
    .addOption(new Option('-4, --ipv4', 'IPv4 only').conflicts('ipv6'))
    .option('-6, --ipv6', 'IPv6 only')
    .option('--local-port <port>', 'the own port to use, or the first that is free of several: 5000-5010')
    .option('--keepalive-time <seconds>', 'silence before the connection is probed', number)
    .option('--no-keepalive', 'do not probe it')
    .option('--tcp-nodelay', 'send small pieces at once, as is the rule (kept for who knows curl)', true)
    .option('--no-tcp-nodelay', "leave Nagle's algorithm on")
    .option('--trace-ascii <file>', 'write all that is sent and received, as text; - is standard error')
    .option(
      '--write-out <format>',
      "write this at the end: '%{http_code} %{time_connect}\\n'; also as -w where it has a %{",
    )
    .option('-m, --max-time <seconds>', 'for everything; 0: no limit', number, 0)
    .option('-s, --silent', 'no progress bar')
    .addOption(
      new Option(
        '--json',
        'write a report in JSON to standard output in place of the body, which goes to the file of -o, if any',
      ).conflicts(['include', 'head']),
    );
  addTlsFlags(command);
  addStackFlags(command)
    .addHelpText(
      'after',
      `
With an address alone, --interface is the own address to use, as in curl.
Exit codes: 0 done, 1 no HTTP, 2 command line, 3 URL, 6 name, 7 connection,
8 broken answer, 18 cut off, 22 status with -f, 23 output, 26 the file of -d,
28 timeout, 35 TLS, 45 device, 47 redirections, 52 no answer, 55 sending,
56 receiving, 60 certificate, 77 --cafile, 130 interrupted`,
    )
    .action(async (url: string, flags: GetFlags) => {
      const { get } = await import('../get.ts');
      process.exit(await get(url, flags));
    });
}

function add(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
