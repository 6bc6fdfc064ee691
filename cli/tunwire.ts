#!/usr/bin/env node
/** The command `tunwire`. */
import { CommanderError } from 'commander';
import { ExitCode } from './exit-code.ts';
import { makeProgram } from './program.ts';

try {
  await makeProgram().parseAsync();
} catch (error) {
  // commander has said what is wrong
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage;
}
