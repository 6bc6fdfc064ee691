import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { Slab } from '../stack/wire/slab.ts';
import { AlertDescription } from './alerts.ts';
import { TRAFFIC_STATE_BYTES } from './client.ts';
import type { TlsErrorMember } from './errors.ts';
import { NamedGroup } from './keys/groups.ts';
import { issue, keyUsage } from './testing/certificates.ts';
import { shakeHands, testCertificate, testClient, testServer } from './testing/client-under-test.ts';
import { failureOf, poke, relength, replacing } from './testing/hostile-server.ts';
import { clientHelloOf, type ServerScript, serverHello, u16 } from './testing/scripted-server.ts';
import { TrafficSealer } from './traffic/sealer.ts';
import { ExtensionType, HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';
import type { CertificateVerifier } from './x509/verdict.ts';

const Alert = AlertDescription;

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

function serverHelloWithout13(message: Uint8Array): Uint8Array {
  return serverHello(new Uint8Array(32), message.subarray(39, 71), 0xc02b, []);
}

function sentinel(last: number): Uint8Array {
  return concatBytes(new Uint8Array(24), utf8ToBytes('DOWNGRD'), Uint8Array.of(last));
}

const offCurve = concatBytes(Uint8Array.of(4), new Uint8Array(64).fill(1));
const badFlights: readonly [string, Partial<ServerScript>, TlsErrorMember, number][] = [
  ['a suite of TLS 1.3 in TLS 1.2', hello([]), 'UnofferedCipherSuite', Alert.IllegalParameter],
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
    Alert.DecodeError,
  ],
  [
    'a certificate that may not sign',
    {
      chain: [issue({ subject: 'server.test', key: testCertificate(), extensions: [keyUsage(0x10)] }).der],
    },
    'KeyUsageMismatch',
    Alert.IllegalParameter,
  ],
  [
    'timestamps that were not asked for',
    replacing('certificate', (m) =>
      relength(
        concatBytes(
          m.subarray(0, 5),
          Uint8Array.of(0),
          u16(testCertificate().der.length + 9),
          m.subarray(8, -2),
          u16(4),
          u16(18),
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
    'BadFinished',
    Alert.DecryptError,
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
      VERSION_13,
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

test('ALPN: a server that selects nothing is refused when a protocol is a must', (t) => {
  const alpn = ['h2', 'http/1.1'];
  t.deepEqual(failureOf({}, testClient({ alpn })), ['connected', -1]);
  const client = testClient({ alpn, mustSelectProtocol: true });
  t.deepEqual(failureOf({}, client), ['NoApplicationProtocol', Alert.NoApplicationProtocol]);
  t.regex(client.error?.message ?? '', /selected none of the application protocols: h2, http\/1\.1$/);
  const selected = [0, 3, 2, 104, 50];
  const extensions = [
    [ExtensionType.ApplicationLayerProtocolNegotiation, Uint8Array.from(selected)],
  ] as const;
  t.deepEqual(failureOf({ extensions: [...extensions] }, testClient({ alpn, mustSelectProtocol: true })), [
    'connected',
    -1,
  ]);
  // nothing was asked for
  t.deepEqual(failureOf({}, testClient({ mustSelectProtocol: true })), ['connected', -1]);
});

test('the verifier is told whether a stapled answer was asked for', (t) => {
  for (const certificateStatus of [true, false]) {
    const told: unknown[] = [];
    const verifier: CertificateVerifier = {
      verify: (_chain, _name, _time, evidence) => {
        told.push(evidence);
        return { accepted: true, status: 1, reason: '', alert: -1 };
      },
    };
    t.deepEqual(failureOf({}, testClient({ certificateStatus, verifier })), ['connected', -1]);
    t.deepEqual(told, [
      { ocspResponse: null, isStatusAsked: certificateStatus, signedCertificateTimestamps: null },
    ]);
  }
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

test('a version below the policy is refused', (t) => {
  t.deepEqual(failureOf(hello([]), testClient({ minVersion: 'TLSv1.3' })), [
    'VersionNotSupported',
    Alert.ProtocolVersion,
  ]);
  t.deepEqual(failureOf(replacing('server_hello', (m) => poke(serverHelloWithout13(m), 5, 2))), [
    'VersionNotSupported',
    Alert.ProtocolVersion,
  ]);
  t.throws(() => testClient({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }).start(), {
    instanceOf: RangeError,
  });
});

test('our own record_size_limit holds from the answer of the server on, and is told as wanted', (t) => {
  const extensions = [[ExtensionType.RecordSizeLimit, u16(16385)]] as const;
  const client = testClient({ recordSizeLimit: 128 });
  client.start();
  const hello = client.takeOutgoing()!;
  t.deepEqual(clientHelloOf(hello).extensions.get(ExtensionType.RecordSizeLimit), u16(128));
  // its certificate is longer than that
  const flight = testServer({ extensions, fragmentBytes: 200 }).answer(hello);
  client.receive(flight, 0, flight.length);
  t.is(client.error?.member, 'RecordOverflow');
  const patient = testClient({ recordSizeLimit: 128 });
  shakeHands(patient, testServer({ extensions, fragmentBytes: 127 }));
  t.is(patient.state, 'connected');
  // RFC 8449 §4: a server that does not know the extension has not agreed to anything
  const unlimited = testClient({ recordSizeLimit: 128 });
  shakeHands(unlimited, testServer());
  t.is(unlimited.state, 'connected');
  for (const recordSizeLimit of [63, 16386])
    t.throws(() => testClient({ recordSizeLimit }), { instanceOf: RangeError });
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
