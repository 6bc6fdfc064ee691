import type { KeepAlive } from '../../stack/tcp/keepalive.ts';

/** How sessions are replayed and compared. */
export interface ReplayOptions {
  /**
   * `meaning`: what a peer and an application can tell. `strict`: every segment, with the tolerances. `exact`: every byte of every
   * packet; for recordings of this stack.
   */
  readonly compare: 'meaning' | 'strict' | 'exact';
  /** The seed of a recording of this stack: it must lead to the recorded sequence numbers. Null: they are taken over. */
  readonly seed: number | null;
  /** How much later than recorded our stack may do what the server reacts to, in ms. */
  readonly patienceMs: number;
  /** strict, exact: by how much the time of a segment may differ, in ms. */
  readonly timeToleranceMs: number;
  /** strict: by which part a window may differ, 0 … 1. */
  readonly windowTolerance: number;
  /** When the application reads: `window`: as far as the recorded windows let see; `once`: whatever comes, at once. */
  readonly reads: 'window' | 'once';
  /** The application has switched Nagle's algorithm off. */
  readonly noDelay: boolean;
  /** Null: as the recorded probes tell. */
  readonly keepAlive: KeepAlive | null;
  /** The congestion control of our stack. */
  readonly congestion: string;
  /** Sizes of the buffers, powers of two; 0: from the recorded windows. */
  readonly recvRingBytes: number;
  readonly sendRingBytes: number;
}

export const REPLAY_DEFAULTS: ReplayOptions = {
  compare: 'meaning',
  seed: null,
  patienceMs: 1000,
  timeToleranceMs: 50,
  windowTolerance: 0.5,
  reads: 'window',
  noDelay: true,
  keepAlive: null,
  congestion: 'cubic',
  recvRingBytes: 0,
  sendRingBytes: 0,
};
