/** What the programs and threads of a soak have to agree on. */

export const PLAIN_PORT = 7000;
export const TLS_PORT = 7001;
export const CHUNK_BYTES = 65_536;
export const MOST_PAUSE_MS = 200;
export const MOST_FLOW_MS = 1000;

/** What a thread of the blocking face does until it is told to end. */
export interface SoakTask {
  readonly does: 'read' | 'write';
  readonly host: string;
  readonly tls: boolean;
  readonly seed: number;
  /** One word: not 0 when the thread has to end. */
  readonly ended: Int32Array;
  /** What the thread has done, at {@link Count}; for others when it has ended. */
  readonly counts: Float64Array;
}

export const Count = { Bytes: 0, Pauses: 1 } as const;

/** Milliseconds below `most`, by chance. */
export function chance(random: { uint32(): number }, most: number): number {
  return (random.uint32() / 2 ** 32) * most;
}
