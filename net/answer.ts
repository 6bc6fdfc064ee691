import type { EngineClient } from '../engine/client.ts';
import type { Question } from '../engine/questions.ts';
import { SharedSocket } from '../engine/shared-socket.ts';
import { SocketStatus } from '../engine/socket-block.ts';
import { Phase } from '../stack/errors.ts';
import { cancelled, onAbort, throwIfCancelled } from './abort.ts';

/** What the engine says to a question. @throws NetError ENGINE_STOPPED, CANCELLED, and what the question can fail with */
export function ask(
  client: EngineClient,
  question: Question,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const start = (): SharedSocket => SharedSocket.ask(client, question);
  return answerOf(client, start, signal, (shared) => shared.takeAnswer());
}

/** Waits for what has one answer: a lookup, a question. */
export async function answerOf<T>(
  client: EngineClient,
  start: () => SharedSocket,
  signal: AbortSignal | undefined,
  take: (shared: SharedSocket) => T,
): Promise<T> {
  throwIfCancelled(signal);
  const shared = start();
  client.ref();
  let stop = (): void => {};
  try {
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (shared.status > SocketStatus.Opening) resolve();
      };
      shared.watch(look);
      if (signal !== undefined) stop = onAbort(signal, () => reject(cancelled(signal, Phase.Resolve)));
      look();
    });
    shared.throwIfFailed();
    return take(shared);
  } finally {
    stop();
    shared.release();
    client.unref();
  }
}
