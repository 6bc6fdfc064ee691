import type { Counters } from './counters.ts';

/** One counter of drops, with what it showed last. */
interface Watched {
  readonly text: string;
  readonly group: Record<string, number>;
  readonly name: string;
  seen: number;
}

/** Tells from a stack's counters what has become of a packet: whether one whose name begins with `drop` has changed. For captures. */
export class DropWatch {
  readonly #counters: Counters;
  readonly #watched: Watched[] = [];
  #groups = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
    this.why();
  }

  /** What was dropped since the last call: `dropped: ip.dropNotForUs`; '': nothing. */
  why(): string {
    if (this.#counters.groups.size !== this.#groups) this.#look();
    let text = '';
    for (let i = 0; i < this.#watched.length; i++) {
      const watched = this.#watched[i]!;
      const value = watched.group[watched.name]!;
      if (value === watched.seen) continue;
      watched.seen = value;
      text = text === '' ? `dropped: ${watched.text}` : `${text}, ${watched.text}`;
    }
    return text;
  }

  /** Layers add their groups as they are used. */
  #look(): void {
    const known = new Set(this.#watched.map(({ text }) => text));
    for (const [name, counters] of this.#counters.groups) {
      const group = counters as Record<string, number>;
      for (const counter of Object.keys(group)) {
        const text = `${name}.${counter}`;
        if (isAboutReceived(counter) && !known.has(text))
          this.#watched.push({ text, group, name: counter, seen: 0 });
      }
    }
    this.#groups = this.#counters.groups.size;
  }
}

/** Those of sends are about calls of applications. */
function isAboutReceived(counter: string): boolean {
  return counter.startsWith('drop') && !counter.startsWith('dropSend');
}
