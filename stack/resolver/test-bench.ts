import type { Endpoint } from '../endpoint.ts';
import type { PairOptions } from '../testing/stack-pair.ts';
import { StackPair } from '../testing/stack-pair.ts';

/** For tests: a pair of stacks that remembers the events of each endpoint. */
export class TestBench extends StackPair {
  readonly #events: [Endpoint, number][] = [];

  constructor(options: Partial<PairOptions> = {}) {
    super(options);
    this.onEvents = (endpoint, events) => void this.#events.push([endpoint, events]);
  }

  /** Events of an endpoint that nobody in the stack observed, one number for each time they were taken. */
  eventsOf(endpoint: Endpoint): number[] {
    return this.#events.filter(([of]) => of === endpoint).map(([, events]) => events);
  }
}
