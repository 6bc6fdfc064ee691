import fc from 'fast-check';

/**
 * fast-check with a seed of its own: the same cases in every run, so that a change that fails has failed by itself. Other cases: `TUNWIRE_SEED=N npm test` (any 32-bit
 * integer; a failure names it with the counterexample).
 */
const SEED: number = Number(process.env['TUNWIRE_SEED'] ?? 1);

fc.configureGlobal({ seed: SEED });

export { fc };
