import { MemorySessionStore, type SessionUse, type TlsSession } from '../client.ts';
import { sessionKey } from '../session.ts';
import { TEST_TIME } from './certificates.ts';
import { testCertificate } from './client-under-test.ts';

/** The PSK of {@link storedSession}. */
export const STORED_PSK: Uint8Array = new Uint8Array(32).fill(7);

/**
 * Where a test client finds one session, of TLS 1.3 unless `over` says otherwise.
 * @param fallback whether the client has INET_OPTION_SECURE_FALLBACK
 */
export function storedSession(over: Partial<TlsSession> = {}, fallback = false): SessionUse {
  const use = { store: new MemorySessionStore(), port: 443, policy: 'test' };
  use.store.put(sessionKey('server.test', use, [], '', fallback), {
    version: 'TLSv1.3',
    cipherSuite: 0x1301,
    secret: STORED_PSK.slice(),
    ticket: Uint8Array.of(1, 2, 3),
    sessionId: new Uint8Array(0),
    ageAdd: 0,
    receivedUnixTimeMs: TEST_TIME - 1000,
    lifetimeSeconds: 7200,
    maxEarlyDataBytes: 0,
    alpn: null,
    ocspResponse: null,
    signedCertificateTimestamps: null,
    chain: [testCertificate().der],
    ...over,
  });
  return use;
}
