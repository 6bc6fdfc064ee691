import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls';
import type { ChainVerifier } from '../tls/x509/chain-verifier.ts';
import {
  CertificateAlert,
  CertificateStatus,
  type CertificateVerdict,
  type CertificateVerifier,
  type PeerEvidence,
} from '../tls/x509/verdict.ts';

/** As the option of `tls.connect`: undefined when the certificate is that server's, else why it is not. */
export type CheckServerIdentity = (
  serverName: string,
  certificate: DetailedPeerCertificate,
) => Error | undefined;

/** Lets the application say whose certificate it is, in place of the names in it. All else of the chain is held as ever. */
export class IdentityVerifier implements CertificateVerifier {
  readonly #inner: ChainVerifier;
  readonly #serverName: string;
  readonly #check: CheckServerIdentity;
  /** What the application has said against the certificate. */
  refusal: unknown = null;

  constructor(inner: ChainVerifier, serverName: string, check: CheckServerIdentity) {
    this.#inner = inner;
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
      this.refusal = this.#check(serverName, peerCertificateOf(chain, true) as DetailedPeerCertificate);
    } catch (error) {
      this.refusal = error;
    }
    const { refusal } = this;
    if (refusal === undefined || refusal === null) return '';
    return `checkServerIdentity: ${refusal instanceof Error ? refusal.message : String(refusal)}`;
  }
}

/**
 * The answer of `tls.TLSSocket.getPeerCertificate`: {} without a certificate, or when Node cannot read it.
 * @param ders as the peer has sent them @param detailed adds `issuerCertificate`: the next one of them, the last one being its own issuer
 */
export function peerCertificateOf(
  ders: readonly Uint8Array[],
  detailed: boolean,
): PeerCertificate | DetailedPeerCertificate {
  const chain: DetailedPeerCertificate[] = [];
  for (const der of detailed ? ders : ders.slice(0, 1)) {
    try {
      chain.push(new X509Certificate(der).toLegacyObject() as DetailedPeerCertificate);
    } catch {
      // accepted by request (rejectUnauthorized: false) although it is malformed
      break;
    }
  }
  chain.forEach((certificate, i) => {
    if (detailed) certificate.issuerCertificate = chain[i + 1] ?? certificate;
  });
  return chain[0] ?? ({} as PeerCertificate);
}
