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
        'repairs it. Changes nothing.',
    )
    .argument('[device...]', 'only these: node, native, lab, tun, tap, raw, passt, unix, memory')
    .option('--json', 'one object of JSON on each line')
    .addHelpText('after', '\nExit codes: 0 all that was named works, without names any device; 45 not')
    .action(async (names: string[], flags: DoctorFlags) => {
      const { doctor } = await import('../doctor.ts');
      process.exitCode = doctor(names, flags);
    });
}
