import { startEngine } from '../engine/start.ts';
import type { NetStack } from '../net/index.ts';
import { serveControl } from './control.ts';
import type { ExitCode } from './exit-code.ts';
import type { StackFlags } from './flags.ts';
import { complain, note } from './report.ts';
import { deviceOf, engineOptionsOf } from './stack-options.ts';

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
    if (flags.verbose) note(`${deviceOf(flags)} as ${flags.addr.join(', ')}`);
    offerControl(stack, flags.verbose === true);
    return await body(stack, interrupt.signal);
  } catch (error) {
    const { reason } = interrupt.signal;
    if (reason instanceof Interrupted) return reason.code as ExitCode;
    return complain(error, startedAt);
  } finally {
    await stack?.close();
  }
}

/** Lets `tunwire ss` look into a stack. */
export function offerControl(stack: NetStack, isVerbose: boolean): void {
  const control = serveControl(stack);
  if (isVerbose && 'problem' in control) note(`tunwire ss will not see this: ${control.problem}`);
}
