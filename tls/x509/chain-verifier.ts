import { createHash } from 'node:crypto';
import { Certificate } from './certificate.ts';
import { countLogs, type TimestampLog } from './certificate-transparency.ts';
import { DerError } from './der.ts';
import { printable } from './distinguished-name.ts';
import { type PathFailure, PathSearch } from './path.ts';
import { LEGACY_STRENGTH, MODERN_STRENGTH, type StrengthPolicy } from './public-key.ts';
import type { RevocationLists } from './revocation-lists.ts';
import { matchesServer, parseReferenceName } from './server-name.ts';
import { stapledStatus } from './stapled-status.ts';
import type { TrustStore } from './trust-store.ts';
import {
  CertificateAlert,
  CertificateStatus,
  type CertificateVerdict,
  type CertificateVerifier,
  type OpensslCode,
  type PeerEvidence,
  RevocationStatus,
} from './verdict.ts';
import { VerifiedSignatures } from './verified-signatures.ts';

/** Certificates of a peer that are looked at besides its own; more than that are passed over. */
export const MAX_PEER_INTERMEDIATES = 100;

/** Settings of a {@link ChainVerifier}. */
export interface ChainVerifierOptions {
  /** Accept RSA keys from 1024 bits and signatures with MD5 and SHA-1: INET_OPTION_SECURE_FALLBACK. Default false. */
  readonly legacy?: boolean;
  /** Certificates allowed between the server's and a trust anchor. Default 10. */
  readonly maxIntermediates?: number;
  /** Accepted chains that are remembered. Default 64; 0 remembers none. */
  readonly cacheEntries?: number;
  /** Certificate revocation lists to hold every path against; more may be added later. Default: none. */
  readonly revocationLists?: RevocationLists;
  /**
   * Refuse a path of which a certificate is on no current list of its issuer, neither as revoked nor by its absence.
   * Default false: what nobody knows to be revoked is accepted.
   */
  readonly requireRevocationLists?: boolean;
  /** Logs of RFC 6962 whose timestamps count. Default: none. */
  readonly timestampLogs?: readonly TimestampLog[];
  /** Different logs of those that must have promised to publish the server's certificate. Default 0. */
  readonly minTimestamps?: number;
}

/**
 * Validates the chain of a TLS server against trust anchors: RFC 5280 §6 for the path, RFC 9525 for the name, RFC 6960 for
 * a stapled answer of OCSP. A server's certificate that is trusted as such, without an issuer, is held against neither
 * lists nor answers: those of an issuer are not there.
 */
export class ChainVerifier implements CertificateVerifier {
  readonly #roots: TrustStore;
  readonly #options: Required<Omit<ChainVerifierOptions, 'revocationLists' | 'timestampLogs'>>;
  readonly #strength: StrengthPolicy;
  readonly #lists: RevocationLists | null;
  readonly #logs: readonly TimestampLog[];
  /** How many lists there were when the remembered chains were accepted. */
  #listsSeen = 0;
  /** By digest of chain and name; in the order of last use. Only what was accepted: it stays so within its times. */
  readonly #cache = new Map<string, CachedVerdict>();
  readonly #verified = new VerifiedSignatures();

  constructor(roots: TrustStore, options: ChainVerifierOptions = {}) {
    this.#roots = roots;
    this.#options = {
      legacy: false,
      maxIntermediates: 10,
      cacheEntries: 64,
      requireRevocationLists: false,
      minTimestamps: 0,
      ...options,
    };
    this.#strength = this.#options.legacy ? LEGACY_STRENGTH : MODERN_STRENGTH;
    this.#lists = options.revocationLists ?? null;
    this.#logs = options.timestampLogs ?? [];
  }

  verify(
    chain: readonly Uint8Array[],
    serverName: string,
    unixTimeMs: number,
    evidence?: PeerEvidence,
  ): CertificateVerdict {
    return this.#verify(chain, serverName, unixTimeMs, evidence);
  }

  /** Like {@link verify} without a name: whether the chain leads to a trust anchor, whoever the server claims to be. */
  verifyPath(chain: readonly Uint8Array[], unixTimeMs: number, evidence?: PeerEvidence): CertificateVerdict {
    return this.#verify(chain, null, unixTimeMs, evidence);
  }

  /** @param serverName null: any */
  #verify(
    chain: readonly Uint8Array[],
    serverName: string | null,
    unixTimeMs: number,
    evidence: PeerEvidence | undefined,
  ): CertificateVerdict {
    if (this.#options.cacheEntries <= 0)
      return this.#verifyNow(chain, serverName, unixTimeMs, evidence).verdict;
    const listCount = this.#lists?.size ?? 0;
    if (listCount !== this.#listsSeen) this.#cache.clear();
    this.#listsSeen = listCount;
    const key = digest(chain, serverName, evidence);
    const known = this.#cache.get(key);
    if (known !== undefined) {
      this.#cache.delete(key);
      if (unixTimeMs >= known.notBefore && unixTimeMs <= known.notAfter) {
        this.#cache.set(key, known);
        return known.verdict;
      }
    }
    const fresh = this.#verifyNow(chain, serverName, unixTimeMs, evidence);
    if (fresh.verdict.accepted) {
      this.#cache.set(key, fresh);
      if (this.#cache.size > this.#options.cacheEntries) {
        for (const oldest of this.#cache.keys()) {
          this.#cache.delete(oldest);
          break;
        }
      }
    }
    return fresh.verdict;
  }

  #verifyNow(
    chain: readonly Uint8Array[],
    serverName: string | null,
    unixTimeMs: number,
    evidence: PeerEvidence | undefined,
  ): CachedVerdict {
    const [first, ...others] = chain;
    if (first === undefined) {
      return refusal(CertificateStatus.None, CertificateAlert.DecodeError, 'the server sent no certificate');
    }
    let leaf: Certificate;
    try {
      leaf = new Certificate(first);
    } catch (error) {
      const reason = `the server's certificate is malformed: ${derMessage(error)}`;
      return refusal(CertificateStatus.Invalid, CertificateAlert.BadCertificate, reason);
    }
    const intermediates: Certificate[] = [];
    let malformed = '';
    for (let i = 0; i < others.length && i < MAX_PEER_INTERMEDIATES; i++) {
      try {
        intermediates.push(new Certificate(others[i]!));
      } catch (error) {
        malformed ||= `certificate ${i + 2} of the server's chain is malformed: ${derMessage(error)}`;
      }
    }
    const rules = {
      anchors: this.#roots,
      strength: this.#strength,
      maxIntermediates: this.#options.maxIntermediates,
      unixTimeMs,
      revocation:
        this.#lists === null
          ? null
          : (path: readonly Certificate[]) => this.#listed(path, unixTimeMs).failure,
      verified: this.#verified,
    };
    const { path, failure } = new PathSearch(rules, intermediates).find(leaf);
    const nameProblem = serverName === null ? '' : checkServerName(leaf, serverName);
    if (failure !== null) {
      // A damaged certificate that nobody needs does no harm; when no path is found, it is the likely cause.
      if (failure.status === CertificateStatus.Untrusted && malformed !== '') {
        return refusal(
          CertificateStatus.Invalid,
          CertificateAlert.BadCertificate,
          `${malformed}; ${failure.reason}`,
        );
      }
      return refusal(failure.status, failure.alert, also(failure, nameProblem), failure.opensslCode);
    }
    if (nameProblem !== '')
      return refusal(CertificateStatus.NoMatch, CertificateAlert.BadCertificate, nameProblem);
    const answer = this.#stapled(path, unixTimeMs, evidence);
    if (answer.failure !== null) {
      return refusal(answer.failure.status, answer.failure.alert, answer.failure.reason);
    }
    const loggingProblem = this.#loggingProblem(path, unixTimeMs, evidence);
    if (loggingProblem !== '') {
      return refusal(CertificateStatus.Invalid, CertificateAlert.CertificateUnknown, loggingProblem);
    }
    let notBefore = Number.NEGATIVE_INFINITY;
    const listed = this.#listed(path, unixTimeMs);
    let notAfter = Math.min(answer.untilMs, listed.untilMs);
    for (const certificate of path) {
      notBefore = Math.max(notBefore, certificate.notBefore);
      notAfter = Math.min(notAfter, certificate.notAfter);
    }
    return {
      verdict: {
        accepted: true,
        status: CertificateStatus.Valid,
        reason: path.map(String).join(' issued by '),
        alert: CertificateAlert.None,
        revocation: answer.isKnown || listed.isKnown ? RevocationStatus.Good : RevocationStatus.Unknown,
      },
      notBefore,
      notAfter,
    };
  }

  /** RFC 6962 §5.2: too few logs know of the certificate, or ''. */
  #loggingProblem(
    path: readonly Certificate[],
    unixTimeMs: number,
    evidence: PeerEvidence | undefined,
  ): string {
    const { minTimestamps } = this.#options;
    const [leaf, issuer] = path;
    if (minTimestamps === 0 || leaf === undefined || issuer === undefined) return '';
    const list = evidence?.signedCertificateTimestamps ?? null;
    const count = countLogs(this.#logs, leaf, issuer, list, unixTimeMs);
    if (count >= minTimestamps) return '';
    return `${leaf} has timestamps of ${count} known logs, not of ${minTimestamps}`;
  }

  /** Holds every certificate of a path but its anchor against the lists (RFC 5280 §6.3.3). */
  #listed(path: readonly Certificate[], unixTimeMs: number): RevocationVerdict {
    if (this.#lists === null) return NOT_REVOKED;
    let untilMs = Number.POSITIVE_INFINITY;
    let isKnown = path.length > 1;
    for (let i = 0; i + 1 < path.length; i++) {
      const listed = this.#lists.statusOf(path[i]!, path[i + 1]!, this.#strength, unixTimeMs);
      if (listed.kind === 'revoked') {
        return revocationFailure(
          CertificateStatus.Revoked,
          CertificateAlert.CertificateRevoked,
          listed.reason,
        );
      }
      if (listed.kind === 'unknown' && this.#options.requireRevocationLists) {
        return revocationFailure(
          CertificateStatus.Invalid,
          CertificateAlert.CertificateUnknown,
          `it is not known whether ${path[i]!} was revoked: ${listed.reason}`,
        );
      }
      untilMs = Math.min(untilMs, listed.untilMs);
      isKnown &&= listed.kind === 'good';
    }
    return { failure: null, untilMs, isKnown };
  }

  #stapled(
    path: readonly Certificate[],
    unixTimeMs: number,
    evidence: PeerEvidence | undefined,
  ): RevocationVerdict {
    const [leaf, issuer] = path;
    if (evidence === undefined || leaf === undefined || issuer === undefined) return NOT_REVOKED;
    // RFC 7633 §4.2: a feature counts when the client has asked for it
    const mustStaple =
      evidence.isStatusAsked !== false && leaf.extensions.tlsFeatures?.includes(STATUS_REQUEST) === true;
    // RFC 6066 §8, RFC 8446 §6.2: what is not satisfactory ends the handshake with this alert.
    const unsatisfactory = (reason: string): RevocationVerdict =>
      revocationFailure(CertificateStatus.Invalid, CertificateAlert.BadCertificateStatusResponse, reason);
    if (evidence.ocspResponse === null) {
      // RFC 7633 §4.2: a promise of the certificate's owner, so nobody but an impostor breaks it.
      return mustStaple
        ? unsatisfactory(`${leaf} must come with a stapled OCSP response, and there is none`)
        : NOT_REVOKED;
    }
    const stapled = stapledStatus(evidence.ocspResponse, leaf, issuer, this.#strength, unixTimeMs);
    switch (stapled.kind) {
      case 'good':
        return { failure: null, untilMs: stapled.untilMs, isKnown: true };
      case 'revoked':
        return revocationFailure(
          CertificateStatus.Revoked,
          CertificateAlert.CertificateRevoked,
          stapled.reason,
        );
      case 'unsatisfactory':
        return unsatisfactory(stapled.reason);
      default:
        return mustStaple
          ? unsatisfactory(`${leaf} must come with its status: ${stapled.reason}`)
          : NOT_REVOKED;
    }
  }
}

/** The number of the TLS extension that asks for a stapled answer. RFC 7633 §6, RFC 6066 §8 */
const STATUS_REQUEST = 5;

/** Whether a path may be used as far as revocation goes, and until when that is known (Unix time in milliseconds). */
interface RevocationVerdict {
  readonly failure: PathFailure | null;
  readonly untilMs: number;
  /** Whether somebody who knows has said that it was not revoked. */
  readonly isKnown: boolean;
}

const NOT_REVOKED: RevocationVerdict = { failure: null, untilMs: Number.POSITIVE_INFINITY, isKnown: false };

function revocationFailure(
  status: CertificateStatus,
  alert: CertificateAlert,
  reason: string,
): RevocationVerdict {
  return { failure: { status, alert, reason, opensslCode: null }, untilMs: 0, isKnown: true };
}

/** Accepts every server and reports what another verifier thinks of it: INET_OPTION_TRUSTEDSITE. */
export class TrustedSiteVerifier implements CertificateVerifier {
  readonly #inner: CertificateVerifier;

  constructor(inner: CertificateVerifier) {
    this.#inner = inner;
  }

  verify(
    chain: readonly Uint8Array[],
    serverName: string,
    unixTimeMs: number,
    evidence?: PeerEvidence,
  ): CertificateVerdict {
    const verdict = this.#inner.verify(chain, serverName, unixTimeMs, evidence);
    return { ...verdict, accepted: true, alert: CertificateAlert.None };
  }
}

interface CachedVerdict {
  readonly verdict: CertificateVerdict;
  /** The times within which every certificate of the path is valid. */
  readonly notBefore: number;
  readonly notAfter: number;
}

function refusal(
  status: CertificateStatus,
  alert: CertificateAlert,
  reason: string,
  opensslCode: OpensslCode | null = null,
): CachedVerdict {
  const revocation =
    status === CertificateStatus.Revoked ? RevocationStatus.Revoked : RevocationStatus.Unknown;
  const verdict = { accepted: false, status, reason, alert, revocation, opensslCode };
  return { verdict, notBefore: 0, notAfter: 0 };
}

/** A caller that tolerates an expired certificate must still learn that it is for another server. */
function also(failure: PathFailure, nameProblem: string): string {
  return nameProblem === '' ? failure.reason : `${failure.reason}; and ${nameProblem}`;
}

const MAX_NAMES_SHOWN = 5;

function checkServerName(leaf: Certificate, serverName: string): string {
  const reference = parseReferenceName(serverName);
  if (reference === null) return `"${printable(serverName)}" is neither a host name nor an IP address`;
  const names = leaf.extensions.subjectAltName;
  if (names === null)
    return `${leaf} names no server: it has no subjectAltName (the common name does not count)`;
  if (matchesServer(names, reference)) return '';
  const shown: string[] = [];
  for (const name of names) {
    if (shown.length === MAX_NAMES_SHOWN) {
      shown.push('…');
      break;
    }
    if ('text' in name) shown.push(printable(name.text));
    else if ('octets' in name)
      shown.push([...name.octets.subarray(0, 16)].join(name.octets.length === 4 ? '.' : ' '));
  }
  return `${leaf} is not for "${printable(serverName)}" but for ${shown.join(', ') || 'no server'}`;
}

function digest(
  chain: readonly Uint8Array[],
  serverName: string | null,
  evidence: PeerEvidence | undefined,
): string {
  const hash = createHash('sha256');
  // Names and certificates are told apart by their lengths: no two chains hash the same bytes.
  hash.update(`${serverName?.length}:${serverName}:${chain.map((der) => der.length).join(',')};`);
  for (const der of chain) hash.update(der);
  // Without an answer is not the same as not asked: a certificate may call for one.
  if (evidence !== undefined) {
    const { ocspResponse, isStatusAsked = true, signedCertificateTimestamps: timestamps } = evidence;
    hash.update(`${ocspResponse?.length} ${isStatusAsked} ${timestamps?.length};`);
    hash.update(ocspResponse ?? '').update(timestamps ?? '');
  }
  return hash.digest('base64');
}

function derMessage(error: unknown): string {
  if (error instanceof DerError) return error.message;
  throw error;
}
