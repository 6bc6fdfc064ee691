import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import fc from 'fast-check';
import { SeededRandom } from '../stack/random.ts';
import { Slab } from '../stack/wire/slab.ts';
import { AlertDescription } from './alerts.ts';
import { type TlsClient, TRAFFIC_STATE_BYTES } from './client.ts';
import type { TlsErrorMember } from './errors.ts';
import { NamedGroup } from './keys/groups.ts';
import { CIPHER_SUITES } from './keys/suites.ts';
import { issue } from './testing/certificates.ts';
import {
  ACCEPTING,
  shakeHands,
  testCertificate,
  testClient,
  testServer,
} from './testing/client-under-test.ts';
import {
  certificate,
  clientHelloOf,
  type FlightPart,
  plainRecord,
  plainRecords,
  type ServerScript,
  serverHello,
  u16,
  withExtensions,
} from './testing/scripted-server.ts';
import { TrafficOpener } from './traffic/opener.ts';
import { TrafficSealer } from './traffic/sealer.ts';
import { ContentType, ExtensionType, HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const Alert = AlertDescription;

/** The member and the alert with which the client answers a server of this script. */
function failureOf(script: Partial<ServerScript>, client: TlsClient = testClient()): [string, number] {
  const sent = shakeHands(client, testServer(script));
  if (client.error !== null && client.error.alert >= 0 && sent === null) throw new Error('no alert was sent');
  return [client.error?.member ?? client.state, client.error?.alert ?? -1];
}

/** A script that puts another message in the place of one. */
function replacing(
  part: FlightPart,
  edit: (message: Uint8Array) => Uint8Array | null,
): Partial<ServerScript> {
  return { edit: (each, message) => (each === part ? edit(message) : message) };
}

/** Changes one byte. */
function poke(message: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(message);
  copy[at < 0 ? copy.length + at : at] = value;
  return copy;
}

/** Sets the length in the header of a handshake message to its true value. */
function relength(message: Uint8Array): Uint8Array {
  return handshakeMessage(message[0]!, message.subarray(4));
}

for (const suite of CIPHER_SUITES) {
  test(`a handshake with ${suite.name}, then data both ways`, (t) => {
    const client = testClient({ alpn: ['h2', 'http/1.1'] });
    const alpn = concatBytes(u16(3), Uint8Array.of(2), utf8ToBytes('h2'));
    const server = testServer({
      suite: suite.id,
      extensions: [[ExtensionType.ApplicationLayerProtocolNegotiation, alpn]],
    });
    const flight = shakeHands(client, server);
    t.is(client.state, 'connected');
    t.not(flight, null);
    t.like(client.info, {
      version: 'TLSv1.3',
      cipherSuite: suite.name,
      cipherBits: suite.bits,
      group: 'X25519',
      signatureScheme: 'ecdsa_secp256r1_sha256',
      alpn: 'h2',
      serverName: 'server.test',
    });
    t.deepEqual(client.info.peerCertificates, [testCertificate().der]);
    const ours = Slab.alloc(TRAFFIC_STATE_BYTES);
    client.exportTraffic(ours, 0);
    t.throws(() => client.exportTraffic(ours, 0));
    const theirs = server.traffic();
    const record = new Uint8Array(20000);
    const into = new Uint8Array(16384);
    const data = utf8ToBytes('there and back');
    for (const [from, to] of [
      [ours, theirs],
      [theirs, ours],
    ] as const) {
      const n = new TrafficSealer(from, 0).seal(ContentType.ApplicationData, data, 0, data.length, record, 0);
      t.is(new TrafficOpener(to, 0).open(record, 0, n, into, 0), data.length);
      t.deepEqual(into.slice(0, data.length), data);
    }
  });
}

test('the same seed gives the same ClientHello, another seed another one', (t) => {
  const hello = (seed: number): Uint8Array => {
    const client = testClient({ random: new SeededRandom(seed) });
    client.start();
    return client.takeOutgoing()!;
  };
  t.deepEqual(hello(7), hello(7));
  t.notDeepEqual(hello(7), hello(8));
});

test('the ClientHello offers what it should', (t) => {
  const client = testClient({ serverName: 'server.test.' });
  client.start();
  const record = client.takeOutgoing()!;
  t.is(client.takeOutgoing(), null);
  // RFC 8446 §5.1: legacy_record_version 0x0301 is allowed in the first record only
  t.deepEqual([...record.subarray(0, 3)], [22, 3, 1]);
  const hello = clientHelloOf(record);
  t.is(hello.sessionId.length, 32);
  t.deepEqual([...hello.keyShares.keys()], [NamedGroup.X25519]);
  const name = utf8ToBytes('server.test');
  t.deepEqual(
    hello.extensions.get(ExtensionType.ServerName),
    concatBytes(u16(name.length + 3), Uint8Array.of(0), u16(name.length), name),
  );
  t.deepEqual(hello.extensions.get(ExtensionType.SupportedVersions), Uint8Array.of(2, 3, 4));
  t.deepEqual(hello.extensions.get(ExtensionType.PskKeyExchangeModes), Uint8Array.of(1, 1));
});

for (const address of ['192.0.2.7', '2001:db8::1', '::']) {
  test(`no server_name for the address ${address}`, (t) => {
    const client = testClient({ serverName: address });
    client.start();
    t.false(clientHelloOf(client.takeOutgoing()!).extensions.has(ExtensionType.ServerName));
  });
}

test('an impossible ALPN name is the fault of the caller', (t) => {
  t.throws(() => testClient({ alpn: [''] }).start(), { instanceOf: RangeError });
  t.throws(() => testClient({ alpn: ['x'.repeat(256)] }).start(), { instanceOf: RangeError });
});

for (const fragmentBytes of [1, 7, 1000]) {
  test(`the flight in records of ${fragmentBytes} bytes, given byte by byte`, (t) => {
    const client = testClient();
    client.start();
    const flight = testServer({ fragmentBytes, requestsCertificate: true }).answer(client.takeOutgoing()!);
    let waiting = new Uint8Array(0);
    for (const byte of flight) {
      waiting = Uint8Array.of(...waiting, byte);
      waiting = waiting.slice(client.receive(waiting, 0, waiting.length));
    }
    t.is(client.state, 'connected');
    t.is(waiting.length, 0);
  });
}

test('bytes after the Finished stay with the caller', (t) => {
  const client = testClient();
  client.start();
  const server = testServer();
  const flight = server.answer(client.takeOutgoing()!);
  const withMore = concatBytes(flight, Uint8Array.of(23, 3, 3, 0, 20, 1, 2));
  t.is(client.receive(withMore, 0, withMore.length), flight.length);
  t.is(client.state, 'connected');
  t.is(client.receive(withMore, flight.length, 7), 0);
});

test('change_cipher_spec is dropped before and after ServerHello, up to a limit', (t) => {
  const ccs = plainRecord(ContentType.ChangeCipherSpec, Uint8Array.of(1));
  const connect = (count: number): TlsClient => {
    const client = testClient();
    client.start();
    const flight = testServer().answer(client.takeOutgoing()!);
    const stream = concatBytes(...Array.from({ length: count }, () => ccs), flight);
    client.receive(stream, 0, stream.length);
    return client;
  };
  t.is(connect(32).state, 'connected');
  t.is(connect(33).error?.member, 'TooManyChangeCipherSpecs');
});

test('our flight: change_cipher_spec, an empty Certificate when asked, Finished', (t) => {
  const client = testClient();
  const flight = shakeHands(client, testServer({ requestsCertificate: true }))!;
  t.is(client.state, 'connected');
  t.deepEqual([...flight.subarray(0, 6)], [20, 3, 3, 0, 1, 1]);
  const certificateRecordBytes = 5 + 8 + 1 + 16;
  t.is(flight.length, 6 + certificateRecordBytes + 5 + 36 + 1 + 16);
});

// --- a HelloRetryRequest ---

const RETRY_VERSION = [ExtensionType.SupportedVersions, Uint8Array.of(3, 4)] as const;
const COOKIE = [ExtensionType.Cookie, Uint8Array.of(0, 3, 1, 2, 3)] as const;

for (const group of [NamedGroup.Secp256r1, NamedGroup.Secp384r1]) {
  test(`a HelloRetryRequest for group ${group} with a cookie`, (t) => {
    const client = testClient();
    const server = testServer({ group });
    client.start();
    const first = client.takeOutgoing()!;
    const retry = server.retry(first, [RETRY_VERSION, [ExtensionType.KeyShare, u16(group)], COOKIE]);
    t.is(client.receive(retry, 0, retry.length), retry.length);
    const second = client.takeOutgoing()!;
    t.deepEqual([...second.subarray(0, 9)], [20, 3, 3, 0, 1, 1, 22, 3, 3]);
    const [before, after] = [clientHelloOf(first), clientHelloOf(second)];
    t.deepEqual(after.random, before.random);
    t.deepEqual(after.sessionId, before.sessionId);
    t.deepEqual([...after.keyShares.keys()], [group]);
    t.deepEqual(after.extensions.get(ExtensionType.Cookie), COOKIE[1]);
    const flight = server.answer(second);
    client.receive(flight, 0, flight.length);
    t.is(client.state, 'connected');
    // the change_cipher_spec was sent before
    t.is(client.takeOutgoing()![0], ContentType.ApplicationData);
  });
}

test('a HelloRetryRequest with only a cookie keeps the key share', (t) => {
  const client = testClient();
  const server = testServer();
  client.start();
  const first = client.takeOutgoing()!;
  const retry = server.retry(first, [RETRY_VERSION, COOKIE]);
  client.receive(retry, 0, retry.length);
  const second = client.takeOutgoing()!;
  t.deepEqual(clientHelloOf(second).keyShares, clientHelloOf(first).keyShares);
  const flight = server.answer(second);
  client.receive(flight, 0, flight.length);
  t.is(client.state, 'connected');
});

const badRetries: readonly [string, readonly (readonly [number, Uint8Array])[], TlsErrorMember, number][] = [
  ['that changes nothing', [RETRY_VERSION], 'RetryWithoutChange', Alert.IllegalParameter],
  [
    'for the group already shared',
    [RETRY_VERSION, [ExtensionType.KeyShare, u16(NamedGroup.X25519)]],
    'RetryGroupAlreadyShared',
    Alert.IllegalParameter,
  ],
  [
    'for a group not offered',
    [RETRY_VERSION, [ExtensionType.KeyShare, u16(0x0019)]],
    'UnofferedGroup',
    Alert.IllegalParameter,
  ],
  ['without a version', [COOKIE], 'VersionNotSupported', Alert.ProtocolVersion],
  [
    'with an empty cookie',
    [RETRY_VERSION, [ExtensionType.Cookie, u16(0)]],
    'InvalidVector',
    Alert.DecodeError,
  ],
  [
    'with an unknown extension',
    [RETRY_VERSION, COOKIE, [0x1234, u16(0)]],
    'UnsolicitedExtension',
    Alert.UnsupportedExtension,
  ],
];
for (const [name, extensions, member, alert] of badRetries) {
  test(`a HelloRetryRequest ${name} is refused`, (t) => {
    const client = testClient();
    client.start();
    const retry = testServer().retry(client.takeOutgoing()!, extensions);
    client.receive(retry, 0, retry.length);
    t.is(client.error?.member, member);
    t.deepEqual([...client.takeOutgoing()!], [21, 3, 3, 0, 2, 2, alert]);
  });
}

test('a second HelloRetryRequest, another suite or another group after the first are refused', (t) => {
  const afterRetry = (
    next: (second: Uint8Array, sessionId: Uint8Array) => Uint8Array,
  ): string | undefined => {
    const client = testClient();
    const server = testServer();
    client.start();
    const retry = server.retry(client.takeOutgoing()!, [
      RETRY_VERSION,
      [ExtensionType.KeyShare, u16(NamedGroup.Secp256r1)],
    ]);
    client.receive(retry, 0, retry.length);
    const second = client.takeOutgoing()!;
    const answer = next(second, clientHelloOf(second).sessionId);
    client.receive(answer, 0, answer.length);
    return client.error?.member;
  };
  t.is(
    afterRetry((second) => testServer().retry(second, [RETRY_VERSION, COOKIE])),
    'SecondHelloRetryRequest',
  );
  t.is(
    afterRetry((second) => testServer({ suite: 0x1302, group: NamedGroup.Secp256r1 }).answer(second)),
    'CipherSuiteChanged',
  );
  t.is(
    afterRetry((second) => testServer({ group: NamedGroup.X25519 }).answer(second)),
    'UnofferedGroup',
  );
});

test('handshake bytes behind a HelloRetryRequest in its record are refused', (t) => {
  const client = testClient();
  client.start();
  const retry = testServer().retry(client.takeOutgoing()!, [RETRY_VERSION, COOKIE]);
  const both = plainRecords(concatBytes(retry.subarray(5), Uint8Array.of(2)), 16384);
  client.receive(both, 0, both.length);
  t.is(client.error?.member, 'DataAcrossKeyChange');
});

// --- one wrong thing per handshake ---

const ZERO_KEY_SHARE = concatBytes(u16(NamedGroup.X25519), u16(32), new Uint8Array(32));
const VERSION_13 = [ExtensionType.SupportedVersions, Uint8Array.of(3, 4)] as const;

/** A ServerHello of its own making in place of the true one. */
function hello(
  extensions: readonly (readonly [number, Uint8Array])[],
  random: Uint8Array = new Uint8Array(32),
): Partial<ServerScript> {
  return replacing('server_hello', (message) =>
    serverHello(random, message.subarray(39, 71), 0x1301, extensions),
  );
}

function sentinel(last: number): Uint8Array {
  return concatBytes(new Uint8Array(24), utf8ToBytes('DOWNGRD'), Uint8Array.of(last));
}

const offCurve = concatBytes(Uint8Array.of(4), new Uint8Array(64).fill(1));
const badFlights: readonly [string, Partial<ServerScript>, TlsErrorMember, number][] = [
  ['TLS 1.2', hello([]), 'VersionNotSupported', Alert.ProtocolVersion],
  ['TLS 1.2 with the sentinel', hello([], sentinel(1)), 'DowngradeDetected', Alert.IllegalParameter],
  ['TLS 1.1 with the sentinel', hello([], sentinel(0)), 'DowngradeDetected', Alert.IllegalParameter],
  [
    'TLS 1.2 in supported_versions',
    hello([[ExtensionType.SupportedVersions, Uint8Array.of(3, 3)]]),
    'UnofferedVersion',
    Alert.IllegalParameter,
  ],
  [
    'another legacy_version',
    replacing('server_hello', (m) => poke(m, 5, 4)),
    'WrongLegacyVersion',
    Alert.IllegalParameter,
  ],
  [
    'another session id',
    replacing('server_hello', (m) => poke(m, 40, m[40]! ^ 1)),
    'SessionIdMismatch',
    Alert.IllegalParameter,
  ],
  [
    'a suite that was not offered',
    replacing('server_hello', (m) => poke(m, 72, 0x04)),
    'UnofferedCipherSuite',
    Alert.IllegalParameter,
  ],
  [
    'compression',
    replacing('server_hello', (m) => poke(m, 73, 1)),
    'UnofferedCompression',
    Alert.IllegalParameter,
  ],
  ['no key share', hello([VERSION_13]), 'MissingExtension', Alert.MissingExtension],
  [
    'a key share of a group without our share',
    hello([VERSION_13, [ExtensionType.KeyShare, concatBytes(u16(NamedGroup.Secp256r1), u16(65), offCurve)]]),
    'UnofferedGroup',
    Alert.IllegalParameter,
  ],
  [
    'a zero X25519 key',
    hello([VERSION_13, [ExtensionType.KeyShare, ZERO_KEY_SHARE]]),
    'InvalidKeyShare',
    Alert.IllegalParameter,
  ],
  [
    'a short X25519 key',
    hello([
      VERSION_13,
      [ExtensionType.KeyShare, concatBytes(u16(NamedGroup.X25519), u16(1), Uint8Array.of(9))],
    ]),
    'InvalidKeyShare',
    Alert.IllegalParameter,
  ],
  [
    'an extension twice in ServerHello',
    hello([VERSION_13, VERSION_13]),
    'DuplicateExtension',
    Alert.IllegalParameter,
  ],
  [
    'ALPN in ServerHello',
    hello([VERSION_13, [ExtensionType.ApplicationLayerProtocolNegotiation, u16(0)]]),
    'UnsolicitedExtension',
    Alert.UnsupportedExtension,
  ],
  [
    'bytes after ServerHello',
    replacing('server_hello', (m) => relength(concatBytes(m, Uint8Array.of(0)))),
    'TrailingData',
    Alert.DecodeError,
  ],
  [
    'handshake bytes behind ServerHello in its record',
    replacing('server_hello', (m) => concatBytes(m, Uint8Array.of(8, 0))),
    'DataAcrossKeyChange',
    Alert.UnexpectedMessage,
  ],
  [
    'ALPN that was not asked for',
    {
      extensions: [
        [ExtensionType.ApplicationLayerProtocolNegotiation, concatBytes(u16(2), Uint8Array.of(1, 120))],
      ],
    },
    'UnsolicitedExtension',
    Alert.UnsupportedExtension,
  ],
  [
    'a key share in EncryptedExtensions',
    { extensions: [[ExtensionType.KeyShare, ZERO_KEY_SHARE]] },
    'UnsolicitedExtension',
    Alert.UnsupportedExtension,
  ],
  [
    'early data accepted that was not offered',
    { extensions: [[ExtensionType.EarlyData, new Uint8Array(0)]] },
    'UnsolicitedExtension',
    Alert.UnsupportedExtension,
  ],
  [
    'a server_name with content',
    { extensions: [[ExtensionType.ServerName, Uint8Array.of(0)]] },
    'TrailingData',
    Alert.DecodeError,
  ],
  [
    'an extension twice in EncryptedExtensions',
    {
      extensions: [
        [ExtensionType.ServerName, new Uint8Array(0)],
        [ExtensionType.ServerName, new Uint8Array(0)],
      ],
    },
    'DuplicateExtension',
    Alert.IllegalParameter,
  ],
  [
    'a certificate request with a context',
    {
      requestsCertificate: true,
      ...replacing('certificate_request', (m) =>
        relength(concatBytes(m.subarray(0, 4), Uint8Array.of(1, 9), m.subarray(5))),
      ),
    },
    'UnsolicitedCertificateContext',
    Alert.DecodeError,
  ],
  [
    'a certificate request without signature_algorithms',
    {
      requestsCertificate: true,
      ...replacing('certificate_request', () =>
        handshakeMessage(HandshakeType.CertificateRequest, Uint8Array.of(0, 0, 0)),
      ),
    },
    'MissingExtension',
    Alert.MissingExtension,
  ],
  ['no certificate', { chain: [] }, 'NoCertificate', Alert.DecodeError],
  ['an empty certificate', { chain: [new Uint8Array(0)] }, 'InvalidVector', Alert.DecodeError],
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
    Alert.BadCertificate,
  ],
  [
    'OCSP that was not asked for',
    replacing('certificate', (m) =>
      relength(
        concatBytes(
          m.subarray(0, 5),
          Uint8Array.of(0),
          u16(testCertificate().der.length + 9),
          m.subarray(8, -2),
          u16(4),
          u16(5),
          u16(0),
        ),
      ),
    ),
    'UnsolicitedExtension',
    Alert.UnsupportedExtension,
  ],
  [
    'a scheme that was not offered',
    replacing('certificate_verify', (m) => poke(poke(m, 4, 0x02), 5, 0x03)),
    'UnofferedSignatureScheme',
    Alert.IllegalParameter,
  ],
  [
    'PKCS #1 in CertificateVerify',
    replacing('certificate_verify', (m) => poke(poke(m, 4, 0x04), 5, 0x01)),
    'UnofferedSignatureScheme',
    Alert.IllegalParameter,
  ],
  [
    'a scheme for another key',
    replacing('certificate_verify', (m) => poke(poke(m, 4, 0x08), 5, 0x04)),
    'SignatureSchemeMismatch',
    Alert.IllegalParameter,
  ],
  [
    'a scheme for another curve',
    replacing('certificate_verify', (m) => poke(poke(m, 4, 0x05), 5, 0x03)),
    'SignatureSchemeMismatch',
    Alert.IllegalParameter,
  ],
  [
    'a wrong signature',
    replacing('certificate_verify', (m) => poke(m, -1, m.at(-1)! ^ 1)),
    'BadSignature',
    Alert.DecryptError,
  ],
  [
    'a signature of another key',
    { privateKey: issue({ subject: 'other' }).privateKey },
    'BadSignature',
    Alert.DecryptError,
  ],
  [
    'a wrong Finished',
    replacing('finished', (m) => poke(m, -1, m.at(-1)! ^ 1)),
    'BadFinished',
    Alert.DecryptError,
  ],
  [
    'a short Finished',
    replacing('finished', (m) => relength(m.subarray(0, -1))),
    'MessageTooShort',
    Alert.DecodeError,
  ],
  [
    'handshake bytes behind Finished in its record',
    replacing('finished', (m) => concatBytes(m, Uint8Array.of(4, 0))),
    'DataAcrossKeyChange',
    Alert.UnexpectedMessage,
  ],
  [
    'a huge message',
    replacing('encrypted_extensions', () => Uint8Array.of(8, 1, 0, 0)),
    'MessageTooLong',
    Alert.IllegalParameter,
  ],
  [
    'a huge certificate message',
    replacing('certificate', () => Uint8Array.of(11, 4, 0, 0)),
    'MessageTooLong',
    Alert.IllegalParameter,
  ],
];
for (const [name, script, member, alert] of badFlights) {
  test(`refused: ${name}`, (t) => {
    t.deepEqual(failureOf(script), [member, alert]);
  });
}

test('refused: a point off the curve, and a compressed one', (t) => {
  for (const point of [offCurve, poke(offCurve, 0, 2), offCurve.subarray(0, 33)]) {
    const client = testClient();
    client.start();
    const server = testServer({
      group: NamedGroup.Secp256r1,
      ...hello([
        VERSION_13,
        [ExtensionType.KeyShare, concatBytes(u16(NamedGroup.Secp256r1), u16(point.length), point)],
      ]),
    });
    const retry = server.retry(client.takeOutgoing()!, [
      RETRY_VERSION,
      [ExtensionType.KeyShare, u16(NamedGroup.Secp256r1)],
    ]);
    client.receive(retry, 0, retry.length);
    const flight = server.answer(client.takeOutgoing()!);
    client.receive(flight, 0, flight.length);
    t.is(client.error?.member, 'InvalidKeyShare');
    t.is(client.error?.alert, Alert.IllegalParameter);
  }
});

test('refused: ALPN answers with an unoffered, an empty and two names', (t) => {
  const answer = (...content: number[]): [string, number] =>
    failureOf(
      { extensions: [[ExtensionType.ApplicationLayerProtocolNegotiation, Uint8Array.from(content)]] },
      testClient({ alpn: ['h2'] }),
    );
  t.deepEqual(answer(0, 3, 2, 104, 51), ['UnofferedApplicationProtocol', Alert.IllegalParameter]);
  t.deepEqual(answer(0, 1, 0), ['InvalidVector', Alert.DecodeError]);
  t.deepEqual(answer(0, 6, 2, 104, 50, 2, 104, 50), ['TrailingData', Alert.DecodeError]);
  t.deepEqual(answer(0, 3, 2, 104, 50), ['connected', -1]);
});

test('the verdict of the verifier decides, and its alert is sent', (t) => {
  const asked: unknown[] = [];
  const client = testClient({
    verifier: {
      verify: (chain, name, time) => {
        asked.push([chain.length, name, time]);
        return { accepted: false, status: 3, reason: 'it is too old', alert: Alert.CertificateExpired };
      },
    },
    unixTimeMs: 12345,
  });
  t.deepEqual(failureOf({}, client), ['Rejected', Alert.CertificateExpired]);
  t.deepEqual(asked, [[1, 'server.test', 12345]]);
  t.is(client.error?.family, 'CertificateRejected');
  t.regex(client.error?.message ?? '', /too old/);
  t.is(client.info.certificate?.status, 3);
});

test('record_size_limit is answered only when offered, and limits what we send', (t) => {
  const extensions = [[ExtensionType.RecordSizeLimit, u16(1024)]] as const;
  t.deepEqual(failureOf({ extensions }), ['UnsolicitedExtension', Alert.UnsupportedExtension]);
  const tooSmall = [[ExtensionType.RecordSizeLimit, u16(63)]] as const;
  t.deepEqual(failureOf({ extensions: tooSmall }, testClient({ recordSizeLimit: true })), [
    'InvalidRecordSizeLimit',
    Alert.IllegalParameter,
  ]);
  const client = testClient({ recordSizeLimit: true });
  shakeHands(client, testServer({ extensions }));
  const state = Slab.alloc(TRAFFIC_STATE_BYTES);
  client.exportTraffic(state, 0);
  const sealer = new TrafficSealer(state, 0);
  t.is(sealer.maxContentBytes, 1023);
  t.throws(() => sealer.seal(23, new Uint8Array(1024), 0, 1024, new Uint8Array(2000), 0), {
    instanceOf: RangeError,
  });
});

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
  const client = testClient();
  client.start();
  client.takeOutgoing();
  const record = plainRecord(21, Uint8Array.of(2, Alert.HandshakeFailure));
  client.receive(record, 0, record.length);
  t.is(client.error?.family, 'AlertReceived');
  t.is(client.error?.alertReceived, Alert.HandshakeFailure);
  t.regex(client.error?.message ?? '', /handshake_failure/);
  t.is(client.takeOutgoing(), null);
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
      t.is(member, isOldHello ? 'VersionNotSupported' : 'MessageTooShort', `cut at ${cut}`);
      t.is(alert, isOldHello ? Alert.ProtocolVersion : Alert.DecodeError);
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
