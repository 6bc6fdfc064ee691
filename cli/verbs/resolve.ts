import type { Command } from 'commander';
import { addStackFlags, number, type StackFlags } from '../flags.ts';

const DEFAULT_TIMEOUT_S = 5;

/** What commander makes of the flags. */
export interface ResolveFlags extends StackFlags {
  readonly type?: string;
  readonly reverse?: true;
  readonly short?: true;
  readonly timeout: number;
  readonly json?: true;
}

/** Adds the verb `resolve`. */
export function addResolveCommand(program: Command): void {
  const command = program
    .command('resolve')
    .summary('look a name up, like dig')
    .description(
      'Looks a name up with the resolver of the stack and writes what it finds in the form of a zone file. Without a type: the ' +
        'addresses by the hosts file, else by DNS, in the order in which they would be tried. With one: the records, by DNS.',
    )
    .argument('<name>', 'a name; with -x an address')
    .argument('[words...]', '@SERVER, a type such as MX, or +short')
    .option('-t, --type <type>', 'A, AAAA, MX, TXT, HTTPS, … or TYPE65')
    .option('-x, --reverse', 'the names of an address')
    .option('--short', 'only what the records say')
    .option('--timeout <seconds>', 'for everything; 0: no limit', number, DEFAULT_TIMEOUT_S)
    .option('--json', 'one object of JSON on each line');
  addStackFlags(command)
    .addHelpText(
      'after',
      `
Exit codes: 0 found, 2 command line, 6 not found or no answer, 28 timeout,
45 device

  tunwire resolve server.lab.test AAAA @10.9.0.1`,
    )
    .action(async (name: string, words: string[], flags: ResolveFlags) => {
      const { resolve } = await import('../resolve.ts');
      process.exit(await resolve(name, words, flags));
    });
}
