/**
 * Every message of a server, with all extensions it may have: cut at each byte, with a byte too many, with each of its lengths wrong, with
 * each extension twice, and in records that are split at each byte.
 */
import { deflateSync } from 'node:zlib';
import { concatBytes } from '@noble/hashes/utils.js';
import test, { type ExecutionContext } from 'ava';
import { Slab } from '../stack/wire/slab.ts';
import { AlertDescription } from './alerts.ts';
import { type TlsClient, type TlsClientOptions, TRAFFIC_STATE_BYTES } from './client.ts';
import { NamedGroup } from './keys/groups.ts';
import { issue } from './testing/certificates.ts';
import {
  shakeHands,
  shakeHands12,
  testCertificate,
  testClient,
  testServer,
  testServer12,
} from './testing/client-under-test.ts';
import { echConfig, echConfigList } from './testing/ech-server.ts';
import { relength } from './testing/hostile-server.ts';
import { type FlightPart, plainRecords, type ServerScript, u16 } from './testing/scripted-server.ts';
import type { FlightPart12, ServerScript12 } from './testing/scripted-server12.ts';
import { failure, seal } from './testing/sealed-records.ts';
import {
  appended,
  extensions,
  type Field,
  type Length,
  lengthsOf,
  lengthValue,
  list,
  vec8,
  vec16,
  vec24,
  withLength,
} from './testing/shapes.ts';
import { STORED_PSK, storedSession } from './testing/stored-session.ts';
import { TrafficOpener } from './traffic/opener.ts';
import { TrafficSealer } from './traffic/sealer.ts';
import { ContentType, ExtensionType, HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const Alert = AlertDescription;
const Ext = ExtensionType;
const NONE = new Uint8Array(0);
const rsa = issue({ subject: 'server.test', key: 'rsa2048' });
const RSA = { chain: [rsa.der], privateKey: rsa.privateKey };
const PSS = { scheme: 0x0804, hash: 'sha256', pss: true } as const;

/** Member of the error and alert; `'connected'` or `'none'`, and -1. */
type Outcome = readonly [string, number];

/** A message, and what becomes of a client that gets another one in its place. */
interface Subject {
  readonly shape: readonly Field[];
  /** The true message. */
  readonly message: () => Uint8Array;
  readonly judge: (message: Uint8Array) => Outcome;
  /** Lengths at which the message is a whole one. */
  readonly wholeAt?: readonly number[];
  /** RFC 8446 §4.3.2, §4.6.1: extensions that nobody knows are no error. */
  readonly ignoresUnknown?: boolean;
}

const outcome = (client: TlsClient): Outcome => [
  client.error?.member ?? client.state,
  client.error?.alert ?? -1,
];

function subject13(
  part: FlightPart,
  shape: readonly Field[],
  script: Partial<ServerScript> = {},
  options: () => Partial<TlsClientOptions> = () => ({}),
  prepare: (message: Uint8Array) => Uint8Array = (message) => message,
): Subject {
  const run = (edit: (message: Uint8Array) => Uint8Array): Outcome => {
    const client = testClient(options());
    const server = testServer({
      ...script,
      edit: (each, message) => (each === part ? edit(prepare(message)) : message),
    });
    const sent = shakeHands(client, server);
    if (client.error !== null && sent === null) throw new Error('no alert was sent');
    return outcome(client);
  };
  return { shape, message: () => captured(run), judge: (message) => run(() => message) };
}

function captured(run: (edit: (message: Uint8Array) => Uint8Array) => Outcome): Uint8Array {
  let seen = NONE;
  const result = run((message) => {
    seen = message.slice();
    return message;
  });
  if (result[0] !== 'connected') throw new Error(`the whole message: ${result[0]}`);
  return seen;
}

function subject12(
  part: FlightPart12,
  shape: readonly Field[],
  script: Partial<ServerScript12> = {},
  options: () => Partial<TlsClientOptions> = () => ({}),
): Subject {
  const run = (edit: (message: Uint8Array) => Uint8Array): Outcome => {
    const client = testClient(options());
    const server = testServer12({
      ...script,
      edit: (each, message) => (each === part ? edit(message) : message),
    });
    try {
      shakeHands12(client, server);
    } catch (error) {
      // the server finds what the client could not: a master secret that is extended on one side only
      if (!(error instanceof Error)) throw error;
      return ['the server has refused', Alert.DecryptError];
    }
    return outcome(client);
  };
  return { shape, message: () => captured(run), judge: (message) => run(() => message) };
}

/** A message after the handshake. */
function later(shape: readonly Field[], message: Uint8Array): Subject {
  const judge = (changed: Uint8Array): Outcome => {
    const client = testClient();
    const server = testServer();
    shakeHands(client, server);
    const state = Slab.alloc(TRAFFIC_STATE_BYTES);
    client.exportTraffic(state, 0);
    const opener = new TrafficOpener(state, 0);
    opener.onTicket = (): void => {};
    return failure(opener, seal(new TrafficSealer(server.traffic(), 0), ContentType.Handshake, changed));
  };
  return { shape, message: () => message, judge };
}

const sizes = (...bytes: readonly number[]): Uint8Array => Uint8Array.from(bytes);
const { der } = testCertificate();

/** Entries with a status and timestamps. */
function certificateEntries(): Uint8Array {
  const status = concatBytes(sizes(1, 0, 0, 3), sizes(7, 7, 7));
  const timestamps = sizes(0, 5, 0, 3, 9, 9, 9);
  const block = concatBytes(
    ...[u16(Ext.StatusRequest), u16(status.length), status],
    ...[u16(Ext.SignedCertificateTimestamp), u16(timestamps.length), timestamps],
  );
  const entry = concatBytes(sizes(0), u16(der.length), der, u16(block.length), block);
  return handshakeMessage(HandshakeType.Certificate, concatBytes(sizes(0, 0), u16(entry.length), entry));
}

const certificateShape = [
  vec8,
  list(
    3,
    vec24,
    extensions({
      [Ext.StatusRequest]: [1, vec24],
      [Ext.SignedCertificateTimestamp]: [list(2, vec16)],
    }),
  ),
];
const asksForEvidence = (): Partial<TlsClientOptions> => ({ signedCertificateTimestamps: true });
const RETRY_CONFIGS = echConfigList(
  echConfig({ publicName: 'public.test', publicKey: new Uint8Array(32).fill(9) }),
);

/** A HelloRetryRequest with a cookie. */
const retry: Subject = (() => {
  const run = (edit: (message: Uint8Array) => Uint8Array): Outcome => {
    const client = testClient();
    client.start();
    const server = testServer({ group: NamedGroup.Secp256r1 });
    const request = server.retry(client.takeOutgoing()!, [
      [Ext.SupportedVersions, sizes(3, 4)],
      [Ext.KeyShare, u16(NamedGroup.Secp256r1)],
      [Ext.Cookie, sizes(0, 3, 1, 2, 3)],
    ]);
    const records = plainRecords(edit(request.slice(5)), 16384);
    client.receive(records, 0, records.length);
    if (client.error !== null) return outcome(client);
    const flight = server.answer(client.takeOutgoing()!);
    client.receive(flight, 0, flight.length);
    return outcome(client);
  };
  return {
    shape: [
      34,
      vec8,
      3,
      extensions({ [Ext.SupportedVersions]: [2], [Ext.KeyShare]: [2], [Ext.Cookie]: [vec16] }),
    ],
    message: () => captured(run),
    judge: (message) => run(() => message),
    // without extensions it is a ServerHello of TLS 1.2
    wholeAt: [74],
  };
})();

const serverHelloShape12 = [
  34,
  vec8,
  3,
  extensions({
    [Ext.ApplicationLayerProtocolNegotiation]: [list(2, vec8)],
    [Ext.SignedCertificateTimestamp]: [list(2, vec16)],
    [Ext.RecordSizeLimit]: [2],
    [Ext.EcPointFormats]: [vec8],
    [Ext.RenegotiationInfo]: [vec8],
  }),
];

const SUBJECTS: Readonly<Record<string, Subject>> = {
  'ServerHello of TLS 1.3': {
    ...subject13(
      'server_hello',
      [
        34,
        vec8,
        3,
        extensions({ [Ext.SupportedVersions]: [2], [Ext.KeyShare]: [2, vec16], [Ext.PreSharedKey]: [2] }),
      ],
      { resumes: STORED_PSK },
      () => ({ sessions: storedSession() }),
    ),
    wholeAt: [74],
  },
  HelloRetryRequest: retry,
  EncryptedExtensions: subject13(
    'encrypted_extensions',
    [
      extensions({
        [Ext.ApplicationLayerProtocolNegotiation]: [list(2, vec8)],
        [Ext.RecordSizeLimit]: [2],
        [Ext.SupportedGroups]: [list(2, 2)],
        [Ext.ServerName]: [],
      }),
    ],
    {
      extensions: [
        [Ext.ServerName, NONE],
        [Ext.SupportedGroups, sizes(0, 4, 0, 29, 0, 23)],
        [Ext.ApplicationLayerProtocolNegotiation, sizes(0, 3, 2, 104, 50)],
        [Ext.RecordSizeLimit, u16(1000)],
        [Ext.EncryptedClientHello, RETRY_CONFIGS],
      ],
    },
    () => ({ alpn: ['h2'], recordSizeLimit: true, ech: 'grease' }),
  ),
  'EncryptedExtensions with early data': subject13(
    'encrypted_extensions',
    [extensions({ [Ext.EarlyData]: [] })],
    { resumes: STORED_PSK, extensions: [[Ext.EarlyData, NONE]] },
    () => ({ sessions: storedSession({ maxEarlyDataBytes: 9 }), earlyData: true }),
  ),
  'CertificateRequest of TLS 1.3': {
    ...subject13(
      'certificate_request',
      [
        vec8,
        extensions({
          [Ext.SignatureAlgorithms]: [list(2, 2)],
          [Ext.CertificateAuthorities]: [list(2, vec16)],
        }),
      ],
      { requestsCertificate: true },
      () => ({}),
      () =>
        handshakeMessage(
          HandshakeType.CertificateRequest,
          concatBytes(
            sizes(0, 0, 19),
            ...[u16(Ext.SignatureAlgorithms), sizes(0, 6, 0, 4, 4, 3, 8, 4)],
            ...[u16(Ext.CertificateAuthorities), sizes(0, 5, 0, 3, 0, 1, 0x30)],
          ),
        ),
    ),
    ignoresUnknown: true,
  },
  'Certificate of TLS 1.3': subject13(
    'certificate',
    certificateShape,
    {},
    asksForEvidence,
    certificateEntries,
  ),
  CompressedCertificate: subject13(
    'certificate',
    [5, vec24],
    {},
    () => ({ certificateCompression: ['zlib'] }),
    (message) => {
      const body = message.slice(4);
      const packed = deflateSync(body);
      const length = sizes(0, body.length >> 8, body.length);
      const packedLength = sizes(0, packed.length >> 8, packed.length);
      const content = concatBytes(u16(1), length, packedLength, packed);
      return handshakeMessage(HandshakeType.CompressedCertificate, content);
    },
  ),
  'CertificateVerify of TLS 1.3': subject13('certificate_verify', [2, vec16]),
  'NewSessionTicket of TLS 1.3': {
    ...later(
      [8, vec8, vec16, extensions({ [Ext.EarlyData]: [4] })],
      handshakeMessage(
        HandshakeType.NewSessionTicket,
        concatBytes(
          sizes(0, 0, 9, 9, 1, 2, 3, 4),
          sizes(1, 5),
          sizes(0, 2, 6, 6),
          sizes(0, 8, 0, 42, 0, 4, 0, 0, 1, 0),
        ),
      ),
    ),
    ignoresUnknown: true,
  },
  KeyUpdate: later([1], sizes(24, 0, 0, 1, 0)),
  'ServerHello of TLS 1.2': {
    ...subject12(
      'server_hello',
      serverHelloShape12,
      {
        sessionId: new Uint8Array(5).fill(8),
        extensions: [
          [Ext.ServerName, NONE],
          [Ext.StatusRequest, NONE],
          [Ext.ApplicationLayerProtocolNegotiation, sizes(0, 3, 2, 104, 50)],
          [Ext.RecordSizeLimit, u16(1000)],
          [Ext.EcPointFormats, sizes(1, 0)],
          [Ext.SignedCertificateTimestamp, sizes(0, 5, 0, 3, 9, 9, 9)],
        ],
      },
      () => ({ alpn: ['h2'], recordSizeLimit: true, signedCertificateTimestamps: true }),
    ),
    wholeAt: [4 + 34 + 6 + 3],
  },
  'Certificate of TLS 1.2': subject12('certificate', [list(3, vec24)]),
  'ServerKeyExchange, ECDHE': subject12('server_key_exchange', [3, vec8, 2, vec16]),
  'ServerKeyExchange, DHE': subject12(
    'server_key_exchange',
    [vec16, vec16, vec16, 2, vec16],
    { ...RSA, suite: 0x009e, signature: PSS },
    () => ({ fallback: true }),
  ),
  'ServerKeyExchange of TLS 1.0': subject12(
    'server_key_exchange',
    [3, vec8, vec16],
    { ...RSA, version: 'TLSv1', suite: 0xc013 },
    () => ({ fallback: true }),
  ),
  'CertificateRequest of TLS 1.2': subject12('certificate_request', [vec8, list(2, 2), list(2, vec16)], {
    requestsCertificate: true,
  }),
  'CertificateRequest of TLS 1.1': subject12(
    'certificate_request',
    [vec8, list(2, vec16)],
    { ...RSA, requestsCertificate: true, version: 'TLSv1.1', suite: 0xc013 },
    () => ({ fallback: true }),
  ),
  ServerHelloDone: subject12('server_hello_done', []),
  'NewSessionTicket of TLS 1.2': subject12(
    'new_session_ticket',
    [4, vec16],
    { ticket: sizes(1, 2, 3), extensions: [[Ext.SessionTicket, NONE]] },
    () => ({ sessions: storedSession({ version: 'TLSv1.2', cipherSuite: 0xc02b }) }),
  ),
};

/** CertificateStatus, which the scripted server does not send: in front of ServerKeyExchange. */
const statusOf12: Subject = (() => {
  const run = (edit: (message: Uint8Array) => Uint8Array): Outcome => {
    const client = testClient();
    client.start();
    const server = testServer12({
      extensions: [[Ext.StatusRequest, NONE]],
      edit: (part, message) => (part === 'server_hello' || part === 'certificate' ? message : null),
    });
    const status = edit(handshakeMessage(HandshakeType.CertificateStatus, sizes(1, 0, 0, 2, 5, 5)));
    const records = concatBytes(server.answer(client.takeOutgoing()!), plainRecords(status, 16384));
    client.receive(records, 0, records.length);
    return client.error === null ? ['connected', -1] : outcome(client);
  };
  return { shape: [1, vec24], message: () => captured(run), judge: (message) => run(() => message) };
})();

function failsToDecode(t: ExecutionContext, { judge }: Subject, message: Uint8Array, what: string): void {
  t.is(judge(message)[1], Alert.DecodeError, what);
}

for (const [name, subject] of Object.entries({ ...SUBJECTS, CertificateStatus: statusOf12 })) {
  const { shape, judge, wholeAt = [] } = subject;

  test(`${name} cut at each byte, and with bytes behind it → decode_error`, (t) => {
    const message = subject.message();
    for (let cut = 4; cut < message.length; cut++) {
      const [member, alert] = judge(relength(message.subarray(0, cut)));
      if (wholeAt.includes(cut)) t.not(member, 'connected');
      else t.is(alert, Alert.DecodeError, `cut at ${cut}: ${member}`);
    }
    for (const more of [sizes(0), sizes(0, 0), new Uint8Array(9)])
      failsToDecode(t, subject, relength(concatBytes(message, more)), `${more.length} bytes more`);
  });

  if (hasLengths(shape)) testLengths(name, subject);
  if (JSON.stringify(shape).includes('"extensions"')) testExtensions(name, subject);
}

function testLengths(name: string, subject: Subject): void {
  const { shape, judge } = subject;

  test(`${name}: each length wrong`, (t) => {
    const message = subject.message();
    for (const length of lengthsOf(message, shape)) {
      const value = lengthValue(message, length);
      const largest = 2 ** (8 * length.bytes) - 1;
      for (const wrong of new Set([value + 1, value - 1, 0, value * 2, largest])) {
        if (wrong === value || wrong < 0 || wrong > largest) continue;
        const what = `length ${value} at ${length.at} as ${wrong}`;
        const [member, alert] = judge(withLength(message, length, wrong));
        t.false(['connected', 'none'].includes(member), what);
        // what stands behind is read as something else, then, which may be wrong in another way before it ends
        t.true(alert !== Alert.InternalError && alert > 0, `${what}: ${member}`);
      }
      // nothing in the message could be as long
      failsToDecode(t, subject, withLength(message, length, largest), `the length at ${length.at}`);
    }
  });

  const known = new Set(knownTypes(shape));
  const isRead = ({ kind, type }: Length): boolean =>
    kind === 'list' || kind === 'extensions' || known.has(type);
  const readLengths = (message: Uint8Array): readonly Length[] => lengthsOf(message, shape).filter(isRead);
  if (readLengths(subject.message()).length === 0) return;

  test(`${name}: a byte too many in each list and extension → decode_error`, (t) => {
    const message = subject.message();
    for (const length of readLengths(message))
      failsToDecode(t, subject, appended(message, length, sizes(0)), `${length.kind} at ${length.at}`);
  });
}

function testExtensions(
  name: string,
  { shape, judge, message: make, ignoresUnknown = false }: Subject,
): void {
  test(`${name}: each extension twice → illegal_parameter, an unknown one → unsupported_extension`, (t) => {
    const message = make();
    const lengths = lengthsOf(message, shape);
    const block = lengths.find(({ kind }) => kind === 'extensions')!;
    for (const { at, end, type } of lengths.filter(({ kind }) => kind === 'extension')) {
      const again = appended(message, block, message.subarray(at - 2, end));
      t.deepEqual(judge(again), ['DuplicateExtension', Alert.IllegalParameter], `type ${type}`);
    }
    const unknown = appended(message, block, concatBytes(u16(0x5a5b), u16(1), sizes(1)));
    t.is(judge(unknown)[1], ignoresUnknown ? -1 : Alert.UnsupportedExtension);
  });
}

function hasLengths(shape: readonly Field[]): boolean {
  return shape.some((field) => typeof field !== 'number');
}

function knownTypes(shape: readonly Field[]): readonly number[] {
  return shape.flatMap((field) => {
    if (typeof field === 'number') return [];
    if ('extensions' in field) return Object.keys(field.extensions).map(Number);
    return knownTypes(field.of ?? []);
  });
}

// --- split at each byte ---

test('TLS 1.3: records split at each byte of the flight, and the stream at each byte', (t) => {
  const script: Partial<ServerScript> = { requestsCertificate: true };
  const whole = testClient();
  whole.start();
  const length = testServer(script).answer(whole.takeOutgoing()!).length;
  for (let size = 1; size < length; size++) {
    const client = testClient();
    shakeHands(client, testServer({ ...script, fragmentBytes: size }));
    if (client.state !== 'connected') t.fail(`records of ${size} bytes: ${client.error?.message}`);
  }
  for (let at = 1; at < length; at++) {
    const client = testClient();
    client.start();
    const flight = testServer(script).answer(client.takeOutgoing()!);
    const taken = client.receive(flight, 0, at);
    client.receive(flight, taken, flight.length - taken);
    if (client.state !== 'connected') t.fail(`cut at ${at}: ${client.error?.message}`);
  }
  t.pass();
});

for (const [name, script] of [
  ['TLS 1.2', {}],
  ['TLS 1.0', { ...RSA, version: 'TLSv1', suite: 0xc013 }],
] as const) {
  test(`${name}: records split at each byte of the flights, and the stream at each byte`, (t) => {
    const options: Partial<TlsClientOptions> = name === 'TLS 1.2' ? {} : { fallback: true };
    const whole = testClient(options);
    whole.start();
    const length = testServer12(script).answer(whole.takeOutgoing()!).length;
    for (let size = 1; size < length; size += size < 100 ? 1 : 13) {
      const client = testClient(options);
      shakeHands12(client, testServer12({ ...script, fragmentBytes: size }));
      if (client.state !== 'connected') t.fail(`records of ${size} bytes: ${client.error?.message}`);
    }
    for (let at = 1; at < length; at += 3) {
      const client = testClient(options);
      client.start();
      const server = testServer12(script);
      const feed = (flight: Uint8Array): void => {
        const taken = client.receive(flight, 0, Math.min(at, flight.length));
        client.receive(flight, taken, flight.length - taken);
      };
      feed(server.answer(client.takeOutgoing()!));
      feed(server.finish(client.takeOutgoing()!));
      if (client.state !== 'connected') t.fail(`cut at ${at}: ${client.error?.message}`);
    }
    t.pass();
  });
}
