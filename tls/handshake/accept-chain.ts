import { TlsError } from '../errors.ts';
import type { PeerEvidence } from '../x509/verdict.ts';
import type { Handshake } from './state.ts';

/**
 * Lets the verifier decide about the server's certificates.
 *
 * @throws TlsError Rejected
 */
export function acceptChain(chain: readonly Uint8Array[], handshake: Handshake): void {
  const { info, verifier, unixTimeMs } = handshake;
  // RFC 9849 §6.1.7: only the public name can say that Encrypted ClientHello was rejected
  const serverName = info.ech === 'rejected' ? handshake.echPublicName : handshake.serverName;
  const verdict = verifier.verify(chain, serverName, unixTimeMs, evidenceOf(info, handshake));
  handshake.info.certificate = verdict;
  if (!verdict.accepted) throw new TlsError('Rejected', verdict.reason, verdict.alert);
}

/** What came with the certificates of this handshake, or with those of a session that is resumed. */
export function evidenceOf(
  { ocspResponse, signedCertificateTimestamps }: PeerEvidence,
  { isStatusAsked }: Handshake,
): PeerEvidence {
  return { ocspResponse, isStatusAsked, signedCertificateTimestamps };
}
