import { addAbortListener } from 'node:events';
import { NetError, Phase } from '../stack/errors.ts';

/** What an aborted signal turns into: `name` 'AbortError' and `code` 'ABORT_ERR' as in Node, the signal's reason as `cause`. */
export function cancelled(signal: AbortSignal, phase: Phase): NetError {
  const reason: unknown = signal.reason;
  const error = new NetError('CANCELLED', {
    phase,
    detail: reason instanceof Error ? reason.message : '',
    cause: reason,
  });
  // Node's own APIs, and what is written for them, look at the name
  return Object.defineProperty(error, 'name', { value: 'AbortError' });
}

/** @throws NetError CANCELLED when the signal is aborted already */
export function throwIfCancelled(signal: AbortSignal | undefined, phase: Phase = Phase.Argument): void {
  if (signal?.aborted) throw cancelled(signal, phase);
}

/** Calls `listener` once when the signal is aborted. @returns undoes it */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (signal === undefined) return () => {};
  const disposable = addAbortListener(signal, listener);
  return () => disposable[Symbol.dispose]();
}
