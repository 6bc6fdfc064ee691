import { bytesToHex, concatBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { AlertDescription } from './alerts.ts';
import {
  type CertificateVerifier,
  MemorySessionStore,
  type SessionUse,
  type TlsClient,
  type TlsSession,
} from './client.ts';
import { NamedGroup } from './keys/groups.ts';
import { KeySchedule } from './keys/key-schedule.ts';
import { cipherSuiteOf } from './keys/suites.ts';
import { isFresh, MAX_SESSION_KEYS, MAX_SESSIONS_PER_KEY, sessionKey } from './session.ts';
import { TEST_TIME } from './testing/certificates.ts';
import {
  shakeHands,
  testCertificate,
  testClient,
  testServer,
  testServer12,
} from './testing/client-under-test.ts';
import { failureOf, poke, replacing, replacing12 } from './testing/hostile-server.ts';
import { clientHelloOf, type ServerScript, serverHello, u16 } from './testing/scripted-server.ts';
import type { ServerScript12 } from './testing/scripted-server12.ts';
import { ExtensionType, HandshakeType } from './wire/codes.ts';

const Alert = AlertDescription;
const NONE = new Uint8Array(0);

function use(store = new MemorySessionStore()): SessionUse & { readonly store: MemorySessionStore } {
  return { store, port: 443, policy: 'test' };
}

const KEY = sessionKey('server.test', use(), [], '');

function session(over: Partial<TlsSession> = {}): TlsSession {
  return {
    version: 'TLSv1.3',
    cipherSuite: 0x1301,
    secret: new Uint8Array(32).fill(7),
    ticket: Uint8Array.of(1, 2, 3),
    sessionId: NONE,
    ageAdd: 0xffffff00,
    receivedUnixTimeMs: TEST_TIME - 1000,
    lifetimeSeconds: 7200,
    maxEarlyDataBytes: 0,
    alpn: null,
    ocspResponse: null,
    signedCertificateTimestamps: null,
    chain: [testCertificate().der],
    ...over,
  };
}

function session12(over: Partial<TlsSession> = {}): TlsSession {
  const secret = new Uint8Array(48).fill(8);
  return session({ version: 'TLSv1.2', cipherSuite: 0xc02b, secret, ageAdd: 0, ...over });
}

function withSession(stored: TlsSession, options: Parameters<typeof testClient>[0] = {}): TlsClient {
  const sessions = use();
  sessions.store.put(KEY, stored);
  return testClient({ sessions, ...options });
}

// --- the store ---

test('a session is given once, the newest first, and only so many are kept', (t) => {
  const store = new MemorySessionStore();
  const all = Array.from({ length: MAX_SESSIONS_PER_KEY + 2 }, (_, i) =>
    session({ ageAdd: i, secret: Uint8Array.of(i + 1) }),
  );
  for (const each of all) store.put('a', each);
  t.is(store.evicted, 2);
  t.deepEqual(all[0]!.secret, Uint8Array.of(0));
  for (let i = all.length - 1; i >= 2; i--) t.is(store.take('a'), all[i]!);
  t.is(store.take('a'), null);
  t.is(store.take('b'), null);
});

test('the key that was not written for the longest time is forgotten', (t) => {
  const store = new MemorySessionStore();
  for (let i = 0; i < MAX_SESSION_KEYS; i++) store.put(`${i}`, session());
  store.put('0', session());
  store.put('new', session());
  t.is(store.evicted, 1);
  t.is(store.take('1'), null);
  t.not(store.take('0'), null);
});

test('sessions of another host, port, policy, protocol or client are never met', (t) => {
  const base = { store: new MemorySessionStore(), port: 443, policy: 'a' };
  const keys = [
    sessionKey('x.test', base, [], ''),
    sessionKey('y.test', base, [], ''),
    sessionKey('x.test', { ...base, port: 444 }, [], ''),
    sessionKey('x.test', { ...base, policy: 'b' }, [], ''),
    sessionKey('x.test', base, ['h2'], ''),
    sessionKey('x.test', base, [], 'me'),
  ];
  t.is(new Set(keys).size, keys.length);
  t.is(sessionKey('X.test', base, [], ''), keys[0]!);
});

test('a session is fresh from its reception to its end', (t) => {
  const lifetime = 7200_000;
  const received = session().receivedUnixTimeMs;
  t.true(isFresh(session(), received));
  t.true(isFresh(session(), received + lifetime - 1));
  t.false(isFresh(session(), received + lifetime));
  t.false(isFresh(session(), received - 1));
});

// --- TLS 1.3 ---

function helloOf(client: TlsClient): ReturnType<typeof clientHelloOf> {
  client.start();
  return clientHelloOf(client.takeOutgoing()!);
}

test('TLS 1.3: the PSK stands last, with its age and its binder', (t) => {
  const { message, extensions } = helloOf(withSession(session()));
  t.is([...extensions.keys()].at(-1), ExtensionType.PreSharedKey);
  const content = extensions.get(ExtensionType.PreSharedKey)!;
  // 1000 ms + 0xffffff00 wraps
  const identity = Uint8Array.of(0, 3, 1, 2, 3, 0, 0, 2, 0xe8);
  t.deepEqual(content.slice(0, 13), concatBytes(u16(9), identity, u16(33)).slice(0, 13));
  const suite = cipherSuiteOf(0x1301)!;
  const binder = new KeySchedule(suite, session().secret).binder(suite.hash(message.subarray(0, -35)));
  t.is(bytesToHex(content.slice(-32)), bytesToHex(binder));
});

for (const [name, stored, options] of [
  ['too old', session({ receivedUnixTimeMs: TEST_TIME - 7200_000 }), {}],
  ['of the future', session({ receivedUnixTimeMs: TEST_TIME + 1 }), {}],
  ['of an unknown suite', session({ cipherSuite: 0x1305 }), {}],
  ['of a version above the policy', session(), { maxVersion: 'TLSv1.2' }],
  ['of a version below the policy', session12(), { minVersion: 'TLSv1.3' }],
] as const) {
  test(`a session ${name} is not offered, and not kept`, (t) => {
    const sessions = use();
    sessions.store.put(KEY, stored);
    const { extensions } = helloOf(testClient({ sessions, ...options }));
    t.false(extensions.has(ExtensionType.PreSharedKey));
    t.is(extensions.get(ExtensionType.SessionTicket)?.length ?? 0, 0);
    t.is(sessions.store.take(KEY), null);
  });
}

test('TLS 1.3: a resumed handshake has no certificate messages, and tells of the old ones', (t) => {
  const client = withSession(session());
  shakeHands(client, testServer({ resumes: session().secret }));
  t.is(client.state, 'connected');
  t.like(client.info, { isResumed: true, group: 'X25519', certificate: { status: 1 } });
  t.deepEqual(client.info.peerCertificates, [testCertificate().der]);
});

test('TLS 1.3: a server that does not resume gets a full handshake', (t) => {
  const client = withSession(session());
  shakeHands(client, testServer());
  t.is(client.state, 'connected');
  t.false(client.info.isResumed);
});

test('TLS 1.3: a suite with the same hash may resume, another one may not', (t) => {
  const resumes = session().secret;
  t.deepEqual(failureOf({ resumes, suite: 0x1303 }, withSession(session())), ['connected', -1]);
  const other = ['UnofferedResumption', Alert.IllegalParameter];
  t.deepEqual(failureOf({ resumes, suite: 0x1302 }, withSession(session())), other);
});

test('TLS 1.3: resumption that was not offered, of a wrong identity, or without a key share', (t) => {
  const resumes = session().secret;
  t.deepEqual(failureOf({ resumes }), ['UnsolicitedExtension', Alert.UnsupportedExtension]);
  const identity = replacing('server_hello', (m) => poke(m, -1, 1));
  t.deepEqual(failureOf({ resumes, ...identity }, withSession(session())), [
    'UnofferedResumption',
    Alert.IllegalParameter,
  ]);
  const bare = replacing('server_hello', (m) =>
    serverHello(new Uint8Array(32), m.subarray(39, 71), 0x1301, [
      [ExtensionType.SupportedVersions, Uint8Array.of(3, 4)],
      [ExtensionType.PreSharedKey, u16(0)],
    ]),
  );
  t.deepEqual(failureOf({ resumes, ...bare }, withSession(session())), [
    'MissingExtension',
    Alert.MissingExtension,
  ]);
});

test('TLS 1.3: a wrong PSK does not connect', (t) => {
  t.deepEqual(failureOf({ resumes: new Uint8Array(32) }, withSession(session())), [
    'BadRecordMac',
    Alert.BadRecordMac,
  ]);
});

test('TLS 1.3: a server that resumes sends no certificate', (t) => {
  for (const type of [
    HandshakeType.Certificate,
    HandshakeType.CertificateRequest,
    HandshakeType.CertificateVerify,
  ]) {
    const wrong = replacing('finished', () => Uint8Array.of(type, 0, 0, 0));
    t.deepEqual(failureOf({ resumes: session().secret, ...wrong }, withSession(session())), [
      'UnexpectedMessage',
      Alert.UnexpectedMessage,
    ]);
  }
});

/** Accepts so many times, then nothing more. */
function acceptingFirst(times: number): {
  readonly asked: unknown[];
  readonly verifier: CertificateVerifier;
} {
  const asked: unknown[] = [];
  const verifier: CertificateVerifier = {
    verify: (chain, name, time) => {
      asked.push([chain, name, time]);
      const accepted = asked.length <= times;
      return { accepted, status: 3, reason: 'it is too old now', alert: Alert.CertificateExpired };
    },
  };
  return { asked, verifier };
}

const QUESTION = [[testCertificate().der], 'server.test', TEST_TIME];

for (const [version, stored] of [
  ['TLS 1.3', session()],
  ['TLS 1.2', session12()],
] as const) {
  test(`${version}: a session whose certificates are not accepted any more is not offered`, (t) => {
    const { asked, verifier } = acceptingFirst(0);
    const { sessionId, extensions } = helloOf(withSession(stored, { verifier, maxVersion: stored.version }));
    t.deepEqual(asked, [QUESTION]);
    t.false(extensions.has(ExtensionType.PreSharedKey));
    t.is(extensions.get(ExtensionType.SessionTicket)?.length ?? 0, 0);
    t.is(sessionId.length, version === 'TLS 1.3' ? 32 : 0);
  });
}

test('TLS 1.3: the verifier is asked again when the session is resumed', (t) => {
  const { asked, verifier } = acceptingFirst(1);
  const client = withSession(session(), { verifier });
  t.deepEqual(failureOf({ resumes: session().secret }, client), ['Rejected', Alert.CertificateExpired]);
  t.deepEqual(asked, [QUESTION, QUESTION]);
  t.false(client.info.isResumed);
});

test('TLS 1.3: early data goes with the protocol of its session', (t) => {
  const stored = session({ alpn: 'h2', maxEarlyDataBytes: 100 });
  const early = (alpn: readonly string[]): TlsClient => {
    const sessions = use();
    sessions.store.put(sessionKey('server.test', sessions, alpn, ''), stored);
    return testClient({ sessions, alpn, earlyData: true });
  };
  const selecting = (name: string): Partial<ServerScript> => ({
    resumes: stored.secret,
    extensions: [
      [
        ExtensionType.ApplicationLayerProtocolNegotiation,
        concatBytes(u16(3), Uint8Array.of(2), Buffer.from(name)),
      ],
      [ExtensionType.EarlyData, NONE],
    ],
  });
  t.false(helloOf(early(['h3'])).extensions.has(ExtensionType.EarlyData), 'not among those of now');
  t.true(helloOf(early(['h3', 'h2'])).extensions.has(ExtensionType.EarlyData));
  const refused = ['UnofferedEarlyData', Alert.IllegalParameter];
  t.deepEqual(failureOf(selecting('h3'), early(['h3', 'h2'])), refused);
  t.deepEqual(failureOf(selecting('h2'), early(['h3', 'h2'])), ['connected', -1]);
  // RFC 8446 §4.2.10: without a protocol it is another one, too
  const [, earlyOnly] = selecting('h2').extensions ?? [];
  t.deepEqual(failureOf({ resumes: stored.secret, extensions: [earlyOnly!] }, early(['h2'])), refused);
});

for (const [suite, kept] of [
  [0x1301, true],
  [0x1302, false],
] as const) {
  test(`TLS 1.3: after a HelloRetryRequest with suite ${suite.toString(16)} the PSK is ${kept ? 'bound again' : 'left out'}`, (t) => {
    const client = withSession(session());
    client.start();
    const first = client.takeOutgoing()!;
    const server = testServer({
      suite,
      group: NamedGroup.Secp256r1,
      ...(kept ? { resumes: session().secret } : {}),
    });
    const retry = server.retry(first, [
      [ExtensionType.SupportedVersions, Uint8Array.of(3, 4)],
      [ExtensionType.KeyShare, u16(NamedGroup.Secp256r1)],
    ]);
    client.receive(retry, 0, retry.length);
    const second = client.takeOutgoing()!;
    const [before, after] = [clientHelloOf(first), clientHelloOf(second)];
    t.is(after.extensions.has(ExtensionType.PreSharedKey), kept);
    const binder = (hello: typeof after): Uint8Array | undefined =>
      hello.extensions.get(ExtensionType.PreSharedKey)?.slice(-32);
    t.notDeepEqual(binder(after), binder(before));
    const flight = server.answer(second);
    client.receive(flight, 0, flight.length);
    t.is(client.state, 'connected');
    t.is(client.info.isResumed, kept);
  });
}

// --- TLS 1.2 ---

/** A resumed handshake of TLS 1.2: the server echoes the session id. */
function resume12(
  client: TlsClient,
  script: Partial<ServerScript12> = {},
): { member: string; alert: number; server: ReturnType<typeof testServer12> } {
  client.start();
  const hello = client.takeOutgoing()!;
  const { sessionId } = clientHelloOf(hello);
  const server = testServer12({ sessionId, resumes: { master: session12().secret }, ...script });
  const flight = server.answer(hello);
  client.receive(flight, 0, flight.length);
  if (client.state === 'connected') server.checkClientFinished(client.takeOutgoing()!);
  return { member: client.error?.member ?? client.state, alert: client.error?.alert ?? -1, server };
}

test('TLS 1.2: tickets are asked for only with a store', (t) => {
  t.false(helloOf(testClient()).extensions.has(ExtensionType.SessionTicket));
  t.is(helloOf(testClient({ sessions: use() })).extensions.get(ExtensionType.SessionTicket)?.length, 0);
});

for (const [name, stored] of [
  ['ticket', session12()],
  ['session id', session12({ ticket: NONE, sessionId: new Uint8Array(20).fill(3) })],
] as const) {
  test(`TLS 1.2: a session with a ${name} is offered and resumed, and kept for another time`, (t) => {
    const sessions = use();
    sessions.store.put(KEY, stored);
    const client = testClient({ sessions });
    t.like(resume12(client), { member: 'connected' });
    t.like(client.info, { version: 'TLSv1.2', isResumed: true, certificate: { status: 1 } });
    t.deepEqual(client.info.peerCertificates, [testCertificate().der]);
    t.is(sessions.store.take(KEY), stored);
  });
}

test('TLS 1.2: the hello carries the ticket, or the id', (t) => {
  const ticket = helloOf(withSession(session12(), { maxVersion: 'TLSv1.2' }));
  t.deepEqual(ticket.extensions.get(ExtensionType.SessionTicket), Uint8Array.of(1, 2, 3));
  t.is(ticket.sessionId.length, 32);
  const sessionId = new Uint8Array(20).fill(3);
  t.deepEqual(helloOf(withSession(session12({ ticket: NONE, sessionId }))).sessionId, sessionId);
});

test('TLS 1.2: a server that does not resume gets a full handshake, and leaves a new session', (t) => {
  const sessions = use();
  sessions.store.put(KEY, session12());
  const client = testClient({ sessions });
  client.start();
  const server = testServer12({
    ticket: Uint8Array.of(9, 9),
    extensions: [[ExtensionType.SessionTicket, NONE]],
  });
  let flight = server.answer(client.takeOutgoing()!);
  client.receive(flight, 0, flight.length);
  flight = server.finish(client.takeOutgoing()!);
  client.receive(flight, 0, flight.length);
  t.is(client.state, 'connected');
  t.false(client.info.isResumed);
  const kept = sessions.store.take(KEY);
  t.like(kept, {
    version: 'TLSv1.2',
    cipherSuite: 0xc02b,
    lifetimeSeconds: 7200,
    receivedUnixTimeMs: TEST_TIME,
  });
  t.deepEqual(kept?.ticket, Uint8Array.of(9, 9));
  t.deepEqual(kept?.secret, server.master);
});

test('TLS 1.2: a resumed session may get a new ticket', (t) => {
  const sessions = use();
  sessions.store.put(KEY, session12());
  const script = { ticket: Uint8Array.of(4), extensions: [[ExtensionType.SessionTicket, NONE]] } as const;
  t.like(resume12(testClient({ sessions }), script), { member: 'connected' });
  t.deepEqual(sessions.store.take(KEY)?.ticket, Uint8Array.of(4));
});

test('TLS 1.2: without extended master secret nothing is kept, and nothing resumed', (t) => {
  const sessions = use();
  const client = testClient({ sessions });
  client.start();
  const server = testServer12({
    extendedMasterSecret: false,
    ticket: Uint8Array.of(9),
    extensions: [[ExtensionType.SessionTicket, NONE]],
  });
  let flight = server.answer(client.takeOutgoing()!);
  client.receive(flight, 0, flight.length);
  flight = server.finish(client.takeOutgoing()!);
  client.receive(flight, 0, flight.length);
  t.is(client.state, 'connected');
  t.is(sessions.store.take(KEY), null);
  t.like(resume12(withSession(session12()), { extendedMasterSecret: false }), {
    member: 'MasterSecretNotExtended',
    alert: Alert.HandshakeFailure,
  });
});

test('TLS 1.2: another suite, or a session of TLS 1.3, is not resumed', (t) => {
  const refused = { member: 'UnofferedResumption', alert: Alert.IllegalParameter };
  t.like(resume12(withSession(session12()), { suite: 0xcca9 }), refused);
  t.like(resume12(withSession(session())), refused);
});

test('TLS 1.2: a promised ticket must come; a wrong Finished does not resume', (t) => {
  const extensions = [[ExtensionType.SessionTicket, NONE]] as const;
  t.like(resume12(withSession(session12()), { extensions }), {
    member: 'UnexpectedChangeCipherSpec',
    alert: Alert.UnexpectedMessage,
  });
  const wrong = replacing12('finished', (m) => poke(m, -1, m.at(-1)! ^ 1));
  t.like(resume12(withSession(session12()), wrong), { member: 'BadFinished', alert: Alert.DecryptError });
  const certificate = replacing12('new_session_ticket', () => Uint8Array.of(11, 0, 0, 0));
  t.like(resume12(withSession(session12()), { extensions, ticket: NONE, ...certificate }), {
    member: 'UnexpectedMessage',
    alert: Alert.UnexpectedMessage,
  });
  const long = replacing12('new_session_ticket', () => Uint8Array.of(4, 0, 0, 7, 0, 0, 0, 1, 0, 0, 5));
  t.like(resume12(withSession(session12()), { extensions, ticket: NONE, ...long }), {
    member: 'TrailingData',
    alert: Alert.DecodeError,
  });
});

test('TLS 1.2: in place of a promised ticket every other message → unexpected_message', (t) => {
  const extensions = [[ExtensionType.SessionTicket, NONE]] as const;
  for (let type = 0; type < 256; type++) {
    if (type === HandshakeType.NewSessionTicket) continue;
    const other = replacing12('new_session_ticket', () => Uint8Array.of(type, 0, 0, 6, 0, 0, 0, 1, 0, 0));
    const { member } = resume12(withSession(session12()), { extensions, ticket: NONE, ...other });
    if (member !== 'UnexpectedMessage') t.fail(`type ${type}: ${member}`);
  }
  t.pass();
});

test('TLS 1.2: a ticket truncated at every byte is refused', (t) => {
  const extensions = [[ExtensionType.SessionTicket, NONE]] as const;
  for (let cut = 0; cut < 9; cut++) {
    const body = Uint8Array.of(0, 0, 0, 1, 0, 3, 7, 7, 7).subarray(0, cut);
    const short = replacing12('new_session_ticket', () => Uint8Array.of(4, 0, 0, cut, ...body));
    t.like(resume12(withSession(session12()), { extensions, ticket: NONE, ...short }), {
      member: 'MessageTooShort',
      alert: Alert.DecodeError,
    });
  }
});
