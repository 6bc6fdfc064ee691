import { concatBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { fc } from '../test/properties.ts';
import { AlertDescription } from './alerts.ts';
import { shakeHands12, testClient, testServer12 } from './testing/client-under-test.ts';
import { failureOf12, poke, relength, replacing12 } from './testing/hostile-server.ts';
import { plainRecords } from './testing/scripted-server.ts';
import type { FlightPart12 } from './testing/scripted-server12.ts';
import { HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const Alert = AlertDescription;

const ORDER: readonly [string, readonly FlightPart12[], readonly number[]][] = [
  ['ExpectCertificate12', ['server_hello'], [HandshakeType.Certificate]],
  ['ExpectServerKeyExchange', ['server_hello', 'certificate'], [HandshakeType.ServerKeyExchange]],
  [
    'ExpectServerHelloDoneOrRequest',
    ['server_hello', 'certificate', 'server_key_exchange'],
    [HandshakeType.ServerHelloDone, HandshakeType.CertificateRequest],
  ],
  [
    'ExpectServerHelloDone',
    ['server_hello', 'certificate', 'server_key_exchange', 'certificate_request'],
    [HandshakeType.ServerHelloDone],
  ],
  ['ExpectChangeCipherSpec', ['server_hello', 'certificate', 'server_key_exchange', 'server_hello_done'], []],
];
for (const [state, before, legal] of ORDER) {
  test(`${state}: every other message → unexpected_message`, (t) => {
    for (let type = 0; type < 256; type++) {
      if (legal.includes(type)) continue;
      const client = testClient();
      client.start();
      const server = testServer12({
        requestsCertificate: before.includes('certificate_request'),
        edit: (part, message) => (before.includes(part) ? message : null),
      });
      const wrong = plainRecords(handshakeMessage(type, new Uint8Array(3)), 16384);
      const stream = concatBytes(server.answer(client.takeOutgoing()!), wrong);
      client.receive(stream, 0, stream.length);
      if (client.error?.member !== 'UnexpectedMessage') {
        t.fail(`type ${type}: ${client.error?.member ?? client.state}`);
      }
    }
    t.pass();
  });
}

test('ExpectFinished12: every other message → unexpected_message', (t) => {
  for (let type = 0; type < 256; type += type === 19 ? 2 : 1) {
    const client = testClient();
    const edit = (): Uint8Array => handshakeMessage(type, new Uint8Array(12));
    t.deepEqual(failureOf12(replacing12('finished', edit), client), [
      'UnexpectedMessage',
      Alert.UnexpectedMessage,
    ]);
  }
});

// --- damage ---

const PARTS: readonly FlightPart12[] = [
  'server_hello',
  'certificate',
  'server_key_exchange',
  'certificate_request',
  'finished',
];
for (const part of PARTS) {
  test(`${part} of TLS 1.2 truncated at every byte is refused`, (t) => {
    let length = 0;
    failureOf12({
      requestsCertificate: true,
      ...replacing12(part, (m) => {
        length = m.length;
        return m;
      }),
    });
    const step = Math.max(1, Math.floor(length / 100));
    for (let cut = 4; cut < length; cut += step) {
      // a ServerHello may end before its extensions
      if (part === 'server_hello' && cut === 42) continue;
      const [member, alert] = failureOf12({
        requestsCertificate: true,
        ...replacing12(part, (m) => relength(m.subarray(0, Math.min(cut, m.length - 1)))),
      });
      const isTooShort = ['MessageTooShort', 'InvalidVector', 'BadFinished'].includes(member);
      const expected = member === 'BadFinished' ? Alert.DecryptError : Alert.DecodeError;
      t.true(isTooShort && alert === expected, `cut at ${cut}: ${member}`);
    }
  });
}

test('damaged flights never throw, and a damaged proof never connects', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...PARTS),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (part, position, difference) => {
        const client = testClient();
        const edit = (m: Uint8Array): Uint8Array => {
          const at = position % m.length;
          return poke(m, at, m[at]! ^ difference);
        };
        try {
          shakeHands12(client, testServer12({ requestsCertificate: true, ...replacing12(part, edit) }));
        } catch (error) {
          // a changed extended_master_secret is found by the server
          if (part !== 'server_hello' || !(error instanceof Error)) throw error;
        }
        const isProof = part === 'server_key_exchange' || part === 'finished';
        return !isProof || client.state !== 'connected';
      },
    ),
    { numRuns: 150 },
  );
  t.pass();
});
