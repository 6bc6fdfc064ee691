import { deflateSync, zstdCompressSync } from 'node:zlib';
import { concatBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { AlertDescription as Alert } from './alerts.ts';
import {
  type ClientCredentials,
  type ClientHelloDraft,
  type PeerEvidence,
  type TlsClient,
  type TlsClientOptions,
  TlsError,
  type TracedMessage,
} from './client.ts';
import { MAX_CERTIFICATE_MESSAGE_BYTES } from './limits.ts';
import { issue, issueCa } from './testing/certificates.ts';
import {
  ACCEPTING,
  shakeHands,
  testCertificate,
  testClient,
  testServer,
} from './testing/client-under-test.ts';
import { failureOf, relength, replacing } from './testing/hostile-server.ts';
import { certificate, clientHelloOf, type ReadHello, u16 } from './testing/scripted-server.ts';
import { traceMessage } from './trace.ts';
import { ExtensionType, HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const GREASE = new Set(Array.from({ length: 16 }, (_, i) => 0x0a0a + 0x1010 * i));

function helloOf(client: TlsClient): ReadHello {
  client.start();
  return clientHelloOf(client.takeOutgoing()!);
}

// --- GREASE and order ---

test('RFC 8701: values that no server knows stand in every list, and the handshake goes on', (t) => {
  const client = testClient({ grease: true });
  const { extensions, keyShares, message } = helloOf(client);
  const types = [...extensions.keys()].filter((type) => GREASE.has(type));
  t.is(new Set(types).size, 2);
  t.is(extensions.get(types[0]!)!.length, 0);
  t.is(extensions.get(types[1]!)!.length, 1);
  const first16 = (type: number, off: number): number => {
    const content = extensions.get(type)!;
    return (content[off]! << 8) | content[off + 1]!;
  };
  t.true(GREASE.has(first16(ExtensionType.SupportedGroups, 2)));
  t.true(GREASE.has(first16(ExtensionType.SignatureAlgorithms, 2)));
  t.true(GREASE.has(first16(ExtensionType.SupportedVersions, 1)));
  t.true(GREASE.has([...keyShares.keys()][0]!));
  const suiteAt = 4 + 2 + 32 + 33 + 2;
  t.true(GREASE.has((message[suiteAt]! << 8) | message[suiteAt + 1]!));
  const flight = testServer().answer(concatBytes(Uint8Array.of(22, 3, 1), u16(message.length), message));
  client.receive(flight, 0, flight.length);
  t.is(client.state, 'connected');
});

test('without being asked nothing is greased or moved', (t) => {
  const one = helloOf(testClient());
  t.false([...one.extensions.keys()].some((type) => GREASE.has(type)));
  t.deepEqual([...one.extensions.keys()], [...helloOf(testClient()).extensions.keys()]);
});

test('extensions in another order, made by the seed; the handshake goes on', (t) => {
  const usual = [...helloOf(testClient()).extensions.keys()];
  const client = testClient({ permuteExtensions: true });
  client.start();
  const hello = client.takeOutgoing()!;
  const moved = [...clientHelloOf(hello).extensions.keys()];
  t.notDeepEqual(moved, usual);
  t.deepEqual([...moved].sort(), [...usual].sort());
  const flight = testServer().answer(hello);
  client.receive(flight, 0, flight.length);
  t.is(client.state, 'connected');
});

// --- what testers change ---

test('a tester changes values, order and extensions of the ClientHello', (t) => {
  const clientHello = (draft: ClientHelloDraft): ClientHelloDraft => ({
    ...draft,
    legacyVersion: 0x0301,
    sessionId: Uint8Array.of(1, 2, 3),
    compressionMethods: Uint8Array.of(1, 0),
    cipherSuites: [0x1301, 0x00ff],
    extensions: [{ type: 0xabcd, content: Uint8Array.of(9) }, ...draft.extensions].reverse(),
  });
  const { message, extensions, sessionId } = helloOf(testClient({ testing: { clientHello } }));
  t.deepEqual(message.slice(4, 6), Uint8Array.of(3, 1));
  t.deepEqual(sessionId, Uint8Array.of(1, 2, 3));
  t.deepEqual(message.slice(42, 48), Uint8Array.of(0, 4, 0x13, 1, 0, 0xff));
  t.deepEqual(message.slice(48, 51), Uint8Array.of(2, 1, 0));
  t.is([...extensions.keys()].at(-1), 0xabcd);
});

test('a tester has handshake messages sent in small records', (t) => {
  const client = testClient({ testing: { fragmentBytes: 100 } });
  client.start();
  const records = client.takeOutgoing()!;
  const message: Uint8Array[] = [];
  for (let off = 0; off < records.length; ) {
    const length = (records[off + 3]! << 8) | records[off + 4]!;
    t.true(length <= 100);
    message.push(records.subarray(off + 5, off + 5 + length));
    off += 5 + length;
  }
  const whole = concatBytes(...message);
  t.is(whole.length, 4 + ((whole[1]! << 16) | (whole[2]! << 8) | whole[3]!));
});

test('RFC 7507: another try with an older version says so', (t) => {
  const { message } = helloOf(testClient({ maxVersion: 'TLSv1.2', fallbackScsv: true }));
  const suites = (message[39]! << 8) | message[40]!;
  t.deepEqual(message.slice(41 + suites - 2, 41 + suites), Uint8Array.of(0x56, 0));
});

// --- OCSP and certificate timestamps ---

const STATUS = [ExtensionType.StatusRequest, Uint8Array.of(1, 0, 0, 2, 5, 6)] as const;
const TIMESTAMPS = [ExtensionType.SignedCertificateTimestamp, Uint8Array.of(0, 4, 0, 2, 7, 8)] as const;

function withEntries(
  ...entries: readonly (readonly [number, Uint8Array])[]
): Parameters<typeof failureOf>[0] {
  const block = concatBytes(
    ...entries.map(([type, content]) => concatBytes(u16(type), u16(content.length), content)),
  );
  const { der } = testCertificate();
  const entry = concatBytes(Uint8Array.of(0), u16(der.length), der, u16(block.length), block);
  const body = concatBytes(Uint8Array.of(0, 0), u16(entry.length), entry);
  return replacing('certificate', () => handshakeMessage(HandshakeType.Certificate, body));
}

test('the stapled response and the timestamps reach the verifier and the info', (t) => {
  let seen: PeerEvidence | undefined;
  const verifier: typeof ACCEPTING = {
    verify: (chain, name, time, evidence) => {
      seen = evidence;
      return ACCEPTING.verify(chain, name, time);
    },
  };
  const client = testClient({ verifier, signedCertificateTimestamps: true });
  shakeHands(client, testServer(withEntries(STATUS, TIMESTAMPS)));
  t.is(client.state, 'connected');
  t.deepEqual(seen?.ocspResponse, Uint8Array.of(5, 6));
  t.deepEqual(seen?.signedCertificateTimestamps, TIMESTAMPS[1]);
  t.deepEqual(client.info.ocspResponse, Uint8Array.of(5, 6));
});

for (const [name, entry, member] of [
  ['a status of another type', [5, Uint8Array.of(2, 0, 0, 1, 1)], 'InvalidVector'],
  ['an empty response', [5, Uint8Array.of(1, 0, 0, 0)], 'InvalidVector'],
  ['a response that ends early', [5, Uint8Array.of(1, 0, 0, 2, 1)], 'MessageTooShort'],
  ['bytes behind a response', [5, Uint8Array.of(1, 0, 0, 1, 1, 1)], 'TrailingData'],
  ['no timestamps', [18, Uint8Array.of(0, 0)], 'InvalidVector'],
  ['an empty timestamp', [18, Uint8Array.of(0, 2, 0, 0)], 'InvalidVector'],
  ['a timestamp that ends early', [18, Uint8Array.of(0, 3, 0, 2, 1)], 'MessageTooShort'],
  ['bytes behind the timestamps', [18, Uint8Array.of(0, 3, 0, 1, 1, 1)], 'TrailingData'],
] as const) {
  test(`refused: ${name}`, (t) => {
    const client = testClient({ signedCertificateTimestamps: true });
    t.deepEqual(failureOf(withEntries(entry), client), [member, Alert.DecodeError]);
  });
}

// --- compressed certificates ---

function compressed(id: number, announced: number, bytes: Uint8Array): Uint8Array {
  const length = (n: number): Uint8Array => Uint8Array.of(n >>> 16, n >>> 8, n);
  return relength(
    concatBytes(Uint8Array.of(25, 0, 0, 0), u16(id), length(announced), length(bytes.length), bytes),
  );
}

const BODY = certificate([testCertificate().der]).slice(4);

for (const [name, id, bytes] of [
  ['zlib', 1, deflateSync(BODY)],
  ['zstd', 3, zstdCompressSync(BODY)],
] as const) {
  test(`RFC 8879: a certificate compressed with ${name}`, (t) => {
    const client = testClient({ certificateCompression: ['brotli', name] });
    shakeHands(client, testServer(replacing('certificate', () => compressed(id, BODY.length, bytes))));
    t.is(client.error, null);
    t.is(client.state, 'connected');
    t.deepEqual(client.info.peerCertificates[0], testCertificate().der);
  });
}

const BOMB = deflateSync(new Uint8Array(50_000_000));
for (const [name, message, member, alert] of [
  [
    'another algorithm',
    compressed(2, BODY.length, BODY),
    'UnofferedCertificateCompression',
    Alert.IllegalParameter,
  ],
  [
    'not compressed',
    compressed(1, BODY.length, BODY),
    'CertificateDecompressionFailed',
    Alert.BadCertificate,
  ],
  [
    'shorter than announced',
    compressed(1, BODY.length + 1, deflateSync(BODY)),
    'CertificateDecompressionFailed',
    Alert.BadCertificate,
  ],
  [
    'longer than announced',
    compressed(1, BODY.length - 1, deflateSync(BODY)),
    'CertificateDecompressionFailed',
    Alert.BadCertificate,
  ],
  ['a bomb', compressed(1, 1000, BOMB), 'CertificateDecompressionFailed', Alert.BadCertificate],
  [
    'more than a certificate may be',
    compressed(1, MAX_CERTIFICATE_MESSAGE_BYTES, BOMB),
    'CertificateDecompressionFailed',
    Alert.BadCertificate,
  ],
] as const) {
  test(`a compressed certificate is refused: ${name}`, (t) => {
    const client = testClient({ certificateCompression: ['zlib'] });
    t.deepEqual(
      failureOf(
        replacing('certificate', () => message),
        client,
      ),
      [member, alert],
    );
  });
}

test('a compressed certificate that was not asked for', (t) => {
  const script = replacing('certificate', () => compressed(1, BODY.length, deflateSync(BODY)));
  t.deepEqual(failureOf(script), ['UnexpectedMessage', Alert.UnexpectedMessage]);
});

test('a broken list of configurations is told at once', (t) => {
  t.throws(() => testClient({ ech: Uint8Array.of(0, 1, 2) }), { instanceOf: RangeError });
  t.throws(() => testClient({ signatureSchemes: ['none'] }), { instanceOf: RangeError });
  t.true(new TlsError('EchRejected').alert === Alert.EchRequired);
});

// --- which credentials ---

test('the first credentials that the server would take are sent; a tester can make it a failure that none fits', (t) => {
  const rsa = issue({ subject: 'me', issuer: issueCa('r'), key: 'rsa2048' });
  const p256 = issue({ subject: 'me', issuer: issueCa('e') });
  const of = ({ der, privateKey }: typeof rsa): ClientCredentials => ({ chain: [der], key: privateKey });
  const connect = (options: Partial<TlsClientOptions>): TlsClient => {
    const client = testClient(options);
    shakeHands(client, testServer({ requestsCertificate: true }));
    return client;
  };
  // the server takes ecdsa_secp256r1_sha256
  const client = connect({ credentials: [of(rsa), of(p256)] });
  t.is(client.info.clientCertificate, 'sent');
  t.is(client.info.credentialsIndex, 1);
  t.is(connect({ credentials: [of(rsa)] }).info.clientCertificate, 'requested');
  const strict = connect({ credentials: [of(rsa)], mustAuthenticate: true });
  t.deepEqual([strict.error?.member, strict.error?.alert], ['NoFittingCredentials', Alert.HandshakeFailure]);
  t.is(connect({ mustAuthenticate: true }).state, 'connected');
});

test('a tester sees each message of the handshake as data for JSON', (t) => {
  const seen: TracedMessage[] = [];
  const client = testClient({ testing: { trace: (message) => seen.push(message) } });
  shakeHands(client, testServer());
  t.deepEqual(
    seen.map(({ sender, type }) => `${sender} ${type}`),
    [
      'client client_hello',
      'server server_hello',
      'server encrypted_extensions',
      'server certificate',
      'server certificate_verify',
      'server finished',
      'client finished',
    ],
  );
  t.deepEqual(JSON.parse(JSON.stringify(seen)), seen);
  const [hello, answer] = seen;
  t.is(hello!.hex.length, 2 * hello!.lengthBytes);
  t.true(hello!.hello!.cipherSuites.includes('1301'));
  t.true(hello!.hello!.extensions.some(({ name }) => name === 'key_share'));
  t.deepEqual(answer!.hello!.cipherSuites, ['1301']);
  t.is(seen[3]!.hello, null);
});

test('a hello that cannot be read is traced without its parts', (t) => {
  const whole = concatBytes(Uint8Array.of(2, 0, 0, 40), new Uint8Array(40));
  for (let cut = 4; cut < 42; cut++) t.is(traceMessage('server', whole.subarray(0, cut)).hello, null);
  t.not(traceMessage('server', whole.subarray(0, 42)).hello, null);
});
