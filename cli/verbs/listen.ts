import { type Command, Option } from 'commander';
import { addStackFlags, type StackFlags } from '../flags.ts';

/** What commander makes of the flags. */
export interface ListenFlags extends StackFlags {
  readonly keep?: true;
  readonly anyPort?: true;
  readonly allPorts?: true;
  readonly udp?: true;
  readonly echo?: true;
  readonly discard?: true;
  readonly chargen?: true;
}

/** Adds the verb `listen`. */
export function addListenCommand(program: Command): void {
  const services = ['echo', 'discard', 'chargen'];
  const service = (flag: string, text: string): Option =>
    new Option(flag, text).conflicts(services.filter((other) => !flag.endsWith(other)));
  const command = program
    .command('listen')
    .summary('wait for connections, like nc -l')
    .description(
      'Waits for a connection on an address of the stack and joins it to standard input and output; with a service, answers ' +
        'any number of them until it is interrupted.',
    )
    .usage('[options] [address] [port]')
    .argument('[port]', '0: any that is free, which is told; an own address may go before it')
    .argument('[second]', 'the port, after an address')
    .option('-k, --keep', 'go on with the next connection after one has ended')
    .option('--any-port', 'a port that is free, which is told')
    .addOption(
      new Option(
        '--all-ports',
        'every TCP port that nobody else has: -v tells which one a connection is for',
      ).conflicts(['anyPort', 'udp']),
    )
    .option('-u, --udp', 'datagrams; answers go to whom the last one came from')
    .addOption(service('--echo', 'send back what comes (RFC 862)'))
    .addOption(service('--discard', 'take everything and say nothing (RFC 863)'))
    .addOption(service('--chargen', 'send characters without an end (RFC 864)'));
  addStackFlags(command)
    .addHelpText(
      'after',
      `
Exit codes: 0 done, 2 command line, 7 the port is taken, 45 device, 55 sending,
56 receiving, 130 interrupted`,
    )
    .action(async (first: string | undefined, second: string | undefined, flags: ListenFlags) => {
      const { listen } = await import('../listen.ts');
      process.exit(await listen(first, second, flags));
    });
}
