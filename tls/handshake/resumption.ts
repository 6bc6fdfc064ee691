import { TlsError } from '../errors.ts';
import type { TlsSession } from '../session.ts';
import { evidenceOf } from './accept-chain.ts';
import type { Handshake } from './state.ts';

/**
 * The server resumes a session: what was said of its certificates is looked at again, because time has passed and the
 * verifier may be another one.
 *
 * @throws TlsError Rejected
 */
export function acceptResumption(session: TlsSession, handshake: Handshake): void {
  const { info, verifier, serverName, unixTimeMs } = handshake;
  info.peerCertificates = session.chain;
  info.ocspResponse = session.ocspResponse;
  info.signedCertificateTimestamps = session.signedCertificateTimestamps;
  const verdict = verifier.verify(session.chain, serverName, unixTimeMs, evidenceOf(session, handshake));
  info.certificate = verdict;
  if (!verdict.accepted) throw new TlsError('Rejected', verdict.reason, verdict.alert);
  info.isResumed = true;
}
