import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { Slab } from '../stack/wire/slab.ts';
import { fc } from '../test/properties.ts';
import { AlertDescription } from './alerts.ts';
import { TRAFFIC_STATE_BYTES } from './client.ts';
import {
  ACCEPTING,
  shakeHands,
  testCertificate,
  testClient,
  testServer,
} from './testing/client-under-test.ts';
import { failureOf, poke, relength, replacing } from './testing/hostile-server.ts';
import {
  certificate,
  type FlightPart,
  plainRecord,
  plainRecords,
  type ServerScript,
  withExtensions,
} from './testing/scripted-server.ts';
import { HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const Alert = AlertDescription;

// --- records ---

/** Feeds records right after the ClientHello. */
function failureAtStart(...records: Uint8Array[]): [string, number] {
  const client = testClient();
  client.start();
  client.takeOutgoing();
  const stream = concatBytes(...records);
  client.receive(stream, 0, stream.length);
  return [client.error?.member ?? client.state, client.error?.alert ?? -1];
}

/** Feeds protected records right after ServerHello. */
function failureAfterHello(...contents: (readonly [number, Uint8Array])[]): [string, number] {
  const client = testClient();
  client.start();
  const server = testServer({ edit: (part, message) => (part === 'server_hello' ? message : null) });
  const start = server.answer(client.takeOutgoing()!);
  const stream = concatBytes(start, ...contents.map(([type, content]) => server.record(type, content)));
  client.receive(stream, 0, stream.length);
  return [client.error?.member ?? client.state, client.error?.alert ?? -1];
}

test('records that may not come before ServerHello', (t) => {
  t.deepEqual(failureAtStart(utf8ToBytes('HTTP/1.1 400')), ['InvalidContentType', Alert.UnexpectedMessage]);
  t.deepEqual(failureAtStart(utf8ToBytes('S')), ['InvalidContentType', Alert.UnexpectedMessage]);
  t.deepEqual(failureAtStart(Uint8Array.of(22, 3, 3, 0x40, 1)), ['RecordOverflow', Alert.RecordOverflow]);
  t.deepEqual(failureAtStart(plainRecord(22, new Uint8Array(0))), [
    'EmptyHandshakeRecord',
    Alert.UnexpectedMessage,
  ]);
  t.deepEqual(failureAtStart(plainRecord(23, Uint8Array.of(1))), [
    'UnexpectedApplicationData',
    Alert.UnexpectedMessage,
  ]);
  t.deepEqual(failureAtStart(plainRecord(20, Uint8Array.of(2))), [
    'UnexpectedChangeCipherSpec',
    Alert.UnexpectedMessage,
  ]);
  t.deepEqual(failureAtStart(plainRecord(20, Uint8Array.of(1, 1))), [
    'UnexpectedChangeCipherSpec',
    Alert.UnexpectedMessage,
  ]);
  const begun = plainRecord(22, Uint8Array.of(2, 0));
  t.deepEqual(failureAtStart(begun, plainRecord(20, Uint8Array.of(1))), [
    'InterleavedRecord',
    Alert.UnexpectedMessage,
  ]);
  t.deepEqual(failureAtStart(begun, plainRecord(23, Uint8Array.of(1))), [
    'InterleavedRecord',
    Alert.UnexpectedMessage,
  ]);
});

test('alerts before ServerHello: fatal ones end, warnings are counted', (t) => {
  const warning = plainRecord(21, Uint8Array.of(1, Alert.UnrecognizedName));
  const warnings = (count: number): Uint8Array[] => Array.from({ length: count }, () => warning);
  t.deepEqual(failureAtStart(plainRecord(21, Uint8Array.of(2, Alert.HandshakeFailure))), ['Received', -1]);
  t.deepEqual(failureAtStart(plainRecord(21, Uint8Array.of(1, Alert.CloseNotify))), ['ClosedEarly', -1]);
  t.deepEqual(failureAtStart(plainRecord(21, Uint8Array.of(2))), ['MalformedAlert', Alert.DecodeError]);
  t.deepEqual(failureAtStart(plainRecord(21, Uint8Array.of(3, 40))), [
    'UnknownAlertLevel',
    Alert.IllegalParameter,
  ]);
  t.deepEqual(failureAtStart(...warnings(4)), ['handshaking', -1]);
  t.deepEqual(failureAtStart(...warnings(5)), ['TooManyWarnings', Alert.UnexpectedMessage]);
});

test('the alert of the peer can be read from the error', (t) => {
  for (const [alert, name] of [
    [Alert.HandshakeFailure, /handshake_failure/],
    [Alert.GeneralError, /general_error/],
    [200, /alert 200/],
  ] as const) {
    const client = testClient();
    client.start();
    client.takeOutgoing();
    const record = plainRecord(21, Uint8Array.of(2, alert));
    client.receive(record, 0, record.length);
    t.is(client.error?.family, 'AlertReceived');
    t.is(client.error?.alertReceived, alert);
    t.regex(client.error?.message ?? '', name);
    t.is(client.takeOutgoing(), null);
  }
});

test('records that may not come after ServerHello', (t) => {
  const none = new Uint8Array(0);
  t.deepEqual(failureAfterHello([22, none]), ['EmptyHandshakeRecord', Alert.UnexpectedMessage]);
  t.deepEqual(failureAfterHello([21, none]), ['EmptyHandshakeRecord', Alert.UnexpectedMessage]);
  t.deepEqual(failureAfterHello([0, none]), ['NoContentType', Alert.UnexpectedMessage]);
  t.deepEqual(failureAfterHello([20, Uint8Array.of(1)]), [
    'UnexpectedChangeCipherSpec',
    Alert.UnexpectedMessage,
  ]);
  t.deepEqual(failureAfterHello([23, Uint8Array.of(1)]), [
    'UnexpectedApplicationData',
    Alert.UnexpectedMessage,
  ]);
  t.deepEqual(failureAfterHello([99, Uint8Array.of(1)]), ['InvalidContentType', Alert.UnexpectedMessage]);
  // RFC 8446 §6.2: error alerts end the connection whatever their level
  t.deepEqual(failureAfterHello([21, Uint8Array.of(1, Alert.UnrecognizedName)]), ['Received', -1]);
  t.deepEqual(failureAfterHello([21, Uint8Array.of(1, Alert.UserCanceled)]), ['handshaking', -1]);
});

test('an unprotected or damaged record after ServerHello', (t) => {
  const after = (record: (server: ReturnType<typeof testServer>) => Uint8Array): [string, number] => {
    const client = testClient();
    client.start();
    const server = testServer({ edit: (part, message) => (part === 'server_hello' ? message : null) });
    const stream = concatBytes(server.answer(client.takeOutgoing()!), record(server));
    client.receive(stream, 0, stream.length);
    // the alert is protected, after a change_cipher_spec
    const sent = client.takeOutgoing()!;
    t.deepEqual([...sent.subarray(0, 11)], [20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 19]);
    return [client.error?.member ?? client.state, client.error?.alert ?? -1];
  };
  t.deepEqual(
    after(() => plainRecord(22, Uint8Array.of(8, 0, 0, 2, 0, 0))),
    ['UnprotectedRecord', Alert.UnexpectedMessage],
  );
  t.deepEqual(
    after(() => plainRecord(21, Uint8Array.of(2, 40))),
    ['UnprotectedRecord', Alert.UnexpectedMessage],
  );
  t.deepEqual(
    after((server) => poke(server.record(22, Uint8Array.of(8)), -1, 0)),
    ['BadRecordMac', Alert.BadRecordMac],
  );
  t.deepEqual(
    after(() => plainRecord(23, new Uint8Array(15))),
    ['BadRecordMac', Alert.BadRecordMac],
  );
});

test('padding of records is tolerated', (t) => {
  const client = testClient();
  client.start();
  const server = testServer({ edit: (part, message) => (part === 'server_hello' ? message : null) });
  const start = server.answer(client.takeOutgoing()!);
  // content, its type, padding; sealed with type 0 as more padding
  const padded = concatBytes(
    withExtensions(HandshakeType.EncryptedExtensions, []),
    Uint8Array.of(22),
    new Uint8Array(500),
  );
  const stream = concatBytes(start, server.record(0, padded), server.record(22, Uint8Array.of(20, 0, 0, 0)));
  client.receive(stream, 0, stream.length);
  // EncryptedExtensions was accepted: the Finished after it came in the wrong place
  t.is(client.error?.member, 'UnexpectedMessage');
  t.regex(client.error?.message ?? '', /expected certificate or certificate_request/);
});

// --- order ---

const STATES: readonly [string, readonly FlightPart[], readonly number[]][] = [
  ['ExpectServerHello', [], [HandshakeType.ServerHello]],
  ['ExpectEncryptedExtensions', ['server_hello'], [HandshakeType.EncryptedExtensions]],
  [
    'ExpectCertificateOrRequest',
    ['server_hello', 'encrypted_extensions'],
    [HandshakeType.Certificate, HandshakeType.CertificateRequest],
  ],
  [
    'ExpectCertificate',
    ['server_hello', 'encrypted_extensions', 'certificate_request'],
    [HandshakeType.Certificate],
  ],
  [
    'ExpectCertificateVerify',
    ['server_hello', 'encrypted_extensions', 'certificate'],
    [HandshakeType.CertificateVerify],
  ],
  [
    'ExpectFinished',
    ['server_hello', 'encrypted_extensions', 'certificate', 'certificate_verify'],
    [HandshakeType.Finished],
  ],
];
for (const [state, before, legal] of STATES) {
  test(`${state}: every other message → unexpected_message`, (t) => {
    for (let type = 0; type < 256; type++) {
      if (legal.includes(type)) continue;
      const client = testClient();
      client.start();
      const script: Partial<ServerScript> = {
        requestsCertificate: before.includes('certificate_request'),
        edit: (part, message) => (before.includes(part) ? message : null),
      };
      const server = testServer(script);
      const start = server.answer(client.takeOutgoing()!);
      const wrong = handshakeMessage(type, new Uint8Array(3));
      const stream = concatBytes(
        start,
        before.length === 0 ? plainRecords(wrong, 16384) : server.record(22, wrong),
      );
      client.receive(stream, 0, stream.length);
      if (client.error?.alert !== Alert.UnexpectedMessage) {
        t.fail(`type ${type}: ${client.error?.member ?? client.state}`);
      }
      if (type % 40 !== 0) continue;
      t.is(client.error?.member, 'UnexpectedMessage');
      t.is(client.receive(stream, 0, stream.length), 0);
    }
  });
}

// --- damage ---

const PARTS: readonly FlightPart[] = [
  'server_hello',
  'encrypted_extensions',
  'certificate_request',
  'certificate',
  'certificate_verify',
  'finished',
];
for (const part of PARTS) {
  test(`${part} truncated at every byte is refused`, (t) => {
    let length = 0;
    const measure = (message: Uint8Array): Uint8Array => {
      length = message.length;
      return message;
    };
    failureOf({ requestsCertificate: true, ...replacing(part, measure) });
    t.true(length > 4);
    // the certificate is opaque to the message, so not every byte of it has to be tried
    const step = Math.max(1, Math.floor(length / 150));
    for (let cut = 4; cut < length; cut += step) {
      const [member, alert] = failureOf({
        requestsCertificate: true,
        ...replacing(part, (m) => relength(m.subarray(0, Math.min(cut, m.length - 1)))),
      });
      // a ServerHello may end before its extensions: then it is one of TLS 1.2
      const isOldHello = part === 'server_hello' && cut === 74;
      // a Finished of another length is a wrong one
      const otherwise =
        part === 'finished' ? ['BadFinished', Alert.DecryptError] : ['MessageTooShort', Alert.DecodeError];
      const expected = isOldHello ? ['UnofferedCipherSuite', Alert.IllegalParameter] : otherwise;
      t.deepEqual([member, alert], expected, `cut at ${cut}`);
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
        shakeHands(client, testServer({ requestsCertificate: true, ...replacing(part, edit) }));
        const isProof = part === 'certificate_verify' || part === 'finished';
        return !isProof || client.state !== 'connected';
      },
    ),
    { numRuns: 200 },
  );
  t.pass();
});

test('random bytes never escape as anything but a TlsError', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(20, 21, 22, 23, 24, 0), fc.uint8Array({ maxLength: 300 })), {
        maxLength: 5,
      }),
      (records) => {
        const client = testClient();
        client.start();
        client.takeOutgoing();
        const stream = concatBytes(...records.map(([type, content]) => plainRecord(type, content)));
        client.receive(stream, 0, stream.length);
        return client.state !== 'connected';
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});

test('a client that fails answers no more and exports nothing', (t) => {
  const client = testClient({ verifier: ACCEPTING });
  failureOf({ chain: [] }, client);
  t.is(client.state, 'failed');
  t.is(client.receive(Uint8Array.of(22, 3, 3, 0, 1, 0), 0, 6), 0);
  t.is(client.takeOutgoing(), null);
  t.throws(() => client.exportTraffic(Slab.alloc(TRAFFIC_STATE_BYTES), 0));
});

test('certificates of the size that a message may have', (t) => {
  const filler = new Uint8Array(9000);
  const { der } = testCertificate();
  const client = testClient();
  shakeHands(client, testServer({ chain: [der, ...Array.from({ length: 20 }, () => filler)] }));
  t.is(client.state, 'connected');
  t.is(client.info.peerCertificates.length, 21);
  t.true(certificate(client.info.peerCertificates).length > 65536);
});
