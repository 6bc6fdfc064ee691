import type { Certificate } from './certificate.ts';

const ANY_POLICY = '2.5.29.32.0';

/**
 * RFC 5280 §6.1: policy processing for a caller to whom any policy is acceptable. Then only certificates can ask for a
 * policy (policyConstraints), and all that matters of the tree of valid policies is whether its lowest level still has a
 * node: each level is kept as a map from policy to its expected policies, which is bounded by what one certificate
 * lists (RFC 9618 §5: no exponential growth).
 * @param path from the server's certificate to the one below the trust anchor
 * @returns '' or what is wrong
 */
export function checkPolicies(path: readonly Certificate[]): string {
  const n = path.length;
  // The tree of one level, or null once it is empty: §6.1.2 (a).
  let level: Map<string, ReadonlySet<string>> | null = new Map([[ANY_POLICY, new Set([ANY_POLICY])]]);
  // §6.1.2 (d)–(f)
  let explicitPolicy = n + 1;
  let inhibitAny = n + 1;
  let policyMapping = n + 1;
  for (let i = 1; i <= n; i++) {
    const certificate = path[n - i]!;
    const { policies, policyMappings, requireExplicitPolicy, inhibitPolicyMapping, inhibitAnyPolicy } =
      certificate.extensions;
    const selfIssued = certificate.isSelfIssued;
    const last = i === n;
    // §6.1.3 (d), (e)
    if (policies === null) level = null;
    else if (level !== null) level = nextLevel(level, policies, inhibitAny > 0 || (!last && selfIssued));
    // §6.1.3 (f)
    if (explicitPolicy === 0 && level === null)
      return `${certificate} has no policy that its issuers require`;
    if (!last) {
      if (policyMappings !== null) {
        // §6.1.4 (a)
        for (const [from, to] of policyMappings) {
          if (from === ANY_POLICY || to === ANY_POLICY) return `${certificate} maps anyPolicy`;
        }
        if (level !== null) level = mapped(level, policyMappings, policyMapping > 0);
      }
      // §6.1.4 (h)
      if (!selfIssued) {
        if (explicitPolicy > 0) explicitPolicy--;
        if (policyMapping > 0) policyMapping--;
        if (inhibitAny > 0) inhibitAny--;
      }
      // §6.1.4 (i), (j)
      if (requireExplicitPolicy >= 0) explicitPolicy = Math.min(explicitPolicy, requireExplicitPolicy);
      if (inhibitPolicyMapping >= 0) policyMapping = Math.min(policyMapping, inhibitPolicyMapping);
      if (inhibitAnyPolicy >= 0) inhibitAny = Math.min(inhibitAny, inhibitAnyPolicy);
    } else {
      // §6.1.5 (a), (b)
      if (explicitPolicy > 0) explicitPolicy--;
      if (requireExplicitPolicy === 0) explicitPolicy = 0;
      if (explicitPolicy === 0 && level === null)
        return `${certificate} has no policy that its issuers require`;
    }
  }
  return '';
}

/** §6.1.3 (d) */
function nextLevel(
  above: ReadonlyMap<string, ReadonlySet<string>>,
  policies: readonly string[],
  anyAllowed: boolean,
): Map<string, ReadonlySet<string>> | null {
  const expected = new Set<string>();
  for (const set of above.values()) for (const policy of set) expected.add(policy);
  const level = new Map<string, ReadonlySet<string>>();
  for (const policy of policies) {
    if (policy !== ANY_POLICY && (expected.has(policy) || above.has(ANY_POLICY)))
      level.set(policy, new Set([policy]));
  }
  if (anyAllowed && policies.includes(ANY_POLICY)) {
    for (const policy of expected) if (!level.has(policy)) level.set(policy, new Set([policy]));
  }
  return level.size === 0 ? null : level;
}

/** §6.1.4 (b) */
function mapped(
  level: ReadonlyMap<string, ReadonlySet<string>>,
  mappings: readonly (readonly [string, string])[],
  allowed: boolean,
): Map<string, ReadonlySet<string>> | null {
  const targets = new Map<string, Set<string>>();
  for (const [from, to] of mappings) {
    const set = targets.get(from);
    if (set === undefined) targets.set(from, new Set([to]));
    else set.add(to);
  }
  const result = new Map(level);
  for (const [from, set] of targets) {
    if (allowed) {
      if (level.has(from) || level.has(ANY_POLICY)) result.set(from, set);
    } else result.delete(from);
  }
  return result.size === 0 ? null : result;
}
