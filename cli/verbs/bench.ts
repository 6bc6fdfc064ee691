import type { Command } from 'commander';
import { addStackFlags, addTlsFlags, number, type StackFlags, type TlsFlags, whole } from '../flags.ts';

const DEFAULT_SECONDS = 5;

/** What commander makes of the flags. */
export interface BenchFlags extends StackFlags, TlsFlags {
  readonly time: number;
  readonly parallel: number;
  readonly reverse?: true;
  readonly secure?: true;
  readonly congestion?: string;
  readonly json?: true;
}

/** Adds the verb `bench`. */
export function addBenchCommand(program: Command): void {
  const command = program
    .command('bench')
    .summary('measure the speed to a peer')
    .description(
      'Sends as fast as it can to a server that takes everything (port 9: discard), or with -R receives from one that sends ' +
        'without an end (port 19: chargen), and says how fast that was and on which machine. tunwire listen has both ' +
        'services, tunwire lab --serve has them on the kernel.',
    )
    .argument('<host>', 'host name or IP address')
    .argument('[port]', 'default 9, with -R 19', whole)
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
    .action(async (host: string, port: number | undefined, flags: BenchFlags) => {
      const { bench } = await import('../bench.ts');
      process.exit(await bench(host, port, flags));
    });
}
