import test from 'ava';
import fc from 'fast-check';
import type { TlsSession } from './client.ts';
import { decodeSession, encodeSession } from './session-encoding.ts';
import { TLS_VERSIONS } from './wire/codes.ts';

const bytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const sessions: fc.Arbitrary<TlsSession> = fc.record({
  version: fc.constantFrom(...TLS_VERSIONS),
  cipherSuite: fc.integer({ min: 0, max: 0xffff }),
  secret: bytes(64),
  ticket: bytes(2000),
  sessionId: bytes(32),
  ageAdd: u32,
  receivedUnixTimeMs: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  lifetimeSeconds: u32,
  maxEarlyDataBytes: u32,
  alpn: fc.option(fc.string({ unit: 'grapheme', maxLength: 20 })),
  ocspResponse: fc.option(bytes(500)),
  signedCertificateTimestamps: fc.option(bytes(500)),
  chain: fc.array(bytes(500), { maxLength: 4 }),
});

test('a session comes back as it was; what is cut off or longer is none', (t) => {
  fc.assert(
    fc.property(sessions, (session) => {
      const encoded = encodeSession(session);
      t.deepEqual(decodeSession(encoded), session);
      t.deepEqual(decodeSession(Buffer.from(encoded)), session);
      t.is(decodeSession(Uint8Array.of(...encoded, 0)), null);
    }),
    { numRuns: 50 },
  );
  const [one] = fc.sample(sessions, { numRuns: 1, seed: 1 });
  const encoded = encodeSession(one!);
  for (let length = 0; length < encoded.length; length++)
    t.is(decodeSession(encoded.subarray(0, length)), null);
});

test('other bytes are no session', (t) => {
  fc.assert(
    fc.property(sessions, fc.nat(), fc.nat({ max: 255 }), (session, at, value) => {
      const encoded = encodeSession(session);
      encoded[at % encoded.length] = value;
      decodeSession(encoded);
    }),
    { numRuns: 500 },
  );
  t.is(decodeSession(new TextEncoder().encode('-----BEGIN SSL SESSION PARAMETERS-----')), null);
});
