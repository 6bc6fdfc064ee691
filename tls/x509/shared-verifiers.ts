import type { TimestampLog } from './certificate-transparency.ts';
import { ChainVerifier } from './chain-verifier.ts';
import { RevocationLists } from './revocation-lists.ts';
import type { TrustStore } from './trust-store.ts';

/** What makes verifiers of the same roots and lists different. */
export interface SharedVerifierRules {
  /** INET_OPTION_SECURE_FALLBACK */
  readonly legacy: boolean;
  /** Whether nothing may be unknown about revocation. */
  readonly requireRevocationLists: boolean;
  readonly timestampLogs?: readonly TimestampLog[];
  readonly minTimestamps?: number;
}

const NO_LISTS: RevocationLists = new RevocationLists();
const verifiers = new WeakMap<TrustStore, WeakMap<RevocationLists, Map<string, ChainVerifier>>>();

/**
 * Verifiers remember the chains that they accepted: connections with the same roots, lists and rules share one. It lives as long as
 * its roots and lists.
 * @param lists null: none
 */
export function sharedVerifier(
  roots: TrustStore,
  lists: RevocationLists | null,
  rules: SharedVerifierRules,
): ChainVerifier {
  const revocationLists = lists ?? NO_LISTS;
  const byLists = verifiers.get(roots) ?? new WeakMap<RevocationLists, Map<string, ChainVerifier>>();
  verifiers.set(roots, byLists);
  const byRules = byLists.get(revocationLists) ?? new Map<string, ChainVerifier>();
  byLists.set(revocationLists, byRules);
  const logs = (rules.timestampLogs ?? []).map(({ id }) => Buffer.from(id).toString('hex'));
  const key = `${rules.legacy} ${rules.requireRevocationLists} ${rules.minTimestamps ?? 0} ${logs.join(' ')}`;
  let verifier = byRules.get(key);
  if (verifier === undefined) {
    verifier = new ChainVerifier(roots, { ...rules, revocationLists });
    byRules.set(key, verifier);
  }
  return verifier;
}
