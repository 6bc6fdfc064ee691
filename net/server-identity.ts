import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls';
import { Certificate } from '../tls/x509/certificate.ts';
import type { ChainVerifier } from '../tls/x509/chain-verifier.ts';
import { DerError } from '../tls/x509/der.ts';
import type { TrustStore } from '../tls/x509/trust-store.ts';
import {
  CertificateAlert,
  CertificateStatus,
  type CertificateVerdict,
  type CertificateVerifier,
  type PeerEvidence,
} from '../tls/x509/verdict.ts';

/** Two trusted certificates can be each other's issuers. */
const MAX_ISSUERS = 10;

/** As the option of `tls.connect`: undefined when the certificate is that server's, else why it is not. */
export type CheckServerIdentity = (
  serverName: string,
  certificate: DetailedPeerCertificate,
) => Error | undefined;

/** Lets the application say whose certificate it is, in place of the names in it. All else of the chain is held as ever. */
export class IdentityVerifier implements CertificateVerifier {
  readonly #inner: ChainVerifier;
  readonly #trusted: TrustStore;
  readonly #serverName: string;
  readonly #check: CheckServerIdentity;
  /** What the application has said against the certificate. */
  refusal: unknown = null;

  /** @param trusted what `inner` trusts */
  constructor(inner: ChainVerifier, trusted: TrustStore, serverName: string, check: CheckServerIdentity) {
    this.#inner = inner;
    this.#trusted = trusted;
    this.#serverName = serverName;
    this.#check = check;
  }

  verify(
    chain: readonly Uint8Array[],
    serverName: string,
    unixTimeMs: number,
    evidence?: PeerEvidence,
  ): CertificateVerdict {
    // RFC 9849 §6.1.7: the public name of Encrypted ClientHello, which the application knows nothing of
    if (serverName !== this.#serverName) return this.#inner.verify(chain, serverName, unixTimeMs, evidence);
    const verdict = this.#inner.verifyPath(chain, unixTimeMs, evidence);
    if (verdict.status !== CertificateStatus.Valid) return verdict;
    const reason = this.#problem(serverName, chain);
    if (reason === '') return verdict;
    const { BadCertificate: alert } = CertificateAlert;
    return { ...verdict, accepted: false, status: CertificateStatus.NoMatch, reason, alert };
  }

  #problem(serverName: string, chain: readonly Uint8Array[]): string {
    try {
      this.refusal = this.#check(
        serverName,
        peerCertificateOf(chain, true, this.#trusted) as DetailedPeerCertificate,
      );
    } catch (error) {
      this.refusal = error;
    }
    const { refusal } = this;
    // as Node takes the answer
    if (!refusal) return '';
    return `checkServerIdentity: ${refusal instanceof Error ? refusal.message : String(refusal)}`;
  }
}

/**
 * The answer of `tls.TLSSocket.getPeerCertificate`: {} without a certificate, or when Node cannot read it.
 * @param ders as the peer has sent them
 * @param detailed adds `issuerCertificate`: the next one of them, then those that are trusted; the last one is its own issuer
 */
export function peerCertificateOf(
  ders: readonly Uint8Array[],
  detailed: boolean,
  trusted: TrustStore | null,
): PeerCertificate | DetailedPeerCertificate {
  const sent: X509Certificate[] = [];
  for (const der of detailed ? ders : ders.slice(0, 1)) {
    try {
      sent.push(new X509Certificate(der));
    } catch {
      // accepted by request (rejectUnauthorized: false) although it is malformed
      break;
    }
  }
  const issuers = detailed && trusted !== null ? trustedIssuers(sent.at(-1), trusted) : [];
  const chain = [...sent, ...issuers].map((each) => each.toLegacyObject() as DetailedPeerCertificate);
  chain.forEach((certificate, i) => {
    if (detailed) certificate.issuerCertificate = chain[i + 1] ?? certificate;
  });
  return chain[0] ?? ({} as PeerCertificate);
}

/** Trusted certificates above one, up to a root. */
function trustedIssuers(below: X509Certificate | undefined, trusted: TrustStore): X509Certificate[] {
  const found: X509Certificate[] = [];
  for (let last = below; last !== undefined && found.length < MAX_ISSUERS; ) {
    const child = last;
    if (child.checkIssued(child)) break;
    last = anchorsAbove(child, trusted)
      .map(({ der }) => new X509Certificate(der))
      .find((candidate) => child.checkIssued(candidate));
    if (last !== undefined) found.push(last);
  }
  return found;
}

function anchorsAbove(child: X509Certificate, trusted: TrustStore): readonly Certificate[] {
  try {
    return trusted.named(new Certificate(new Uint8Array(child.raw)).issuer);
  } catch (error) {
    // Node reads what was accepted by request although it is malformed
    if (error instanceof DerError) return [];
    throw error;
  }
}
