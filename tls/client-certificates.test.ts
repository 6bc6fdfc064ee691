import { createHash, sign, verify } from 'node:crypto';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { AlertDescription } from './alerts.ts';
import { type ClientCredentials, MemorySessionStore, type TlsClientOptions } from './client.ts';
import { ClientIdentities } from './handshake/client-credentials.ts';
import { sessionKey } from './session.ts';
import { issue, issueCa, type KeyType, nameOf } from './testing/certificates.ts';
import {
  shakeHands,
  shakeHands12,
  testClient,
  testServer,
  testServer12,
} from './testing/client-under-test.ts';
import { failureOf, failureOf12, replacing, replacing12 } from './testing/hostile-server.ts';
import { u16 } from './testing/scripted-server.ts';
import { ExtensionType, HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const Alert = AlertDescription;
const root = issueCa('client root');
const intermediate = issueCa('client intermediate', { issuer: root });

function credentials(
  key: KeyType = 'p256',
): ClientCredentials & { readonly certificate: ReturnType<typeof issue> } {
  const certificate = issue({ subject: 'me', issuer: intermediate, key });
  return { certificate, chain: [certificate.der, intermediate.der], key: certificate.privateKey };
}

const schemeList = (...schemes: readonly number[]): Uint8Array =>
  concatBytes(u16(2 * schemes.length), ...schemes.map(u16));
const nameList = (...names: readonly Uint8Array[]): Uint8Array => {
  const list = concatBytes(...names.map((name) => concatBytes(u16(name.length), name)));
  return concatBytes(u16(list.length), list);
};

/** A CertificateRequest of TLS 1.3. */
function request13(schemes: readonly number[], authorities: readonly Uint8Array[] = []): Uint8Array {
  const extensions: Uint8Array[] = [];
  const add = (type: number, content: Uint8Array): void => {
    extensions.push(u16(type), u16(content.length), content);
  };
  add(ExtensionType.SignatureAlgorithms, schemeList(...schemes));
  if (authorities.length > 0) add(ExtensionType.CertificateAuthorities, nameList(...authorities));
  const block = concatBytes(...extensions);
  return handshakeMessage(
    HandshakeType.CertificateRequest,
    concatBytes(Uint8Array.of(0), u16(block.length), block),
  );
}

/** A CertificateRequest of TLS 1.2. */
function request12(
  types: readonly number[],
  schemes: readonly number[],
  authorities: readonly Uint8Array[] = [],
): Uint8Array {
  return handshakeMessage(
    HandshakeType.CertificateRequest,
    concatBytes(Uint8Array.of(types.length, ...types), schemeList(...schemes), nameList(...authorities)),
  );
}

function sent13(options: Partial<TlsClientOptions>, request: Uint8Array): string {
  const client = testClient(options);
  shakeHands(
    client,
    testServer({ requestsCertificate: true, ...replacing('certificate_request', () => request) }),
  );
  return client.state === 'connected' ? client.info.clientCertificate : String(client.error?.member);
}

function sent12(options: Partial<TlsClientOptions>, request: Uint8Array): string {
  const client = testClient(options);
  const server = testServer12({
    requestsCertificate: true,
    ...replacing12('certificate_request', () => request),
  });
  shakeHands12(client, server);
  return client.state === 'connected' ? client.info.clientCertificate : String(client.error?.member);
}

test('nobody asks: nothing is sent', (t) => {
  const client = testClient({ credentials: credentials() });
  shakeHands(client, testServer());
  t.is(client.state, 'connected');
  t.is(client.info.clientCertificate, 'not requested');
});

const both: readonly [string, KeyType, readonly number[], readonly Uint8Array[], string][] = [
  ['a scheme of the key', 'p256', [0x0403], [], 'sent'],
  ['a scheme of the key among others', 'p256', [0x0804, 0x0403], [], 'sent'],
  ['only schemes of other keys', 'p256', [0x0804, 0x0807], [], 'requested'],
  ['unknown schemes', 'p256', [0x7777], [], 'requested'],
  ['the root by name', 'p256', [0x0403], [nameOf({ CN: 'client root' })], 'sent'],
  [
    'the issuer by name',
    'p256',
    [0x0403],
    [nameOf({ CN: 'other' }), nameOf({ CN: 'client intermediate' })],
    'sent',
  ],
  ['another authority', 'p256', [0x0403], [nameOf({ CN: 'other' })], 'requested'],
  ['an authority that is no name', 'p256', [0x0403], [Uint8Array.of(1, 2)], 'requested'],
  ['RSA-PSS', 'rsa2048', [0x0804], [], 'sent'],
  ['a hash too long for a small key', 'rsa1024', [0x0806], [], 'requested'],
  ['Ed25519', 'ed25519', [0x0807], [], 'sent'],
  ['a curve without scheme', 'k256', [0x0403], [], 'requested'],
];
for (const [name, key, schemes, authorities, expected] of both) {
  test(`asked for ${name}: ${expected}`, (t) => {
    t.is(sent13({ credentials: credentials(key) }, request13(schemes, authorities)), expected);
    t.is(sent12({ credentials: credentials(key) }, request12([1, 64], schemes, authorities)), expected);
  });
}

test('the versions differ: PKCS #1, curves, certificate types', (t) => {
  const rsa = { credentials: credentials('rsa2048') };
  t.is(sent13(rsa, request13([0x0401])), 'requested');
  t.is(sent12(rsa, request12([1], [0x0401])), 'sent');
  t.is(sent12(rsa, request12([64], [0x0401])), 'requested');
  const p384 = { credentials: credentials('p384') };
  t.is(sent13(p384, request13([0x0403])), 'requested');
  t.is(sent12(p384, request12([64], [0x0403])), 'sent');
  t.is(sent12(p384, request12([1, 3], [0x0403])), 'requested');
});

test('TLS 1.2: the messages and the signature over all of them', (t) => {
  const { certificate, ...own } = credentials();
  const client = testClient({ credentials: own });
  const seen: Uint8Array[] = [];
  const server = testServer12({
    requestsCertificate: true,
    edit: (_part, message) => {
      seen.push(message);
      return message;
    },
  });
  client.start();
  const hello = client.takeOutgoing()!;
  let flight = server.answer(hello);
  const before = concatBytes(hello.subarray(5), ...seen);
  client.receive(flight, 0, flight.length);
  flight = server.finish(client.takeOutgoing()!);
  client.receive(flight, 0, flight.length);
  t.is(client.state, 'connected');
  const [chain, exchange, proof] = server.clientMessages;
  t.deepEqual(
    server.clientMessages.map((message) => message[0]),
    [HandshakeType.Certificate, HandshakeType.ClientKeyExchange, HandshakeType.CertificateVerify],
  );
  t.is(chain!.length, 4 + 3 + 3 + own.chain[0]!.length + 3 + own.chain[1]!.length);
  t.deepEqual([...proof!.subarray(4, 6)], [4, 3]);
  const content = concatBytes(before, chain!, exchange!);
  t.true(verify('sha256', content, certificate.publicKey, proof!.subarray(8)));
});

test('a signer makes the signature; it gets the scheme and the content', (t) => {
  const { certificate, chain } = credentials();
  const asked: [string, Uint8Array][] = [];
  const key = (scheme: string, content: Uint8Array): Uint8Array => {
    asked.push([scheme, content.slice()]);
    return sign('sha256', content, certificate.privateKey);
  };
  t.is(sent13({ credentials: { chain, key } }, request13([0x0403])), 'sent');
  t.is(sent12({ credentials: { chain, key } }, request12([64], [0x0403])), 'sent');
  t.deepEqual(
    asked.map(([scheme]) => scheme),
    ['ecdsa_secp256r1_sha256', 'ecdsa_secp256r1_sha256'],
  );
  const context = utf8ToBytes(`${' '.repeat(64)}TLS 1.3, client CertificateVerify\0`);
  t.deepEqual(asked[0]![1].slice(0, context.length), context);
  t.is(asked[0]![1].length, context.length + 32);
});

test('a signer that fails ends the handshake', (t) => {
  const { chain } = credentials();
  const key = (): Uint8Array => {
    throw new Error('the card was removed');
  };
  const client = testClient({ credentials: { chain, key } });
  t.deepEqual(failureOf({ requestsCertificate: true }, client), ['SigningFailed', Alert.InternalError]);
  t.regex(client.error?.message ?? '', /card was removed/);
  t.deepEqual(failureOf12({ requestsCertificate: true }, testClient({ credentials: { chain, key } })), [
    'SigningFailed',
    Alert.InternalError,
  ]);
});

test('credentials of no use are the fault of the caller', (t) => {
  const { certificate, chain } = credentials();
  const wrong: readonly ClientCredentials[] = [
    { chain: [], key: certificate.privateKey },
    { chain: [Uint8Array.of(48, 0)], key: certificate.privateKey },
    { chain, key: certificate.publicKey },
    { chain, key: issue({ subject: 'other' }).privateKey },
  ];
  for (const each of wrong) t.throws(() => testClient({ credentials: each }), { instanceOf: TypeError });
});

test('sessions belong to the certificate with which they were made', (t) => {
  const own = credentials();
  const { id } = new ClientIdentities([own]);
  t.is(id, createHash('sha256').update(own.chain[0]!).digest('hex'));
  const sessions = { store: new MemorySessionStore(), port: 1, policy: 'test' };
  const asked: string[] = [];
  const store = {
    take: (key: string) => {
      asked.push(key);
      return sessions.store.take(key);
    },
    put: () => {},
  };
  testClient({ credentials: own, sessions: { ...sessions, store } }).start();
  t.deepEqual(asked, [sessionKey('server.test', sessions, [], id)]);
});

const badRequests: readonly [string, Uint8Array, string, number][] = [
  ['without types', request12([], [0x0403]), 'InvalidVector', Alert.DecodeError],
  ['without schemes', request12([64], []), 'InvalidVector', Alert.DecodeError],
  [
    'with half a scheme',
    Uint8Array.of(13, 0, 0, 7, 1, 64, 0, 1, 4, 0, 0),
    'MessageTooShort',
    Alert.DecodeError,
  ],
  ['with an empty name', request12([64], [0x0403], [new Uint8Array(0)]), 'InvalidVector', Alert.DecodeError],
  ['with more', Uint8Array.of(13, 0, 0, 9, 1, 64, 0, 2, 4, 3, 0, 0, 0), 'TrailingData', Alert.DecodeError],
];
for (const [name, request, member, alert] of badRequests) {
  test(`refused: a certificate request of TLS 1.2 ${name}`, (t) => {
    const script = { requestsCertificate: true, ...replacing12('certificate_request', () => request) };
    t.deepEqual(failureOf12(script), [member, alert]);
  });
}

test('refused: an empty name among the authorities of TLS 1.3', (t) => {
  const request = request13([0x0403], [new Uint8Array(0)]);
  const script = { requestsCertificate: true, ...replacing('certificate_request', () => request) };
  t.deepEqual(failureOf(script), ['InvalidVector', Alert.DecodeError]);
});
