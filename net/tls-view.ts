import { X509Certificate } from 'node:crypto';
import type { CipherNameAndProtocol, DetailedPeerCertificate, PeerCertificate } from 'node:tls';
import { certificateCode } from '../engine/tls-error.ts';
import { NetError, Phase } from '../stack/errors.ts';
import type { TlsInfo } from '../tls/client.ts';
import { Certificate } from '../tls/x509/certificate.ts';
import {
  embeddedTimestamps,
  readTimestampList,
  type SignedCertificateTimestamp,
} from '../tls/x509/certificate-transparency.ts';
import { DerError } from '../tls/x509/der.ts';
import { CertificateStatus } from '../tls/x509/verdict.ts';

/** What is wrong with the peer's certificate; null when it is valid. */
export function certificateError(info: TlsInfo): NetError | null {
  if (info.certificate?.status === CertificateStatus.Valid) return null;
  return new NetError(certificateCode(info.certificate), {
    phase: Phase.Handshake,
    detail: info.certificate?.reason ?? 'the server sent no certificate',
  });
}

/** Timestamps of the handshake, then those of the certificate; what is malformed is left out. */
export function timestampsOf(info: TlsInfo): readonly SignedCertificateTimestamp[] {
  const all: SignedCertificateTimestamp[] = [];
  try {
    if (info.signedCertificateTimestamps !== null)
      all.push(...readTimestampList(info.signedCertificateTimestamps));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
  }
  try {
    const [leaf] = info.peerCertificates;
    if (leaf !== undefined) all.push(...embeddedTimestamps(new Certificate(leaf)));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
  }
  return all;
}

/** The answer of `tls.TLSSocket.getCipher`. */
export function cipherOf(info: TlsInfo): CipherNameAndProtocol {
  return { name: info.cipherSuite, standardName: info.cipherSuite, version: info.version };
}

/**
 * The answer of `tls.TLSSocket.getPeerCertificate`: {} without a certificate, or when Node cannot read it.
 * @param detailed adds `issuerCertificate`: the next certificate that the peer sent, the last one being its own issuer
 */
export function peerCertificateOf(
  info: TlsInfo,
  detailed: boolean,
): PeerCertificate | DetailedPeerCertificate {
  const chain: DetailedPeerCertificate[] = [];
  for (const der of detailed ? info.peerCertificates : info.peerCertificates.slice(0, 1)) {
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
