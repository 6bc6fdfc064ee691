import { Command } from 'commander';
import { addBenchCommand } from './verbs/bench.ts';
import { addConnectCommand } from './verbs/connect.ts';
import { addDoctorCommand } from './verbs/doctor.ts';
import { addDumpCommand } from './verbs/dump.ts';
import { addGetCommand } from './verbs/get.ts';
import { addLabCommand } from './verbs/lab.ts';
import { addListenCommand } from './verbs/listen.ts';
import { addReplayCommand } from './verbs/replay.ts';
import { addResolveCommand } from './verbs/resolve.ts';
import { addScriptCommand } from './verbs/script.ts';
import { addTlsCommand } from './verbs/tls.ts';

/** Terminals, the man page and mails agree on it. */
const HELP_COLUMNS = 80;

/** The command `tunwire` with all its verbs, as help, man page, completion and the command line itself have them. */
export function makeProgram(): Command {
  const program = new Command('tunwire')
    .description(
      'connections on a TCP/IP and TLS stack of their own, through a TUN device or an Ethernet interface',
    )
    // what follows the command that a lab runs is that command's
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'tunwire: ')),
      getOutHelpWidth: () => Math.min(process.stdout.columns ?? HELP_COLUMNS, HELP_COLUMNS),
      getErrHelpWidth: () => Math.min(process.stderr.columns ?? HELP_COLUMNS, HELP_COLUMNS),
    })
    .addHelpText('after', "\n'tunwire VERB --help' tells more about each. 'man tunwire' has it all.");
  addConnectCommand(program);
  addListenCommand(program);
  addTlsCommand(program);
  addGetCommand(program);
  addResolveCommand(program);
  addBenchCommand(program);
  addDumpCommand(program);
  addLabCommand(program);
  addDoctorCommand(program);
  addScriptCommand(program);
  addReplayCommand(program);
  for (const verb of program.commands) verb.showHelpAfterError(`(see 'tunwire ${verb.name()} --help')`);
  return program;
}
