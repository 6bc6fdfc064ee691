#!/usr/bin/env node
/** The command `tunwire`. */
import { CommanderError } from 'commander';
import { ExitCode } from './exit-code.ts';
import { makeProgram } from './program.ts';
import { withLongFlags } from './verbs/tls.ts';

try {
  const program = makeProgram();
  await program.parseAsync(withLongFlags(program, process.argv));
} catch (error) {
  // commander has said what is wrong
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage;
}
