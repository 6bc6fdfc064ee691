import { REPLAY_DEFAULTS, type ReplayOptions } from './options.ts';

/** What stands before the options in a section's comment. */
const MARK = 'tunwire replay ';
const MAX_RING_BYTES: number = 1 << 30;

/** A comment for a capture's section header that tells how it is to be replayed: `text`, and the options on a line of their own. */
export function replayComment(text: string, options: Partial<ReplayOptions>): string {
  return `${text}\n${MARK}${JSON.stringify(options)}`;
}

/** The options that a comment holds; those that are not of the right kind are left out. */
export function commentedOptions(comment: string): Partial<ReplayOptions> {
  const line = comment.split('\n').find((one) => one.startsWith(MARK));
  if (line === undefined) return {};
  let found: unknown;
  try {
    found = JSON.parse(line.slice(MARK.length));
  } catch {
    return {};
  }
  if (typeof found !== 'object' || found === null) return {};
  const known: ReplayOptions = { ...REPLAY_DEFAULTS, seed: 0 };
  const entries = Object.entries(found).filter(
    ([key, value]) =>
      key !== 'compare' &&
      key in known &&
      typeof value === typeof known[key as keyof ReplayOptions] &&
      (!key.endsWith('RingBytes') || isRingSize(value)),
  );
  return Object.fromEntries(entries) as Partial<ReplayOptions>;
}

/** 0: from the recorded windows. */
function isRingSize(bytes: unknown): boolean {
  return (
    typeof bytes === 'number' &&
    Number.isInteger(bytes) &&
    bytes >= 0 &&
    bytes <= MAX_RING_BYTES &&
    (bytes & (bytes - 1)) === 0
  );
}

/** By how much the time of a packet may differ in an exact replay: the nanoseconds of a capture are rounded. */
export const EXACT_TIME_MS = 0.000_002;

/**
 * How a capture with such options is replayed. The seed holds for an exact replay only: otherwise the recorded numbers are taken over, so
 * that recordings of older versions replay.
 */
export function replayedAs(
  recorded: Partial<ReplayOptions>,
  compare: ReplayOptions['compare'],
): Partial<ReplayOptions> {
  if (compare === 'exact') return { timeToleranceMs: EXACT_TIME_MS, ...recorded, compare };
  const { seed: _, ...others } = recorded;
  return { ...others, compare };
}
