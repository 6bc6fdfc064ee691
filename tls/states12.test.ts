/** TLS 1.0 to 1.2: every state of a handshake, for each key exchange, meets every message, every kind of record and every kind of alert. */
import { getDiffieHellman } from 'node:crypto';
import { concatBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { Slab } from '../stack/wire/slab.ts';
import { AlertDescription } from './alerts.ts';
import { MemorySessionStore, type TlsClient, type TlsClientOptions, TRAFFIC_STATE_BYTES } from './client.ts';
import { issue } from './testing/certificates.ts';
import { shakeHands12, testClient, testServer12 } from './testing/client-under-test.ts';
import { clientHelloOf, plainRecord } from './testing/scripted-server.ts';
import type { FlightPart12, ServerScript12 } from './testing/scripted-server12.ts';
import { failure, seal } from './testing/sealed-records.ts';
import { storedSession } from './testing/stored-session.ts';
import { TrafficOpener } from './traffic/opener.ts';
import { TrafficSealer } from './traffic/sealer.ts';
import { ContentType, ExtensionType, HandshakeType, versionNumber } from './wire/codes.ts';
import { handshakeMessage } from './wire/messages.ts';

const Alert = AlertDescription;
const { ApplicationData, ChangeCipherSpec, Handshake } = ContentType;
const { Certificate, CertificateRequest, CertificateStatus, Finished, NewSessionTicket } = HandshakeType;
const { ServerHelloDone, ServerKeyExchange } = HandshakeType;
const NONE = new Uint8Array(0);
const ONE = Uint8Array.of(1);

const rsa = issue({ subject: 'server.test', key: 'rsa2048' });
const RSA = { chain: [rsa.der], privateKey: rsa.privateKey };
const PSS = { scheme: 0x0804, hash: 'sha256', pss: true } as const;
// a small group for speed
const dh = { p: getDiffieHellman('modp2').getPrime(), g: Uint8Array.of(2) };
const own = issue({ subject: 'own' });
const credentials = { chain: [own.der], key: own.privateKey };
const fallback = true;

/** A version and a key exchange. */
interface Profile {
  readonly options: Partial<TlsClientOptions>;
  readonly script: Partial<ServerScript12>;
  readonly isRsa?: boolean;
}

const PROFILES: Readonly<Record<string, Profile>> = {
  'TLS 1.2, ECDHE': { options: {}, script: { version: 'TLSv1.2', suite: 0xc02b } },
  'TLS 1.2, DHE': {
    options: { fallback },
    script: { ...RSA, version: 'TLSv1.2', suite: 0x009e, signature: PSS, dh },
  },
  'TLS 1.2, RSA': {
    options: { fallback },
    script: { ...RSA, version: 'TLSv1.2', suite: 0x009c },
    isRsa: true,
  },
  'TLS 1.1, ECDHE': { options: { fallback }, script: { ...RSA, version: 'TLSv1.1', suite: 0xc013 } },
  'TLS 1.0, DHE': { options: { fallback }, script: { ...RSA, version: 'TLSv1', suite: 0x0033, dh } },
  'TLS 1.0, RSA': { options: { fallback }, script: { ...RSA, version: 'TLSv1', suite: 0x002f }, isRsa: true },
};

/** A client in some state, and how records reach it there. */
interface Place {
  readonly client: TlsClient;
  record(type: number, content: Uint8Array): Uint8Array;
}

interface State {
  readonly legal: readonly number[];
  /** Whether a change_cipher_spec may come. */
  readonly takesChange?: boolean;
  reach(): Place;
}

/** How far a full handshake goes. */
interface Way {
  readonly before: readonly FlightPart12[];
  readonly script?: Partial<ServerScript12>;
  readonly options?: Partial<TlsClientOptions>;
  /** A message that the scripted server does not know. */
  readonly next?: Uint8Array;
}

function feed(client: TlsClient, ...records: readonly Uint8Array[]): void {
  const stream = concatBytes(...records);
  client.receive(stream, 0, stream.length);
}

const onlyBefore =
  (before: readonly FlightPart12[]): NonNullable<ServerScript12['edit']> =>
  (part, message) =>
    before.includes(part) ? message : null;

function inFirstFlight(profile: Profile, { before, script, options, next }: Way): Place {
  const client = testClient({ ...profile.options, ...options });
  client.start();
  const server = testServer12({ ...profile.script, ...script, edit: onlyBefore(before) });
  feed(client, server.answer(client.takeOutgoing()!));
  const record = recorder(profile);
  if (next !== undefined) feed(client, record(Handshake, next));
  return { client, record };
}

function recorder({ script }: Profile): Place['record'] {
  return (type, content) => plainRecord(type, content, versionNumber(script.version!));
}

/** The records up to the change_cipher_spec; with it when that is `included`. */
function untilChange(records: Uint8Array, included: boolean): Uint8Array {
  let off = 0;
  while (records[off] !== ChangeCipherSpec) off += 5 + ((records[off + 3]! << 8) | records[off + 4]!);
  return records.subarray(0, included ? off + 6 : off);
}

type Stop = 'before the ticket' | 'before change_cipher_spec' | 'after change_cipher_spec';
const TICKET = { ticket: Uint8Array.of(9), extensions: [[ExtensionType.SessionTicket, NONE]] } as const;

function inLastFlight(profile: Profile, hasTicket: boolean, stop: Stop): Place {
  const sessions = { store: new MemorySessionStore(), port: 443, policy: 'test' };
  const client = testClient({ ...profile.options, ...(hasTicket ? { sessions } : {}) });
  client.start();
  const script = { ...profile.script, ...(hasTicket ? TICKET : {}) };
  const server = testServer12({
    ...script,
    edit: (part, message) => (part === 'finished' ? null : message),
  });
  feed(client, server.answer(client.takeOutgoing()!));
  const flight = server.finish(client.takeOutgoing()!);
  if (stop === 'before the ticket') return { client, record: recorder(profile) };
  const isChanged = stop === 'after change_cipher_spec';
  feed(client, untilChange(flight, isChanged));
  const record = isChanged ? server.record.bind(server) : recorder(profile);
  return { client, record };
}

function whileResuming(profile: Profile, hasTicket: boolean, stop: Stop): Place {
  const secret = new Uint8Array(48).fill(8);
  const { version, suite: cipherSuite } = profile.script;
  const stored = { version: version!, cipherSuite: cipherSuite!, secret: secret.slice() };
  const sessions = storedSession(stored, profile.options.fallback);
  const client = testClient({ ...profile.options, sessions });
  client.start();
  const hello = client.takeOutgoing()!;
  const server = testServer12({
    ...profile.script,
    ...(hasTicket ? TICKET : {}),
    sessionId: clientHelloOf(hello).sessionId,
    resumes: { master: secret },
    edit: (part, message) => (part === 'finished' ? null : message),
  });
  const flight = server.answer(hello);
  if (stop === 'before the ticket') {
    feed(client, flight.subarray(0, 5 + ((flight[3]! << 8) | flight[4]!)));
    return { client, record: recorder(profile) };
  }
  const isChanged = stop === 'after change_cipher_spec';
  feed(client, untilChange(flight, isChanged));
  return { client, record: isChanged ? server.record.bind(server) : recorder(profile) };
}

const STATUS = handshakeMessage(CertificateStatus, Uint8Array.of(1, 0, 0, 1, 5));
const promisesStatus = { extensions: [[ExtensionType.StatusRequest, NONE]] } as const;

function statesOf(profile: Profile): Readonly<Record<string, State>> {
  const { isRsa = false } = profile;
  const afterCertificate = isRsa ? [ServerHelloDone, CertificateRequest] : [ServerKeyExchange];
  const offered: readonly FlightPart12[] = ['server_hello', 'certificate', 'server_key_exchange'];
  const asked: readonly FlightPart12[] = [...offered, 'certificate_request'];
  const requests = { requestsCertificate: true };
  const first = (legal: readonly number[], way: Way): State => ({
    legal,
    reach: () => inFirstFlight(profile, way),
  });
  const last = (legal: readonly number[], hasTicket: boolean, stop: Stop): State => ({
    legal,
    takesChange: stop === 'before change_cipher_spec',
    reach: () => inLastFlight(profile, hasTicket, stop),
  });
  const resumed = (legal: readonly number[], hasTicket: boolean, stop: Stop): State => ({
    legal,
    takesChange: stop === 'before change_cipher_spec',
    reach: () => whileResuming(profile, hasTicket, stop),
  });
  return {
    'after ServerHello': first([Certificate], { before: ['server_hello'] }),
    'after Certificate': first(afterCertificate, { before: ['server_hello', 'certificate'] }),
    'after Certificate, a status promised': first([...afterCertificate, CertificateStatus], {
      before: ['server_hello', 'certificate'],
      script: promisesStatus,
    }),
    'after CertificateStatus': first(afterCertificate, {
      before: ['server_hello', 'certificate'],
      script: promisesStatus,
      next: STATUS,
    }),
    ...(isRsa
      ? {}
      : { 'after ServerKeyExchange': first([ServerHelloDone, CertificateRequest], { before: offered }) }),
    'after CertificateRequest': first([ServerHelloDone], { before: asked, script: requests }),
    'after CertificateRequest, with a certificate': first([ServerHelloDone], {
      before: asked,
      script: requests,
      options: { credentials },
    }),
    'before a ticket': last([NewSessionTicket], true, 'before the ticket'),
    'after a ticket': last([], true, 'before change_cipher_spec'),
    'after ServerHelloDone': last([], false, 'before change_cipher_spec'),
    'after change_cipher_spec': last([Finished], false, 'after change_cipher_spec'),
    'resumed, before a ticket': resumed([NewSessionTicket], true, 'before the ticket'),
    'resumed, after a ticket': resumed([], true, 'before change_cipher_spec'),
    'resumed, after ServerHello': resumed([], false, 'before change_cipher_spec'),
    'resumed, after change_cipher_spec': resumed([Finished], false, 'after change_cipher_spec'),
  };
}

/** Every number that means something in some version, and some that do not. */
const TYPES: readonly number[] = [...Array.from({ length: 28 }, (_, type) => type), 67, 128, 203, 254, 255];

const ALERTS = [Alert.CloseNotify, Alert.HandshakeFailure, Alert.UserCanceled, Alert.NoRenegotiation, 255];

for (const [name, profile] of Object.entries(PROFILES)) {
  for (const [state, { legal, takesChange = false, reach }] of Object.entries(statesOf(profile))) {
    test(`${name}, ${state}: every other message → unexpected_message`, (t) => {
      for (const type of TYPES) {
        const { client, record } = reach();
        t.is(client.state, 'handshaking', client.error?.message);
        feed(client, record(Handshake, handshakeMessage(type, new Uint8Array(3))));
        const isLegal = legal.includes(type);
        t.is(client.error?.member === 'UnexpectedMessage', !isLegal, `type ${type}: ${client.error?.member}`);
        if (!isLegal) t.is(client.error?.alert, Alert.UnexpectedMessage);
      }
    });

    test(`${name}, ${state}: every other record, and every alert`, (t) => {
      const outcome = (type: number, content: Uint8Array): [string, number] => {
        const { client, record } = reach();
        feed(client, record(type, content));
        return [client.error?.member ?? client.state, client.error?.alert ?? -1];
      };
      t.deepEqual(outcome(ApplicationData, ONE), ['UnexpectedApplicationData', Alert.UnexpectedMessage]);
      for (const type of [0, 19, 24, 25, 99, 255])
        t.deepEqual(outcome(type, ONE), ['InvalidContentType', Alert.UnexpectedMessage], `type ${type}`);
      const change = outcome(ChangeCipherSpec, ONE);
      if (takesChange) t.deepEqual(change, ['handshaking', -1]);
      else t.deepEqual(change, ['UnexpectedChangeCipherSpec', Alert.UnexpectedMessage]);
      for (const description of ALERTS) {
        const isEnd = description === Alert.CloseNotify;
        const alert = (level: number): [string, number] =>
          outcome(ContentType.Alert, Uint8Array.of(level, description));
        t.deepEqual(alert(1), [isEnd ? 'ClosedEarly' : 'handshaking', -1], `warning ${description}`);
        t.deepEqual(alert(2), [isEnd ? 'ClosedEarly' : 'Received', -1], `fatal ${description}`);
      }
      t.deepEqual(outcome(ContentType.Alert, Uint8Array.of(3, Alert.CloseNotify)), [
        'UnknownAlertLevel',
        Alert.IllegalParameter,
      ]);
    });
  }

  test(`${name}, connected: every message but HelloRequest → unexpected_message, and every other record`, (t) => {
    const outcome = (type: number, content: Uint8Array): [string, number] => {
      const client = testClient(profile.options);
      const server = testServer12(profile.script);
      shakeHands12(client, server);
      const state = Slab.alloc(TRAFFIC_STATE_BYTES);
      client.exportTraffic(state, 0);
      return failure(
        new TrafficOpener(state, 0),
        seal(new TrafficSealer(server.traffic(), 0), type, content),
      );
    };
    for (const type of TYPES) {
      const expected =
        type === HandshakeType.HelloRequest
          ? ['TrailingData', Alert.DecodeError]
          : ['UnexpectedMessage', Alert.UnexpectedMessage];
      t.deepEqual(outcome(Handshake, handshakeMessage(type, ONE)), expected, `type ${type}`);
    }
    t.deepEqual(outcome(Handshake, handshakeMessage(0, NONE)), ['none', -1]);
    for (const type of [ChangeCipherSpec, 24, 25, 99])
      t.is(outcome(type, ONE)[1], Alert.UnexpectedMessage, `type ${type}`);
    for (const description of ALERTS) {
      const isEnd = description === Alert.CloseNotify;
      t.deepEqual(outcome(ContentType.Alert, Uint8Array.of(1, description)), ['none', -1]);
      t.deepEqual(outcome(ContentType.Alert, Uint8Array.of(2, description)), [
        isEnd ? 'none' : 'Received',
        -1,
      ]);
    }
  });
}
