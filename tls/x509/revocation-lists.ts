import type { Certificate } from './certificate.ts';
import {
  ALL_REASONS,
  CertificateList,
  CrlReason,
  type CrlScope,
  distributionUris,
} from './certificate-list.ts';
import { DerError, equalBytes, hex } from './der.ts';
import { KeyUsage } from './extensions.ts';
import { readPem } from './pem.ts';
import { inspectKey, type StrengthPolicy } from './public-key.ts';
import { readSignatureAlgorithm, verifySignature } from './signature.ts';

/** Lists of one store. */
export const MAX_REVOCATION_LISTS = 1000;

/** A list that was given and is not in the store. */
export interface RevocationListProblem {
  /** Which one, counted from 1 over everything that was given to the store. */
  readonly index: number;
  readonly reason: string;
}

/** What the lists of a store say of one certificate. */
export type ListedStatus =
  | { readonly kind: 'revoked'; readonly reason: string }
  /** Lists for all reasons are there, and none has it. */
  | { readonly kind: 'good' /** Unix time in milliseconds */; readonly untilMs: number }
  /** No list, or none that is current, signed by the issuer and about this certificate. */
  | { readonly kind: 'unknown'; readonly reason: string; readonly untilMs: number };

/**
 * Certificate revocation lists that the user has fetched: complete ones and deltas to them (RFC 5280 §5). Lists of other
 * issuers than the certificate's (indirect ones) are refused.
 *
 * Differs from RFC 5280 §6.3.3 (f) in that a list is to be signed with the very key that signed the certificate, and not
 * with another of the same name.
 */
export class RevocationLists {
  /** What was given and could not be taken. One broken list does not spoil the others. */
  readonly problems: readonly RevocationListProblem[];
  readonly #problems: RevocationListProblem[] = [];
  readonly #byIssuer = new Map<string, SignedList[]>();
  #size = 0;
  #given = 0;

  constructor() {
    this.problems = this.#problems;
  }

  /**
   * The lists of files, each with lists in PEM or one in DER. Who wants to know who was revoked must not lose a list unnoticed.
   * @throws DerError when a file holds no list, or one that cannot be used
   */
  static fromFiles(files: readonly (string | Uint8Array)[]): RevocationLists {
    const lists = new RevocationLists();
    for (const file of files) {
      const before = lists.size;
      const text = typeof file === 'string' ? file : new TextDecoder('latin1').decode(file);
      if (typeof file === 'string' || text.includes('-----BEGIN ')) lists.addPem(text);
      else lists.add(file);
      const [problem] = lists.problems;
      if (problem !== undefined) throw new DerError(problem.reason);
      if (lists.size === before) throw new DerError('no revocation list');
    }
    return lists;
  }

  /** Number of lists; it grows with every list that is added. */
  get size(): number {
    return this.#size;
  }

  /** Adds all lists of a PEM text; other kinds of blocks are passed over. @returns how many were added */
  addPem(text: string): number {
    const before = this.#size;
    for (const block of readPem(text)) {
      if (block.label !== 'X509 CRL') continue; // RFC 7468 §6.1
      if (block.problem === '') this.add(block.bytes);
      else this.#problems.push({ index: ++this.#given, reason: block.problem });
    }
    return this.#size - before;
  }

  /** Adds one list. @param der is not copied @returns false when it cannot be used (see {@link problems}) */
  add(der: Uint8Array): boolean {
    const index = ++this.#given;
    try {
      if (this.#size === MAX_REVOCATION_LISTS) throw new DerError(`more than ${MAX_REVOCATION_LISTS} lists`);
      const list = new CertificateList(der);
      const known = this.#byIssuer.get(list.issuer.key);
      const signed = { list, signer: null };
      if (known === undefined) this.#byIssuer.set(list.issuer.key, [signed]);
      else known.push(signed);
      this.#size++;
      return true;
    } catch (error) {
      if (!(error instanceof DerError)) throw error;
      this.#problems.push({ index, reason: error.message });
      return false;
    }
  }

  /**
   * @param issuer the certificate whose key has signed it
   * @param unixTimeMs milliseconds since 1970-01-01T00:00Z
   */
  statusOf(
    certificate: Certificate,
    issuer: Certificate,
    strength: StrengthPolicy,
    unixTimeMs: number,
  ): ListedStatus {
    const given = this.#byIssuer.get(certificate.issuer.key) ?? [];
    let why = `no revocation list of "${certificate.issuer}"`;
    let untilMs = Number.POSITIVE_INFINITY;
    const lists: CertificateList[] = [];
    for (const signed of given) {
      const { list } = signed;
      if (!covers(list.scope, certificate)) {
        why = `the revocation list of "${list.issuer}" is not about ${certificate}`;
      } else if (unixTimeMs < list.thisUpdate) {
        untilMs = Math.min(untilMs, list.thisUpdate);
        why = `the revocation list of "${list.issuer}" is from the future`;
      } else {
        const problem = signatureProblem(signed, issuer, strength);
        if (problem === '') lists.push(list);
        else why = problem;
      }
    }
    const serial = hex(certificate.serial);
    let reasons = 0;
    for (const list of lists) {
      if (list.isDelta) continue;
      const delta = newestDelta(lists, list);
      const reason = delta?.revoked.get(serial) ?? list.revoked.get(serial);
      // A revocation does not lapse with its list, a hold may have ended meanwhile; both are refused (RFC 5280 §6.3.3).
      if (reason !== undefined && reason !== CrlReason.RemoveFromCrl) {
        return { kind: 'revoked', reason: `${certificate} was revoked by its issuer${reasonText(reason)}` };
      }
      const nextUpdate = Math.max(list.nextUpdate, delta?.nextUpdate ?? 0);
      if (unixTimeMs > nextUpdate) {
        why = `the revocation list of "${list.issuer}" was to be replaced on ${new Date(nextUpdate).toISOString()}`;
        continue;
      }
      untilMs = Math.min(untilMs, nextUpdate);
      reasons |= list.scope.reasons;
    }
    if (reasons === ALL_REASONS) return { kind: 'good', untilMs };
    if (reasons !== 0) why = `the revocation lists of "${certificate.issuer}" are not for every reason`;
    return { kind: 'unknown', reason: why, untilMs };
  }
}

interface SignedList {
  readonly list: CertificateList;
  /** SubjectPublicKeyInfo of the key that was found to have signed it: a list is verified once, not for every chain. */
  signer: Uint8Array | null;
}

function covers(scope: CrlScope, certificate: Certificate): boolean {
  // RFC 5280 §6.3.3 (b) (2)
  if (scope.attributeCertificatesOnly) return false;
  if (scope.userCertificatesOnly && certificate.isCa) return false;
  if (scope.caCertificatesOnly && !certificate.isCa) return false;
  if (scope.uris === null) return true;
  const published = distributionUris(certificate.extensions.crlDistributionPoints);
  return scope.uris.some((uri) => published.includes(uri));
}

/** RFC 5280 §6.3.3 (f), (g). */
function signatureProblem(signed: SignedList, issuer: Certificate, strength: StrengthPolicy): string {
  const { list } = signed;
  const usage = issuer.extensions.keyUsage;
  if (usage >= 0 && (usage & KeyUsage.CrlSign) === 0) {
    return `${issuer} may not sign revocation lists by its keyUsage`;
  }
  const wrong = `the revocation list of "${list.issuer}" was not signed by the key of ${issuer}`;
  if (signed.signer !== null) return equalBytes(signed.signer, issuer.spki) ? '' : wrong;
  const problem = signerProblem(list, issuer, strength);
  if (problem === '') signed.signer = issuer.spki;
  return problem === null ? wrong : problem;
}

/**
 * Whether something was signed with the key of a certificate.
 * @returns '' when it was, null when it was not, or why the signature does not count
 */
export function signerProblem(
  signed: Pick<CertificateList, 'tbs' | 'signatureAlgorithm' | 'signature'>,
  signer: Certificate,
  strength: StrengthPolicy,
): string | null {
  try {
    const algorithm = readSignatureAlgorithm(signed.signatureAlgorithm);
    if (algorithm === null) return 'it is signed with an algorithm that is not supported';
    if (algorithm.weak && !strength.weakHashes)
      return `it is signed with ${algorithm.name}, which is too weak`;
    const { kind, problem } = inspectKey(signer.spki, strength);
    if (problem !== '') return `${signer} is refused: ${problem}`;
    const key = kind !== null && algorithm.keys.includes(kind) ? signer.publicKey : null;
    return key !== null && verifySignature(algorithm, signed.tbs, key, signed.signature) ? '' : null;
  } catch (error) {
    if (error instanceof DerError) return `its signature is malformed: ${error.message}`;
    throw error;
  }
}

/** RFC 5280 §5.2.4: same issuer and scope, made for this list or an older one, and newer than it. */
function newestDelta(lists: readonly CertificateList[], base: CertificateList): CertificateList | null {
  let newest: CertificateList | null = null;
  for (const list of lists) {
    if (!list.isDelta || list.baseNumber > base.number || list.number <= base.number) continue;
    if (!equalBytes(list.scope.encoded, base.scope.encoded)) continue;
    if (newest === null || list.number > newest.number) newest = list;
  }
  return newest;
}

const REASONS: readonly string[] = [
  '',
  'its key was compromised',
  'the key of its CA was compromised',
  'its subject changed',
  'it was superseded',
  'its subject ceased operation',
  'it is on hold',
  '',
  '',
  'its privilege was withdrawn',
  'the key of its AA was compromised',
];

/** A CRLReason (RFC 5280 §5.3.1) for people: `: its key was compromised`, or '' when it says nothing. */
export function reasonText(reason: number): string {
  const text = REASONS[reason] ?? '';
  return text === '' ? '' : `: ${text}`;
}
