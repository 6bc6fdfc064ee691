import type { EngineClient } from '../engine/client.ts';

/** What this thread has open on each engine: the ways to close it. */
const open = new WeakMap<EngineClient, Set<() => void>>();

/** Notes something open. @returns takes it off the list */
export function noteOpen(client: EngineClient, close: () => void): () => void {
  let list = open.get(client);
  if (list === undefined) {
    list = new Set();
    open.set(client, list);
  }
  list.add(close);
  return () => list.delete(close);
}

/** Closes everything that this thread has open on an engine, in order: what was written is still sent. */
export function closeOpen(client: EngineClient): void {
  for (const close of open.get(client) ?? []) close();
}
