import { createHash } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { DerError, equalBytes } from './der.ts';
import { DistinguishedName } from './distinguished-name.ts';
import { KeyUsage } from './extensions.ts';
import { type BasicOcspResponse, readOcspResponse, type SingleResponse } from './ocsp-response.ts';
import { keyBitsOf, type StrengthPolicy } from './public-key.ts';
import { reasonText, signerProblem } from './revocation-lists.ts';

/** How far the clocks of a responder and ours may be apart. */
export const OCSP_CLOCK_SKEW_MS = 300_000;
/** Age at which an answer that names no end is too old; that of the CA/Browser Forum (Baseline Requirements §4.9.10). */
export const MAX_OCSP_AGE_MS = 864_000_000;

/** What a stapled response says of a server's certificate. */
export type StapledStatus =
  | { readonly kind: 'good' /** Unix time in milliseconds */; readonly untilMs: number }
  | { readonly kind: 'revoked'; readonly reason: string }
  /** The responder does not know the certificate, or was not able to answer. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** Malformed, of somebody else, about another certificate, or out of date (RFC 6960 §3.2). */
  | { readonly kind: 'unsatisfactory'; readonly reason: string };

/**
 * Judges a stapled response (RFC 6960 §3.2).
 * @param issuer the certificate whose key has signed the server's
 * @param unixTimeMs milliseconds since 1970-01-01T00:00Z
 */
export function stapledStatus(
  der: Uint8Array,
  certificate: Certificate,
  issuer: Certificate,
  strength: StrengthPolicy,
  unixTimeMs: number,
): StapledStatus {
  let response: BasicOcspResponse | null;
  let single: SingleResponse | undefined;
  try {
    response = readOcspResponse(der);
    // RFC 6960 §3.2 (1): the answer is about the certificate in question.
    single = response?.responses.find((candidate) => isAbout(candidate, certificate, issuer));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return unsatisfactory(`the stapled OCSP response is malformed: ${error.message}`);
  }
  if (response === null) return { kind: 'unknown', reason: 'the stapled OCSP response is an error' };
  if (single === undefined) return unsatisfactory(`the stapled OCSP response is not about ${certificate}`);
  const problem = signatureProblem(response, issuer, strength, unixTimeMs);
  if (problem !== '') return unsatisfactory(`the stapled OCSP response does not count: ${problem}`);
  // RFC 6960 §3.2 (5), (6)
  const { thisUpdate } = single;
  const untilMs = (single.nextUpdate ?? thisUpdate + MAX_OCSP_AGE_MS) + OCSP_CLOCK_SKEW_MS;
  if (single.nextUpdate !== null && single.nextUpdate < thisUpdate) {
    return unsatisfactory('the stapled OCSP response ends before it begins');
  }
  if (unixTimeMs < thisUpdate - OCSP_CLOCK_SKEW_MS) {
    return unsatisfactory(
      `the stapled OCSP response is from the future: ${new Date(thisUpdate).toISOString()}`,
    );
  }
  if (single.status === 'revoked') {
    // A revocation does not lapse with the answer.
    return {
      kind: 'revoked',
      reason: `${certificate} was revoked, says its OCSP responder${reasonText(single.reason)}`,
    };
  }
  if (!(unixTimeMs <= untilMs)) {
    return unsatisfactory(
      `the stapled OCSP response was good until ${new Date(untilMs - OCSP_CLOCK_SKEW_MS).toISOString()}`,
    );
  }
  if (single.status === 'unknown')
    return { kind: 'unknown', reason: `the OCSP responder does not know ${certificate}` };
  return { kind: 'good', untilMs };
}

function unsatisfactory(reason: string): StapledStatus {
  return { kind: 'unsatisfactory', reason };
}

const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';

/** Hashes of CertID. RFC 6960 §4.3 asks for SHA-1 (no security depends on it) and SHA-256. */
const CERT_ID_HASHES: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

function isAbout(single: SingleResponse, certificate: Certificate, issuer: Certificate): boolean {
  const algorithm = CERT_ID_HASHES[single.hashAlgorithm];
  if (algorithm === undefined || !equalBytes(single.serial, certificate.serial)) return false;
  const hash = (bytes: Uint8Array): Uint8Array => createHash(algorithm).update(bytes).digest();
  return (
    equalBytes(single.issuerNameHash, hash(certificate.issuer.der)) &&
    equalBytes(single.issuerKeyHash, hash(keyBitsOf(issuer.spki)))
  );
}

/** RFC 6960 §4.2.2.2: the CA itself signs, or a responder to whom this very CA has given a certificate for it. */
function signatureProblem(
  response: BasicOcspResponse,
  issuer: Certificate,
  strength: StrengthPolicy,
  unixTimeMs: number,
): string {
  const ownProblem = isResponder(response, issuer) ? signerProblem(response, issuer, strength) : null;
  if (ownProblem === '') return '';
  let why = ownProblem ?? 'it was not signed by the issuer, nor by a responder of the issuer';
  for (const candidate of response.certificates) {
    if (!isResponder(response, candidate)) continue;
    const problem =
      delegateProblem(candidate, issuer, strength, unixTimeMs) ||
      (signerProblem(response, candidate, strength) ?? `${candidate} did not sign it`);
    if (problem === '') return '';
    why = problem;
  }
  return why;
}

function isResponder({ responder }: BasicOcspResponse, certificate: Certificate): boolean {
  try {
    if ('name' in responder) return new DistinguishedName(responder.name).key === certificate.subject.key;
    const hash = createHash('sha1').update(keyBitsOf(certificate.spki)).digest();
    return equalBytes(responder.keyHash, hash);
  } catch (error) {
    if (error instanceof DerError) return false;
    throw error;
  }
}

/**
 * RFC 6960 §4.2.2.2.1 leaves it to us whether a responder without id-pkix-ocsp-nocheck may have been revoked itself: with
 * id-pkix-ocsp-nocheck or without, its short life has to do.
 */
function delegateProblem(
  delegate: Certificate,
  issuer: Certificate,
  strength: StrengthPolicy,
  unixTimeMs: number,
): string {
  const { extensions } = delegate;
  if (extensions.extendedKeyUsage?.includes(OCSP_SIGNING) !== true) {
    return `${delegate} may not sign OCSP responses by its extendedKeyUsage`;
  }
  const usage = extensions.keyUsage;
  if (usage >= 0 && (usage & (KeyUsage.DigitalSignature | KeyUsage.NonRepudiation)) === 0) {
    return `${delegate} may not sign by its keyUsage`;
  }
  const critical = extensions.unknownCritical[0];
  if (critical !== undefined) return `${delegate} has the unknown critical extension ${critical}`;
  if (unixTimeMs < delegate.notBefore || unixTimeMs > delegate.notAfter)
    return `${delegate} is not valid now`;
  if (delegate.issuer.key !== issuer.subject.key) return `${delegate} was not issued by ${issuer}`;
  return signerProblem(delegate, issuer, strength) ?? `${delegate} was not issued by ${issuer}`;
}
