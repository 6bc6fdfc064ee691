import { TimerEntry, type TimerQueue, type TimerTarget } from '../timers.ts';
import type { DnsQuery, QueryOutcome } from './dns-query.ts';
import type { DnsType } from './record.ts';

/** RFC 8767 §5: how long somebody waits for the servers before an answer that is too old is given to him. */
export const STALE_AFTER_MS = 1800;

/** Somebody who waits for answers. */
export interface Waiter {
  /** How long he waits for a silent name server, in ms of the stack's clock; -Infinity: as long as the settings say. */
  readonly deadline: number;
  /** The questions he waits for; kept by the resolver. */
  readonly questions: Set<Question>;
  /** Called once for each question, possibly while it is being asked. */
  answered(type: DnsType, outcome: QueryOutcome): void;
}

/** A question on its way, and all who wait for it: equal questions are asked once. */
export class Question implements TimerTarget {
  readonly query: DnsQuery;
  readonly waiting: Set<Waiter> = new Set();
  /** Asked to the end though nobody waits: its answer is newer than the one that was given. */
  isRefresh = false;
  readonly #timers: TimerQueue;
  readonly #timer: TimerEntry = new TimerEntry(this);
  readonly #isLate: (question: Question) => void;

  /** @param isLate called when the servers have taken too long, if {@link watch} was called */
  constructor(query: DnsQuery, timers: TimerQueue, isLate: (question: Question) => void) {
    this.query = query;
    this.#timers = timers;
    this.#isLate = isLate;
  }

  watch(now: number): void {
    this.#timers.set(this.#timer, now + STALE_AFTER_MS);
  }

  onDeadline(): void {
    this.#isLate(this);
  }

  add(waiter: Waiter): void {
    this.waiting.add(waiter);
    waiter.questions.add(this);
    this.query.waitUntil(waiter.deadline);
  }

  remove(waiter: Waiter): void {
    this.waiting.delete(waiter);
    waiter.questions.delete(this);
  }

  /** Tells everybody, and nobody waits any more. */
  answer(outcome: QueryOutcome): void {
    const waiting = [...this.waiting];
    for (const waiter of waiting) this.remove(waiter);
    for (const waiter of waiting) waiter.answered(this.query.type, outcome);
  }

  /** It is over. */
  end(): void {
    this.#timers.remove(this.#timer);
  }
}
