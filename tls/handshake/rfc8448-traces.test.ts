/** The client goes through each trace of RFC 8448 byte for byte: its own hellos, proofs and records come out as they stand there. */
import { bytesToHex, concatBytes } from '@noble/hashes/utils.js';
import test, { type ExecutionContext } from 'ava';
import type { RandomSource } from '../../stack/random.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { AlertDescription, AlertLevel } from '../alerts.ts';
import { generateKeyShare, NamedGroup } from '../keys/groups.ts';
import { trafficKeyOf } from '../keys/key-schedule.ts';
import { cipherSuiteOf } from '../keys/suites.ts';
import { HandshakeRecords, recordLength } from '../record/handshake-records.ts';
import { RecordKey } from '../record/record-key.ts';
import { ACCEPTING } from '../testing/client-under-test.ts';
import {
  AUTHENTICATION,
  CLIENT_SIGNATURE,
  COMPATIBILITY,
  RESUMED,
  RETRY,
  SIMPLE,
  TICKET,
  TICKET_PSK,
  type Trace,
} from '../testing/rfc8448-traces.ts';
import { clientHelloOf } from '../testing/scripted-server.ts';
import { OPENED_CLOSE_NOTIFY, OPENED_NOTHING, TrafficOpener } from '../traffic/opener.ts';
import { TrafficSealer } from '../traffic/sealer.ts';
import { TRAFFIC_STATE_BYTES, writeTrafficState } from '../traffic/state.ts';
import { ContentType, ExtensionType } from '../wire/codes.ts';
import { type ClientCredentials, ClientIdentities } from './client-credentials.ts';
import { type ClientHelloEdit, writeClientHello } from './client-hello.ts';
import { Connected } from './connected.ts';
import { EarlyData } from './early-data.ts';
import { ExpectServerHello } from './expect-server-hello.ts';
import type { Offer, OfferedSession } from './offer.ts';
import { type Handshake, type HandshakeState, newInfo } from './state.ts';

const SUITE = cipherSuiteOf(0x1301)!;
const NOTHING = new Uint8Array(0);
const DATA = Uint8Array.from({ length: 50 }, (_, i) => i);

/** Those that our own client writes; the others tell what NSS can do, and stand in the hello as in the trace. */
const OWN_EXTENSIONS: readonly number[] = [
  ExtensionType.ServerName,
  ExtensionType.RecordSizeLimit,
  ExtensionType.PreSharedKey,
  ExtensionType.EarlyData,
  ExtensionType.SupportedVersions,
  ExtensionType.Cookie,
  ExtensionType.PskKeyExchangeModes,
  ExtensionType.KeyShare,
];

interface Options {
  readonly session?: OfferedSession;
  readonly earlyData?: Uint8Array;
  readonly credentials?: readonly ClientCredentials[];
}

interface Followed {
  readonly handshake: Handshake;
  readonly state: HandshakeState;
  /** What the client sent last. */
  readonly flight: Uint8Array;
  /** Of the key log. */
  readonly secrets: ReadonlyMap<string, string>;
}

function follow(t: ExecutionContext, trace: Trace, options: Options = {}): Followed {
  const hellos = trace.clientHellos.map(clientHelloOf);
  const [first] = hellos;
  const keys = [...trace.privateKeys];
  const random: RandomSource = { fill: (into) => into.set(keys.shift()!), uint32: () => 0 };
  const offer: Offer = {
    versions: ['TLSv1.3'],
    fallback: false,
    random: first!.random,
    sessionId: first!.sessionId,
    cipherSuites: first!.cipherSuites,
    groups: [NamedGroup.X25519, NamedGroup.Secp256r1, NamedGroup.Secp384r1],
    signatureSchemes: [0x0403, 0x0804],
    keyShares: [generateKeyShare(NamedGroup.X25519, random)],
    hostName: 'server',
    alpn: [],
    mustSelectProtocol: false,
    recordSizeLimit: 16385,
    session: options.session ?? null,
    earlyData: options.earlyData !== undefined,
    wantsTicket: false,
    certificateStatus: false,
    signedCertificateTimestamps: false,
    certificateCompression: [],
    postHandshakeAuth: false,
    fallbackScsv: false,
    cookie: null,
    grease: null,
    encryptedClientHello: null,
    greasePsk: null,
    extensionOrder: null,
    former: null,
  };
  let written = 0;
  const editHello: ClientHelloEdit = (draft) => ({
    ...draft,
    extensions: [...hellos[written++]!.extensions].map(([type, content]) => {
      const own = draft.extensions.find((each) => each.type === type);
      return OWN_EXTENSIONS.includes(type) ? own! : { type, content };
    }),
  });
  const secrets = new Map<string, string>();
  // RFC 8446 §D.4: the client of §7 alone asks for it
  const records = new HandshakeRecords(first!.sessionId.length > 0);
  const handshake: Handshake = {
    serverName: 'server',
    echPublicName: '',
    isStatusAsked: false,
    unixTimeMs: 0,
    random,
    verifier: ACCEPTING,
    keyLog: (line) => secrets.set(line.split(' ')[0]!, line.split(' ')[2]!),
    identities: new ClientIdentities(options.credentials ?? []),
    keepSession: null,
    records,
    earlyData: new EarlyData(),
    editHello,
    info: newInfo('server'),
    finished: { client: new Uint8Array(0), server: new Uint8Array(0) },
    wipes: [],
  };
  const hello = writeClientHello(offer, null, editHello);
  records.send(hello);
  t.is(bytesToHex(records.takeOutgoing()!), bytesToHex(trace.clientHellos[0]!));
  if (options.session !== undefined && options.earlyData !== undefined) {
    handshake.earlyData.offer(options.session, hello, records);
    handshake.earlyData.send(records, options.earlyData, 0, options.earlyData.length);
    t.is(bytesToHex(records.takeOutgoing()!), bytesToHex(trace.earlyData));
  }
  let state: HandshakeState = new ExpectServerHello(offer, hello);
  let flight: Uint8Array = NOTHING;
  for (const [i, answer] of trace.answers.entries()) {
    for (let off = 0; off < answer.length; ) {
      const length = recordLength(answer, off, answer.length - off);
      records.receive(answer, off, length);
      off += length;
      for (let message = records.nextMessage(); message !== null; message = records.nextMessage()) {
        state = state.handle(message, handshake);
      }
    }
    flight = records.takeOutgoing()!;
    const next = trace.clientHellos[i + 1];
    if (next !== undefined) t.is(bytesToHex(flight), bytesToHex(next));
  }
  t.is(keys.length, 0);
  return { handshake, state, flight, secrets };
}

/** Sends and receives what comes after the handshake; the tickets of the server. */
function goOn(t: ExecutionContext, trace: Trace, state: HandshakeState): readonly string[] {
  if (!(state instanceof Connected)) throw new Error('not connected');
  const traffic = Slab.alloc(TRAFFIC_STATE_BYTES);
  writeTrafficState(traffic, 0, state);
  const [sealer, opener] = [new TrafficSealer(traffic, 0), new TrafficOpener(traffic, 0)];
  const keys: string[] = [];
  opener.onTicket = ({ psk, ticket }): void => {
    t.deepEqual(ticket, TICKET);
    keys.push(bytesToHex(psk));
  };
  for (const [i, [sender, record]] of trace.later.entries()) {
    const isEnd = i >= trace.later.length - 2;
    const out = new Uint8Array(16384);
    if (sender === 'client') {
      const length = isEnd
        ? sealer.alert(AlertLevel.Warning, AlertDescription.CloseNotify, out, 0)
        : sealer.seal(ContentType.ApplicationData, DATA, 0, DATA.length, out, 0);
      t.is(bytesToHex(out.subarray(0, length)), bytesToHex(record));
      continue;
    }
    const opened = opener.open(record, 0, record.length, out, 0);
    if (isEnd) t.is(opened, OPENED_CLOSE_NOTIFY);
    else if (opened === DATA.length) t.deepEqual(out.slice(0, opened), DATA);
    else t.is(opened, OPENED_NOTHING);
  }
  return keys;
}

test('RFC 8448 §3: a handshake, its ticket, data and the end', (t) => {
  const { state, flight } = follow(t, SIMPLE);
  t.is(bytesToHex(flight), bytesToHex(SIMPLE.clientFlight));
  t.deepEqual(goOn(t, SIMPLE, state), [bytesToHex(TICKET_PSK)]);
});

test('RFC 8448 §4: the ticket of §3, early data, its end, and data', (t) => {
  const earlyData = new TextEncoder().encode('ABCDEF');
  const session: OfferedSession = {
    suite: SUITE,
    // obfuscated_ticket_age less ticket_age_add
    ageMs: 6,
    session: {
      version: 'TLSv1.3',
      cipherSuite: SUITE.id,
      secret: TICKET_PSK,
      ticket: TICKET,
      sessionId: NOTHING,
      ageAdd: 0xfad6aac5,
      receivedUnixTimeMs: 0,
      lifetimeSeconds: 30,
      maxEarlyDataBytes: 1024,
      alpn: null,
      ocspResponse: null,
      signedCertificateTimestamps: null,
      chain: [],
    },
  };
  const { state, flight, handshake } = follow(t, RESUMED, { session, earlyData });
  t.is(bytesToHex(flight), bytesToHex(RESUMED.clientFlight));
  t.like(handshake.info, { isResumed: true, earlyData: 'accepted' });
  goOn(t, RESUMED, state);
});

test('RFC 8448 §5: a HelloRetryRequest with a cookie', (t) => {
  const { state, flight, handshake } = follow(t, RETRY);
  t.is(bytesToHex(flight), bytesToHex(RETRY.clientFlight));
  t.like(handshake.info, { helloRetryRequest: true, group: 'P-256' });
  goOn(t, RETRY, state);
});

test('RFC 8448 §6: client authentication', (t) => {
  const { certificate, content, signature } = CLIENT_SIGNATURE;
  const key = (scheme: string, signed: Uint8Array): Uint8Array => {
    t.is(scheme, 'rsa_pss_rsae_sha256');
    t.is(bytesToHex(signed), bytesToHex(content));
    return signature;
  };
  const { state, flight, secrets } = follow(t, AUTHENTICATION, {
    credentials: [{ chain: [certificate], key }],
  });
  // the trace has the three messages in one record, we have a record for each
  const opened = (records: Uint8Array): string => {
    const secret = Buffer.from(secrets.get('CLIENT_HANDSHAKE_TRAFFIC_SECRET')!, 'hex');
    const { key: recordKey, iv } = trafficKeyOf(SUITE, secret);
    const reader = new RecordKey(SUITE, recordKey, iv);
    const contents: Uint8Array[] = [];
    for (let off = 0, seq = 0; off < records.length; seq++) {
      const length = recordLength(records, off, records.length - off);
      reader.open(0, seq, records, off, length);
      contents.push(reader.opened.slice(0, reader.openedBytes));
      off += length;
    }
    return bytesToHex(concatBytes(...contents));
  };
  t.is(opened(flight), opened(AUTHENTICATION.clientFlight));
  goOn(t, AUTHENTICATION, state);
});

test('RFC 8448 §7: compatibility mode', (t) => {
  const { state, flight } = follow(t, COMPATIBILITY);
  t.is(bytesToHex(flight), bytesToHex(COMPATIBILITY.clientFlight));
  goOn(t, COMPATIBILITY, state);
});
