import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { Slab } from '../../stack/wire/slab.ts';
import { AlertDescription, AlertLevel } from '../alerts.ts';
import { TRAFFIC_STATE_BYTES } from '../client.ts';
import { shakeHands12, testClient, testServer12 } from '../testing/client-under-test.ts';
import { poke } from '../testing/hostile-server.ts';
import { plainRecord, u16 } from '../testing/scripted-server.ts';
import type { ServerScript12 } from '../testing/scripted-server12.ts';
import { failure, open, seal } from '../testing/sealed-records.ts';
import { ContentType, ExtensionType, HandshakeType } from '../wire/codes.ts';
import { handshakeMessage } from '../wire/messages.ts';
import { OPENED_CLOSE_NOTIFY, OPENED_NOTHING, TrafficOpener } from './opener.ts';
import { MAX_OWED_BYTES, TrafficSealer } from './sealer.ts';
import { TrafficOffset } from './state.ts';

const Alert = AlertDescription;
const { ApplicationData, Handshake } = ContentType;
const NO_CONTENT = new Uint8Array(0);

/** Both ends of a connection whose handshake is done. */
function connected(script: Partial<ServerScript12> = {}): {
  ours: Slab;
  sealer: TrafficSealer;
  opener: TrafficOpener;
  server: TrafficSealer;
  serverOpener: TrafficOpener;
} {
  const client = testClient();
  const server = testServer12(script);
  shakeHands12(client, server);
  const ours = new Slab(new Uint8Array(new SharedArrayBuffer(TRAFFIC_STATE_BYTES + 8)));
  client.exportTraffic(ours, 8);
  const theirs = server.traffic();
  return {
    ours,
    sealer: new TrafficSealer(ours, 8),
    opener: new TrafficOpener(ours, 8),
    server: new TrafficSealer(theirs, 0),
    serverOpener: new TrafficOpener(theirs, 0),
  };
}

test('a renegotiation is refused with one warning before the next data, and the connection goes on', (t) => {
  const { ours, sealer, opener, server, serverOpener } = connected();
  const request = handshakeMessage(HandshakeType.HelloRequest, NO_CONTENT);
  t.is(open(opener, seal(server, Handshake, concatBytes(request, request))).result, OPENED_NOTHING);
  t.true(sealer.answerOwed);
  const records = seal(sealer, ApplicationData, Uint8Array.of(1, 2, 3));
  t.false(sealer.answerOwed);
  t.is(records[0], ContentType.Alert);
  const alertBytes = 5 + 8 + 2 + 16;
  t.is(open(serverOpener, records.slice(0, alertBytes)).result, OPENED_NOTHING);
  t.is(open(serverOpener, records.slice(alertBytes)).result, 3);
  // another thread sees the debt too, and an answer without data settles it
  open(opener, seal(server, Handshake, request));
  const other = new TrafficSealer(ours, 8);
  const answer = new Uint8Array(MAX_OWED_BYTES);
  t.is(other.writeOwed(answer, 0), alertBytes);
  t.is(other.writeOwed(answer, 0), 0);
  t.is(sealer.closed, false);
});

test('a HelloRequest over records of one byte, and other records inside it', (t) => {
  const request = handshakeMessage(HandshakeType.HelloRequest, NO_CONTENT);
  const { ours, sealer, server } = connected();
  for (const [i, byte] of request.entries()) {
    t.false(sealer.answerOwed, `${i}`);
    // each byte in another thread
    open(new TrafficOpener(ours, 8), seal(server, Handshake, Uint8Array.of(byte)));
  }
  t.true(sealer.answerOwed);
  for (const [type, content] of [
    [ApplicationData, Uint8Array.of(1)],
    [ContentType.Alert, Uint8Array.of(1, Alert.UnrecognizedName)],
  ] as const) {
    const other = connected();
    open(other.opener, seal(other.server, Handshake, request.subarray(0, 2)));
    t.deepEqual(failure(other.opener, seal(other.server, type, content)), [
      'InterleavedRecord',
      Alert.UnexpectedMessage,
    ]);
  }
});

test('wishes for a renegotiation in a row are counted', (t) => {
  const { opener, server } = connected();
  const request = (): Uint8Array =>
    seal(server, Handshake, handshakeMessage(HandshakeType.HelloRequest, NO_CONTENT));
  for (let i = 0; i < 4; i++) t.deepEqual(failure(opener, request()), ['none', -1]);
  open(opener, seal(server, ApplicationData, Uint8Array.of(1)));
  for (let i = 0; i < 4; i++) t.deepEqual(failure(opener, request()), ['none', -1]);
  t.deepEqual(failure(opener, request()), ['TooManyHelloRequests', Alert.UnexpectedMessage]);
});

test('warnings after the handshake are counted, fatal alerts end', (t) => {
  const { opener, server } = connected();
  const warning = (): Uint8Array => seal(server, ContentType.Alert, Uint8Array.of(1, Alert.UnrecognizedName));
  for (let i = 0; i < 4; i++) t.is(open(opener, warning()).result, OPENED_NOTHING);
  t.deepEqual(failure(opener, warning()), ['TooManyWarnings', Alert.UnexpectedMessage]);
  const other = connected();
  t.deepEqual(failure(other.opener, seal(other.server, ContentType.Alert, Uint8Array.of(2, 49))), [
    'Received',
    -1,
  ]);
});

const trafficRefusals: readonly [string, number, Uint8Array, string, number][] = [
  ['a HelloRequest with content', Handshake, Uint8Array.of(0, 0, 0, 1, 0), 'TrailingData', Alert.DecodeError],
  ['a ServerHello', Handshake, Uint8Array.of(2), 'UnexpectedMessage', Alert.UnexpectedMessage],
  ['a ticket', Handshake, Uint8Array.of(4), 'UnexpectedMessage', Alert.UnexpectedMessage],
  ['a KeyUpdate', Handshake, Uint8Array.of(24, 0, 0, 1, 0), 'UnexpectedMessage', Alert.UnexpectedMessage],
  ['a CertificateRequest', Handshake, Uint8Array.of(13), 'UnexpectedMessage', Alert.UnexpectedMessage],
  ['an empty handshake record', Handshake, NO_CONTENT, 'EmptyHandshakeRecord', Alert.UnexpectedMessage],
  ['an empty alert', ContentType.Alert, NO_CONTENT, 'EmptyHandshakeRecord', Alert.UnexpectedMessage],
  [
    'change_cipher_spec',
    ContentType.ChangeCipherSpec,
    Uint8Array.of(1),
    'UnexpectedChangeCipherSpec',
    Alert.UnexpectedMessage,
  ],
  ['an unknown type', 24, Uint8Array.of(1), 'InvalidContentType', Alert.UnexpectedMessage],
];
for (const [name, type, content, member, alert] of trafficRefusals) {
  test(`refused after the handshake: ${name}`, (t) => {
    const { opener, server } = connected();
    t.deepEqual(failure(opener, seal(server, type, content)), [member, alert]);
  });
}

test('empty records are counted, close_notify ends, key updates do not exist', (t) => {
  const { sealer, opener, server } = connected();
  for (let i = 0; i < 32; i++) open(opener, seal(server, ApplicationData, NO_CONTENT));
  t.deepEqual(failure(opener, seal(server, ApplicationData, NO_CONTENT)), [
    'TooManyEmptyRecords',
    Alert.UnexpectedMessage,
  ]);
  t.throws(() => sealer.keyUpdate(false, new Uint8Array(100), 0), {
    message: /only TLS 1.3 has key updates/,
  });
  const other = connected();
  const into = new Uint8Array(100);
  const n = other.server.alert(AlertLevel.Warning, Alert.CloseNotify, into, 0);
  t.is(open(other.opener, into.slice(0, n)).result, OPENED_CLOSE_NOTIFY);
});

for (const suite of [0xc02b, 0xcca9]) {
  test(`records of suite ${suite.toString(16)}: damaged, moved, retyped, too short, too long`, (t) => {
    const bad = ['BadRecordMac', Alert.BadRecordMac];
    const record = (): { opener: TrafficOpener; bytes: Uint8Array; server: TrafficSealer } => {
      const { opener, server } = connected({ suite });
      return { opener, server, bytes: seal(server, ApplicationData, utf8ToBytes('some data')) };
    };
    for (let at = 5; at < record().bytes.length; at++) {
      const { opener, bytes } = record();
      t.deepEqual(failure(opener, poke(bytes, at, bytes[at]! ^ 0x40)), bad, `byte ${at}`);
    }
    const retyped = record();
    t.deepEqual(failure(retyped.opener, poke(retyped.bytes, 0, 22)), bad);
    const moved = record();
    t.deepEqual(failure(moved.opener, seal(moved.server, ApplicationData, NO_CONTENT)), bad);
    t.deepEqual(failure(record().opener, plainRecord(23, new Uint8Array(15))), bad);
    t.deepEqual(failure(record().opener, plainRecord(23, new Uint8Array(16384 + 25))), [
      'RecordOverflow',
      Alert.RecordOverflow,
    ]);
  });
}

test('explicit nonces are the sequence numbers: none comes twice', (t) => {
  const { ours, sealer } = connected();
  const nonces = new Set<string>();
  for (let i = 0; i < 50; i++) {
    const record = seal(i % 2 === 0 ? sealer : new TrafficSealer(ours, 8), ApplicationData, Uint8Array.of(i));
    nonces.add(Buffer.from(record.subarray(5, 13)).toString('hex'));
  }
  t.is(nonces.size, 50);
  // the Finished had number 0
  t.false(nonces.has('0000000000000000'));
});

test('sequence numbers never wrap', (t) => {
  const { ours, sealer, opener, server } = connected();
  for (const at of [
    TrafficOffset.WriteSeqHigh,
    TrafficOffset.WriteSeqLow,
    TrafficOffset.ReadSeqHigh,
    TrafficOffset.ReadSeqLow,
  ]) {
    ours.view.setUint32(8 + at, 0xffffffff, true);
  }
  t.throws(() => seal(sealer, ApplicationData, Uint8Array.of(1)), { message: /sequence number/ });
  t.deepEqual(failure(opener, seal(server, ApplicationData, Uint8Array.of(1))), [
    'SequenceExhausted',
    Alert.InternalError,
  ]);
});

test('record_size_limit in TLS 1.2 is that of the content', (t) => {
  const client = testClient({ recordSizeLimit: true });
  shakeHands12(client, testServer12({ extensions: [[ExtensionType.RecordSizeLimit, u16(1024)]] }));
  const state = Slab.alloc(TRAFFIC_STATE_BYTES);
  client.exportTraffic(state, 0);
  t.is(new TrafficSealer(state, 0).maxContentBytes, 1024);
});
