import { SeededRandom } from '../../stack/random.ts';
import { attempt, type FuzzResult, mutated } from './fuzz.ts';
import type { FuzzTarget } from './targets.ts';

/** Asking what ran costs as much as many inputs: so many are tried before each question. */
const BATCH = 64;
/** Inputs kept because they reached what none before had; beyond, the oldest go. */
const MAX_KEPT = 1024;

export interface GuidedResult extends FuzzResult {
  /** Pieces of code that ran. */
  readonly reached: number;
  /** Inputs kept to be changed further. */
  readonly kept: number;
}

/**
 * As `fuzz`, but what reaches code that nothing before it reached is changed further, like the inputs that are right: step by step they
 * come behind checks that no single change passes.
 * @param ran names the pieces of code that ran since it was asked last
 */
export function fuzzGuided(
  target: FuzzTarget,
  inputs: number,
  seed: number,
  ran: () => Iterable<string>,
): GuidedResult {
  const random = new SeededRandom(seed);
  const good = target.good.map((input) => input.slice());
  const kept: Uint8Array[] = [];
  const reached = new Set<string>();
  const fresh = (): boolean => {
    const before = reached.size;
    for (const piece of ran()) reached.add(piece);
    return reached.size > before;
  };
  const result = { failure: null, heldMost: 0 };
  const tell = (more: object): GuidedResult => ({
    ...result,
    reached: reached.size,
    kept: kept.length,
    ...more,
  });
  for (const input of good) {
    const failure = attempt(target, input);
    if (failure !== null) return tell({ failure });
  }
  fresh();
  for (let done = 0; done < inputs; done += BATCH) {
    const pool = [...good, ...kept];
    const batch = Array.from({ length: Math.min(BATCH, inputs - done) }, () => mutated(pool, random));
    const known = new Set(reached);
    for (const input of batch) {
      const failure = attempt(target, input);
      if (failure !== null) return tell({ failure });
    }
    result.heldMost = Math.max(result.heldMost, target.held?.() ?? 0);
    if (!fresh()) continue;
    // once more, one by one: which of them was it? What a target remembers may hide it.
    const found = new Set([...reached].filter((piece) => !known.has(piece)));
    for (const input of batch) {
      const failure = attempt(target, input);
      if (failure !== null) return tell({ failure });
      let isFirst = false;
      for (const piece of ran()) isFirst = found.delete(piece) || isFirst;
      if (isFirst) kept.push(input);
    }
    if (kept.length > MAX_KEPT) kept.splice(0, kept.length - MAX_KEPT);
  }
  return tell({});
}
