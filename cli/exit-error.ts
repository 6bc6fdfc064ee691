import type { ExitCode } from './exit-code.ts';

/** A failure with the exit code that curl has for it. */
export class ExitError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}
