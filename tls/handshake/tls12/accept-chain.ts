import { TlsError } from '../../errors.ts';
import type { Handshake } from '../state.ts';

/**
 * Lets the verifier decide about the server's certificates.
 *
 * @throws TlsError Rejected
 */
export function acceptChain(chain: readonly Uint8Array[], handshake: Handshake): void {
  const verdict = handshake.verifier.verify(chain, handshake.serverName, handshake.unixTimeMs);
  handshake.info.certificate = verdict;
  if (!verdict.accepted) throw new TlsError('Rejected', verdict.reason, verdict.alert);
}
