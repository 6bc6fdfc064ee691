import type { RandomSource } from '../../stack/random.ts';
import { generateKeyShares, type KeyShare, type NamedGroup } from './groups.ts';

/*
 * Making keys is a tenth of a handshake, and nothing can be sent before: whoever connects again and again makes those of the next
 * handshake while the server is at work on this one. Each is used once, as ever.
 */

interface Spare {
  readonly groups: readonly NamedGroup[];
  readonly shares: KeyShare[];
}

let spare: Spare | null = null;
/** What the handshakes of this thread asked for last, and how many have asked. */
let lastGroups: readonly NamedGroup[] = [];
let asked = 0;

/**
 * The shares of one ClientHello: those that lie ready, or new ones.
 *
 * @param random only that of the system finds some ready: with any other each byte comes from it, in the order of the handshakes
 */
export function keySharesFor(groups: readonly NamedGroup[], random: RandomSource): KeyShare[] {
  if (random.isSystem !== true) return generateKeyShares(groups, random);
  lastGroups = groups;
  asked++;
  if (spare === null || !isSame(spare.groups, groups)) return generateKeyShares(groups, random);
  const { shares } = spare;
  spare = null;
  return shares;
}

/**
 * Makes the shares of this thread's next handshake, in a time of waiting, unless they lie ready. Does nothing after a first handshake:
 * many programs make only one.
 *
 * @returns whether some were made
 */
export function makeSpareKeyShares(random: RandomSource): boolean {
  if (random.isSystem !== true || asked < 2) return false;
  if (spare !== null && isSame(spare.groups, lastGroups)) return false;
  spare = { groups: lastGroups, shares: generateKeyShares(lastGroups, random) };
  return true;
}

function isSame(one: readonly NamedGroup[], other: readonly NamedGroup[]): boolean {
  return one.length === other.length && one.every((group, i) => group === other[i]);
}
