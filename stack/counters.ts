/**
 * What a stack has received, sent and dropped, one counter per reason, as `netstat -s` shows them. Layers declare their
 * counters as classes of plain number fields (every field initialised, so that counting is one add); this collects them.
 */
export class Counters {
  readonly #groups = new Map<string, object>();

  /** Adds a layer's counters under its name. @returns the same object */
  group<T extends object>(name: string, counters: T): T {
    this.#groups.set(name, counters);
    return counters;
  }

  /** The groups as they count, by name. */
  get groups(): ReadonlyMap<string, object> {
    return this.#groups;
  }

  /** A copy as plain JSON: `{ ip: { received: 3, … }, tcp: { … } }`. */
  toJSON(): Record<string, Record<string, number>> {
    const all: Record<string, Record<string, number>> = {};
    for (const [name, counters] of this.#groups) all[name] = { ...(counters as Record<string, number>) };
    return all;
  }
}
