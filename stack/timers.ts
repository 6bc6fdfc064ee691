/** Whatever waits for a time. */
export interface TimerTarget {
  onDeadline(now: number): void;
}

/** One waiting place in a {@link TimerQueue}; belongs to one target for good, so that setting it allocates nothing. */
export class TimerEntry {
  readonly target: TimerTarget;
  /** When the target wants to be called; Infinity: never. */
  deadline = Infinity;
  /** Where the entry lies in the queue's heap; -1: not in it. */
  place = -1;
  /** The time it is filed under, which may be earlier than `deadline`: moving a deadline back costs nothing. */
  filedUnder = Infinity;

  constructor(target: TimerTarget) {
    this.target = target;
  }
}
