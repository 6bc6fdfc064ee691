import { type Command, Option } from 'commander';

/** What commander makes of the flags. */
export interface LabFlags {
  /** undefined: a TUN device if it can be had, else veth. */
  readonly link?: 'tun' | 'veth';
  readonly serve?: true;
  readonly verbose?: true;
}

/** Adds the verb `lab`, and what it runs inside of the namespace. */
export function addLabCommand(program: Command): void {
  addFlags(program.command('lab'))
    .summary('run a command in a network of its own, without root')
    .description(
      'Makes a user and a network namespace with one link in it: the kernel at one end, tunwire at the other. Runs COMMAND (default: your ' +
        'shell) there, with everything set so that tunwire needs no flags about the network, and takes it all away when COMMAND ' +
        'ends. Nothing of it touches your own network. Root is not needed.',
    )
    .addHelpText(
      'after',
      `
The kernel has 10.9.0.1 and fd09::1, tunwire 10.9.0.2 and fd09::2. Exit code:
that of COMMAND; 45 when the system does not let the lab be made.

  tunwire lab --serve tunwire get https://server.lab.test/ \\
    --loss 5% -w out.pcapng
  tunwire lab sh -c 'nc -l 7000 & echo hello | tunwire connect 10.9.0.1 7000'`,
    )
    .action(async (words: string[], flags: LabFlags) => {
      const { lab } = await import('../lab.ts');
      process.exitCode = await lab(words, flags);
    });
  addFlags(program.command('lab-inside', { hidden: true })).action(
    async (words: string[], flags: LabFlags) => {
      const { labInside } = await import('../lab-inside.ts');
      process.exit(await labInside(words, flags));
    },
  );
}

function addFlags(command: Command): Command {
  return command
    .argument('[command...]', 'what to run, with its arguments')
    .passThroughOptions()
    .addOption(
      new Option(
        '--link <kind>',
        'a TUN device, or an Ethernet cable (default: TUN where /dev/net/tun can be opened)',
      ).choices(['tun', 'veth']),
    )
    .option('--serve', 'with servers on the kernel: DNS, HTTP, HTTPS, echo, discard, chargen')
    .option('-v, --verbose', 'tell what happens');
}
