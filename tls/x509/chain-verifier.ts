import { createHash } from 'node:crypto';
import { Certificate } from './certificate.ts';
import type { CrlStore } from './crl.ts';
import { DerError } from './der.ts';
import { printable } from './distinguished-name.ts';
import { type PathFailure, PathSearch } from './path.ts';
import { LEGACY_STRENGTH, MODERN_STRENGTH } from './public-key.ts';
import { matchesServer, parseReferenceName } from './server-name.ts';
import type { TrustStore } from './trust-store.ts';
import {
  CertificateAlert,
  CertificateStatus,
  type CertificateVerdict,
  type CertificateVerifier,
} from './verdict.ts';

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
  /** Revocation lists that every certificate of the path is looked for in. Default: none. */
  readonly crls?: CrlStore | null;
}

/** Validates the chain of a TLS server against trust anchors: RFC 5280 §6 for the path, RFC 9525 for the name. */
export class ChainVerifier implements CertificateVerifier {
  readonly #roots: TrustStore;
  readonly #options: Required<ChainVerifierOptions>;
  /** By digest of chain and name; in the order of last use. Only what was accepted: it stays so within its times. */
  readonly #cache = new Map<string, CachedVerdict>();

  constructor(roots: TrustStore, options: ChainVerifierOptions = {}) {
    this.#roots = roots;
    this.#options = { legacy: false, maxIntermediates: 10, cacheEntries: 64, crls: null, ...options };
  }

  verify(chain: readonly Uint8Array[], serverName: string, unixTimeMs: number): CertificateVerdict {
    if (this.#options.cacheEntries <= 0) return this.#verifyNow(chain, serverName, unixTimeMs).verdict;
    const key = digest(chain, serverName);
    const known = this.#cache.get(key);
    if (known !== undefined) {
      this.#cache.delete(key);
      if (unixTimeMs >= known.notBefore && unixTimeMs <= known.notAfter) {
        this.#cache.set(key, known);
        return known.verdict;
      }
    }
    const fresh = this.#verifyNow(chain, serverName, unixTimeMs);
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

  /** Like {@link verify} without a name: whether the chain leads to a trust anchor, whoever the server claims to be. */
  verifyPath(chain: readonly Uint8Array[], unixTimeMs: number): CertificateVerdict {
    return this.#verifyNow(chain, null, unixTimeMs).verdict;
  }

  #verifyNow(chain: readonly Uint8Array[], serverName: string | null, unixTimeMs: number): CachedVerdict {
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
      strength: this.#options.legacy ? LEGACY_STRENGTH : MODERN_STRENGTH,
      maxIntermediates: this.#options.maxIntermediates,
      unixTimeMs,
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
      return refusal(failure.status, failure.alert, also(failure, nameProblem));
    }
    const revoked = this.#revokedOf(path, unixTimeMs);
    if (revoked !== null) {
      const reason = `${revoked} was revoked by "${revoked.issuer}"`;
      return refusal(CertificateStatus.Revoked, CertificateAlert.CertificateRevoked, reason);
    }
    if (nameProblem !== '')
      return refusal(CertificateStatus.NoMatch, CertificateAlert.BadCertificate, nameProblem);
    let notBefore = Number.NEGATIVE_INFINITY;
    let notAfter = Number.POSITIVE_INFINITY;
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
      },
      notBefore,
      notAfter,
    };
  }

  /** RFC 5280 §6.3: every certificate but the anchor, which is trusted as it is. */
  #revokedOf(path: readonly Certificate[], unixTimeMs: number): Certificate | null {
    const { crls } = this.#options;
    if (crls === null) return null;
    for (const [i, certificate] of path.slice(0, -1).entries()) {
      if (crls.isRevoked(certificate, path[i + 1] ?? certificate, unixTimeMs)) return certificate;
    }
    return null;
  }
}

/** Accepts every server and reports what another verifier thinks of it: INET_OPTION_TRUSTEDSITE. */
export class TrustedSiteVerifier implements CertificateVerifier {
  readonly #inner: CertificateVerifier;

  constructor(inner: CertificateVerifier) {
    this.#inner = inner;
  }

  verify(chain: readonly Uint8Array[], serverName: string, unixTimeMs: number): CertificateVerdict {
    const { status, reason } = this.#inner.verify(chain, serverName, unixTimeMs);
    return { accepted: true, status, reason, alert: CertificateAlert.None };
  }
}

interface CachedVerdict {
  readonly verdict: CertificateVerdict;
  /** The times within which every certificate of the path is valid. */
  readonly notBefore: number;
  readonly notAfter: number;
}

function refusal(status: CertificateStatus, alert: CertificateAlert, reason: string): CachedVerdict {
  return { verdict: { accepted: false, status, reason, alert }, notBefore: 0, notAfter: 0 };
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

function digest(chain: readonly Uint8Array[], serverName: string): string {
  const hash = createHash('sha256');
  // Names and certificates are told apart by their lengths: no two chains hash the same bytes.
  hash.update(`${serverName.length}:${serverName}:${chain.map((der) => der.length).join(',')};`);
  for (const der of chain) hash.update(der);
  return hash.digest('base64');
}

function derMessage(error: unknown): string {
  if (error instanceof DerError) return error.message;
  throw error;
}
