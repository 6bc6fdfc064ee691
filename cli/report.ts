import { NetError } from '../stack/errors.ts';
import { ExitCode, exitCodeOf, nextStep } from './exit-code.ts';
import { ExitError } from './exit-error.ts';
import { OutputError } from './standard-io.ts';

let isQuiet = false;

/** `--quiet`: from here on nothing is told but what goes wrong. */
export function beQuiet(): void {
  isQuiet = true;
}

/** Tells what happens: standard output is for data alone. */
export function note(text: string): void {
  if (!isQuiet) console.error(`* ${text}`);
}

/**
 * Says what went wrong and what to do about it.
 * @param startedAt of what failed, in the time of `performance.now()`
 * @param transferCode what a failure of the transfer phase counts as
 * @returns the exit code
 */
export function complain(error: unknown, startedAt: number, transferCode?: ExitCode): ExitCode {
  if (error instanceof NetError) {
    const step = nextStep(error);
    const elapsed = error.phase === 'argument' ? '' : ` (after ${formatMs(performance.now() - startedAt)})`;
    console.error(`tunwire: ${error.message}${elapsed}${step === '' ? '' : `; ${step}`}`);
    return exitCodeOf(error, transferCode);
  }
  if (error instanceof ExitError) {
    console.error(`tunwire: ${error.message}`);
    return error.exitCode;
  }
  if (error instanceof OutputError) {
    console.error(`tunwire: standard output: ${error.message}`);
    return ExitCode.Output;
  }
  if (isSystemError(error)) {
    console.error(`tunwire: standard input: ${error.message}`);
    return ExitCode.Failed;
  }
  console.error('tunwire: this is a defect in tunwire, please report it:', error);
  return ExitCode.Failed;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}

export function formatMs(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`;
}
