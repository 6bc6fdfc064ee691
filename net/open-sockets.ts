import type { EngineClient } from '../engine/client.ts';

/** The ways to close what is open, each at a place of its own. perf: no Set, for what `EngineClient` says of Maps. */
class OpenList {
  readonly #closes: ((() => void) | undefined)[] = [];
  readonly #free: number[] = [];

  add(close: () => void): () => void {
    const place = this.#free.pop() ?? this.#closes.length;
    this.#closes[place] = close;
    return () => {
      if (this.#closes[place] !== close) return;
      this.#closes[place] = undefined;
      this.#free.push(place);
    };
  }

  closeAll(): void {
    for (const close of [...this.#closes]) close?.();
  }
}

/** What this thread has open on each engine. */
const open = new WeakMap<EngineClient, OpenList>();

/** Notes something open. @returns takes it off the list */
export function noteOpen(client: EngineClient, close: () => void): () => void {
  let list = open.get(client);
  if (list === undefined) {
    list = new OpenList();
    open.set(client, list);
  }
  return list.add(close);
}

/** Closes everything that this thread has open on an engine, in order: what was written is still sent. */
export function closeOpen(client: EngineClient): void {
  open.get(client)?.closeAll();
}
