import type { Command } from 'commander';

/** What commander makes of the flags. */
export interface DoctorFlags {
  readonly json?: true;
}

/** Adds the verb `doctor`. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .summary('say which devices work here, and what repairs the others')
    .description(
      'Looks at this machine and says for each kind of device whether you can use it, and if not, what is missing and the command that ' +
        'repairs it. A device by its name is opened: is it up, what is its MTU, what does the kernel do for it. An address is looked for in the ' +
        'kernel, which would reset the connections of a stack that has it, too. Changes nothing.',
    )
    .argument(
      '[device...]',
      'only these: node, native, lab, tun, tap, raw, passt, unix, memory; a device by name (raw:eth1, tun:lab0); an address for a stack',
    )
    .option('--json', 'one object of JSON on each line')
    .addHelpText('after', '\nExit codes: 0 all that was named works, without names any device; 45 not')
    .action(async (names: string[], flags: DoctorFlags) => {
      const { doctor } = await import('../doctor.ts');
      process.exitCode = doctor(names, flags);
    });
}
