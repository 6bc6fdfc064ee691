#!/usr/bin/env node
/** The command `tunwire`. */
import { Command, CommanderError } from 'commander';
import { addConnectCommand } from './connect.ts';
import { ExitCode } from './exit-code.ts';
import { addReplayCommand } from './replay.ts';
import { addScriptCommand } from './script.ts';

const program = new Command('tunwire')
  .description(
    'connections on a TCP/IP and TLS stack of their own, through a TUN device or an Ethernet interface',
  )
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'tunwire: ')) })
  .showHelpAfterError("(see 'tunwire connect --help')");
addConnectCommand(program);
addScriptCommand(program);
addReplayCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  // commander has said what is wrong
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage;
}
