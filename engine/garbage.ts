import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** V8's own function: 'minor' looks through the young generation, 'major' through everything. */
export type Collect = (options: {
  readonly type: 'minor' | 'major';
  /** Default sync. 'last-resort' gives back what it can. */
  readonly flavor?: 'regular' | 'last-resort';
}) => void;

let collect: Collect | null = null;

/** Has V8 collect garbage now, in the calling thread; nothing where that cannot be asked for. */
export const collectGarbage: Collect = (options) => {
  collect ??= findCollect();
  collect(options);
};

/** V8 shows its function `gc` to contexts that are made while the flag is set. */
function findCollect(): Collect {
  try {
    setFlagsFromString('--expose-gc');
    return runInNewContext('gc') as Collect;
  } catch {
    return () => {};
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
