/** TLS 1.3: every state of a handshake meets every message, every kind of record and every kind of alert. */
import { concatBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { Slab } from '../stack/wire/slab.ts';
import { AlertDescription } from './alerts.ts';
import { type TlsClient, type TlsClientOptions, TRAFFIC_STATE_BYTES } from './client.ts';
import { TlsError } from './errors.ts';
import { NamedGroup } from './keys/groups.ts';
import { issue } from './testing/certificates.ts';
import { testClient, testServer } from './testing/client-under-test.ts';
import { echConfig, echConfigList } from './testing/ech-server.ts';
import {
  type FlightPart,
  plainRecord,
  type ScriptedServer,
  type ServerScript,
  u16,
} from './testing/scripted-server.ts';
import { STORED_PSK, storedSession } from './testing/stored-session.ts';
import { TrafficOpener } from './traffic/opener.ts';
import { TrafficSealer } from './traffic/sealer.ts';
import { ContentType, ExtensionType, HandshakeType } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const Alert = AlertDescription;
const { ApplicationData, ChangeCipherSpec, Handshake } = ContentType;
const NONE = new Uint8Array(0);
const own = issue({ subject: 'own' });

/** A client in some state, and how records reach it there. */
interface Place {
  readonly client: TlsClient;
  /** A record as the server would send it in this state. */
  record(type: number, content: Uint8Array): Uint8Array;
}

/** How a state is reached. */
interface Way {
  readonly options?: Partial<TlsClientOptions>;
  readonly script?: Partial<ServerScript>;
  /** What the server has sent before; null: nothing at all. */
  readonly before: readonly FlightPart[] | null;
  /** A HelloRetryRequest came first. */
  readonly isRetried?: boolean;
}

/** One PSK, with which early data may go. */
const resuming = (): Partial<TlsClientOptions> => ({ sessions: storedSession({ maxEarlyDataBytes: 100 }) });
const encrypting: Partial<TlsClientOptions> = {
  ech: echConfigList(echConfig({ publicName: 'public.test', publicKey: new Uint8Array(32).fill(9) })),
};
const credentials = { credentials: { chain: [own.der], key: own.privateKey } };
const resumed: Partial<ServerScript> = { resumes: STORED_PSK };
const takesEarly: Partial<ServerScript> = { ...resumed, extensions: [[ExtensionType.EarlyData, NONE]] };
const requests: Partial<ServerScript> = { requestsCertificate: true };

const { Certificate, CertificateRequest, CertificateVerify, CompressedCertificate } = HandshakeType;
const { EncryptedExtensions, Finished, ServerHello } = HandshakeType;

const STATES: Readonly<Record<string, readonly [legal: readonly number[], way: () => Way]>> = {
  'before ServerHello': [[ServerHello], () => ({ before: null })],
  'before ServerHello, early data sent': [
    [ServerHello],
    () => ({ options: { ...resuming(), earlyData: true }, before: null }),
  ],
  'after HelloRetryRequest': [[ServerHello], () => ({ before: null, isRetried: true })],
  'after HelloRetryRequest, early data rejected by it': [
    [ServerHello],
    () => ({ options: { ...resuming(), earlyData: true }, before: null, isRetried: true }),
  ],
  'before ServerHello, Encrypted ClientHello offered': [
    [ServerHello],
    () => ({ options: encrypting, before: null }),
  ],
  'after HelloRetryRequest, Encrypted ClientHello offered': [
    [ServerHello],
    () => ({ options: encrypting, before: null, isRetried: true }),
  ],
  'after ServerHello, Encrypted ClientHello rejected': [
    [EncryptedExtensions],
    () => ({ options: encrypting, before: ['server_hello'] }),
  ],
  'after EncryptedExtensions, Encrypted ClientHello rejected': [
    [Certificate, CertificateRequest],
    () => ({ options: encrypting, before: ['server_hello', 'encrypted_extensions'] }),
  ],
  'after CertificateVerify, Encrypted ClientHello rejected': [
    [Finished],
    () => ({
      options: encrypting,
      before: ['server_hello', 'encrypted_extensions', 'certificate', 'certificate_verify'],
    }),
  ],
  'after ServerHello': [[EncryptedExtensions], () => ({ before: ['server_hello'] })],
  'after HelloRetryRequest and ServerHello': [
    [EncryptedExtensions],
    () => ({ before: ['server_hello'], isRetried: true }),
  ],
  'after ServerHello with a PSK': [
    [EncryptedExtensions],
    () => ({ options: resuming(), script: resumed, before: ['server_hello'] }),
  ],
  'after ServerHello with a PSK, early data sent': [
    [EncryptedExtensions],
    () => ({ options: { ...resuming(), earlyData: true }, script: resumed, before: ['server_hello'] }),
  ],
  'after EncryptedExtensions': [
    [Certificate, CertificateRequest],
    () => ({ before: ['server_hello', 'encrypted_extensions'] }),
  ],
  'after EncryptedExtensions, compression offered': [
    [Certificate, CertificateRequest, CompressedCertificate],
    () => ({
      options: { certificateCompression: ['zlib'] },
      before: ['server_hello', 'encrypted_extensions'],
    }),
  ],
  'after EncryptedExtensions, the PSK refused': [
    [Certificate, CertificateRequest],
    () => ({ options: resuming(), before: ['server_hello', 'encrypted_extensions'] }),
  ],
  'after EncryptedExtensions with a PSK': [
    [Finished],
    () => ({ options: resuming(), script: resumed, before: ['server_hello', 'encrypted_extensions'] }),
  ],
  'after EncryptedExtensions, early data taken': [
    [Finished],
    () => ({
      options: { ...resuming(), earlyData: true },
      script: takesEarly,
      before: ['server_hello', 'encrypted_extensions'],
    }),
  ],
  'after CertificateRequest, nothing to answer it with': [
    [Certificate],
    () => ({ script: requests, before: ['server_hello', 'encrypted_extensions', 'certificate_request'] }),
  ],
  'after CertificateRequest, with a certificate': [
    [Certificate],
    () => ({
      options: credentials,
      script: requests,
      before: ['server_hello', 'encrypted_extensions', 'certificate_request'],
    }),
  ],
  'after CertificateRequest, compression offered': [
    [Certificate, CompressedCertificate],
    () => ({
      options: { ...credentials, certificateCompression: ['zlib'] },
      script: requests,
      before: ['server_hello', 'encrypted_extensions', 'certificate_request'],
    }),
  ],
  'after Certificate': [
    [CertificateVerify],
    () => ({ before: ['server_hello', 'encrypted_extensions', 'certificate'] }),
  ],
  'after CertificateRequest and Certificate': [
    [CertificateVerify],
    () => ({
      options: credentials,
      script: requests,
      before: ['server_hello', 'encrypted_extensions', 'certificate_request', 'certificate'],
    }),
  ],
  'after CertificateVerify': [
    [Finished],
    () => ({ before: ['server_hello', 'encrypted_extensions', 'certificate', 'certificate_verify'] }),
  ],
  'after CertificateRequest and CertificateVerify': [
    [Finished],
    () => ({
      options: credentials,
      script: requests,
      before: [
        'server_hello',
        'encrypted_extensions',
        'certificate_request',
        'certificate',
        'certificate_verify',
      ],
    }),
  ],
};

function reach({ options = {}, script = {}, before, isRetried = false }: Way): Place {
  const client = testClient(options);
  client.start();
  const server = testServer({
    ...(isRetried ? { group: NamedGroup.Secp256r1 } : {}),
    ...script,
    edit: (part, message) => (before?.includes(part) ? message : null),
  });
  if (isRetried) {
    feed(
      client,
      server.retry(client.takeOutgoing()!, [
        [ExtensionType.SupportedVersions, Uint8Array.of(3, 4)],
        [ExtensionType.KeyShare, u16(NamedGroup.Secp256r1)],
      ]),
    );
  }
  const hello = client.takeOutgoing()!;
  if (before === null) return { client, record: plainRecord };
  feed(client, server.answer(hello));
  return { client, record: (type, content) => server.record(type, content) };
}

function feed(client: TlsClient, ...records: readonly Uint8Array[]): void {
  const stream = concatBytes(...records);
  client.receive(stream, 0, stream.length);
}

const outcome = (client: TlsClient): [string, number] => [
  client.error?.member ?? client.state,
  client.error?.alert ?? -1,
];

/** Every number that means something in some version, and some that do not. */
const TYPES: readonly number[] = [...Array.from({ length: 28 }, (_, type) => type), 67, 128, 203, 254, 255];

for (const [state, [legal, way]] of Object.entries(STATES)) {
  test(`${state}: every other message → unexpected_message`, (t) => {
    for (const type of TYPES) {
      const { client, record } = reach(way());
      t.is(client.state, 'handshaking', `type ${type}: ${client.error?.message}`);
      feed(client, record(Handshake, handshakeMessage(type, new Uint8Array(3))));
      const isLegal = legal.includes(type);
      t.is(client.error?.member === 'UnexpectedMessage', !isLegal, `type ${type}: ${client.error?.member}`);
      if (!isLegal) t.is(client.error?.alert, Alert.UnexpectedMessage);
    }
  });

  test(`${state}: every record that is no handshake's`, (t) => {
    const isPlain = way().before === null;
    const refused = (type: number, content: Uint8Array): [string, number] => {
      const { client, record } = reach(way());
      feed(client, record(type, content));
      return outcome(client);
    };
    const one = Uint8Array.of(1);
    t.deepEqual(refused(ApplicationData, one), ['UnexpectedApplicationData', Alert.UnexpectedMessage]);
    for (const type of [0, 19, 24, 25, 99, 255]) {
      t.deepEqual(refused(type, one), ['InvalidContentType', Alert.UnexpectedMessage], `type ${type}`);
    }
    t.deepEqual(refused(ChangeCipherSpec, Uint8Array.of(2)), [
      'UnexpectedChangeCipherSpec',
      Alert.UnexpectedMessage,
    ]);
    // RFC 8446 §5: dropped when it is not protected
    const { client } = reach(way());
    feed(client, plainRecord(ChangeCipherSpec, one));
    t.deepEqual(outcome(client), ['handshaking', -1]);
    if (!isPlain) {
      t.deepEqual(refused(ChangeCipherSpec, one), ['UnexpectedChangeCipherSpec', Alert.UnexpectedMessage]);
    }
  });

  test(`${state}: every alert`, (t) => {
    const isPlain = way().before === null;
    for (const description of Object.values(Alert)) {
      for (const level of [1, 2, 3]) {
        const { client, record } = reach(way());
        feed(client, record(ContentType.Alert, Uint8Array.of(level, description)));
        const [member, alert] = outcome(client);
        const what = `level ${level}, ${description}`;
        if (client.error === null) {
          // before the version is known warnings of TLS 1.2 may come; RFC 8446 §6: in TLS 1.3 the level is no matter
          t.true(isPlain ? level === 1 : level < 3 && description === Alert.UserCanceled, what);
        } else if (level === 3) {
          t.deepEqual([member, alert], ['UnknownAlertLevel', Alert.IllegalParameter], what);
        } else {
          t.true(description === Alert.CloseNotify ? member === 'ClosedEarly' : member === 'Received', what);
          // RFC 8446 §6.2: who has received one sends none
          t.is(client.takeOutgoing(), null, what);
        }
      }
    }
  });
}

// --- after the handshake ---

interface Ends {
  readonly opener: TrafficOpener;
  readonly sealer: TrafficSealer;
}

function connected(): Ends {
  const client = testClient();
  const server: ScriptedServer = testServer();
  client.start();
  feed(client, server.answer(client.takeOutgoing()!));
  const state = Slab.alloc(TRAFFIC_STATE_BYTES);
  client.exportTraffic(state, 0);
  return { opener: new TrafficOpener(state, 0), sealer: new TrafficSealer(server.traffic(), 0) };
}

function refusal({ opener, sealer }: Ends, type: number, content: Uint8Array): [string, number] {
  const record = new Uint8Array(300);
  const length = sealer.seal(type, content, 0, content.length, record, 0);
  try {
    opener.open(record, 0, length, new Uint8Array(16384), 0);
    return ['taken', -1];
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return [error.member, error.alert];
  }
}

for (const answersRequests of [false, true]) {
  test(`connected${answersRequests ? ', authentication asked for' : ''}: every other message → unexpected_message`, (t) => {
    const { KeyUpdate, NewSessionTicket } = HandshakeType;
    const legal: number[] = [KeyUpdate, NewSessionTicket, ...(answersRequests ? [CertificateRequest] : [])];
    for (const type of TYPES) {
      const ends = connected();
      if (answersRequests) ends.opener.onCertificateRequest = (): void => {};
      const [member, alert] = refusal(ends, Handshake, handshakeMessage(type, new Uint8Array(3)));
      if (legal.includes(type)) {
        t.not(alert, Alert.UnexpectedMessage, `type ${type}`);
        continue;
      }
      const name = type === CertificateRequest ? 'PostHandshakeAuthentication' : 'UnexpectedMessage';
      t.deepEqual([member, alert], [name, Alert.UnexpectedMessage], `type ${type}`);
    }
  });
}

test('connected: every record that is neither data nor a handshake message', (t) => {
  for (const type of [ChangeCipherSpec, 24, 25, 99, 255]) {
    const [member, alert] = refusal(connected(), type, Uint8Array.of(1));
    t.is(alert, Alert.UnexpectedMessage, `type ${type}: ${member}`);
  }
  for (const description of Object.values(Alert)) {
    for (const level of [1, 2, 3]) {
      const [member, alert] = refusal(connected(), ContentType.Alert, Uint8Array.of(level, description));
      const isTaken =
        level !== 3 && (description === Alert.CloseNotify || description === Alert.UserCanceled);
      const expected = isTaken
        ? ['taken', -1]
        : level === 3
          ? ['UnknownAlertLevel', Alert.IllegalParameter]
          : ['Received', -1];
      t.deepEqual([member, alert], expected, `level ${level}, ${description}`);
    }
  }
});
