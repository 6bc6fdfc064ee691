import { TlsError } from '../errors.ts';
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
  const verdict = verifier.verify(chain, serverName, unixTimeMs, info);
  handshake.info.certificate = verdict;
  if (!verdict.accepted) throw new TlsError('Rejected', verdict.reason, verdict.alert);
}
