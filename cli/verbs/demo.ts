import type { Command } from 'commander';

/** Adds the verb `demo`. */
export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .summary('show what there is on two stacks in one process, without root')
    .description(
      'Connections, names, TLS and loss between two stacks that are wired together by memory; each checked, and left as a capture in ' +
        'demo.pcapng in the current folder. Needs no root and no device.',
    )
    .addHelpText('after', '\nExit codes: 0 all was as expected; 1 not')
    .action(async () => {
      // it runs as it is loaded, as 'npm run demo' does
      await import('../demo/demo.ts');
    });
}
