import type { Certificate } from './certificate.ts';
import { DerError, equalBytes } from './der.ts';
import { KeyUsage } from './extensions.ts';
import { type ComparisonBudget, checkNameConstraints } from './name-constraints.ts';
import { checkPolicies } from './policy-processing.ts';
import { inspectKey, type KeyInfo, type StrengthPolicy } from './public-key.ts';
import { readSignatureAlgorithm, type SignatureAlgorithm, verifySignature } from './signature.ts';
import type { TrustStore } from './trust-store.ts';
import { CertificateAlert, CertificateStatus, type OpensslCode } from './verdict.ts';
import type { VerifiedSignatures } from './verified-signatures.ts';

/** Signatures verified for one chain. Honest chains need fewer than five; cross-signed ones a few more. */
export const MAX_SIGNATURE_CHECKS = 100;
/** Candidates for an issuer looked at for one chain. */
export const MAX_PATH_STEPS = 10_000;
/** Comparisons of a name with a constraint for one chain. */
export const MAX_NAME_COMPARISONS = 250_000;

/** Why a certificate, or every path from it, is refused. */
export interface PathFailure {
  readonly status: CertificateStatus;
  readonly alert: CertificateAlert;
  readonly reason: string;
  /** null: the status says as much. */
  readonly opensslCode: OpensslCode | null;
}

/** What a path is held against. */
export interface PathRules {
  readonly anchors: TrustStore;
  readonly strength: StrengthPolicy;
  /** Certificates allowed between the server's and the trust anchor, those that an authority gave to itself not counted. */
  readonly maxIntermediates: number;
  readonly unixTimeMs: number;
  /** Asked last about every path that holds otherwise, anchor included: a path with a revoked issuer may have a detour. */
  readonly revocation: ((path: readonly Certificate[]) => PathFailure | null) | null;
  readonly verified: VerifiedSignatures;
}

/** A path from the server's certificate (first) to a trust anchor (last), or the reason why there is none. */
export type PathResult =
  | { readonly path: readonly Certificate[]; readonly failure: null }
  | { readonly path: null; readonly failure: PathFailure };

/**
 * Looks for a path that holds: depth first, with backtracking over every issuer that bears the right name, so that loops,
 * cross-certificates, wrong order and useless certificates do no harm (RFC 4158). Each candidate is checked when it is
 * reached, cheap checks first (RFC 5280 §6.1.3, §6.1.4), so that nothing is built on a certificate that would be refused.
 */
export class PathSearch {
  private readonly rules: PathRules;
  private readonly intermediates = new Map<string, Certificate[]>();
  private readonly names: ComparisonBudget = { comparisons: MAX_NAME_COMPARISONS };
  private readonly keys = new Map<Certificate, KeyInfo>();
  private readonly algorithms = new Map<Certificate, SignatureAlgorithm | PathFailure>();
  private readonly signatures = new Map<Certificate, Map<Certificate, boolean>>();
  private signatureChecks = 0;
  private steps = 0;
  private ignoreTime = false;
  private refusedForTime = false;
  /** The failure that says most: the one that came closest to a whole path. */
  private failure: PathFailure | null = null;
  private failureRank = 0;
  /** The end of the first path that was tried, which OpenSSL would name; null: there is none. */
  private firstDeadEnd: PathFailure | null = null;

  constructor(rules: PathRules, intermediates: readonly Certificate[]) {
    this.rules = rules;
    for (const certificate of intermediates) {
      const same = this.intermediates.get(certificate.subject.key);
      if (same === undefined) this.intermediates.set(certificate.subject.key, [certificate]);
      else if (!same.some((other) => equalBytes(other.der, certificate.der))) same.push(certificate);
    }
  }

  find(leaf: Certificate): PathResult {
    const problem = this.checkLeaf(leaf);
    if (problem !== null) return { path: null, failure: problem };
    const path = [leaf];
    if (this.search(path)) return { path, failure: null };
    if (!this.refusedForTime || this.exhausted) return { path: null, failure: this.worst(leaf) };
    // Expired must mean that nothing else is wrong: callers may tolerate it. So look once more, without the clock.
    this.ignoreTime = true;
    this.failure = null;
    this.failureRank = 0;
    this.firstDeadEnd = null;
    path.length = 1;
    if (!this.search(path)) return { path: null, failure: this.worst(leaf) };
    for (const certificate of path) {
      const failure = this.checkTime(certificate);
      if (failure !== null) return { path: null, failure };
    }
    return { path: null, failure: this.worst(leaf) };
  }

  private get exhausted(): boolean {
    return (
      this.signatureChecks >= MAX_SIGNATURE_CHECKS ||
      this.steps >= MAX_PATH_STEPS ||
      this.names.comparisons < 0
    );
  }

  private worst(leaf: Certificate): PathFailure {
    if (this.exhausted) {
      const work = `${this.signatureChecks} signatures and ${this.steps} candidates`;
      return invalid(
        `gave up looking for a path from ${leaf} after ${work}`,
        CertificateAlert.CertificateUnknown,
      );
    }
    const failure = this.failure ?? untrusted(`no issuer known for ${leaf}`);
    if (failure.status !== CertificateStatus.Untrusted) return failure;
    return { ...failure, opensslCode: this.firstDeadEnd?.opensslCode ?? null };
  }

  /** Extends the path to a trust anchor. @returns false when that is not possible; then the path is as before */
  private search(path: Certificate[]): boolean {
    const child = path[path.length - 1]!;
    if (path.length === 1) {
      const timeProblem = this.timeProblem(child);
      if (timeProblem !== null) {
        this.note(timeProblem, RANK_BROKEN);
        return false;
      }
      // A server's own certificate may be trusted as such: a path without issuers.
      if (this.rules.anchors.has(child)) return true;
    }
    const algorithm = this.algorithmOf(child);
    if ('status' in algorithm) {
      this.note(algorithm, RANK_BROKEN);
      return false;
    }
    for (const anchor of preferred(this.rules.anchors.named(child.issuer), child)) {
      if (this.exhausted) return false;
      this.steps++;
      const failure = this.checkIssuer(anchor, path) ?? this.checkSignature(child, algorithm, anchor);
      if (failure !== null) this.note(failure, RANK_ANCHORED);
      else {
        const policyProblem = checkPolicies(path);
        if (policyProblem !== '') this.note(invalid(policyProblem), RANK_ANCHORED);
        else {
          path.push(anchor);
          const revoked = this.rules.revocation?.(path) ?? null;
          if (revoked === null) return true;
          path.pop();
          this.note(revoked, RANK_REVOKED);
        }
      }
    }
    const candidates = this.intermediates.get(child.issuer.key) ?? [];
    for (const candidate of preferred(candidates, child)) {
      if (this.exhausted) return false;
      this.steps++;
      // RFC 4158 §2.4.2: the same name with the same key twice is a loop, whatever else differs.
      if (path.some((other) => isSameEntity(other, candidate))) continue;
      // as RFC 5280 §4.2.1.9 counts: self-issued certificates do not
      if (!candidate.isSelfIssued && countIntermediates(path) >= this.rules.maxIntermediates) {
        this.note(
          untrusted(`the path is longer than ${this.rules.maxIntermediates} intermediates`),
          RANK_BROKEN,
        );
        continue;
      }
      const failure = this.checkIssuer(candidate, path) ?? this.checkSignature(child, algorithm, candidate);
      if (failure !== null) {
        this.note(failure, RANK_BROKEN);
        continue;
      }
      path.push(candidate);
      if (this.search(path)) return true;
      path.pop();
    }
    const end = deadEnd(child, path.length);
    this.firstDeadEnd ??= end;
    this.note(end, RANK_DEAD_END);
    return false;
  }

  private note(failure: PathFailure, rank: number): void {
    if (rank <= this.failureRank) return;
    this.failureRank = rank;
    this.failure = failure;
  }

  /** What does not depend on the path (RFC 5280 §6.1.5, and the profile of a TLS server's certificate). */
  private checkLeaf(leaf: Certificate): PathFailure | null {
    const { extensions } = leaf;
    const failure = this.checkAny(leaf);
    if (failure !== null) return failure;
    if (extensions.nameConstraints !== null && !leaf.isCa) {
      return invalid(`${leaf} has name constraints and is no CA`); // RFC 5280 §4.2.1.10
    }
    const usage = extensions.keyUsage;
    if (usage >= 0) {
      // RFC 5280 §4.2.1.3: keyCertSign MUST NOT be asserted without cA.
      if ((usage & KeyUsage.KeyCertSign) !== 0 && !leaf.isCa) {
        return invalid(`${leaf} may sign certificates by its keyUsage and is no CA`);
      }
      const forTls = KeyUsage.DigitalSignature | KeyUsage.KeyEncipherment | KeyUsage.KeyAgreement;
      if ((usage & forTls) === 0) return unsupported(`${leaf} may not be used for TLS by its keyUsage`);
    }
    const purposes = extensions.extendedKeyUsage;
    // RFC 5280 §4.2.1.12: anyExtendedKeyUsage alone may be refused, and the web's rules do.
    if (purposes !== null && !purposes.includes(SERVER_AUTH)) {
      return unsupported(`${leaf} is not for TLS servers by its extendedKeyUsage`, 'INVALID_PURPOSE');
    }
    // RFC 5280 §4.1.2.6: without a subject, subjectAltName is critical.
    if (leaf.subject.isEmpty && !extensions.subjectAltNameIsCritical) {
      return invalid(`${leaf} has no subject and no critical subjectAltName`);
    }
    return null;
  }

  /** What holds for every certificate of a path. */
  private checkAny(certificate: Certificate): PathFailure | null {
    const critical = certificate.extensions.unknownCritical[0];
    // RFC 5280 §4.2
    if (critical !== undefined)
      return unsupported(`${certificate} has the unknown critical extension ${critical}`);
    try {
      const { problem } = this.keyOf(certificate);
      if (problem !== '') return unsupported(`${certificate} is refused: ${problem}`);
    } catch (error) {
      return invalid(`the key of ${certificate} is malformed: ${messageOf(error)}`);
    }
    return null;
  }

  /** Whether a certificate may stand above those of a path; all checks but the signature. */
  private checkIssuer(issuer: Certificate, below: readonly Certificate[]): PathFailure | null {
    const timeProblem = this.timeProblem(issuer);
    if (timeProblem !== null) return timeProblem;
    const failure = this.checkAny(issuer);
    if (failure !== null) return failure;
    const { extensions } = issuer;
    if (issuer.version === 3) {
      // RFC 5280 §6.1.4 (k)
      if (!issuer.isCa)
        return invalid(`${issuer} is no CA`, CertificateAlert.BadCertificate, 'INVALID_PURPOSE');
    } else if (!this.rules.anchors.has(issuer))
      return invalid(`${issuer} is no CA: it is of version ${issuer.version}`);
    // RFC 5280 §4.1.2.6: the subject of a CA is not empty.
    if (issuer.subject.isEmpty) return invalid(`${issuer} is a CA without a name`);
    // RFC 5280 §6.1.4 (n)
    if (extensions.keyUsage >= 0 && (extensions.keyUsage & KeyUsage.KeyCertSign) === 0) {
      return invalid(`${issuer} may not sign certificates by its keyUsage`);
    }
    // Not in RFC 5280; all implementations let an issuer's extendedKeyUsage limit what is below it.
    const purposes = extensions.extendedKeyUsage;
    if (purposes !== null && !purposes.includes(SERVER_AUTH) && !purposes.includes(ANY_PURPOSE)) {
      const reason = `${issuer} may not issue for TLS servers by its extendedKeyUsage`;
      return unsupported(reason, 'INVALID_PURPOSE');
    }
    const limit = extensions.basicConstraints?.pathLength ?? -1;
    if (limit >= 0) {
      // RFC 5280 §6.1.4 (l), (m): self-issued certificates do not count, nor does the last of the path.
      const count = countIntermediates(below);
      if (count > limit) {
        const reason = `${issuer} allows ${limit} intermediates below it, the path has ${count}`;
        return invalid(reason, CertificateAlert.BadCertificate, 'PATH_LENGTH_EXCEEDED');
      }
    }
    return this.checkNames(issuer, below);
  }

  private checkNames(issuer: Certificate, below: readonly Certificate[]): PathFailure | null {
    const constraints = issuer.extensions.nameConstraints;
    if (constraints === null) return null;
    for (const [i, certificate] of below.entries()) {
      // RFC 5280 §6.1.3 (b), (c): self-issued intermediates are exempt.
      if (i > 0 && certificate.isSelfIssued) continue;
      const problem = checkNameConstraints(certificate, constraints, this.names);
      if (problem !== '')
        return invalid(`${certificate} breaks the name constraints of ${issuer}: ${problem}`);
    }
    return null;
  }

  private checkSignature(
    child: Certificate,
    algorithm: SignatureAlgorithm,
    issuer: Certificate,
  ): PathFailure | null {
    const { kind } = this.keyOf(issuer);
    const key = kind !== null && algorithm.keys.includes(kind) ? issuer.publicKey : null;
    if (key === null) return badSignature(child, issuer);
    let verified = this.signatures.get(child);
    if (verified === undefined) {
      verified = new Map();
      this.signatures.set(child, verified);
    }
    let good = verified.get(issuer);
    if (good === undefined) {
      good = this.rules.verified.check(child, issuer, () => {
        this.signatureChecks++;
        return verifySignature(algorithm, child.tbs, key, child.signature);
      });
      verified.set(issuer, good);
    }
    return good ? null : badSignature(child, issuer);
  }

  private timeProblem(certificate: Certificate): PathFailure | null {
    const problem = this.ignoreTime ? null : this.checkTime(certificate);
    if (problem !== null) this.refusedForTime = true;
    return problem;
  }

  private checkTime(certificate: Certificate): PathFailure | null {
    const { unixTimeMs } = this.rules;
    // RFC 5280 §4.1.2.5: both ends belong to the period, and its unit is the second.
    const second = Math.floor(unixTimeMs / 1000) * 1000;
    if (second < certificate.notBefore) {
      const reason = `${certificate} is not valid before ${new Date(certificate.notBefore).toISOString()}`;
      return expired(reason, 'CERT_NOT_YET_VALID');
    }
    if (second > certificate.notAfter) {
      return expired(`${certificate} expired on ${new Date(certificate.notAfter).toISOString()}`);
    }
    // Catches NaN.
    return second >= certificate.notBefore ? null : expired('the time of validation is not a number');
  }

  private keyOf(certificate: Certificate): KeyInfo {
    let info = this.keys.get(certificate);
    if (info === undefined) {
      info = inspectKey(certificate.spki, this.rules.strength);
      if (info.problem === '' && certificate.publicKey === null)
        info = { ...info, problem: 'its key is not valid' };
      this.keys.set(certificate, info);
    }
    return info;
  }

  private algorithmOf(certificate: Certificate): SignatureAlgorithm | PathFailure {
    let result = this.algorithms.get(certificate);
    if (result === undefined) {
      result = judgeAlgorithm(certificate, this.rules.strength);
      this.algorithms.set(certificate, result);
    }
    return result;
  }
}

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const ANY_PURPOSE = '2.5.29.37.0';

const RANK_DEAD_END = 1;
const RANK_BROKEN = 2;
const RANK_ANCHORED = 3;
const RANK_REVOKED = 4;

function judgeAlgorithm(
  certificate: Certificate,
  strength: StrengthPolicy,
): SignatureAlgorithm | PathFailure {
  try {
    const algorithm = readSignatureAlgorithm(certificate.signatureAlgorithm);
    if (algorithm === null)
      return unsupported(`${certificate} is signed with an algorithm that is not supported`);
    if (algorithm.weak && !strength.weakHashes) {
      return unsupported(`${certificate} is signed with ${algorithm.name}, which is too weak`);
    }
    return algorithm;
  } catch (error) {
    return invalid(`the signature algorithm of ${certificate} is malformed: ${messageOf(error)}`);
  }
}

/** The best candidates first: those whose key identifier is the one that the child names (RFC 4158 §3.5.12). */
function preferred(candidates: readonly Certificate[], child: Certificate): readonly Certificate[] {
  const wanted = child.extensions.authorityKeyId;
  if (candidates.length < 2 || wanted === null) return candidates;
  const score = (candidate: Certificate): number => {
    const has = candidate.extensions.subjectKeyId;
    return has === null ? 1 : equalBytes(has, wanted) ? 0 : 2;
  };
  return [...candidates].sort((a, b) => score(a) - score(b));
}

function countIntermediates(path: readonly Certificate[]): number {
  let count = 0;
  for (let i = 1; i < path.length; i++) if (!path[i]!.isSelfIssued) count++;
  return count;
}

function isSameEntity(a: Certificate, b: Certificate): boolean {
  return a.subject.key === b.subject.key && equalBytes(a.spki, b.spki);
}

function invalid(
  reason: string,
  alert: CertificateAlert = CertificateAlert.BadCertificate,
  opensslCode: OpensslCode | null = null,
): PathFailure {
  return { status: CertificateStatus.Invalid, alert, reason, opensslCode };
}

function unsupported(reason: string, opensslCode: OpensslCode | null = null): PathFailure {
  return invalid(reason, CertificateAlert.UnsupportedCertificate, opensslCode);
}

function untrusted(reason: string, opensslCode: OpensslCode | null = null): PathFailure {
  return { status: CertificateStatus.Untrusted, alert: CertificateAlert.UnknownCa, reason, opensslCode };
}

function expired(reason: string, opensslCode: OpensslCode | null = null): PathFailure {
  const { CertificateExpired: alert } = CertificateAlert;
  return { status: CertificateStatus.Expired, alert, reason, opensslCode };
}

/** Nobody is known who has issued the last certificate of a path. @param lengthCertificates of the path */
function deadEnd(last: Certificate, lengthCertificates: number): PathFailure {
  const isLeaf = lengthCertificates === 1;
  const { authorityKeyId, subjectKeyId } = last.extensions;
  const namesOtherKey =
    authorityKeyId !== null && subjectKeyId !== null && !equalBytes(authorityKeyId, subjectKeyId);
  return last.isSelfIssued && !namesOtherKey
    ? untrusted(
        `${last} is self-signed and not trusted`,
        isLeaf ? 'DEPTH_ZERO_SELF_SIGNED_CERT' : 'SELF_SIGNED_CERT_IN_CHAIN',
      )
    : untrusted(
        `no trusted issuer for ${last}: its issuer is "${last.issuer}"`,
        isLeaf ? null : 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      );
}

/**
 * An issuer of the right name did not sign it. When the two name different keys, it is another issuer of that name that
 * is meant, and unknown; else the certificate was forged or damaged.
 */
function badSignature(child: Certificate, issuer: Certificate): PathFailure {
  const wanted = child.extensions.authorityKeyId;
  const has = issuer.extensions.subjectKeyId;
  if (wanted !== null && has !== null && !equalBytes(wanted, has)) {
    return untrusted(`no trusted issuer for ${child}: ${issuer} has another key than the one that signed it`);
  }
  const reason = `${child} was not signed by the key of ${issuer}`;
  return invalid(reason, CertificateAlert.BadCertificate, 'CERT_SIGNATURE_FAILURE');
}

function messageOf(error: unknown): string {
  if (error instanceof DerError) return error.message;
  throw error;
}
