import { startEngine } from '../engine/start.ts';
import type { NetStack } from '../net/index.ts';
import { serveControl } from './control.ts';
import type { ExitCode } from './exit-code.ts';
import type { StackFlags } from './flags.ts';
import { beQuiet, complain, note } from './report.ts';
import { deviceOf, engineOptionsOf } from './stack-options.ts';
import { statsLines } from './stats-lines.ts';

/** Signals that end a verb in order, with their numbers: shells report 128 + number. */
const SIGNALS: readonly [NodeJS.Signals, number][] = [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
];

/** A signal has ended the verb. */
class Interrupted extends Error {
  readonly code: number;

  constructor(signal: NodeJS.Signals, number: number) {
    super(signal);
    this.code = 128 + number;
  }
}

/**
 * Runs a verb on a stack made by its flags: says what goes wrong, ends it at a signal, and closes the stack.
 * @param body its signal is aborted when the user interrupts; what it returns is the exit code
 */
export async function withStack(
  flags: StackFlags,
  body: (stack: NetStack, interrupted: AbortSignal) => Promise<ExitCode>,
): Promise<ExitCode> {
  const startedAt = performance.now();
  const interrupt = new AbortController();
  for (const [signal, number] of SIGNALS)
    process.on(signal, () => interrupt.abort(new Interrupted(signal, number)));
  let stack: NetStack | null = null;
  try {
    // the engine loads in its thread while this one loads the rest
    const starting = startEngine(engineOptionsOf(flags));
    starting.catch(() => {});
    const { NetStack } = await import('../net/stack.ts');
    stack = NetStack.own(await starting);
    if (flags.quiet) beQuiet();
    if (flags.verbose > 0) note(`${deviceOf(flags)} as ${flags.addr.join(', ')}`);
    offerControl(stack, flags.verbose > 0);
    return await body(stack, interrupt.signal);
  } catch (error) {
    const { reason } = interrupt.signal;
    if (reason instanceof Interrupted) return reason.code as ExitCode;
    return complain(error, startedAt);
  } finally {
    if (stack !== null && flags.verbose > 1) await noteStats(stack);
    await stack?.close();
  }
}

/** `-vv`: what the stack has counted. */
export async function noteStats(stack: NetStack): Promise<void> {
  for (const line of statsLines(await stack.stats())) note(line);
}

/** Lets `tunwire ss` look into a stack. */
export function offerControl(stack: NetStack, isVerbose: boolean): void {
  const control = serveControl(stack);
  if (isVerbose && 'problem' in control) note(`tunwire ss will not see this: ${control.problem}`);
}
