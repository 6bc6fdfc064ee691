import { SeededRandom } from '../../stack/random.ts';
import { type CertificateVerifier, TlsClient, type TlsClientOptions } from '../client.ts';
import { CertificateStatus } from '../x509/verdict.ts';
import { issue, issueCa, TEST_TIME, type TestCertificate } from './certificates.ts';
import { ScriptedServer, type ServerScript } from './scripted-server.ts';
import { ScriptedServer12, type ServerScript12 } from './scripted-server12.ts';

/** Accepts every chain. */
export const ACCEPTING: CertificateVerifier = {
  verify: () => ({
    accepted: true,
    status: CertificateStatus.Valid,
    reason: 'accepted by the test',
    alert: 0,
  }),
};

let p256: TestCertificate | null = null;

/** One P-256 certificate for all tests of a process. */
export function testCertificate(): TestCertificate {
  p256 ??= issue({ subject: 'server.test', issuer: issueCa('test root') });
  return p256;
}

/** A client whose every option has a default. */
export function testClient(options: Partial<TlsClientOptions> = {}): TlsClient {
  return new TlsClient({
    serverName: 'server.test',
    random: new SeededRandom(1),
    unixTimeMs: TEST_TIME,
    verifier: ACCEPTING,
    ...options,
  });
}

/** A server whose every option has a default. */
export function testServer(script: Partial<ServerScript> = {}): ScriptedServer {
  const { der, privateKey } = testCertificate();
  return new ScriptedServer({ random: new SeededRandom(2), chain: [der], privateKey, ...script });
}

/** A server of TLS 1.2 whose every option has a default. */
export function testServer12(script: Partial<ServerScript12> = {}): ScriptedServer12 {
  const { der, privateKey } = testCertificate();
  return new ScriptedServer12({ random: new SeededRandom(2), chain: [der], privateKey, ...script });
}

/** A whole handshake of TLS 1.2, as far as it goes; returns what the client sent last. */
export function shakeHands12(client: TlsClient, server: ScriptedServer12): Uint8Array | null {
  client.start();
  let flight = server.answer(client.takeOutgoing()!);
  client.receive(flight, 0, flight.length);
  const sent = client.takeOutgoing();
  if (client.state !== 'handshaking' || sent === null) return sent;
  flight = server.finish(sent);
  client.receive(flight, 0, flight.length);
  return client.takeOutgoing();
}

/** Starts the client and gives it the flight of the server; returns what the client sends then. */
export function shakeHands(client: TlsClient, server: ScriptedServer): Uint8Array | null {
  client.start();
  const flight = server.answer(client.takeOutgoing()!);
  client.receive(flight, 0, flight.length);
  return client.takeOutgoing();
}
