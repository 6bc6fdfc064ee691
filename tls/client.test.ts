import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { SeededRandom } from '../stack/random.ts';
import { Slab } from '../stack/wire/slab.ts';
import { AlertDescription } from './alerts.ts';
import { type TlsClient, TRAFFIC_STATE_BYTES } from './client.ts';
import type { TlsErrorMember } from './errors.ts';
import { NamedGroup } from './keys/groups.ts';
import { TLS13_SUITES } from './keys/suites.ts';
import {
  shakeHands,
  testCertificate,
  testClient,
  testServer,
  testServer12,
} from './testing/client-under-test.ts';
import { clientHelloOf, plainRecord, plainRecords, u16 } from './testing/scripted-server.ts';
import { TrafficOpener } from './traffic/opener.ts';
import { TrafficSealer } from './traffic/sealer.ts';
import { ContentType, ExtensionType } from './wire/codes.ts';

const Alert = AlertDescription;

for (const suite of TLS13_SUITES) {
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
  t.deepEqual([...hello.keyShares.keys()], [NamedGroup.X25519MlKem768, NamedGroup.X25519]);
  const name = utf8ToBytes('server.test');
  t.deepEqual(
    hello.extensions.get(ExtensionType.ServerName),
    concatBytes(u16(name.length + 3), Uint8Array.of(0), u16(name.length), name),
  );
  t.deepEqual(hello.extensions.get(ExtensionType.SupportedVersions), Uint8Array.of(4, 3, 4, 3, 3));
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
    [RETRY_VERSION, [ExtensionType.KeyShare, u16(0x001e)]],
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
    afterRetry((second) => testServer12().answer(second)),
    'VersionNotSupported',
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
