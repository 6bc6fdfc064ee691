import { SeededRandom } from '../../stack/random.ts';
import type { FuzzTarget } from './targets.ts';

/** More than any of the inputs that are right has, and more than one packet of an Ethernet link. */
const MAX_INPUT_BYTES = 2048;

/** An input that a target did not survive. */
export interface FuzzFailure {
  readonly target: string;
  readonly input: Uint8Array;
  readonly error: string;
}

export interface FuzzResult {
  readonly failure: FuzzFailure | null;
  /** The most that the target kept. */
  readonly heldMost: number;
}

/**
 * Gives a target inputs made by chance from those that are right: bytes changed, pieces cut, doubled and mixed. The same seed makes the
 * same inputs. Ends with the first that the target does not survive.
 */
export function fuzz(target: FuzzTarget, inputs: number, seed: number): FuzzResult {
  const random = new SeededRandom(seed);
  let heldMost = 0;
  for (let i = 0; i < inputs; i++) {
    const failure = attempt(target, mutated(target.good, random));
    if (failure !== null) return { failure, heldMost };
    if ((i & 1023) === 0) heldMost = Math.max(heldMost, target.held?.() ?? 0);
  }
  return { failure: null, heldMost };
}

/** Gives a target one input, which stays as it is. @returns null when the target survives */
export function attempt(target: FuzzTarget, input: Uint8Array): FuzzFailure | null {
  try {
    // a target may change what it gets
    target.run(input.slice());
    return null;
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { target: target.name, input, error: text };
  }
}

/** One of the inputs with up to four changes made by chance. */
export function mutated(good: readonly Uint8Array[], random: SeededRandom): Uint8Array {
  const below = (limit: number): number => (limit <= 0 ? 0 : random.uint32() % limit);
  const choose = (): Uint8Array => good[below(good.length)]!;
  let bytes = choose().slice();
  for (let changes = below(5); changes > 0; changes--) {
    const at = below(bytes.length);
    switch (below(8)) {
      case 0:
        bytes = bytes.slice(0, at + 1);
        break;
      case 1:
        bytes = Uint8Array.of(...bytes.subarray(0, at), ...choose().subarray(below(60)));
        break;
      case 2:
        bytes = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(below(at + 1)));
        break;
      case 3:
        // lengths and counts: the ends of their ranges
        bytes[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][below(6)]!;
        break;
      case 4:
        bytes[at] = bytes[at]! ^ (1 << below(8));
        break;
      default:
        bytes[at] = below(256);
    }
    if (bytes.length > MAX_INPUT_BYTES) bytes = bytes.slice(0, MAX_INPUT_BYTES);
  }
  // nobody is handed nothing at all
  return bytes.length === 0 ? new Uint8Array(1) : bytes;
}
