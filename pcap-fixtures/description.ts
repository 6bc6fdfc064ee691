import type { ReplayOptions } from '../conformance/replay/options.ts';

/** What lies beside a capture, as JSON. */
export interface Description {
  readonly what: string;
  /** On what, and how. */
  readonly recorded: string;
  readonly shows: string;
  /** What the replay needs to know. */
  readonly replay: Partial<ReplayOptions>;
}
