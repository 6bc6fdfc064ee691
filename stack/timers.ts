/** Whatever waits for a time. */
export interface TimerTarget {
  onDeadline(now: number): void;
}

/** One waiting place in a {@link TimerQueue}; belongs to one target for good, so that setting it allocates nothing. */
export class TimerEntry {
  readonly target: TimerTarget;
  /** When the target wants to be called; Infinity: never. */
  deadline: number = Infinity;
  /** Where the entry lies in the queue's heap; -1: not in it. */
  place = -1;
  /** The time it is filed under, which may be earlier than `deadline`: moving a deadline back costs nothing. */
  filedUnder: number = Infinity;

  constructor(target: TimerTarget) {
    this.target = target;
  }
}

/**
 * The deadlines of a stack. Moving a deadline later, which nearly every packet does, only stores a number: the entry stays
 * filed under its earlier time and is filed anew when that comes.
 */
export class TimerQueue {
  /** A binary heap over `filedUnder`. */
  readonly #heap: TimerEntry[] = [];

  /** Number of entries filed, including cancelled ones that have not come up yet. */
  get size(): number {
    return this.#heap.length;
  }

  /** Calls the entry's target at `deadline` (ms; Infinity cancels), instead of any time set before. */
  set(entry: TimerEntry, deadline: number): void {
    entry.deadline = deadline;
    if (deadline === Infinity) return;
    if (entry.place < 0) {
      entry.filedUnder = deadline;
      entry.place = this.#heap.length;
      this.#heap.push(entry);
      this.#up(entry);
    } else if (deadline < entry.filedUnder) {
      entry.filedUnder = deadline;
      this.#up(entry);
    }
  }

  /** Does not call the target any more. The entry leaves the queue when its time comes. */
  cancel(entry: TimerEntry): void {
    entry.deadline = Infinity;
  }

  /** Takes an entry out at once, so that the queue does not keep its target alive. */
  remove(entry: TimerEntry): void {
    entry.deadline = Infinity;
    if (entry.place >= 0) this.#removeAt(entry.place);
  }

  /** A time not later than the earliest deadline; Infinity: no timer runs. */
  next(): number {
    // Cancelled and moved entries at the top are cleared away here, so that they cost no wake-up.
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined) return Infinity;
      if (top.deadline === top.filedUnder) return top.filedUnder;
      this.#refile(top);
    }
  }

  /**
   * Calls every target whose deadline is `now` or earlier, once, in order of deadlines. Targets may set and cancel any entry
   * meanwhile; a deadline they set at or before `now` waits for the next call, so that no target can keep this from ending.
   */
  expire(now: number): void {
    const due = this.#due;
    // Nested calls would share the list; the stack never makes them, and a target that does is answered later.
    if (due.length > 0) return;
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || top.filedUnder > now) break;
      if (top.deadline !== top.filedUnder) {
        this.#refile(top);
        continue;
      }
      this.#removeAt(0);
      due.push(top);
    }
    try {
      for (const entry of due) {
        // Cancelled or moved by a target called before it
        if (entry.deadline > now) continue;
        // Set anew by one: that is the same call
        if (entry.place >= 0) this.#removeAt(entry.place);
        entry.deadline = Infinity;
        entry.target.onDeadline(now);
      }
    } finally {
      due.length = 0;
    }
  }

  readonly #due: TimerEntry[] = [];

  /** Files an entry under its true deadline, or takes it out when it has none. */
  #refile(entry: TimerEntry): void {
    if (entry.deadline === Infinity) {
      this.#removeAt(entry.place);
    } else {
      entry.filedUnder = entry.deadline;
      this.#down(entry);
    }
  }

  #removeAt(place: number): void {
    const heap = this.#heap;
    const gone = heap[place]!;
    const last = heap.pop()!;
    gone.place = -1;
    gone.filedUnder = Infinity;
    if (last === gone) return;
    heap[place] = last;
    last.place = place;
    this.#up(last);
    this.#down(last);
  }

  #up(entry: TimerEntry): void {
    const heap = this.#heap;
    let place = entry.place;
    while (place > 0) {
      const above = heap[(place - 1) >> 1]!;
      if (above.filedUnder <= entry.filedUnder) break;
      heap[place] = above;
      above.place = place;
      place = (place - 1) >> 1;
    }
    heap[place] = entry;
    entry.place = place;
  }

  #down(entry: TimerEntry): void {
    const heap = this.#heap;
    let place = entry.place;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && heap[below + 1]!.filedUnder < heap[below]!.filedUnder) below++;
      const child = heap[below]!;
      if (child.filedUnder >= entry.filedUnder) break;
      heap[place] = child;
      child.place = place;
      place = below;
    }
    heap[place] = entry;
    entry.place = place;
  }
}
