import type { RandomSource } from '../../stack/random.ts';

/** RFC 8701 §3.1: values that no server may know, so that servers stay tolerant of new ones. */
export interface GreaseValues {
  readonly cipherSuite: number;
  readonly group: number;
  readonly version: number;
  readonly signatureScheme: number;
  /** Two that differ: an extension block has each type once. */
  readonly extensions: readonly [number, number];
  /** Whether a key share of `group` is sent. */
  readonly hasShare: boolean;
}

/** RFC 8701 §2: 0x0a0a, 0x1a1a, … 0xfafa. */
function greaseValue(index: number): number {
  return (index & 15) * 0x1010 + 0x0a0a;
}

/** Draws values, the same for both ClientHellos of a connection. */
export function drawGrease(random: RandomSource): GreaseValues {
  const bits = random.uint32();
  const nibble = (i: number): number => (bits >>> (4 * i)) & 15;
  // never zero: the second extension differs from the first
  const apart = 1 + (nibble(5) % 15);
  return {
    cipherSuite: greaseValue(nibble(0)),
    group: greaseValue(nibble(1)),
    version: greaseValue(nibble(2)),
    signatureScheme: greaseValue(nibble(3)),
    extensions: [greaseValue(nibble(4)), greaseValue(nibble(4) + apart)],
    hasShare: true,
  };
}
