import { type Command, Option } from 'commander';

/** What commander makes of the flags. */
export interface SsFlags {
  readonly tcp?: true;
  readonly udp?: true;
  readonly listening?: true;
  readonly info?: true;
  readonly statistics?: true;
  readonly metrics?: true;
  readonly json?: true;
}

/** Adds the verb `ss`. */
export function addSsCommand(program: Command): void {
  program
    .command('ss')
    .alias('netstat')
    .summary('show connections and counters of running stacks')
    .description(
      'Asks the stacks of your running tunwire commands for their sockets, or their counters with every reason to drop. They answer ' +
        'at sockets that only you can open, in TUNWIRE_RUN, else in XDG_RUNTIME_DIR/tunwire, else in /tmp/tunwire-UID.',
    )
    .argument('[process]', 'only the stack of this process, or at this socket')
    .option('-t, --tcp', 'TCP only')
    .option('-u, --udp', 'UDP only')
    .option('-l, --listening', 'listeners only')
    .addOption(
      new Option('-i, --info', 'what is known of each connection, in the words of ss').conflicts([
        'statistics',
        'metrics',
      ]),
    )
    .addOption(new Option('-s, --statistics', 'counters that are not 0').conflicts('metrics'))
    .option('-m, --metrics', "counters in Prometheus' text format")
    .option('--json', 'one line of JSON for each stack')
    .addHelpText('after', '\nExit codes: 0 done, 1 no stack runs, 2 command line')
    .action(async (target: string | undefined, flags: SsFlags) => {
      const { ss } = await import('../ss.ts');
      process.exitCode = await ss(target, flags);
    });
}
