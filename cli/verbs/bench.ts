import type { Command } from 'commander';
import { addStackFlags, addTlsFlags, number, type StackFlags, type TlsFlags, whole } from '../flags.ts';

const DEFAULT_SECONDS = 5;

/** What commander makes of the flags. */
export interface BenchFlags extends StackFlags, TlsFlags {
  readonly client?: string;
  readonly server?: true;
  readonly udp?: true;
  readonly bitrate?: string;
  readonly length?: number;
  readonly time: number;
  readonly parallel: number;
  readonly reverse?: true;
  readonly secure?: true;
  readonly congestion?: string;
  readonly json?: true;
}

/** Adds the verb `bench`. */
export function addBenchCommand(program: Command): void {
  const command: Command = program
    .command('bench')
    .summary('measure the speed to a peer')
    .description(
      'Sends as fast as it can to a server that takes everything (port 9: discard), or with -R receives from one that sends ' +
        'without an end (port 19: chargen), and says how fast that was and on which machine. tunwire listen has both ' +
        'services, tunwire lab --serve has them on the kernel.',
    )
    .argument('[host]', 'host name or IP address')
    .argument('[port]', 'default 9, with -R 19', whole)
    .option('-c, --client <host>', 'the same, as iperf3 has it')
    .option('-s, --server', 'be such a server, and tell how much came and went over each connection')
    .option('-u, --udp', 'send datagrams; a server with -s tells how many came')
    .option('-b, --bitrate <rate>', 'no more than that over all: 10mbit (default: no limit, with -u 1mbit)')
    .option('-l, --length <bytes>', 'of each datagram', whole)
    .option('-t, --time <seconds>', 'how long', number, DEFAULT_SECONDS)
    .option('-P, --parallel <number>', 'as many connections at the same time', whole, 1)
    .option('-R, --reverse', 'receive in place of sending')
    .option('--secure', 'over TLS')
    .option('--congestion <name>', 'the congestion control: cubic, newreno, bbr, none')
    .option('--json', 'report in one line of JSON');
  addTlsFlags(command);
  addStackFlags(command)
    .addHelpText(
      'after',
      `
Exit codes: 0 done, 2 command line, 6 name, 7 connection, 28 timeout, 35 TLS,
45 device, 55 sending, 56 receiving, 60 certificate, 130 interrupted`,
    )
    .action(async (host: string | undefined, port: number | undefined, flags: BenchFlags) => {
      if (flags.server) {
        const { benchServer } = await import('../bench-server.ts');
        process.exit(await benchServer(flags));
      }
      // behind -c HOST the first argument is the port
      const peer = flags.client ?? host;
      const at = flags.client === undefined ? port : host === undefined ? undefined : Number(host);
      if (peer === undefined) command.error("error: missing required argument 'host'");
      const { bench } = await import('../bench.ts');
      process.exit(await bench(peer, at, flags));
    });
}
