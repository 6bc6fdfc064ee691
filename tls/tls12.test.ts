import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { Slab } from '../stack/wire/slab.ts';
import { AlertDescription } from './alerts.ts';
import { TRAFFIC_STATE_BYTES } from './client.ts';
import { NamedGroup } from './keys/groups.ts';
import { TLS12_SUITES } from './keys/suites.ts';
import { issue, keyUsage } from './testing/certificates.ts';
import { shakeHands12, testCertificate, testClient, testServer12 } from './testing/client-under-test.ts';
import { failureOf12, poke, relength, replacing12 } from './testing/hostile-server.ts';
import { plainRecord, plainRecords, serverHello, u16 } from './testing/scripted-server.ts';
import type { ScriptedServer12, ServerScript12 } from './testing/scripted-server12.ts';
import { open, seal } from './testing/sealed-records.ts';
import { TrafficOpener } from './traffic/opener.ts';
import { TrafficSealer } from './traffic/sealer.ts';
import { ContentType, ExtensionType, HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const Alert = AlertDescription;
const { ApplicationData } = ContentType;
const NO_CONTENT = new Uint8Array(0);

const rsa = issue({ subject: 'server.test', key: 'rsa2048' });
const RSA: Partial<ServerScript12> = {
  chain: [rsa.der],
  privateKey: rsa.privateKey,
  signature: { scheme: 0x0804, hash: 'sha256', pss: true },
  suite: 0xc02f,
};

for (const suite of TLS12_SUITES) {
  for (const extendedMasterSecret of [true, false]) {
    test(`${suite.name}, ${extendedMasterSecret ? 'with' : 'without'} extended master secret`, (t) => {
      const client = testClient();
      const identity = suite.authentication === 'rsa' ? RSA : {};
      const server = testServer12({ ...identity, suite: suite.id, extendedMasterSecret });
      shakeHands12(client, server);
      t.is(client.state, 'connected');
      t.like(client.info, { version: 'TLSv1.2', cipherSuite: suite.name, extendedMasterSecret });
      const ours = Slab.alloc(TRAFFIC_STATE_BYTES);
      client.exportTraffic(ours, 0);
      t.throws(() => client.exportTraffic(ours, 0));
      const theirs = server.traffic();
      for (const length of [1, 15, 16, 17, 16383, 16384]) {
        const data = Uint8Array.from({ length }, (_, i) => i * 7);
        t.deepEqual(
          open(new TrafficOpener(theirs, 0), seal(new TrafficSealer(ours, 0), 23, data)).data,
          data,
        );
        t.deepEqual(
          open(new TrafficOpener(ours, 0), seal(new TrafficSealer(theirs, 0), 23, data)).data,
          data,
        );
      }
    });
  }
}

for (const fragmentBytes of [1, 7, 1000]) {
  test(`flights in records of ${fragmentBytes} bytes, given byte by byte`, (t) => {
    const client = testClient();
    client.start();
    const server = testServer12({ fragmentBytes, requestsCertificate: true });
    const feed = (flight: Uint8Array): number => {
      let waiting = new Uint8Array(0);
      for (const byte of flight) {
        waiting = Uint8Array.of(...waiting, byte);
        waiting = waiting.slice(client.receive(waiting, 0, waiting.length));
      }
      return waiting.length;
    };
    t.is(feed(server.answer(client.takeOutgoing()!)), 0);
    t.is(feed(server.finish(client.takeOutgoing()!)), 0);
    t.is(client.state, 'connected');
    // an empty Certificate, and ClientKeyExchange
    t.deepEqual(
      server.clientMessages.map((message) => message[0]),
      [HandshakeType.Certificate, HandshakeType.ClientKeyExchange],
    );
    t.deepEqual(server.clientMessages[0], Uint8Array.of(11, 0, 0, 3, 0, 0, 0));
  });
}

test('a client of TLS 1.2 alone offers nothing of TLS 1.3', (t) => {
  const client = testClient({ maxVersion: 'TLSv1.2' });
  t.is(shakeHands12(client, testServer12({ extensions: [] })), null);
  t.is(client.state, 'connected');
  t.deepEqual(
    failureOf12(
      { extensions: [[ExtensionType.SupportedVersions, Uint8Array.of(3, 4)]] },
      testClient({ maxVersion: 'TLSv1.2' }),
    ),
    ['UnsolicitedExtension', Alert.UnsupportedExtension],
  );
});

// --- the first flight ---

function hello(
  extensions: readonly (readonly [number, Uint8Array])[],
  edit: (message: Uint8Array) => Uint8Array = (message) => message,
): Partial<ServerScript12> {
  return replacing12('server_hello', () =>
    edit(serverHello(new Uint8Array(32).fill(9), NO_CONTENT, 0xc02b, extensions)),
  );
}

function sentinel(last: number): (message: Uint8Array) => Uint8Array {
  return (message) => {
    message.set(concatBytes(utf8ToBytes('DOWNGRD'), Uint8Array.of(last)), 4 + 2 + 24);
    return message;
  };
}

// curve type, group, and behind the point of 32 bytes scheme and signature
const SCHEME_AT = 4 + 4 + 32;
const exchange = (edit: (message: Uint8Array) => Uint8Array): Partial<ServerScript12> =>
  replacing12('server_key_exchange', edit);
const RENEGOTIATION_INFO = [ExtensionType.RenegotiationInfo, Uint8Array.of(0)] as const;
const EMS = [ExtensionType.ExtendedMasterSecret, NO_CONTENT] as const;

const refusals: readonly [string, Partial<ServerScript12>, string, number][] = [
  ['the sentinel of TLS 1.2', hello([EMS], sentinel(1)), 'DowngradeDetected', Alert.IllegalParameter],
  ['the sentinel of TLS 1.1', hello([EMS], sentinel(0)), 'DowngradeDetected', Alert.IllegalParameter],
  ['TLS 1.1', hello([EMS], (m) => poke(m, 5, 2)), 'VersionNotSupported', Alert.ProtocolVersion],
  ['SSL 3.0', hello([EMS], (m) => poke(m, 5, 0)), 'VersionNotSupported', Alert.ProtocolVersion],
  [
    'TLS 1.3 as legacy version',
    hello([EMS], (m) => poke(m, 5, 4)),
    'VersionNotSupported',
    Alert.ProtocolVersion,
  ],
  [
    'a suite of TLS 1.3',
    hello([EMS], (m) => poke(poke(m, 39, 0x13), 40, 1)),
    'UnofferedCipherSuite',
    Alert.IllegalParameter,
  ],
  [
    'a suite with CBC',
    hello([EMS], (m) => poke(poke(m, 39, 0xc0), 40, 0x13)),
    'UnofferedCipherSuite',
    Alert.IllegalParameter,
  ],
  [
    'a suite with static RSA',
    hello([EMS], (m) => poke(poke(m, 39, 0), 40, 0x9c)),
    'UnofferedCipherSuite',
    Alert.IllegalParameter,
  ],
  ['compression', hello([EMS], (m) => poke(m, 41, 1)), 'UnofferedCompression', Alert.IllegalParameter],
  ['an extension twice', hello([EMS, EMS]), 'DuplicateExtension', Alert.IllegalParameter],
  ['an unknown extension', hello([[0x1234, NO_CONTENT]]), 'UnsolicitedExtension', Alert.UnsupportedExtension],
  [
    'a key share',
    hello([[ExtensionType.KeyShare, u16(29)]]),
    'UnsolicitedExtension',
    Alert.UnsupportedExtension,
  ],
  [
    'timestamps that were not asked for',
    hello([[18, NO_CONTENT]]),
    'UnsolicitedExtension',
    Alert.UnsupportedExtension,
  ],
  [
    'a ticket that was not asked for',
    hello([[35, NO_CONTENT]]),
    'UnsolicitedExtension',
    Alert.UnsupportedExtension,
  ],
  [
    'ALPN that was not asked for',
    hello([[16, Uint8Array.of(0, 2, 1, 120)]]),
    'UnsolicitedExtension',
    Alert.UnsupportedExtension,
  ],
  [
    'an extended_master_secret with content',
    hello([[23, Uint8Array.of(0)]]),
    'TrailingData',
    Alert.DecodeError,
  ],
  ['a server_name with content', hello([[0, Uint8Array.of(0)]]), 'TrailingData', Alert.DecodeError],
  [
    'a renegotiation_info with content',
    hello([[0xff01, Uint8Array.of(1, 7)]]),
    'InvalidRenegotiationInfo',
    Alert.HandshakeFailure,
  ],
  [
    'a renegotiation_info with more',
    hello([[0xff01, Uint8Array.of(0, 7)]]),
    'TrailingData',
    Alert.DecodeError,
  ],
  ['an empty renegotiation_info', hello([[0xff01, NO_CONTENT]]), 'MessageTooShort', Alert.DecodeError],
  [
    'no uncompressed points',
    hello([RENEGOTIATION_INFO, [11, Uint8Array.of(2, 1, 2)]]),
    'MissingPointFormat',
    Alert.IllegalParameter,
  ],
  [
    'bytes after ServerHello',
    hello([EMS], (m) => relength(concatBytes(m, Uint8Array.of(0)))),
    'TrailingData',
    Alert.DecodeError,
  ],
  ['no certificate', { chain: [] }, 'NoCertificate', Alert.DecodeError],
  ['an empty certificate', { chain: [NO_CONTENT] }, 'InvalidVector', Alert.DecodeError],
  [
    'too many certificates',
    { chain: Array.from({ length: 33 }, () => Uint8Array.of(48, 0)) },
    'ChainTooLong',
    Alert.IllegalParameter,
  ],
  [
    'a certificate that OpenSSL cannot read',
    { chain: [Uint8Array.of(48, 0)] },
    'CertificateUnreadable',
    Alert.DecodeError,
  ],
  [
    'a certificate that may not sign',
    { chain: [issue({ subject: 'server.test', key: testCertificate(), extensions: [keyUsage(0x04)] }).der] },
    'KeyUsageMismatch',
    Alert.IllegalParameter,
  ],
  ['a suite for RSA with an ECDSA key', { suite: 0xc02f }, 'CertificateTypeMismatch', Alert.IllegalParameter],
  [
    'a suite for ECDSA with an RSA key',
    { ...RSA, suite: 0xc02b },
    'CertificateTypeMismatch',
    Alert.IllegalParameter,
  ],
  ['explicit curves', exchange((m) => poke(m, 4, 1)), 'UnofferedGroup', Alert.IllegalParameter],
  ['an unknown curve', exchange((m) => poke(m, 6, 30)), 'UnofferedGroup', Alert.IllegalParameter],
  [
    'the hybrid group',
    exchange((m) => poke(poke(m, 5, 0x11), 6, 0xec)),
    'UnofferedGroup',
    Alert.IllegalParameter,
  ],
  [
    'an empty point',
    exchange((m) => relength(concatBytes(m.subarray(0, 7), Uint8Array.of(0), m.subarray(SCHEME_AT)))),
    'InvalidVector',
    Alert.DecodeError,
  ],
  [
    'a scheme that was not offered',
    exchange((m) => poke(poke(m, SCHEME_AT, 2), SCHEME_AT + 1, 3)),
    'UnofferedSignatureScheme',
    Alert.IllegalParameter,
  ],
  [
    'MD5',
    exchange((m) => poke(poke(m, SCHEME_AT, 1), SCHEME_AT + 1, 1)),
    'UnofferedSignatureScheme',
    Alert.IllegalParameter,
  ],
  [
    'a scheme for another key',
    exchange((m) => poke(poke(m, SCHEME_AT, 8), SCHEME_AT + 1, 4)),
    'SignatureSchemeMismatch',
    Alert.IllegalParameter,
  ],
  ['a wrong signature', exchange((m) => poke(m, -1, m.at(-1)! ^ 1)), 'BadSignature', Alert.DecryptError],
  [
    'another point than was signed',
    exchange((m) => poke(m, 20, m[20]! ^ 1)),
    'BadSignature',
    Alert.DecryptError,
  ],
  [
    'a signature of another key',
    { privateKey: issue({ subject: 'x' }).privateKey },
    'BadSignature',
    Alert.DecryptError,
  ],
  [
    'bytes after the signature',
    exchange((m) => relength(concatBytes(m, Uint8Array.of(0)))),
    'TrailingData',
    Alert.DecodeError,
  ],
  [
    'ServerHelloDone with content',
    replacing12('server_hello_done', () => Uint8Array.of(14, 0, 0, 1, 0)),
    'TrailingData',
    Alert.DecodeError,
  ],
  [
    'bytes behind ServerHelloDone',
    replacing12('server_hello_done', (m) => concatBytes(m, Uint8Array.of(20))),
    'DataAcrossKeyChange',
    Alert.UnexpectedMessage,
  ],
  [
    'a huge certificate message',
    replacing12('certificate', () => Uint8Array.of(11, 4, 0, 0)),
    'MessageTooLong',
    Alert.IllegalParameter,
  ],
  [
    'a wrong Finished',
    replacing12('finished', (m) => poke(m, -1, m.at(-1)! ^ 1)),
    'BadFinished',
    Alert.DecryptError,
  ],
  [
    'a short Finished',
    replacing12('finished', (m) => relength(m.subarray(0, -1))),
    'BadFinished',
    Alert.DecryptError,
  ],
  [
    'a long Finished',
    replacing12('finished', (m) => relength(concatBytes(m, Uint8Array.of(0)))),
    'BadFinished',
    Alert.DecryptError,
  ],
  [
    'bytes behind Finished',
    replacing12('finished', (m) => concatBytes(m, Uint8Array.of(0))),
    'DataAcrossKeyChange',
    Alert.UnexpectedMessage,
  ],
  [
    'a ticket that was not announced',
    { ticket: Uint8Array.of(1) },
    'UnexpectedMessage',
    Alert.UnexpectedMessage,
  ],
];
for (const [name, script, member, alert] of refusals) {
  test(`refused: ${name}`, (t) => {
    t.deepEqual(failureOf12(script), [member, alert]);
  });
}

test('no extensions at all: renegotiation_info is missed, but with fallback', (t) => {
  const missed: [string, number] = ['RenegotiationInfoMissing', Alert.HandshakeFailure];
  const none = { extendedMasterSecret: false, renegotiationInfo: false };
  const withoutBlock = { ...none, ...replacing12('server_hello', (m) => relength(m.subarray(0, 42))) };
  for (const script of [none, withoutBlock]) {
    t.deepEqual(failureOf12(script), missed);
    t.deepEqual(failureOf12(script, testClient({ fallback: true })), ['connected', -1]);
  }
});

test('refused: no application protocol where one is a must', (t) => {
  const alpn = ['h2'];
  const refused: [string, number] = ['NoApplicationProtocol', Alert.NoApplicationProtocol];
  t.deepEqual(failureOf12({}, testClient({ alpn, mustSelectProtocol: true })), refused);
  t.deepEqual(failureOf12({}, testClient({ alpn })), ['connected', -1]);
});

test('accepted: extensions that mean nothing', (t) => {
  const groups = [ExtensionType.SupportedGroups, Uint8Array.of(0, 2, 0, 29)] as const;
  t.deepEqual(failureOf12({ extensions: [groups, [11, Uint8Array.of(3, 1, 0, 2)]] }), ['connected', -1]);
  t.deepEqual(failureOf12({ sessionId: new Uint8Array(32).fill(4) }), ['connected', -1]);
});

test('accepted: PKCS #1 and any curve of ours with any hash, as TLS 1.2 has them', (t) => {
  t.deepEqual(failureOf12({ ...RSA, signature: { scheme: 0x0401, hash: 'sha256', pss: false } }), [
    'connected',
    -1,
  ]);
  const p384 = issue({ subject: 'server.test', key: 'p384' });
  t.deepEqual(failureOf12({ chain: [p384.der], privateKey: p384.privateKey }), ['connected', -1]);
  const k256 = issue({ subject: 'server.test', key: 'k256' });
  t.deepEqual(failureOf12({ chain: [k256.der], privateKey: k256.privateKey }), [
    'SignatureSchemeMismatch',
    Alert.IllegalParameter,
  ]);
});

test('refused: an echo of the session id, which no session has', (t) => {
  const client = testClient();
  client.start();
  const first = client.takeOutgoing()!;
  const sessionId = first.slice(5 + 4 + 2 + 32 + 1, 5 + 4 + 2 + 32 + 1 + 32);
  const flight = testServer12({ sessionId }).answer(first);
  client.receive(flight, 0, flight.length);
  t.deepEqual([client.error?.member, client.error?.alert], ['UnofferedResumption', Alert.IllegalParameter]);
});

test('refused: points off the curve, compressed, and a zero X25519 key, although they are signed', (t) => {
  const signed = (group: NamedGroup, point: Uint8Array): [string, number] => {
    // the signature covers what the share says
    const client = testClient();
    client.start();
    const server = testServer12({ group, forgedPoint: point });
    const flight = server.answer(client.takeOutgoing()!);
    client.receive(flight, 0, flight.length);
    return [client.error?.member ?? client.state, client.error?.alert ?? -1];
  };
  const offCurve = concatBytes(Uint8Array.of(4), new Uint8Array(64).fill(1));
  for (const point of [offCurve, poke(offCurve, 0, 2), offCurve.subarray(0, 33)]) {
    t.deepEqual(signed(NamedGroup.Secp256r1, point), ['InvalidKeyShare', Alert.IllegalParameter]);
  }
  t.deepEqual(signed(NamedGroup.X25519, new Uint8Array(32)), ['InvalidKeyShare', Alert.IllegalParameter]);
  t.deepEqual(signed(NamedGroup.X25519, new Uint8Array(31)), ['InvalidKeyShare', Alert.IllegalParameter]);
});

test('the verdict of the verifier decides', (t) => {
  const verdict = {
    accepted: false,
    status: 3,
    reason: 'it is too old',
    alert: Alert.CertificateExpired,
  } as const;
  const client = testClient({ verifier: { verify: () => verdict } });
  t.deepEqual(failureOf12({}, client), ['Rejected', Alert.CertificateExpired]);
  t.is(client.info.certificate?.status, 3);
});

// --- change_cipher_spec ---

const CCS = plainRecord(ContentType.ChangeCipherSpec, Uint8Array.of(1));

function feed(...records: ((server: ScriptedServer12, hello: Uint8Array) => Uint8Array)[]): [string, number] {
  const client = testClient();
  client.start();
  const server = testServer12();
  const first = client.takeOutgoing()!;
  for (const make of records) {
    const bytes = make(server, first);
    client.receive(bytes, 0, bytes.length);
  }
  return [client.error?.member ?? client.state, client.error?.alert ?? -1];
}

test('change_cipher_spec before the keys are agreed on is refused', (t) => {
  const early = ['UnexpectedChangeCipherSpec', Alert.UnexpectedMessage];
  t.deepEqual(
    feed(
      () => CCS,
      (server, first) => server.answer(first),
    ),
    early,
  );
  // after each message of the flight
  for (let count = 1; count <= 3; count++) {
    const client = testClient();
    client.start();
    const flight = testServer12().answer(client.takeOutgoing()!).subarray(5);
    let off = 0;
    for (let i = 0; i < count; i++)
      off += 4 + ((flight[off + 1]! << 16) | (flight[off + 2]! << 8) | flight[off + 3]!);
    const bytes = concatBytes(plainRecords(flight.subarray(0, off), 16384), CCS);
    client.receive(bytes, 0, bytes.length);
    t.deepEqual([client.error?.member, client.error?.alert], early, `after ${count} messages`);
  }
});

test('change_cipher_spec: other content, a second one, inside a message, none at all', (t) => {
  const flight = (server: ScriptedServer12, first: Uint8Array): Uint8Array => server.answer(first);
  const ccs = (...content: number[]): Uint8Array => plainRecord(20, Uint8Array.from(content));
  const bad = ['InvalidChangeCipherSpec', Alert.IllegalParameter];
  t.deepEqual(
    feed(flight, () => ccs(2)),
    bad,
  );
  t.deepEqual(
    feed(flight, () => ccs(1, 1)),
    bad,
  );
  t.deepEqual(
    feed(flight, () => ccs()),
    bad,
  );
  t.deepEqual(
    feed(
      flight,
      () => CCS,
      () => CCS,
    ),
    ['UnexpectedChangeCipherSpec', Alert.UnexpectedMessage],
  );
  t.deepEqual(
    feed(
      flight,
      () => plainRecord(22, Uint8Array.of(20, 0)),
      () => CCS,
    ),
    ['InterleavedRecord', Alert.UnexpectedMessage],
  );
  // Finished without protection, and under keys that were not announced
  const finished = handshakeMessage(HandshakeType.Finished, new Uint8Array(12));
  t.deepEqual(
    feed(flight, () => plainRecords(finished, 100)),
    ['UnexpectedMessage', Alert.UnexpectedMessage],
  );
  t.deepEqual(
    feed(
      flight,
      () => CCS,
      () => plainRecords(finished, 100),
    ),
    ['BadRecordMac', Alert.BadRecordMac],
  );
});

test('application data never comes before the Finished', (t) => {
  const client = testClient();
  client.start();
  const server = testServer12(replacing12('finished', () => null));
  let flight = server.answer(client.takeOutgoing()!);
  client.receive(flight, 0, flight.length);
  flight = concatBytes(
    server.finish(client.takeOutgoing()!),
    server.record(ApplicationData, Uint8Array.of(1)),
  );
  client.receive(flight, 0, flight.length);
  t.deepEqual(
    [client.error?.member, client.error?.alert],
    ['UnexpectedApplicationData', Alert.UnexpectedMessage],
  );
  t.deepEqual(
    feed(
      (s, f) => s.answer(f),
      () => plainRecord(23, Uint8Array.of(1)),
    ),
    ['UnexpectedApplicationData', Alert.UnexpectedMessage],
  );
});

test('alerts in the handshake: warnings are counted, fatal ones and close_notify end it', (t) => {
  const flight = (server: ScriptedServer12, first: Uint8Array): Uint8Array => server.answer(first);
  const alert = (level: number, description: number) => () =>
    plainRecord(21, Uint8Array.of(level, description));
  const warnings = (count: number): (() => Uint8Array)[] =>
    Array.from({ length: count }, () => alert(1, Alert.UnrecognizedName));
  t.deepEqual(feed(flight, ...warnings(4)), ['handshaking', -1]);
  t.deepEqual(feed(flight, ...warnings(5)), ['TooManyWarnings', Alert.UnexpectedMessage]);
  t.deepEqual(feed(flight, alert(2, Alert.HandshakeFailure)), ['Received', -1]);
  t.deepEqual(feed(flight, alert(1, Alert.CloseNotify)), ['ClosedEarly', -1]);
  t.deepEqual(
    feed(flight, () => Uint8Array.of(22, 3, 3, 0x40, 1)),
    ['RecordOverflow', Alert.RecordOverflow],
  );
});
