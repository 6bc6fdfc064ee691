import { generateKeyPairSync, getDiffieHellman } from 'node:crypto';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { AlertDescription } from './alerts.ts';
import { MemorySessionStore, type TlsClientOptions, type TlsVersion } from './client.ts';
import { FALLBACK_SUITES, SUITES_ON_REQUEST } from './keys/suites.ts';
import { issue, keyUsage, spkiOf } from './testing/certificates.ts';
import { shakeHands12, testClient, testServer12 } from './testing/client-under-test.ts';
import { failureOf12, poke, relength, replacing12 } from './testing/hostile-server.ts';
import { plainRecord, plainRecords, u16 } from './testing/scripted-server.ts';
import type { FlightPart12, ServerScript12 } from './testing/scripted-server12.ts';
import { ContentType, ExtensionType, HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const Alert = AlertDescription;
const NONE = new Uint8Array(0);
const CONNECTED = ['connected', -1];

const rsa = issue({ subject: 'server.test', key: 'rsa2048' });
const PSS = { scheme: 0x0804, hash: 'sha256', pss: true } as const;
const RSA: Partial<ServerScript12> = { chain: [rsa.der], privateKey: rsa.privateKey };
const RSA12: Partial<ServerScript12> = { ...RSA, signature: PSS };
const DHE_GCM = 0x009e;
const DHE_SHA = 0x0033;
const RSA_SHA = 0x002f;
const ECDHE_ECDSA_SHA = 0xc009;

function failure(script: Partial<ServerScript12>, options: Partial<TlsClientOptions> = {}): [string, number] {
  return failureOf12(script, testClient(options));
}

const fallback = { fallback: true } as const;

// --- without the option nothing old is accepted ---

for (const version of ['TLSv1', 'TLSv1.1'] as const) {
  test(`${version} is refused without fallback, whatever its suite`, (t) => {
    for (const suite of [RSA_SHA, DHE_SHA, ECDHE_ECDSA_SHA, 0xc02b, 0x0004]) {
      for (const options of [{}, { maxVersion: 'TLSv1.2' }] as const) {
        t.deepEqual(failure({ ...RSA, version, suite }, options), [
          'VersionNotSupported',
          Alert.ProtocolVersion,
        ]);
      }
    }
    t.deepEqual(failure({ version, suite: ECDHE_ECDSA_SHA }, fallback), CONNECTED);
  });
}

for (const suite of [...SUITES_ON_REQUEST, ...FALLBACK_SUITES]) {
  test(`${suite.name} is refused when it was not offered`, (t) => {
    const refused = ['UnofferedCipherSuite', Alert.IllegalParameter];
    t.deepEqual(failure({ ...RSA12, suite: suite.id }), refused);
    const other = { ...fallback, cipherSuites: ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'] };
    t.deepEqual(failure({ ...RSA12, suite: suite.id }, other), refused);
  });
}

test('a suite of TLS 1.2 in TLS 1.1, and an old version as SSL 3.0, are refused with fallback too', (t) => {
  for (const suite of [0xc02b, 0x009c, 0x003c]) {
    t.deepEqual(failure({ ...RSA, version: 'TLSv1.1', suite }, fallback), [
      'UnofferedCipherSuite',
      Alert.IllegalParameter,
    ]);
  }
  for (const low of [0, 4, 5, 0xff]) {
    t.deepEqual(
      failure(
        replacing12('server_hello', (m) => poke(m, 5, low)),
        fallback,
      ),
      ['VersionNotSupported', Alert.ProtocolVersion],
    );
  }
});

test('versions below minVersion and above maxVersion are refused', (t) => {
  const between = { ...fallback, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' } as const;
  for (const version of ['TLSv1', 'TLSv1.2'] as const) {
    t.deepEqual(failure({ ...RSA, version, suite: RSA_SHA }, between), [
      'VersionNotSupported',
      Alert.ProtocolVersion,
    ]);
  }
  t.deepEqual(failure({ ...RSA, version: 'TLSv1.1', suite: RSA_SHA }, between), CONNECTED);
});

test('signatures with SHA-1 and MD5 in TLS 1.2 only with fallback', (t) => {
  const weak: readonly [Partial<ServerScript12>, number, string][] = [
    [{ ...RSA, suite: 0xc02f }, 0x0201, 'sha1'],
    [{ ...RSA, suite: 0xc02f }, 0x0101, 'md5'],
    [{}, 0x0203, 'sha1'],
  ];
  for (const [script, scheme, hash] of weak) {
    const signed = { ...script, signature: { scheme, hash, pss: false } };
    t.deepEqual(failure(signed), ['UnofferedSignatureScheme', Alert.IllegalParameter]);
    t.deepEqual(failure(signed, fallback), CONNECTED);
  }
  // the private number of what TLS 1.0 does is none of TLS 1.2
  const inner = { scheme: 0xff01, hash: 'md5-sha1', pss: false };
  t.deepEqual(failure({ ...RSA, suite: 0xc02f, signature: inner }, fallback), [
    'UnofferedSignatureScheme',
    Alert.IllegalParameter,
  ]);
});

test('TLS 1.0 and 1.1: a signature with another hash than MD5 and SHA-1 is wrong', (t) => {
  for (const version of ['TLSv1', 'TLSv1.1'] as const) {
    for (const hash of ['sha1', 'md5', 'sha256']) {
      const signature = { scheme: 0, hash, pss: false };
      t.deepEqual(failure({ ...RSA, version, suite: 0xc013, signature }, fallback), [
        'BadSignature',
        Alert.DecryptError,
      ]);
    }
    t.deepEqual(failure({ ...RSA, version, suite: 0xc013 }, fallback), CONNECTED);
  }
});

test('CBC on request wants encrypt-then-MAC; with fallback it may be missing', (t) => {
  const only = { maxVersion: 'TLSv1.2', cipherSuites: ['TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256'] } as const;
  const script = { ...RSA12, suite: 0xc027 };
  t.deepEqual(failure(script, only), ['EncryptThenMacMissing', Alert.InsufficientSecurity]);
  t.deepEqual(failure({ ...script, encryptThenMac: true }, only), CONNECTED);
  t.deepEqual(failure(script, { ...only, ...fallback }), CONNECTED);
});

test('encrypt_then_mac: not offered without CBC, has no content, means nothing to other ciphers', (t) => {
  const answer = [ExtensionType.EncryptThenMac, NONE] as const;
  t.deepEqual(failure({ extensions: [answer] }), ['UnsolicitedExtension', Alert.UnsupportedExtension]);
  t.deepEqual(failure({ extensions: [answer] }, fallback), CONNECTED);
  t.deepEqual(failure({ extensions: [[ExtensionType.EncryptThenMac, Uint8Array.of(0)]] }, fallback), [
    'TrailingData',
    Alert.DecodeError,
  ]);
});

// --- downgrade ---

function withMark(last: number): Partial<ServerScript12> {
  return replacing12('server_hello', (m) => {
    m.set(concatBytes(utf8ToBytes('DOWNGRD'), Uint8Array.of(last)), 4 + 2 + 24);
    return m;
  });
}

const downgrades: readonly [TlsVersion, TlsVersion, number, boolean][] = [
  ['TLSv1.3', 'TLSv1.2', 1, true],
  ['TLSv1.3', 'TLSv1.2', 0, true],
  ['TLSv1.3', 'TLSv1.1', 0, true],
  ['TLSv1.3', 'TLSv1.1', 1, true],
  ['TLSv1.3', 'TLSv1', 0, true],
  ['TLSv1.2', 'TLSv1.1', 0, true],
  ['TLSv1.2', 'TLSv1', 0, true],
  ['TLSv1.2', 'TLSv1.2', 1, false],
  ['TLSv1.2', 'TLSv1.2', 0, false],
  ['TLSv1.2', 'TLSv1.1', 1, false],
  ['TLSv1.1', 'TLSv1.1', 0, false],
  ['TLSv1.3', 'TLSv1.2', 2, false],
];
for (const [maxVersion, version, mark, isRefused] of downgrades) {
  test(`from ${maxVersion} to ${version} with sentinel ${mark}: ${isRefused ? 'refused' : 'accepted'}`, (t) => {
    // the random that the server signed is another one: what is accepted comes as far as that
    const expected = isRefused
      ? ['DowngradeDetected', Alert.IllegalParameter]
      : ['BadSignature', Alert.DecryptError];
    t.deepEqual(
      failure({ version, suite: ECDHE_ECDSA_SHA, ...withMark(mark) }, { ...fallback, maxVersion }),
      expected,
    );
  });
}

// --- key exchange ---

const P = new Uint8Array(getDiffieHellman('modp2').getPrime());
const P768 = new Uint8Array(getDiffieHellman('modp1').getPrime());
const G = Uint8Array.of(2);
const MINUS_ONE = poke(P, -1, P.at(-1)! - 1);

const groups: readonly [string, ServerScript12['dh'] & object, string, number][] = [
  ['of 768 bits', { p: P768, g: G }, 'GroupTooWeak', Alert.InsufficientSecurity],
  ['that is even', { p: MINUS_ONE, g: G, publicValue: G }, 'InvalidGroup', Alert.IllegalParameter],
  ['generated by 1', { p: P, g: Uint8Array.of(1), publicValue: G }, 'InvalidGroup', Alert.IllegalParameter],
  [
    'and public value 0',
    { p: P, g: G, publicValue: Uint8Array.of(0) },
    'InvalidKeyShare',
    Alert.IllegalParameter,
  ],
  [
    'and public value 1',
    { p: P, g: G, publicValue: Uint8Array.of(1) },
    'InvalidKeyShare',
    Alert.IllegalParameter,
  ],
  [
    'and public value p - 1',
    { p: P, g: G, publicValue: MINUS_ONE },
    'InvalidKeyShare',
    Alert.IllegalParameter,
  ],
  ['and public value p', { p: P, g: G, publicValue: P }, 'InvalidKeyShare', Alert.IllegalParameter],
  ['that is empty', { p: NONE, g: G, publicValue: G }, 'InvalidVector', Alert.DecodeError],
  ['without a generator', { p: P, g: NONE, publicValue: G }, 'InvalidVector', Alert.DecodeError],
  ['without a public value', { p: P, g: G, publicValue: NONE }, 'InvalidVector', Alert.DecodeError],
];
for (const [title, dh, member, alert] of groups) {
  test(`a group ${title}, signed, is refused with fallback too`, (t) => {
    t.deepEqual(failure({ ...RSA12, suite: DHE_GCM, dh }, fallback), [member, alert]);
  });
}

test('a group of 1024 bits: with fallback, not on request', (t) => {
  const script = { ...RSA12, suite: DHE_GCM, dh: { p: P, g: G } };
  t.deepEqual(
    failure(script, { cipherSuites: ['TLS_DHE_RSA_WITH_AES_128_GCM_SHA256'], maxVersion: 'TLSv1.2' }),
    ['GroupTooWeak', Alert.InsufficientSecurity],
  );
  t.deepEqual(failure(script, fallback), CONNECTED);
});

test('DHE: the parameters are what is signed', (t) => {
  for (const at of [6, 6 + 256 + 2, 6 + 256 + 2 + 1 + 2 + 100]) {
    const script = {
      ...RSA12,
      suite: DHE_GCM,
      ...replacing12('server_key_exchange', (m) => poke(m, at, m[at]! ^ 2)),
    };
    t.deepEqual(failure(script, fallback), ['BadSignature', Alert.DecryptError]);
  }
});

for (const [title, script] of [
  ['TLS 1.2', { ...RSA12, suite: DHE_GCM }],
  ['TLS 1.0', { ...RSA, suite: DHE_SHA, version: 'TLSv1' }],
] as const) {
  test(`DHE of ${title}: a key exchange cut at any byte, or longer, is refused`, (t) => {
    let length = 0;
    const measure = replacing12('server_key_exchange', (m) => {
      length = m.length;
      return m;
    });
    failure({ ...script, ...measure }, fallback);
    for (let cut = 4; cut < length; cut += cut < 20 ? 1 : 37) {
      const edit = replacing12('server_key_exchange', (m) =>
        relength(m.subarray(0, Math.min(cut, m.length - 1))),
      );
      const [member, alert] = failure({ ...script, ...edit }, fallback);
      t.true(member === 'MessageTooShort' || member === 'InvalidVector', `${cut}: ${member}`);
      t.is(alert, Alert.DecodeError);
    }
    const longer = replacing12('server_key_exchange', (m) => relength(concatBytes(m, Uint8Array.of(0))));
    t.deepEqual(failure({ ...script, ...longer }, fallback), ['TrailingData', Alert.DecodeError]);
  });
}

test('RSA key exchange: a server_key_exchange, which export suites have, is unexpected', (t) => {
  // RFC 2246 §7.4.3: a modulus of 512 bits, an exponent, a signature
  const modulus = new Uint8Array(64).fill(0xc1);
  const body = concatBytes(u16(64), modulus, u16(1), Uint8Array.of(3), u16(256), new Uint8Array(256));
  const message = handshakeMessage(HandshakeType.ServerKeyExchange, body);
  const script = {
    ...RSA,
    suite: RSA_SHA,
    version: 'TLSv1',
    ...replacing12('server_hello_done', (m) => concatBytes(message, m)),
  } as const;
  t.deepEqual(failure(script, fallback), ['UnexpectedMessage', Alert.UnexpectedMessage]);
});

test('RSA key exchange: the key has to be an RSA key that may decrypt and is not too small', (t) => {
  const script = { suite: 0x009c };
  t.deepEqual(failure(script, fallback), ['CertificateTypeMismatch', Alert.IllegalParameter]);
  const use = (bits: number): Partial<ServerScript12> => {
    const { der, privateKey } = issue({ subject: 'server.test', key: rsa, extensions: [keyUsage(bits)] });
    return { ...script, chain: [der], privateKey };
  };
  t.deepEqual(failure(use(0x01), fallback), ['KeyUsageMismatch', Alert.IllegalParameter]);
  t.deepEqual(failure(use(0x04), fallback), CONNECTED);
  // and the other way round
  t.deepEqual(failure({ ...use(0x04), ...{ suite: 0xc02f, signature: PSS } }, fallback), [
    'KeyUsageMismatch',
    Alert.IllegalParameter,
  ]);
});

test('RSA keys of export size are refused although the verifier accepts everything', (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 512 });
  const { der } = issue({ subject: 'server.test', key: rsa, spki: spkiOf(publicKey) });
  const weak = { chain: [der], privateKey };
  t.deepEqual(failure({ ...weak, suite: RSA_SHA }, fallback), ['KeyTooWeak', Alert.InsufficientSecurity]);
  const signature = { scheme: 0x0401, hash: 'sha256', pss: false };
  t.deepEqual(failure({ ...weak, suite: 0xc02f, signature }), ['KeyTooWeak', Alert.InsufficientSecurity]);
});

// --- order ---

const EXCHANGES: readonly [string, Partial<ServerScript12>][] = [
  ['RSA', { ...RSA, suite: RSA_SHA, version: 'TLSv1' }],
  ['DHE', { ...RSA, suite: DHE_SHA, version: 'TLSv1.1' }],
];
for (const [name, script] of EXCHANGES) {
  const legal =
    name === 'RSA'
      ? [HandshakeType.CertificateRequest, HandshakeType.ServerHelloDone]
      : [HandshakeType.ServerKeyExchange];
  test(`after the certificate, ${name}: every other message → unexpected_message`, (t) => {
    for (let type = 0; type < 256; type++) {
      if (legal.includes(type as never)) continue;
      const client = testClient(fallback);
      client.start();
      const keep: readonly FlightPart12[] = ['server_hello', 'certificate'];
      const server = testServer12({ ...script, edit: (part, m) => (keep.includes(part) ? m : null) });
      const version = script.version === 'TLSv1' ? 0x0301 : 0x0302;
      const wrong = plainRecords(handshakeMessage(type, new Uint8Array(3)), 16384, version);
      const stream = concatBytes(server.answer(client.takeOutgoing()!), wrong);
      client.receive(stream, 0, stream.length);
      if (client.error?.member !== 'UnexpectedMessage')
        t.fail(`${type}: ${client.error?.member ?? client.state}`);
    }
    t.pass();
  });
}

test('a wrong Finished, and change_cipher_spec too early, are refused in every version', (t) => {
  for (const version of ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const) {
    const script = { ...RSA, suite: RSA_SHA, version };
    const wrong = replacing12('finished', (m) => poke(m, -1, m.at(-1)! ^ 1));
    t.deepEqual(failure({ ...script, ...wrong }, fallback), ['BadFinished', Alert.DecryptError]);
    const client = testClient(fallback);
    client.start();
    const server = testServer12({ ...script, edit: (part, m) => (part === 'server_hello' ? m : null) });
    const number = version === 'TLSv1' ? 0x0301 : version === 'TLSv1.1' ? 0x0302 : 0x0303;
    const early = plainRecord(ContentType.ChangeCipherSpec, Uint8Array.of(1), number);
    const stream = concatBytes(server.answer(client.takeOutgoing()!), early);
    client.receive(stream, 0, stream.length);
    t.is(client.error?.member, 'UnexpectedChangeCipherSpec');
  }
});

test('a wish for a renegotiation in the record of the Finished is refused', (t) => {
  for (const version of ['TLSv1', 'TLSv1.2'] as const) {
    const request = replacing12('finished', (m) => concatBytes(m, new Uint8Array(4)));
    t.deepEqual(failure({ ...RSA, suite: RSA_SHA, version, ...request }, fallback), [
      'DataAcrossKeyChange',
      Alert.UnexpectedMessage,
    ]);
  }
});

test('records of another version than was agreed on → protocol_version', (t) => {
  for (const version of ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const) {
    const client = testClient(fallback);
    client.start();
    // one record for each message
    const server = testServer12({ ...RSA, suite: RSA_SHA, version, fragmentBytes: 16384 });
    const flight = server.answer(client.takeOutgoing()!);
    const hello = 4 + ((flight[6]! << 16) | (flight[7]! << 8) | flight[8]!);
    const content = flight.subarray(5);
    const first = concatBytes(flight.subarray(0, 3), u16(hello), content.subarray(0, hello));
    const other = version === 'TLSv1.2' ? 0x0301 : 0x0303;
    const rest = plainRecords(content.subarray(hello), 16384, other);
    const stream = concatBytes(first, rest);
    client.receive(stream, 0, stream.length);
    t.like(client.error, { member: 'WrongRecordVersion', alert: Alert.ProtocolVersion });
  }
});

// --- our own signature ---

test('a server that knows SHA-1 alone gets our certificate with fallback, none without', (t) => {
  for (const [key, scheme] of [
    ['rsa2048', 0x0201],
    ['p256', 0x0203],
  ] as const) {
    const me = issue({ subject: 'me', key });
    // both kinds of certificates, one scheme, no authorities
    const body = Uint8Array.of(2, 64, 1, 0, 2, scheme >> 8, scheme & 255, 0, 0);
    const request = replacing12('certificate_request', () =>
      handshakeMessage(HandshakeType.CertificateRequest, body),
    );
    for (const [options, expected] of [
      [fallback, 'sent'],
      [{}, 'requested'],
    ] as const) {
      const client = testClient({ ...options, credentials: { chain: [me.der], key: me.privateKey } });
      t.deepEqual(failureOf12({ requestsCertificate: true, ...request }, client), CONNECTED);
      t.is(client.info.clientCertificate, expected);
    }
  }
});

// --- sessions ---

test('a session of one version or suite is not resumed in another; without fallback it is not met', (t) => {
  const store = new MemorySessionStore();
  const sessions = { store, port: 443, policy: 'test' };
  const id = new Uint8Array(32).fill(6);
  const script = { ...RSA, suite: RSA_SHA, version: 'TLSv1', sessionId: id } as const;
  const shake = (server: Partial<ServerScript12>, options: Partial<TlsClientOptions> = fallback): string => {
    const client = testClient({ ...options, sessions });
    shakeHands12(client, testServer12(server));
    return client.error?.member ?? `${client.state}${client.info.isResumed ? ', resumed' : ''}`;
  };
  /** A full handshake that leaves a session; the store gives the newest first. */
  const fresh = (): { master: Uint8Array } => {
    const server = testServer12(script);
    const strangers = { ...sessions, store: { take: () => null, put: store.put.bind(store) } };
    shakeHands12(testClient({ ...fallback, sessions: strangers }), server);
    return { master: server.master };
  };
  t.is(shake({ ...script, resumes: fresh() }), 'connected, resumed');
  t.is(shake({ ...script, resumes: fresh(), version: 'TLSv1.1' }), 'UnofferedResumption');
  t.is(shake({ ...script, resumes: fresh(), suite: 0x0035 }), 'UnofferedResumption');
  const resumes = fresh();
  // the store has it still, for those with fallback alone
  t.is(shake({ sessionId: id }, {}), 'connected');
  t.is(shake({ ...script, resumes }), 'connected, resumed');
});

test('triple handshake: no session without extended master secret is kept, in any version', (t) => {
  for (const version of ['TLSv1', 'TLSv1.2'] as const) {
    const store = new MemorySessionStore();
    const options = { ...fallback, sessions: { store, port: 1, policy: 'x' } };
    const script = { ...RSA, suite: RSA_SHA, version, sessionId: new Uint8Array(32).fill(1) };
    for (const extendedMasterSecret of [false, true]) {
      const client = testClient(options);
      let kept = 0;
      const counting = { ...options.sessions, store: { take: () => null, put: () => void kept++ } };
      shakeHands12(
        testClient({ ...options, sessions: counting }),
        testServer12({ ...script, extendedMasterSecret }),
      );
      t.is(kept, extendedMasterSecret ? 1 : 0);
      t.is(client.state, 'handshaking');
    }
  }
});
