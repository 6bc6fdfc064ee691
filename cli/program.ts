import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, Help, type Option } from 'commander';
import { insteadOf } from './foreign-flags.ts';
import { LAUNCHER } from './launcher.ts';
import { addBenchCommand } from './verbs/bench.ts';
import { addConnectCommand } from './verbs/connect.ts';
import { addDemoCommand } from './verbs/demo.ts';
import { addDoctorCommand } from './verbs/doctor.ts';
import { addDumpCommand } from './verbs/dump.ts';
import { addGetCommand } from './verbs/get.ts';
import { addLabCommand } from './verbs/lab.ts';
import { addListenCommand } from './verbs/listen.ts';
import { addPingCommands } from './verbs/ping.ts';
import { addReplayCommand } from './verbs/replay.ts';
import { addResolveCommand } from './verbs/resolve.ts';
import { addScriptCommand } from './verbs/script.ts';
import { addSsCommand } from './verbs/ss.ts';
import { addTlsCommand } from './verbs/tls.ts';

/** Terminals, the man page and mails agree on it. */
const HELP_COLUMNS = 80;

/** The command `tunwire` with all its verbs, as help, man page, completion and the command line itself have them. */
export function makeProgram(): Command {
  const program = new Command('tunwire')
    .description(
      'connections on a TCP/IP and TLS stack of their own, through a TUN device or an Ethernet interface',
    )
    .version(versionOf(), '-V, --version', 'write the version')
    .configureHelp({ subcommandTerm: (verb) => verb.name(), optionDescription: describe })
    // what follows the command that a lab runs is that command's
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: writeHelp,
      outputError: (text, write) => write(inOurName(text)),
      getOutHelpWidth: () => Math.min(process.stdout.columns ?? HELP_COLUMNS, HELP_COLUMNS),
      getErrHelpWidth: () => Math.min(process.stderr.columns ?? HELP_COLUMNS, HELP_COLUMNS),
    })
    .addHelpText('after', "\n'tunwire VERB --help' tells more about each. 'man tunwire' has it all.");
  addConnectCommand(program);
  addListenCommand(program);
  addTlsCommand(program);
  addGetCommand(program);
  addResolveCommand(program);
  addPingCommands(program);
  addBenchCommand(program);
  addDumpCommand(program);
  addSsCommand(program);
  addLabCommand(program);
  addDoctorCommand(program);
  addDemoCommand(program);
  addScriptCommand(program);
  addReplayCommand(program);
  for (const verb of program.commands) {
    const name = verb.name();
    verb
      .showHelpAfterError(`(see 'tunwire ${name} --help')`)
      .configureOutput({ outputError: (text, write) => write(inOurName(text) + insteadOf(name, text)) });
  }
  return program;
}

function inOurName(text: string): string {
  return text.replace(/^error: /, 'tunwire: ');
}

/** Whoever reads may have read enough: `tunwire --help | head`. */
function writeHelp(text: string): void {
  process.stdout.once('error', () => {});
  process.stdout.write(text);
}

function versionOf(): string {
  const manifest = readFileSync(resolve(LAUNCHER, '../../package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** That nothing is the default of a list goes without saying. */
function describe(option: Option): string {
  return Help.prototype
    .optionDescription(option)
    .replace(/ ?\(default: \[\]\)/, '')
    .replace('(default: none, ', '(');
}
